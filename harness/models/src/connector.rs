//! LLaVA-1.5's connector (Liu et al., arXiv 2310.03744): two linear layers with an activation between them, where asked for after a
//! pixel shuffle (Marafioti et al., SmolVLM, arXiv 2504.05299) that merges neighbouring patches into one token.
//!
//! What enters a connector is frozen and kept for each picture. Where an adapter sits at the connector's layers, the connector itself
//! runs in every step ([`super::Backbone::embed_unconnected`]).

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::nn::{self, Activation};
use super::sites::{CONNECTOR, SiteSpec};
use crate::adapter::Adapt;

/// The largest `scale_factor`: beyond any model's, and no product with it overflows.
pub const MAX_SCALE: usize = 64;

/// The site at a linear layer of a connector.
pub fn site(layer: &str, d_in: usize, d_out: usize) -> SiteSpec {
    SiteSpec { name: format!("{CONNECTOR}.{layer}"), group: CONNECTOR.into(), d_in, d_out, before_decoder: true }
}

/// A frozen linear layer with what an adapter adds at its site, `[n, t, d_in]` to `[n, t, d_out]`.
pub fn adapted(linear: &nn::Linear, layer: &str, x: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
    let y = linear.forward(x)?;
    match adapt.delta(&format!("{CONNECTOR}.{layer}"), x)? {
        Some(delta) => y + delta,
        None => Ok(y),
    }
}

/// Shapes of the connector.
#[derive(Debug, Clone, Copy)]
pub struct ConnectorConfig {
    /// The tower's width.
    pub d_vision: usize,
    /// The decoder's width.
    pub d_text: usize,
    /// `scale_factor` squared patches become one token.
    pub scale_factor: usize,
    /// Between the two layers.
    pub activation: Activation,
    /// Whether the layers have biases.
    pub has_bias: bool,
}

impl ConnectorConfig {
    /// Width of what enters the first layer.
    pub fn d_in(&self) -> usize {
        self.d_vision * self.scale_factor.pow(2)
    }

    /// Its two layers' sites.
    pub fn sites(&self) -> Vec<SiteSpec> {
        vec![site("linear_1", self.d_in(), self.d_text), site("linear_2", self.d_text, self.d_text)]
    }
}

/// Vision width to the decoder's width.
#[derive(Debug, Clone)]
pub struct Connector {
    scale_factor: usize,
    activation: Activation,
    linear_1: nn::Linear,
    linear_2: nn::Linear,
}

impl Connector {
    /// Reads `linear_1.*` and `linear_2.*`.
    pub fn new(config: &ConnectorConfig, weights: &VarBuilder) -> Result<Self> {
        let &ConnectorConfig { d_text, scale_factor, activation, has_bias, .. } = config;
        Ok(Self {
            scale_factor,
            activation,
            linear_1: nn::Linear::new(config.d_in(), d_text, has_bias, &weights.pp("linear_1"))?,
            linear_2: nn::Linear::new(d_text, d_text, has_bias, &weights.pp("linear_2"))?,
        })
    }

    /// `[n, patches, d_vision]` to what enters the first layer, `[n, tokens, d_in]`.
    pub fn merge(&self, x: &Tensor) -> Result<Tensor> {
        pixel_shuffle(x, self.scale_factor)
    }

    /// `[n, tokens, d_in]` to `[n, tokens, d_text]`.
    pub fn forward(&self, x: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
        let x = self.activation.forward(&adapted(&self.linear_1, "linear_1", x, adapt)?)?;
        adapted(&self.linear_2, "linear_2", &x, adapt)
    }
}

/// Square blocks of `k x k` neighbours side by side in one token: `[n, s * s, d]` to `[n, (s / k)^2, k * k * d]`, in the order of
/// Hugging Face's Idefics3.
pub fn pixel_shuffle(x: &Tensor, k: usize) -> Result<Tensor> {
    if k == 1 {
        return Ok(x.clone());
    }
    let (n, patches, d) = x.dims3()?;
    let columns = patches.isqrt() / k;
    x.reshape((n, columns, k, columns, k * d))?.transpose(2, 3)?.reshape((n, columns * columns, k * k * d))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// A 4 x 4 picture of patch numbers: each token holds a block, row by row.
    #[test]
    fn neighbours_become_one_token() {
        let x = Tensor::arange(0f32, 16., &Device::Cpu).unwrap().reshape((1, 16, 1)).unwrap();
        let merged = pixel_shuffle(&x, 2).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(merged, [[0., 1., 4., 5.], [2., 3., 6., 7.], [8., 9., 12., 13.], [10., 11., 14., 15.]]);
        assert_eq!(pixel_shuffle(&x, 1).unwrap().dims(), [1, 16, 1]);
    }
}
