//! LLaVA-1.5's connector (Liu et al., arXiv 2310.03744): two linear layers with a GELU between them.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::nn;

/// Vision width to the decoder's width.
#[derive(Debug, Clone)]
pub struct Connector {
    linear_1: nn::Linear,
    linear_2: nn::Linear,
}

impl Connector {
    /// Reads `linear_1.*` and `linear_2.*`.
    pub fn new(d_vision: usize, d_text: usize, weights: &VarBuilder) -> Result<Self> {
        Ok(Self {
            linear_1: nn::Linear::new(d_vision, d_text, true, &weights.pp("linear_1"))?,
            linear_2: nn::Linear::new(d_text, d_text, true, &weights.pp("linear_2"))?,
        })
    }

    /// `[n, patches, d_vision]` to `[n, patches, d_text]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.linear_2.forward(&nn::gelu(&self.linear_1.forward(x)?)?)
    }
}
