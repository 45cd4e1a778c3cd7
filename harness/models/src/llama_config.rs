//! A Llama decoder's shapes: what a checkpoint's config says, and what of it is not supported.

use serde::{Deserialize, Serialize};

use super::rope::{self, Rope, RopeParameters};
use super::sites::{FFN, FINAL_NORM, NORMS, PROJECTIONS, SiteSpec};
use super::vit::{epsilon, positive};

/// A site's full name.
pub(super) fn site(layer: usize, name: &str) -> String {
    format!("layers.{layer}.{name}")
}

/// Shapes of the decoder, as in a checkpoint's `text_config`. A key that is not there has transformers' default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LlamaConfig {
    /// The architecture, where a checkpoint names it: `llama`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_type: Option<String>,
    /// Width d.
    pub hidden_size: usize,
    /// Width of the gated MLP.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; as many as query heads without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<usize>,
    /// Vocabulary.
    pub vocab_size: usize,
    /// Floor of the RMS norms.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies, where no table below has one.
    pub rope_theta: f64,
    /// Whether the head is the token embedding.
    pub tie_word_embeddings: bool,
    /// Rotary settings as transformers 5 writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<RopeParameters>,
    /// Scaled rotary positions as transformers wrote them before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeParameters>,
    /// The longest sequence of the training, tokens.
    #[serde(skip_serializing_if = "is_default_context")]
    pub max_position_embeddings: usize,
    /// The context of the first training, tokens, where a config has it beside the rotary settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_max_position_embeddings: Option<f64>,
    /// The width of a head, where it is not `hidden_size / num_attention_heads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// The MLP's activation; `silu` is supported.
    #[serde(skip_serializing_if = "is_silu")]
    pub hidden_act: String,
    /// Whether the projections of attention have biases.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub attention_bias: bool,
    /// Whether the projections of the MLP have biases.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mlp_bias: bool,
}

const DEFAULT_CONTEXT: usize = 2048;

fn is_default_context(context: &usize) -> bool {
    *context == DEFAULT_CONTEXT
}

fn is_silu(activation: &str) -> bool {
    activation == "silu"
}

impl Default for LlamaConfig {
    fn default() -> Self {
        Self {
            model_type: None,
            hidden_size: 4096,
            intermediate_size: 11_008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: None,
            vocab_size: 32_000,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            tie_word_embeddings: false,
            rope_parameters: None,
            rope_scaling: None,
            max_position_embeddings: DEFAULT_CONTEXT,
            original_max_position_embeddings: None,
            head_dim: None,
            hidden_act: "silu".into(),
            attention_bias: false,
            mlp_bias: false,
        }
    }
}

impl LlamaConfig {
    pub(super) fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    pub(super) fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// How positions turn; the error is what is not supported or missing.
    pub fn rope(&self) -> std::result::Result<Rope, String> {
        let decoder = rope::Decoder {
            theta: self.rope_theta,
            max_positions: self.max_position_embeddings,
            original_max_positions: self.original_max_position_embeddings,
            head_dim: self.head_dim(),
        };
        Rope::new(decoder, self.rope_parameters.as_ref(), self.rope_scaling.as_ref())
    }

    /// What this decoder would compute wrongly, if the config asks for any of it.
    pub fn unsupported(&self) -> Option<String> {
        let table = "text_config";
        if let Some(other) = self.model_type.as_deref().filter(|&name| name != "llama") {
            return Some(format!("{table}.model_type = \"{other}\" (only \"llama\" is)"));
        }
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.kv_heads()),
            ("vocab_size", self.vocab_size),
        ];
        if let Some(wrong) = positive(table, &sizes) {
            return Some(wrong);
        }
        let (heads, kv_heads, width) = (self.num_attention_heads, self.kv_heads(), self.head_dim());
        if !heads.is_multiple_of(kv_heads) {
            return Some(format!("{table}.num_attention_heads {heads} that num_key_value_heads {kv_heads} does not divide"));
        }
        if width == 0 || !width.is_multiple_of(2) {
            return Some(format!("{table}.head_dim {width} (positions turn pairs, so it must be even)"));
        }
        if !is_silu(&self.hidden_act) {
            return Some(format!("{table}.hidden_act = \"{}\" (only \"silu\" is)", self.hidden_act));
        }
        let wide = [("num_attention_heads * head_dim", heads.saturating_mul(width))];
        let floor = || epsilon(table, "rms_norm_eps", self.rms_norm_eps);
        positive(table, &wide).or_else(floor).or_else(|| self.rope().err().map(|what| format!("{table}.{what}")))
    }

    /// Parameters of the token embedding.
    pub fn embedding_parameters(&self) -> u64 {
        self.vocab_size as u64 * self.hidden_size as u64
    }

    /// Parameters of everything else: projections, norms, and the head where it is not tied.
    pub fn decoder_parameters(&self) -> u64 {
        let weights = PROJECTIONS.map(|name| {
            let ((d_in, d_out), bias) = (self.site_dims(name), self.has_bias(name));
            (d_in * d_out + if bias { d_out } else { 0 }) as u64
        });
        let block = weights.iter().sum::<u64>() + 2 * self.hidden_size as u64;
        let head = if self.tie_word_embeddings { 0 } else { self.embedding_parameters() };
        block * self.num_hidden_layers as u64 + self.hidden_size as u64 + head
    }

    pub(super) fn has_bias(&self, projection: &str) -> bool {
        if matches!(projection, "gate_proj" | "up_proj" | "down_proj") { self.mlp_bias } else { self.attention_bias }
    }

    /// Input and output width of a site.
    pub(super) fn site_dims(&self, name: &str) -> (usize, usize) {
        let (d, hidden, width) = (self.hidden_size, self.intermediate_size, self.head_dim());
        match name {
            "q_proj" => (d, self.num_attention_heads * width),
            "k_proj" | "v_proj" => (d, self.kv_heads() * width),
            "o_proj" => (self.num_attention_heads * width, d),
            "gate_proj" | "up_proj" => (d, hidden),
            "down_proj" => (hidden, d),
            _ => (d, d),
        }
    }

    /// Every projection, every FFN's output and every norm, as sites named `layers.<i>.<projection>`, `layers.<i>.ffn`,
    /// `layers.<i>.<norm>` and `norm`.
    pub fn sites(&self) -> Vec<SiteSpec> {
        let [before_attention, before_ffn, _] = NORMS;
        let names = PROJECTIONS.into_iter().chain([FFN, before_attention, before_ffn]);
        let d = self.hidden_size;
        let last = SiteSpec { name: FINAL_NORM.into(), group: FINAL_NORM.into(), d_in: d, d_out: d, before_decoder: false };
        (0..self.num_hidden_layers)
            .flat_map(|layer| names.clone().map(move |name| (layer, name)))
            .map(|(layer, name)| {
                let (d_in, d_out) = self.site_dims(name);
                SiteSpec { name: site(layer, name), group: name.into(), d_in, d_out, before_decoder: false }
            })
            .chain([last])
            .collect()
    }
}
