//! A Llama-style decoder (Touvron et al., arXiv 2307.09288), with Hugging Face's weight names: grouped-query attention, rotary
//! positions (scaled as [`super::rope`] knows), SwiGLU, RMS norms, tied or untied head. Any projection is a site where an adapter
//! may attach.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::rope::{self, Rope, RopeParameters};
use super::sites::{FFN, FINAL_NORM, NORMS, PROJECTIONS, SiteSpec};
use super::vit::{epsilon, positive};
use super::{Embeddings, kernels, nn, precision};
use crate::adapter::{Adapt, Form};

/// A site's full name.
fn site(layer: usize, name: &str) -> String {
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
    fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    fn kv_heads(&self) -> usize {
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

    fn has_bias(&self, projection: &str) -> bool {
        if matches!(projection, "gate_proj" | "up_proj" | "down_proj") { self.mlp_bias } else { self.attention_bias }
    }

    /// Input and output width of a site.
    fn site_dims(&self, name: &str) -> (usize, usize) {
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

/// The decoder.
#[derive(Debug, Clone)]
pub struct Llama {
    config: LlamaConfig,
    rope: Rope,
    embedding: Tensor,
    blocks: Vec<Block>,
    norm: nn::RmsNorm,
    head: nn::Linear,
}

impl Llama {
    /// Reads `model.*` and, for an untied head, `lm_head.weight`.
    pub fn new(config: &LlamaConfig, weights: &VarBuilder) -> Result<Self> {
        let d = config.hidden_size;
        let rope = config.rope().map_err(|what| candle_core::Error::Msg(format!("text_config.{what} is not supported")))?;
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
            rope,
            embedding,
            blocks,
            norm: nn::RmsNorm::new(d, config.rms_norm_eps, &model.pp("norm"))?,
            head: nn::Linear::from_weight(head),
        })
    }

    /// Token ids `[n]` to embeddings `[n, d]`.
    pub fn embed(&self, tokens: &Tensor) -> Result<Tensor> {
        self.embedding.index_select(tokens, 0)?.to_dtype(self.dtype())
    }

    /// Rotary tables for these positions, a row of them for each sequence. Where frequencies depend on a sequence's length, that is
    /// up to its last position, which the longest of its branches has.
    pub fn rotary(&self, positions: &[Vec<u32>]) -> Result<nn::Rotary> {
        let last = positions.iter().flatten().copied().max().unwrap_or(0);
        if let Some(limit) = self.rope.beyond(last) {
            candle_core::bail!(
                "a sequence of {} tokens is longer than the {limit} that dynamic rotary positions keep unscaled; lower \
                 `data.max_prompt_tokens`",
                last + 1
            )
        }
        let turning = |positions: &[Vec<u32>], tokens: usize| {
            let frequencies = self.rope.frequencies(self.config.head_dim(), tokens);
            nn::Rotary::turning(positions, &frequencies, self.rope.attention_factor(), self.dtype(), self.device())
        };
        let tokens = |row: &Vec<u32>| row.iter().max().map_or(0, |&last| last as usize + 1);
        match self.rope.turning_point() {
            Some(limit) if last as f64 >= limit => {
                let rows = positions.iter().map(|row| turning(std::slice::from_ref(row), tokens(row)));
                nn::Rotary::rows(&rows.collect::<Result<Vec<_>>>()?)
            }
            _ => turning(positions, last as usize + 1),
        }
    }

    /// The weights' element type.
    pub fn weights_dtype(&self) -> DType {
        self.embedding.dtype()
    }

    /// The element type of hidden states.
    pub fn dtype(&self) -> DType {
        precision::computes_in(self.weights_dtype(), self.device())
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        self.embedding.device()
    }

    /// Hidden states `[n, d]` straight through the head: logits `[n, vocabulary]`.
    pub fn read_out(&self, hidden: &Tensor) -> Result<Tensor> {
        self.head.forward(hidden)
    }

    /// Hidden states `[b, t, d]` through all blocks, then logits `[rows, vocabulary]` at the rows asked for. Behind the last
    /// block's attention only the places that are read go on.
    pub fn forward(&self, hidden: &Tensor, context: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        self.logits(&self.rows(hidden, context, adapt)?)
    }

    /// Logits of hidden states that [`Llama::rows`] gives, in f32 at least.
    pub fn logits(&self, rows: &Tensor) -> Result<Tensor> {
        nn::widened(&self.head.forward(rows)?)
    }

    /// The same as [`Llama::forward`] up to the head: normed hidden states `[rows, d]`.
    pub fn rows(&self, hidden: &Tensor, context: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        let x = match self.pairs(hidden, adapt)? {
            Some((pairs, packed)) => self.at_once(hidden, context, pairs, &packed)?,
            None => self.block_by_block(hidden, context, adapt)?,
        };
        match adapt.form(FINAL_NORM) {
            Form::Nothing => self.norm.forward(&x.flatten(0, 1)?.index_select(&context.rows, 0)?),
            _ => adapted_norm(&self.norm, FINAL_NORM, &x, adapt)?.flatten(0, 1)?.index_select(&context.rows, 0),
        }
    }

    fn block_by_block(&self, hidden: &Tensor, context: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        if self.blocks.is_empty() {
            return at_places(hidden, &context.read);
        }
        let mut x = hidden.clone();
        for (i, block) in self.blocks.iter().enumerate() {
            let read = (i + 1 == self.blocks.len()).then_some(&context.read);
            x = block.forward(&x, context, read, adapt)?;
        }
        Ok(x)
    }

    /// The adapters as pairs with their packed numbers, if [`kernels::Decoder`] can serve them: frozen weights on the CPU without
    /// biases, heads that fill the width, and nothing but pairs that all examples share.
    fn pairs(&self, hidden: &Tensor, adapt: &dyn Adapt) -> Result<Option<(Vec<kernels::At>, Tensor)>> {
        let fits = self.config.num_attention_heads * self.config.head_dim() == self.config.hidden_size;
        let has_bias = self.config.attention_bias || self.config.mlp_bias;
        let is_served = kernels::serves(hidden) && fits && !has_bias && !self.blocks.is_empty();
        if !is_served || self.blocks.iter().any(Block::is_trained) {
            return Ok(None);
        }
        let (mut pairs, mut packing) = (Vec::new(), kernels::Packing::default());
        for (block, weights) in self.blocks.iter().enumerate() {
            if [&weights.norm1_site, &weights.norm2_site].into_iter().any(|site| !is_untouched(adapt, site)) {
                return Ok(None);
            }
            let projections = weights.projections().map(|projection| &projection.site);
            for (place, site) in projections.into_iter().chain([&weights.ffn]).enumerate() {
                match adapt.form(site) {
                    Form::Nothing => {}
                    Form::Pair { down, up, biases, scale } => {
                        pairs.push(kernels::At { block, place, pair: packing.push(down, up, biases, scale)? });
                    }
                    Form::Opaque => return Ok(None),
                }
            }
        }
        Ok(Some((pairs, packing.finish(hidden)?)))
    }

    fn at_once(&self, hidden: &Tensor, context: &Embeddings, pairs: Vec<kernels::At>, packed: &Tensor) -> Result<Tensor> {
        let decoder = kernels::Decoder {
            blocks: self.blocks.iter().map(Block::weights).collect(),
            heads: self.config.num_attention_heads,
            kv_heads: self.config.kv_heads(),
            eps: self.config.rms_norm_eps,
            mask: context.mask.clone(),
            rotary: context.rotary.tables(),
            read: context.read.to_vec1()?,
            pairs,
            keep: hidden.track_op() || packed.track_op(),
            input_is_trained: hidden.track_op(),
            kept: Default::default(),
        };
        hidden.contiguous()?.apply_op2(packed, decoder)
    }
}

/// Places `[b * r]` of hidden states `[b, t, d]`: `[b, r, d]`.
fn at_places(x: &Tensor, places: &Tensor) -> Result<Tensor> {
    let (b, _, d) = x.dims3()?;
    x.flatten(0, 1)?.index_select(places, 0)?.reshape((b, (), d))
}

fn is_untouched(adapt: &dyn Adapt, site: &str) -> bool {
    matches!(adapt.form(site), Form::Nothing)
}

/// A norm of `[b, t, d]` whose weight an adapter may change.
fn adapted_norm(norm: &nn::RmsNorm, site: &str, x: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
    let normed = norm.forward(x)?;
    if is_untouched(adapt, site) {
        return Ok(normed);
    }
    match adapt.delta(site, &norm.unweighted(x)?)? {
        Some(delta) => normed + delta,
        None => Ok(normed),
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
        let (d_in, d_out) = config.site_dims(name);
        Ok(Self { site: site(layer, name), linear: nn::Linear::new(d_in, d_out, config.has_bias(name), &weights.pp(name))? })
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
    /// The site behind the FFN.
    ffn: String,
    norm1_site: String,
    norm2_site: String,
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
            ffn: site(layer, FFN),
            norm1_site: site(layer, NORMS[0]),
            norm2_site: site(layer, NORMS[1]),
            heads: config.num_attention_heads,
            kv_heads: config.kv_heads(),
        })
    }

    /// In the order of [`PROJECTIONS`].
    fn projections(&self) -> [&Projection; 7] {
        [&self.q, &self.k, &self.v, &self.o, &self.gate, &self.up, &self.down]
    }

    fn is_trained(&self) -> bool {
        let projections = self.projections().map(|projection| projection.linear.weight());
        [self.norm1.weight(), self.norm2.weight()].into_iter().chain(projections).any(Tensor::is_variable)
    }

    fn weights(&self) -> kernels::Block {
        kernels::Block {
            norm1: self.norm1.weight().clone(),
            norm2: self.norm2.weight().clone(),
            projections: self.projections().map(|projection| projection.linear.weight().clone()),
        }
    }

    fn forward(&self, x: &Tensor, context: &Embeddings, read: Option<&Tensor>, adapt: &dyn Adapt) -> Result<Tensor> {
        let attended = self.attend(&adapted_norm(&self.norm1, &self.norm1_site, x, adapt)?, context, adapt)?;
        let (x, attended) = match read {
            Some(places) => (at_places(x, places)?, at_places(&attended, places)?),
            None => (x.clone(), attended),
        };
        let x = (x + self.o.forward(&attended, adapt)?)?;
        let h = adapted_norm(&self.norm2, &self.norm2_site, &x, adapt)?;
        let gated = nn::silu_gate(&self.gate.forward(&h, adapt)?, &self.up.forward(&h, adapt)?)?;
        let h = (&x + self.down.forward(&gated, adapt)?)?;
        match adapt.delta(&self.ffn, &h)? {
            Some(delta) => h + delta,
            None => Ok(h),
        }
    }

    fn attend(&self, h: &Tensor, context: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        let (q, k, v) = (self.q.forward(h, adapt)?, self.k.forward(h, adapt)?, self.v.forward(h, adapt)?);
        nn::attention(&q, &k, &v, self.heads, self.kv_heads, Some(&context.mask), Some(&context.rotary))
    }
}
