//! What of a Llama decoder stands between its embedding and its logits: blocks, the last norm, the head.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::cached::{self, Kept};
use super::llama_config::{LlamaConfig, site};
use super::sites::{FFN, FINAL_NORM, NORMS};
use super::{Context, kernels, nn};
use crate::adapter::{Adapt, Form};

/// Blocks, the last norm and the head.
#[derive(Debug, Clone)]
pub(super) struct Trunk {
    config: LlamaConfig,
    blocks: Vec<Block>,
    norm: nn::RmsNorm,
    head: nn::Linear,
}

impl Trunk {
    /// Reads `model.layers.*` and `model.norm`; the head is the embedding where it is tied.
    pub(super) fn new(config: &LlamaConfig, weights: &VarBuilder, head: Tensor) -> Result<Self> {
        let (d, model) = (config.hidden_size, weights.pp("model"));
        let blocks = (0..config.num_hidden_layers).map(|i| Block::new(config, i, &model.pp(format!("layers.{i}"))));
        Ok(Self {
            config: config.clone(),
            blocks: blocks.collect::<Result<_>>()?,
            norm: nn::RmsNorm::new(d, config.rms_norm_eps, &model.pp("norm"))?,
            head: nn::Linear::from_weight(head),
        })
    }

    /// The head's weight.
    pub(super) fn head(&self) -> &Tensor {
        self.head.weight()
    }

    /// Hidden states `[n, d]` straight through the head.
    pub(super) fn read_out(&self, hidden: &Tensor) -> Result<Tensor> {
        self.head.forward(hidden)
    }

    /// Logits of what [`Trunk::rows`] gives, in f32 at least.
    pub(super) fn logits(&self, rows: &Tensor) -> Result<Tensor> {
        nn::widened(&self.head.forward(rows)?)
    }

    /// Hidden states `[b, t, d]` up to the head: normed, `[rows, d]`.
    pub(super) fn rows(&self, hidden: &Tensor, context: &Context, adapt: &dyn Adapt) -> Result<Tensor> {
        let x = match self.pairs(hidden, adapt)? {
            Some((pairs, packed)) => self.at_once(hidden, context, pairs, &packed)?,
            None => self.block_by_block(hidden, context, adapt)?,
        };
        self.normed(&x, &context.rows, adapt)
    }

    /// Some rows of `[b, r, d]`, normed.
    fn normed(&self, x: &Tensor, rows: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
        match adapt.form(FINAL_NORM) {
            Form::Nothing => self.norm.forward(&x.flatten(0, 1)?.index_select(rows, 0)?),
            _ => adapted_norm(&self.norm, FINAL_NORM, x, adapt)?.flatten(0, 1)?.index_select(rows, 0),
        }
    }

    /// [`Trunk::rows`] block by block, and each block's keys and values.
    pub(super) fn rows_kept(&self, hidden: &Tensor, context: &Context, adapt: &dyn Adapt) -> Result<(Tensor, Vec<Kept>)> {
        let (mut x, mut kept) = (hidden.clone(), Vec::with_capacity(self.blocks.len()));
        for (i, block) in self.blocks.iter().enumerate() {
            let read = (i + 1 == self.blocks.len()).then_some(&context.read);
            let (next, of_block) = block.forward_kept(&x, context, read, adapt)?;
            x = next;
            kept.push(of_block);
        }
        if self.blocks.is_empty() {
            x = at_places(hidden, &context.read)?;
        }
        Ok((self.normed(&x, &context.rows, adapt)?, kept))
    }

    /// The last hidden states `[b, d]` of one token more of each sequence.
    pub(super) fn rows_after(
        &self,
        hidden: &Tensor,
        kept: &mut [Kept],
        at: (&Tensor, &nn::Rotary),
        adapt: &dyn Adapt,
    ) -> Result<Tensor> {
        let mut x = hidden.clone();
        for (block, kept) in self.blocks.iter().zip(kept) {
            let normed = adapted_norm(&block.norm1, &block.norm1_site, &x, adapt)?;
            let [q, k, v] = block.questions(&normed, adapt)?;
            let attended = cached::attend([&q, &k, &v], (block.heads, block.kv_heads), kept, at)?;
            x = block.behind(&x, &attended, adapt)?;
        }
        let rows = Tensor::arange(0, hidden.dim(0)? as u32, hidden.device())?;
        self.normed(&x, &rows, adapt)
    }

    fn block_by_block(&self, hidden: &Tensor, context: &Context, adapt: &dyn Adapt) -> Result<Tensor> {
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

    fn at_once(&self, hidden: &Tensor, context: &Context, pairs: Vec<kernels::At>, packed: &Tensor) -> Result<Tensor> {
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
            checkpoint: context.checkpoint,
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

    fn forward(&self, x: &Tensor, context: &Context, read: Option<&Tensor>, adapt: &dyn Adapt) -> Result<Tensor> {
        let attended = self.attend(&adapted_norm(&self.norm1, &self.norm1_site, x, adapt)?, context, adapt)?;
        let (x, attended) = match read {
            Some(places) => (at_places(x, places)?, at_places(&attended, places)?),
            None => (x.clone(), attended),
        };
        self.behind(&x, &attended, adapt)
    }

    /// The same, and its keys and values.
    fn forward_kept(&self, x: &Tensor, context: &Context, read: Option<&Tensor>, adapt: &dyn Adapt) -> Result<(Tensor, Kept)> {
        let normed = adapted_norm(&self.norm1, &self.norm1_site, x, adapt)?;
        let [q, k, v] = self.questions(&normed, adapt)?;
        let attended = nn::attention(&q, &k, &v, self.heads, self.kv_heads, Some(&context.mask), Some(&context.rotary))?;
        let keys = context.rotary.rotate(&nn::split_heads(&k, self.kv_heads)?)?;
        let kept = Kept { keys, values: nn::split_heads(&v, self.kv_heads)? };
        let x = match read {
            Some(places) => self.behind(&at_places(x, places)?, &at_places(&attended, places)?, adapt)?,
            None => self.behind(x, &attended, adapt)?,
        };
        Ok((x, kept))
    }

    /// What is behind the attention.
    fn behind(&self, x: &Tensor, attended: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
        let x = (x + self.o.forward(attended, adapt)?)?;
        let h = adapted_norm(&self.norm2, &self.norm2_site, &x, adapt)?;
        let gated = nn::silu_gate(&self.gate.forward(&h, adapt)?, &self.up.forward(&h, adapt)?)?;
        let h = (&x + self.down.forward(&gated, adapt)?)?;
        match adapt.delta(&self.ffn, &h)? {
            Some(delta) => h + delta,
            None => Ok(h),
        }
    }

    fn questions(&self, h: &Tensor, adapt: &dyn Adapt) -> Result<[Tensor; 3]> {
        Ok([self.q.forward(h, adapt)?, self.k.forward(h, adapt)?, self.v.forward(h, adapt)?])
    }

    fn attend(&self, h: &Tensor, context: &Context, adapt: &dyn Adapt) -> Result<Tensor> {
        let [q, k, v] = self.questions(h, adapt)?;
        nn::attention(&q, &k, &v, self.heads, self.kv_heads, Some(&context.mask), Some(&context.rotary))
    }
}
