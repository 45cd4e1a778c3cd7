//! A block of a vision transformer (Dosovitskiy et al., arXiv 2010.11929): what CLIP, SigLIP and EVA-CLIP have in common.
//!
//! Norms stand before attention and MLP, every linear layer has a bias, and no position is hidden from another.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::nn::{self, Activation};

/// Shapes of a block.
#[derive(Debug, Clone, Copy)]
pub struct BlockConfig {
    /// Width d.
    pub d: usize,
    /// Width of the MLP.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Floor of the layer norms.
    pub eps: f64,
    /// The MLP's activation.
    pub activation: Activation,
}

impl BlockConfig {
    /// Parameters of a block: attention, MLP, two norms.
    pub fn parameters(&self) -> u64 {
        let (d, hidden) = (self.d as u64, self.hidden as u64);
        4 * (d * d + d) + 2 * d * hidden + hidden + d + 4 * d
    }

    /// Floating-point operations of a block on so many tokens: projections and MLP, attention's two products.
    fn flops(&self, tokens: f64) -> f64 {
        let (d, hidden) = (self.d as f64, self.hidden as f64);
        2.0 * tokens * (4.0 * d * d + 2.0 * d * hidden) + 4.0 * tokens * tokens * d
    }

    /// What is wrong with these shapes, if anything; `table` is the config's name for them.
    pub fn unsupported(&self, table: &str) -> Option<String> {
        positive(table, &[("hidden_size", self.d), ("intermediate_size", self.hidden), ("num_attention_heads", self.heads)])
            .or_else(|| {
                (!self.d.is_multiple_of(self.heads))
                    .then(|| format!("{table}.hidden_size {} that num_attention_heads {} does not divide", self.d, self.heads))
            })
            .or_else(|| epsilon(table, "layer_norm_eps", self.eps))
    }
}

/// Floating-point operations of an image's way through so many blocks, from `patches` of `patch_size` pixels on a side, with `extra`
/// tokens beside them.
pub fn image_flops(block: &BlockConfig, blocks: usize, (patches, extra): (usize, usize), patch_size: usize) -> f64 {
    let (n, p) = (patches as f64, patch_size as f64);
    blocks as f64 * block.flops(n + extra as f64) + 2.0 * n * 3.0 * p * p * block.d as f64
}

/// What is wrong with the shapes of a tower, if anything: `layers` such blocks over pictures of `image_size` pixels on a side, in
/// patches of `patch_size`.
pub fn unsupported(block: &BlockConfig, layers: usize, image_size: usize, patch_size: usize) -> Option<String> {
    let table = "vision_config";
    positive(table, &[("num_hidden_layers", layers), ("image_size", image_size), ("patch_size", patch_size)])
        .or_else(|| block.unsupported(table))
        .or_else(|| (patch_size > image_size).then(|| format!("{table}.patch_size {patch_size} beyond its image_size")))
}

/// The largest size a config may state: far beyond any model, and no product of a few of them overflows.
const MAX_SIZE: usize = 1 << 20;

/// The same for blocks, each of which has a list of sites before a weight is read.
const MAX_LAYERS: usize = 1 << 12;

/// Names the first size that is 0 or absurd.
pub fn positive(table: &str, sizes: &[(&str, usize)]) -> Option<String> {
    let most = |name: &str| if name == "num_hidden_layers" { MAX_LAYERS } else { MAX_SIZE };
    let wrong = sizes.iter().find(|(name, size)| !(1..=most(name)).contains(size));
    wrong.map(|(name, size)| format!("{table}.{name} = {size} (it must be between 1 and {})", most(name)))
}

/// What keeps a norm from dividing by nothing: less is none in f32, more is not a floor (published ones are 1e-12 to 1e-5).
const EPSILONS: std::ops::RangeInclusive<f64> = 1e-15..=1e-2;

/// Says what is wrong with the floor of a norm, if anything.
pub fn epsilon(table: &str, key: &str, value: f64) -> Option<String> {
    (!EPSILONS.contains(&value))
        .then(|| format!("{table}.{key} = {value} (it must be between {:e} and {})", EPSILONS.start(), EPSILONS.end()))
}

/// Attention and MLP.
#[derive(Debug, Clone)]
pub struct Block {
    norm1: nn::LayerNorm,
    q: nn::Linear,
    k: nn::Linear,
    v: nn::Linear,
    out: nn::Linear,
    norm2: nn::LayerNorm,
    fc1: nn::Linear,
    fc2: nn::Linear,
    heads: usize,
    activation: Activation,
}

impl Block {
    /// Reads CLIP's and SigLIP's names: `self_attn.{q,k,v,out}_proj`.
    pub fn new(config: &BlockConfig, weights: &VarBuilder) -> Result<Self> {
        let attention = weights.pp("self_attn");
        let linear = |name: &str| nn::Linear::new(config.d, config.d, true, &attention.pp(name));
        Self::assemble(config, weights, [linear("q_proj")?, linear("k_proj")?, linear("v_proj")?, linear("out_proj")?])
    }

    /// Reads EVA-CLIP's names as in BLIP-2: one matrix `self_attn.qkv` for all three, and `self_attn.projection`.
    pub fn fused(config: &BlockConfig, has_qkv_bias: bool, weights: &VarBuilder) -> Result<Self> {
        let (d, attention) = (config.d, weights.pp("self_attn"));
        let weight = attention.get((3 * d, d), "qkv.weight")?;
        let bias = has_qkv_bias.then(|| attention.get(3 * d, "qkv.bias")).transpose()?;
        let part = |i: usize| -> Result<nn::Linear> {
            let bias = bias.as_ref().map(|bias| bias.narrow(0, i * d, d)).transpose()?;
            Ok(nn::Linear::from_parts(weight.narrow(0, i * d, d)?.contiguous()?, bias))
        };
        let out = nn::Linear::new(d, d, true, &attention.pp("projection"))?;
        Self::assemble(config, weights, [part(0)?, part(1)?, part(2)?, out])
    }

    fn assemble(config: &BlockConfig, weights: &VarBuilder, [q, k, v, out]: [nn::Linear; 4]) -> Result<Self> {
        let &BlockConfig { d, hidden, heads, eps, activation } = config;
        let mlp = weights.pp("mlp");
        Ok(Self {
            norm1: nn::LayerNorm::new(d, eps, &weights.pp("layer_norm1"))?,
            norm2: nn::LayerNorm::new(d, eps, &weights.pp("layer_norm2"))?,
            fc1: nn::Linear::new(d, hidden, true, &mlp.pp("fc1"))?,
            fc2: nn::Linear::new(hidden, d, true, &mlp.pp("fc2"))?,
            q,
            k,
            v,
            out,
            heads,
            activation,
        })
    }

    /// `[n, t, d]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.norm1.forward(x)?;
        let (q, k, v) = (self.q.forward(&h)?, self.k.forward(&h)?, self.v.forward(&h)?);
        let attended = nn::attention(&q, &k, &v, self.heads, self.heads, None, None)?;
        let x = (x + self.out.forward(&attended)?)?;
        let h = self.fc1.forward(&self.norm2.forward(&x)?)?;
        &x + self.fc2.forward(&self.activation.forward(&h)?)?
    }
}

/// Pixels `[n, 3, s, s]` to patches `[n, (s / p)^2, d]` by a convolution `[d, 3, p, p]` whose stride is its kernel: one
/// multiplication of flattened patches.
pub fn patches(pixels: &Tensor, kernel: &Tensor) -> Result<Tensor> {
    let (d, _, p, _) = kernel.dims4()?;
    let flat = flattened(pixels, p)?;
    let (n, patches, numbers) = flat.dims3()?;
    flat.reshape((n * patches, numbers))?.matmul(&kernel.reshape((d, numbers))?.t()?)?.reshape((n, patches, d))
}

/// Pixels `[n, 3, s, s]` as patches of `p` pixels on a side, row by row, `[n, (s / p)^2, 3 p p]`.
pub fn flattened(pixels: &Tensor, p: usize) -> Result<Tensor> {
    let (n, _, height, width) = pixels.dims4()?;
    let (rows, columns) = (height / p, width / p);
    // Pixels that fill no patch at the right and lower edge are left out, as a convolution does.
    let pixels = pixels.narrow(2, 0, rows * p)?.narrow(3, 0, columns * p)?.contiguous()?;
    let flat = pixels.reshape((n, 3, rows, p, columns, p))?.permute((0, 2, 4, 1, 3, 5))?.contiguous()?;
    flat.reshape((n, rows * columns, 3 * p * p))
}
