//! ViLT's blocks: norms before attention and FFN, every linear layer a site, and one more behind the FFN.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::config::ViltConfig;
use crate::adapter::Adapt;
use crate::nn::{self, Activation};
use crate::sites::FFN;

/// A linear layer that is a site.
struct Projection {
    site: String,
    linear: nn::Linear,
}

impl Projection {
    fn forward(&self, x: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
        let y = self.linear.forward(x)?;
        match adapt.delta(&self.site, x)? {
            Some(delta) => y + delta,
            None => Ok(y),
        }
    }
}

/// Attention and FFN.
pub(super) struct Block {
    norm1: nn::LayerNorm,
    q: Projection,
    k: Projection,
    v: Projection,
    o: Projection,
    norm2: nn::LayerNorm,
    up: Projection,
    down: Projection,
    ffn: String,
    heads: usize,
    activation: Activation,
}

impl Block {
    /// Reads `encoder.layer.N.*`.
    pub(super) fn new(config: &ViltConfig, layer: usize, weights: &VarBuilder) -> Result<Self> {
        let (d, hidden, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let projection = |site: &str, (d_in, d_out): (usize, usize), has_bias: bool, path: &str| -> Result<Projection> {
            let linear = nn::Linear::new(d_in, d_out, has_bias, &weights.pp(path))?;
            Ok(Projection { site: format!("layers.{layer}.{site}"), linear })
        };
        let attention = |site: &str, path: &str| projection(site, (d, d), config.qkv_bias, path);
        Ok(Self {
            norm1: nn::LayerNorm::new(d, eps, &weights.pp("layernorm_before"))?,
            q: attention("q_proj", "attention.attention.query")?,
            k: attention("k_proj", "attention.attention.key")?,
            v: attention("v_proj", "attention.attention.value")?,
            o: projection("o_proj", (d, d), true, "attention.output.dense")?,
            norm2: nn::LayerNorm::new(d, eps, &weights.pp("layernorm_after"))?,
            up: projection("up_proj", (d, hidden), true, "intermediate.dense")?,
            down: projection("down_proj", (hidden, d), true, "output.dense")?,
            ffn: format!("layers.{layer}.{FFN}"),
            heads: config.num_attention_heads,
            activation: config.hidden_act,
        })
    }

    /// `[b, t, d]` to the same shape, or to `[b, r, d]` where no more than some places `[b * r]` are read on.
    pub(super) fn forward(&self, x: &Tensor, mask: &Tensor, read: Option<&Tensor>, adapt: &dyn Adapt) -> Result<Tensor> {
        let h = self.norm1.forward(x)?;
        let (q, k, v) = (self.q.forward(&h, adapt)?, self.k.forward(&h, adapt)?, self.v.forward(&h, adapt)?);
        let attended = nn::attention(&q, &k, &v, self.heads, self.heads, Some(mask), None)?;
        let (x, attended) = match read {
            Some(places) => (at_places(x, places)?, at_places(&attended, places)?),
            None => (x.clone(), attended),
        };
        let x = (x + self.o.forward(&attended, adapt)?)?;
        let h = self.activation.forward(&self.up.forward(&self.norm2.forward(&x)?, adapt)?)?;
        let h = (&x + self.down.forward(&h, adapt)?)?;
        match adapt.delta(&self.ffn, &h)? {
            Some(delta) => h + delta,
            None => Ok(h),
        }
    }
}

/// Places `[b * r]` of hidden states `[b, t, d]`: `[b, r, d]`.
fn at_places(x: &Tensor, places: &Tensor) -> Result<Tensor> {
    let (b, _, d) = x.dims3()?;
    x.flatten(0, 1)?.index_select(places, 0)?.reshape((b, (), d))
}
