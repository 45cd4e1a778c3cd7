//! Differentiable layers over candle tensors.
//!
//! candle's fused `softmax_last_dim`, `rms_norm`, `layer_norm` and `rope` have no backward: with residual streams they yield a
//! partial gradient, silently. Everything here is composed of operations that have one, or is a custom operation that brings its
//! own: [`super::kernels`].

use candle_core::{D, DType, Result, Tensor};
use candle_nn::VarBuilder;

use super::kernels;
use super::rope::{Rope, Scaling};

/// `y = x W^T + b`, with `W` `[out, in]` as checkpoints store it.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Reads `weight` `[out, in]`, and `bias` `[out]` if `has_bias`.
    pub fn new(d_in: usize, d_out: usize, has_bias: bool, weights: &VarBuilder) -> Result<Self> {
        let bias = if has_bias { Some(weights.get(d_out, "bias")?) } else { None };
        Ok(Self { weight: weights.get((d_out, d_in), "weight")?, bias })
    }

    /// A linear layer over a given weight, such as a tied head.
    pub fn from_weight(weight: Tensor) -> Self {
        Self { weight, bias: None }
    }

    /// A linear layer over a weight `[out, in]` and a bias `[out]` that were stored otherwise.
    pub fn from_parts(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
    }

    /// Whether it adds a bias.
    pub fn has_bias(&self) -> bool {
        self.bias.is_some()
    }

    /// `[out, in]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (d_out, d_in) = self.weight.dims2()?;
        let mut shape = x.dims().to_vec();
        let rows = x.elem_count() / d_in;
        let flat = x.reshape((rows, d_in))?;
        let y = if self.weight.is_variable() {
            flat.matmul(&self.weight.t()?)?
        } else {
            flat.contiguous()?.apply_op1(kernels::FrozenLinear { weight: self.weight.clone() })?
        };
        if let Some(last) = shape.last_mut() {
            *last = d_out;
        }
        let y = y.reshape(shape)?;
        match &self.bias {
            Some(bias) if kernels::serves(&y) => y.apply_op2(bias, kernels::AddBias),
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

/// Root-mean-square norm (Zhang & Sennrich, arXiv 1910.07467): `x / sqrt(mean(x^2) + eps) * weight`.
#[derive(Debug, Clone)]
pub struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    /// Reads `weight` `[d]`.
    pub fn new(d: usize, eps: f64, weights: &VarBuilder) -> Result<Self> {
        Ok(Self { weight: weights.get(d, "weight")?, eps })
    }

    /// `[d]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// `[.., d]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if kernels::serves(x) {
            return x.contiguous()?.apply_op2(&self.weight, kernels::RmsNorm { eps: self.eps });
        }
        self.composed(x)
    }

    /// The same with weights of one.
    pub fn unweighted(&self, x: &Tensor) -> Result<Tensor> {
        Self { weight: self.weight.ones_like()?, eps: self.eps }.forward(x)
    }

    /// The same of candle operations: for other devices, and what the kernel is tested against.
    /// The mean square of half-precision numbers is taken in f32, as transformers does.
    pub fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let wide = widened(x)?;
        let mean_square = wide.sqr()?.mean_keepdim(D::Minus1)?;
        let normal = wide.broadcast_div(&(mean_square + self.eps)?.sqrt()?)?;
        normal.to_dtype(x.dtype())?.broadcast_mul(&self.weight)
    }
}

/// Layer norm (Ba et al., arXiv 1607.06450) with weight and bias.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Reads `weight` and `bias` `[d]`.
    pub fn new(d: usize, eps: f64, weights: &VarBuilder) -> Result<Self> {
        Ok(Self { weight: weights.get(d, "weight")?, bias: weights.get(d, "bias")?, eps })
    }

    /// A norm over a weight and a bias that are given, and may be in training.
    pub fn from_parts(weight: Tensor, bias: Tensor, eps: f64) -> Self {
        Self { weight, bias, eps }
    }

    /// `[.., d]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if kernels::serves(x) {
            return x.contiguous()?.apply_op3(&self.weight, &self.bias, kernels::LayerNorm { eps: self.eps });
        }
        self.composed(x)
    }

    /// The same of candle operations: for other devices, and what the kernel is tested against.
    pub fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let wide = widened(x)?;
        let centred = wide.broadcast_sub(&wide.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normal = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        normal.to_dtype(x.dtype())?.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }
}

/// Half-precision numbers as f32; others as they are. Sums and exponentials are taken so.
pub fn widened(x: &Tensor) -> Result<Tensor> {
    if is_half(x.dtype()) { x.to_dtype(DType::F32) } else { Ok(x.clone()) }
}

/// Whether numbers of this type have 16 bits.
pub fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

/// Softmax over the last dimension, with a backward (the shift by the maximum is a constant).
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    let shifted = x.broadcast_sub(&x.detach().max_keepdim(D::Minus1)?)?;
    let exp = shifted.exp()?;
    exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)
}

/// Log-softmax over the last dimension, with a backward.
pub fn log_softmax(x: &Tensor) -> Result<Tensor> {
    let shifted = x.broadcast_sub(&x.detach().max_keepdim(D::Minus1)?)?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)
}

/// `x * sigmoid(1.702 x)`, CLIP's activation.
pub fn quick_gelu(x: &Tensor) -> Result<Tensor> {
    if kernels::serves(x) { x.contiguous()?.apply_op1(kernels::QuickGelu) } else { composed_quick_gelu(x) }
}

/// The same of candle operations: for other devices, and what the kernel is tested against.
pub fn composed_quick_gelu(x: &Tensor) -> Result<Tensor> {
    x * candle_nn::ops::sigmoid(&(x * 1.702)?)?
}

/// The exact Gaussian error linear unit, LLaVA's connector activation.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    x.gelu_erf()
}

/// The activation of a vision tower's MLP, by the name a config has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Activation {
    /// CLIP's ([`quick_gelu`]).
    #[serde(rename = "quick_gelu")]
    QuickGelu,
    /// The exact one ([`gelu`]).
    #[serde(rename = "gelu")]
    Gelu,
    /// The approximation by a hyperbolic tangent (Hendrycks & Gimpel, arXiv 1606.08415), SigLIP's.
    #[serde(rename = "gelu_pytorch_tanh")]
    GeluTanh,
}

impl Activation {
    /// Element by element.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::QuickGelu => quick_gelu(x),
            Self::Gelu => gelu(x),
            Self::GeluTanh => x.gelu(),
        }
    }
}

/// Log-likelihood (nats) of `targets` `[n]` under `logits` `[n, vocabulary]`: `[n]`.
pub fn log_likelihood(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    log_softmax(logits)?.gather(&targets.unsqueeze(1)?, 1)?.squeeze(1)
}

/// Log-likelihood (nats) of soft targets `[n, classes]` in [0, 1] under `logits` `[n, classes]`, every class a question of its own: `[n]`.
/// Its negative is the binary cross entropy times the number of classes.
pub fn soft_log_likelihood(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let softplus = (logits.relu()? + (logits.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
    ((logits * targets)? - softplus)?.sum(D::Minus1)
}

/// Cosine and sine tables of a rotary embedding (Su et al., arXiv 2104.09864), in Llama's half-rotated layout.
#[derive(Debug, Clone)]
pub struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    /// Tables for the given positions, shape `[b, 1, t, head_dim]`.
    pub fn at(positions: &[Vec<u32>], head_dim: usize, theta: f64, dtype: DType, device: &candle_core::Device) -> Result<Self> {
        let frequencies = Rope { theta, scaling: Scaling::None }.frequencies(head_dim, 0);
        Self::turning(positions, &frequencies, 1.0, dtype, device)
    }

    /// The same for pairs of numbers that turn by `frequency` (radians, one for each pair) from position to position and grow by
    /// `factor`.
    pub fn turning(
        positions: &[Vec<u32>],
        frequency: &[f64],
        factor: f64,
        dtype: DType,
        device: &candle_core::Device,
    ) -> Result<Self> {
        let (half, head_dim) = (frequency.len(), 2 * frequency.len());
        // Angles are computed once for each position, however many tokens stand there.
        let last = positions.iter().flatten().copied().max().unwrap_or(0);
        let angles: Vec<f64> =
            (0..=last).flat_map(|position| frequency.iter().map(move |frequency| f64::from(position) * frequency)).collect();
        let shape = (positions.len(), 1, positions.first().map_or(0, Vec::len), head_dim);
        let table = |f: fn(f64) -> f64| -> Result<Tensor> {
            let values: Vec<f64> = angles.iter().map(|&angle| factor * f(angle)).collect();
            let rows = positions.iter().flatten().map(|&position| &values[position as usize * half..][..half]);
            let twice: Vec<f64> = rows.flat_map(|row| row.iter().chain(row)).copied().collect();
            Tensor::from_vec(twice, shape, &candle_core::Device::Cpu)?.to_dtype(dtype)?.to_device(device)
        };
        Ok(Self { cos: table(f64::cos)?, sin: table(f64::sin)? })
    }

    /// Tables of several sequences of one length, `[1, 1, t, head_dim]` each, as one.
    pub fn rows(rows: &[Self]) -> Result<Self> {
        let all = |table: fn(&Self) -> &Tensor| Tensor::cat(&rows.iter().map(table).collect::<Vec<_>>(), 0);
        Ok(Self { cos: all(|row| &row.cos)?, sin: all(|row| &row.sin)? })
    }

    /// Cosines and sines, `[b, 1, t, head_dim]` each.
    pub fn tables(&self) -> (Tensor, Tensor) {
        (self.cos.clone(), self.sin.clone())
    }

    /// Rotates `[b, heads, t, head_dim]`.
    pub fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        let half = x.dim(D::Minus1)? / 2;
        let (first, second) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
        let turned = Tensor::cat(&[&second.neg()?, &first], D::Minus1)?;
        x.broadcast_mul(&self.cos)? + turned.broadcast_mul(&self.sin)?
    }
}

/// Rotary scaled dot-product attention over packed heads (see [`kernels::Attention`]).
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    kv_heads: usize,
    mask: Option<&Tensor>,
    rotary: Option<&Rotary>,
) -> Result<Tensor> {
    if !kernels::serves(q) {
        return composed_attention(q, k, v, heads, kv_heads, mask, rotary);
    }
    let tables = rotary.map(Rotary::tables);
    q.contiguous()?.apply_op3(
        &k.contiguous()?,
        &v.contiguous()?,
        kernels::Attention { heads, kv_heads, mask: mask.cloned(), rotary: tables },
    )
}

/// The same of candle operations: for other devices, for keys of another length than the queries (`[b, s, ..]`), and what the
/// kernel is tested against.
pub fn composed_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    kv_heads: usize,
    mask: Option<&Tensor>,
    rotary: Option<&Rotary>,
) -> Result<Tensor> {
    let rotate = |x: Tensor| rotary.map_or(Ok(x.clone()), |rotary| rotary.rotate(&x));
    let q = rotate(split_heads(q, heads)?)?;
    let k = repeat_heads(&rotate(split_heads(k, kv_heads)?)?, heads / kv_heads)?;
    let v = repeat_heads(&split_heads(v, kv_heads)?, heads / kv_heads)?;
    attend_to(&q, &k, &v, mask)
}

/// Scaled dot-product attention over heads apart, `[b, heads, t, d_head]`, as many keys as values.
pub(super) fn attend_to(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let scale = 1.0 / (q.dim(D::Minus1)? as f64).sqrt();
    let scores = (q * scale)?.matmul(&k.transpose(2, 3)?.contiguous()?)?;
    let scores = match mask {
        Some(mask) => scores.broadcast_add(mask)?,
        None => scores,
    };
    merge_heads(&softmax(&widened(&scores)?)?.to_dtype(v.dtype())?.matmul(v)?)
}

/// Each key or value head serves `groups` query heads.
pub(super) fn repeat_heads(x: &Tensor, groups: usize) -> Result<Tensor> {
    if groups == 1 {
        return Ok(x.clone());
    }
    let (b, kv, t, head_dim) = x.dims4()?;
    x.unsqueeze(2)?.broadcast_as((b, kv, groups, t, head_dim))?.reshape((b, kv * groups, t, head_dim))
}

/// `silu(gate) * up`.
pub fn silu_gate(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if kernels::serves(gate) {
        return gate.contiguous()?.apply_op2(&up.contiguous()?, kernels::SiluGate);
    }
    gate.silu()? * up
}

/// `[b, t, heads * head_dim]` to `[b, heads, t, head_dim]`.
pub fn split_heads(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (b, t, d) = x.dims3()?;
    x.reshape((b, t, heads, d / heads))?.transpose(1, 2)?.contiguous()
}

/// `[b, heads, t, head_dim]` to `[b, t, heads * head_dim]`.
pub fn merge_heads(x: &Tensor) -> Result<Tensor> {
    let (b, heads, t, head_dim) = x.dims4()?;
    x.transpose(1, 2)?.reshape((b, t, heads * head_dim))
}
