//! A Llama-style decoder (Touvron et al., arXiv 2307.09288), with Hugging Face's weight names: grouped-query attention, rotary
//! positions, SwiGLU, RMS norms, tied or untied head. Any projection is a site where an adapter may attach.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::{Embeddings, SiteSpec, nn};
use crate::adapter::Adapt;

/// The decoder projections an adapter may attach to, by the names a config uses.
pub const PROJECTIONS: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// Shapes of the decoder, as in a checkpoint's `text_config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlamaConfig {
    /// Width d.
    pub hidden_size: usize,
    /// Width of the gated MLP.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Vocabulary.
    pub vocab_size: usize,
    /// Floor of the RMS norms.
    #[serde(default = "default_eps")]
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    #[serde(default = "default_theta")]
    pub rope_theta: f64,
    /// Whether the head is the token embedding.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Where transformers 5 writes the base of the rotary frequencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<RopeParameters>,
    /// Scaled rotary positions, which are not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<serde_json::Value>,
    /// The width of a head, where it is not `hidden_size / num_attention_heads`: not supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// Biases in attention, which are not supported yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attention_bias: bool,
}

/// Rotary settings as transformers 5 writes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RopeParameters {
    /// Base of the frequencies.
    pub rope_theta: f64,
    /// `default` is supported.
    #[serde(default)]
    pub rope_type: Option<String>,
}

fn default_eps() -> f64 {
    1e-5
}

fn default_theta() -> f64 {
    10_000.0
}

impl LlamaConfig {
    fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    fn theta(&self) -> f64 {
        self.rope_parameters.as_ref().map_or(self.rope_theta, |rope| rope.rope_theta)
    }

    /// What this decoder would compute wrongly, if the config asks for any of it.
    pub fn unsupported(&self) -> Option<String> {
        let scaled = self.rope_parameters.as_ref().and_then(|rope| rope.rope_type.as_deref()).filter(|&kind| kind != "default");
        if let Some(kind) = scaled {
            return Some(format!("rope_parameters.rope_type = \"{kind}\" (only \"default\" is)"));
        }
        if self.rope_scaling.as_ref().is_some_and(|scaling| !scaling.is_null()) {
            return Some("rope_scaling".into());
        }
        if self.head_dim.is_some_and(|width| width != self.head_dim()) {
            return Some("a head_dim other than hidden_size / num_attention_heads".into());
        }
        self.attention_bias.then(|| "attention_bias".into())
    }

    /// Input and output width of a projection.
    fn projection_dims(&self, name: &str) -> (usize, usize) {
        let (d, hidden, kv) = (self.hidden_size, self.intermediate_size, self.num_key_value_heads * self.head_dim());
        match name {
            "k_proj" | "v_proj" => (d, kv),
            "gate_proj" | "up_proj" => (d, hidden),
            "down_proj" => (hidden, d),
            _ => (d, d),
        }
    }

    /// Every projection of every block, as sites named `layers.<i>.<projection>`.
    pub fn sites(&self) -> Vec<SiteSpec> {
        (0..self.num_hidden_layers)
            .flat_map(|layer| PROJECTIONS.map(|name| (layer, name)))
            .map(|(layer, name)| {
                let (d_in, d_out) = self.projection_dims(name);
                SiteSpec { name: format!("layers.{layer}.{name}"), group: name.into(), d_in, d_out, before_decoder: false }
            })
            .collect()
    }
}

/// The decoder.
#[derive(Debug, Clone)]
pub struct Llama {
    config: LlamaConfig,
    embedding: Tensor,
    blocks: Vec<Block>,
    norm: nn::RmsNorm,
    head: nn::Linear,
}

impl Llama {
    /// Reads `model.*` and, for an untied head, `lm_head.weight`.
    pub fn new(config: &LlamaConfig, weights: &VarBuilder) -> Result<Self> {
        let d = config.hidden_size;
        let model = weights.pp("model");
        let embedding = model.get((config.vocab_size, d), "embed_tokens.weight")?;
        let head = match config.tie_word_embeddings {
            true => embedding.clone(),
            false => weights.get((config.vocab_size, d), "lm_head.weight")?,
        };
        let blocks = (0..config.num_hidden_layers)
            .map(|i| Block::new(config, i, &model.pp(format!("layers.{i}"))))
            .collect::<Result<_>>()?;
        Ok(Self {
            config: config.clone(),
            embedding,
            blocks,
            norm: nn::RmsNorm::new(d, config.rms_norm_eps, &model.pp("norm"))?,
            head: nn::Linear::from_weight(head),
        })
    }

    /// Token ids `[n]` to embeddings `[n, d]`.
    pub fn embed(&self, tokens: &Tensor) -> Result<Tensor> {
        self.embedding.index_select(tokens, 0)
    }

    /// Rotary tables for these positions.
    pub fn rotary(&self, positions: &[Vec<u32>]) -> Result<nn::Rotary> {
        nn::Rotary::at(positions, self.config.head_dim(), self.config.theta(), self.dtype(), self.device())
    }

    /// The weights' element type.
    pub fn dtype(&self) -> DType {
        self.embedding.dtype()
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        self.embedding.device()
    }

    /// Hidden states `[n, d]` straight through the head: logits `[n, vocabulary]`.
    pub fn read_out(&self, hidden: &Tensor) -> Result<Tensor> {
        self.head.forward(hidden)
    }

    /// Hidden states `[b, t, d]` through all blocks, then logits `[rows, vocabulary]` at the rows asked for.
    pub fn forward(&self, hidden: &Tensor, context: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        let mut x = hidden.clone();
        for block in &self.blocks {
            x = block.forward(&x, context, adapt)?;
        }
        let (b, t, d) = x.dims3()?;
        let read = x.reshape((b * t, d))?.index_select(&context.rows, 0)?;
        self.head.forward(&self.norm.forward(&read)?)
    }
}

/// A projection that is a site.
#[derive(Debug, Clone)]
struct Projection {
    site: String,
    linear: nn::Linear,
}

impl Projection {
    fn new(config: &LlamaConfig, layer: usize, name: &str, weights: &VarBuilder) -> Result<Self> {
        let (d_in, d_out) = config.projection_dims(name);
        Ok(Self { site: format!("layers.{layer}.{name}"), linear: nn::Linear::new(d_in, d_out, false, &weights.pp(name))? })
    }

    fn forward(&self, x: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
        let y = self.linear.forward(x)?;
        match adapt.delta(&self.site, x)? {
            Some(delta) => y + delta,
            None => Ok(y),
        }
    }
}

#[derive(Debug, Clone)]
struct Block {
    norm1: nn::RmsNorm,
    q: Projection,
    k: Projection,
    v: Projection,
    o: Projection,
    norm2: nn::RmsNorm,
    gate: Projection,
    up: Projection,
    down: Projection,
    heads: usize,
    kv_heads: usize,
}

impl Block {
    fn new(config: &LlamaConfig, layer: usize, weights: &VarBuilder) -> Result<Self> {
        let (d, eps) = (config.hidden_size, config.rms_norm_eps);
        let (attention, mlp) = (weights.pp("self_attn"), weights.pp("mlp"));
        let projection = |name: &str, weights: &VarBuilder| Projection::new(config, layer, name, weights);
        Ok(Self {
            norm1: nn::RmsNorm::new(d, eps, &weights.pp("input_layernorm"))?,
            q: projection("q_proj", &attention)?,
            k: projection("k_proj", &attention)?,
            v: projection("v_proj", &attention)?,
            o: projection("o_proj", &attention)?,
            norm2: nn::RmsNorm::new(d, eps, &weights.pp("post_attention_layernorm"))?,
            gate: projection("gate_proj", &mlp)?,
            up: projection("up_proj", &mlp)?,
            down: projection("down_proj", &mlp)?,
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
        })
    }

    fn forward(&self, x: &Tensor, context: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        let x = (x + self.attend(&self.norm1.forward(x)?, context, adapt)?)?;
        let h = self.norm2.forward(&x)?;
        let gated = nn::silu_gate(&self.gate.forward(&h, adapt)?, &self.up.forward(&h, adapt)?)?;
        &x + self.down.forward(&gated, adapt)?
    }

    fn attend(&self, h: &Tensor, context: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        let (q, k, v) = (self.q.forward(h, adapt)?, self.k.forward(h, adapt)?, self.v.forward(h, adapt)?);
        let attended = nn::attention(&q, &k, &v, self.heads, self.kv_heads, Some(&context.mask), Some(&context.rotary))?;
        self.o.forward(&attended, adapt)
    }
}
