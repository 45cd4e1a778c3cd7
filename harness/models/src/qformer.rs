//! BLIP-2's Q-Former (Li et al., arXiv 2301.12597) without its text half: learned queries that look at a picture, with the weight
//! names of transformers' `Blip2QFormerModel`.
//!
//! A BERT (norms behind attention and MLP) whose every `cross_attention_frequency`-th block also attends to the tower's output.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::nn::{self, Activation};
use super::vit::{epsilon, positive};

/// Shapes of the Q-Former, as in a checkpoint's `qformer_config`. A key that is not there has transformers' default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QFormerConfig {
    /// Width d.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Floor of the layer norms.
    pub layer_norm_eps: f64,
    /// The MLP's activation.
    pub hidden_act: Activation,
    /// Every so many blocks, from the first, one attends to the picture.
    pub cross_attention_frequency: usize,
    /// Whether it reads text too, which makes a picture's tokens depend on the question: not supported.
    pub use_qformer_text_input: bool,
}

impl Default for QFormerConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            layer_norm_eps: 1e-12,
            hidden_act: Activation::Gelu,
            cross_attention_frequency: 2,
            use_qformer_text_input: false,
        }
    }
}

impl QFormerConfig {
    fn crosses(&self, layer: usize) -> bool {
        layer.is_multiple_of(self.cross_attention_frequency)
    }

    /// Parameters, with `d_vision` the tower's width; the queries are not counted.
    pub fn parameters(&self, d_vision: usize) -> u64 {
        let (d, hidden, dv) = (self.hidden_size as u64, self.intermediate_size as u64, d_vision as u64);
        let attention = |d_seen: u64| 2 * (d * d + d) + 2 * (d_seen * d + d) + 2 * d;
        let block = attention(d) + 2 * d * hidden + hidden + d + 2 * d;
        2 * d + block * self.num_hidden_layers as u64 + attention(dv) * self.num_crossing() as u64
    }

    fn num_crossing(&self) -> usize {
        (0..self.num_hidden_layers).filter(|&layer| self.crosses(layer)).count()
    }

    /// Floating-point operations of so many queries that read so many tokens of width `d_vision`: every weight at every query, keys and
    /// values of what is read at every token of it, attention's two products.
    pub fn flops(&self, queries: usize, tokens: usize, d_vision: usize) -> f64 {
        let (d, q, n, crossing) = (self.hidden_size as f64, queries as f64, tokens as f64, self.num_crossing() as f64);
        let keys_and_values = 2.0 * d * d_vision as f64 * crossing;
        let linear = 2.0 * (q * (self.parameters(d_vision) as f64 - keys_and_values) + n * keys_and_values);
        linear + 4.0 * d * q * (q * self.num_hidden_layers as f64 + n * crossing)
    }

    /// What cannot be run, if anything.
    pub fn unsupported(&self) -> Option<String> {
        let table = "qformer_config";
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("cross_attention_frequency", self.cross_attention_frequency),
        ];
        if let Some(wrong) = positive(table, &sizes) {
            return Some(wrong);
        }
        if self.use_qformer_text_input {
            return Some(format!("{table}.use_qformer_text_input (a picture's tokens would depend on the question)"));
        }
        (!self.hidden_size.is_multiple_of(self.num_attention_heads))
            .then(|| format!("{table}.hidden_size {} that num_attention_heads does not divide", self.hidden_size))
            .or_else(|| epsilon(table, "layer_norm_eps", self.layer_norm_eps))
    }
}

/// The blocks.
#[derive(Debug, Clone)]
pub struct QFormer {
    norm: nn::LayerNorm,
    blocks: Vec<Block>,
}

impl QFormer {
    /// Reads `layernorm.*` and `encoder.layer.*`; `d_vision` is the tower's width.
    pub fn new(config: &QFormerConfig, d_vision: usize, weights: &VarBuilder) -> Result<Self> {
        let block = |i: usize| Block::new(config, i, d_vision, &weights.pp(format!("encoder.layer.{i}")));
        Ok(Self {
            norm: nn::LayerNorm::new(config.hidden_size, config.layer_norm_eps, &weights.pp("layernorm"))?,
            blocks: (0..config.num_hidden_layers).map(block).collect::<Result<_>>()?,
        })
    }

    /// Queries `[n, queries, d]` that look at a picture `[n, t, d_vision]`: the state behind so many blocks, `[n, queries, d]`.
    pub fn hidden_state(&self, queries: &Tensor, picture: &Tensor, blocks: usize) -> Result<Tensor> {
        let mut x = self.norm.forward(queries)?;
        for block in self.blocks.iter().take(blocks) {
            x = block.forward(&x, picture)?;
        }
        Ok(x)
    }

    /// The same behind all blocks.
    pub fn forward(&self, queries: &Tensor, picture: &Tensor) -> Result<Tensor> {
        self.hidden_state(queries, picture, self.blocks.len())
    }
}

#[derive(Debug, Clone)]
struct Block {
    attention: Attention,
    cross: Option<Attention>,
    intermediate: nn::Linear,
    output: Residual,
    activation: Activation,
}

impl Block {
    fn new(config: &QFormerConfig, layer: usize, d_vision: usize, weights: &VarBuilder) -> Result<Self> {
        let (d, hidden) = (config.hidden_size, config.intermediate_size);
        let cross = config.crosses(layer).then(|| Attention::new(config, d_vision, &weights.pp("crossattention"))).transpose()?;
        Ok(Self {
            attention: Attention::new(config, d, &weights.pp("attention"))?,
            cross,
            intermediate: nn::Linear::new(d, hidden, true, &weights.pp("intermediate_query.dense"))?,
            output: Residual::new(hidden, d, config.layer_norm_eps, &weights.pp("output_query"))?,
            activation: config.hidden_act,
        })
    }

    fn forward(&self, x: &Tensor, picture: &Tensor) -> Result<Tensor> {
        let mut x = self.attention.forward(x, x)?;
        if let Some(cross) = &self.cross {
            x = cross.forward(&x, picture)?;
        }
        self.output.forward(&self.activation.forward(&self.intermediate.forward(&x)?)?, &x)
    }
}

#[derive(Debug, Clone)]
struct Attention {
    query: nn::Linear,
    key: nn::Linear,
    value: nn::Linear,
    output: Residual,
    heads: usize,
}

impl Attention {
    /// Of `hidden_size` wide queries over what is `d_seen` wide.
    fn new(config: &QFormerConfig, d_seen: usize, weights: &VarBuilder) -> Result<Self> {
        let (d, inner) = (config.hidden_size, weights.pp("attention"));
        Ok(Self {
            query: nn::Linear::new(d, d, true, &inner.pp("query"))?,
            key: nn::Linear::new(d_seen, d, true, &inner.pp("key"))?,
            value: nn::Linear::new(d_seen, d, true, &inner.pp("value"))?,
            output: Residual::new(d, d, config.layer_norm_eps, &weights.pp("output"))?,
            heads: config.num_attention_heads,
        })
    }

    /// `[n, queries, d]` over `[n, t, d_seen]`.
    fn forward(&self, x: &Tensor, seen: &Tensor) -> Result<Tensor> {
        let (q, k, v) = (self.query.forward(x)?, self.key.forward(seen)?, self.value.forward(seen)?);
        let attended = nn::composed_attention(&q, &k, &v, self.heads, self.heads, None, None)?;
        self.output.forward(&attended, x)
    }
}

/// A linear layer, then a norm of its sum with what went around it.
#[derive(Debug, Clone)]
struct Residual {
    dense: nn::Linear,
    norm: nn::LayerNorm,
}

impl Residual {
    fn new(d_in: usize, d_out: usize, eps: f64, weights: &VarBuilder) -> Result<Self> {
        Ok(Self {
            dense: nn::Linear::new(d_in, d_out, true, &weights.pp("dense"))?,
            norm: nn::LayerNorm::new(d_out, eps, &weights.pp("LayerNorm"))?,
        })
    }

    fn forward(&self, x: &Tensor, around: &Tensor) -> Result<Tensor> {
        self.norm.forward(&(self.dense.forward(x)? + around)?)
    }
}
