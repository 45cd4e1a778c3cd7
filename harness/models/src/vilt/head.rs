//! The trained head: pooled states to class logits.

use candle_core::{D, Result, Tensor};

use super::config::HEAD_EPS;
use crate::adapter::Adapt;
use crate::nn;

/// Pooled states `[b, width]` to logits `[b, classes]`. What it is made of may be in training, and of every example its own.
pub(super) fn logits(pooled: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
    let x = nn::widened(pooled)?.unsqueeze(1)?;
    let inner = linear(&x, adapt.head("0.weight")?, adapt.head("0.bias")?)?;
    let [weight, bias] = ["1.weight", "1.bias"].map(|name| adapt.head(name).and_then(of_examples));
    let normed = nn::LayerNorm::from_parts(weight?, bias?, HEAD_EPS).composed(&inner)?;
    linear(&nn::gelu(&normed)?, adapt.head("3.weight")?, adapt.head("3.bias")?)?.squeeze(1)
}

/// A vector `[d]`, or every example's own `[b, d]` as `[b, 1, d]`.
fn of_examples(vector: &Tensor) -> Result<Tensor> {
    if vector.rank() == 2 { vector.unsqueeze(1) } else { Ok(vector.clone()) }
}

/// `x` `[b, 1, in]` by a weight `[out, in]` and a bias `[out]`, or every example's own.
fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let y = match weight.rank() {
        3 => x.matmul(&weight.transpose(1, 2)?.contiguous()?)?,
        _ => x.squeeze(1)?.matmul(&weight.t()?)?.unsqueeze(1)?,
    };
    debug_assert_eq!(y.dim(D::Minus1)?, bias.dim(D::Minus1)?);
    y.broadcast_add(&of_examples(bias)?)
}
