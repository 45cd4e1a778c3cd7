//! A Llama-style decoder (Touvron et al., arXiv 2307.09288), with Hugging Face's weight names: grouped-query attention, rotary
//! positions (scaled as [`super::rope`] knows), SwiGLU, RMS norms, tied or untied head. Any projection is a site where an adapter
//! may attach.

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::cached::Cache;
pub use super::llama_config::LlamaConfig;
use super::rope::Rope;
use super::trunk::Trunk;
use super::{Batch, Context, Half, nn, precision};
use crate::adapter::Adapt;

/// The decoder, or a half of it: without its embedding, or with that alone.
#[derive(Debug, Clone)]
pub struct Llama {
    config: LlamaConfig,
    rope: Rope,
    words: Option<Tensor>,
    trunk: Option<Trunk>,
}

impl Llama {
    /// Reads `model.*` and, for an untied head, `lm_head.weight`.
    pub fn new(config: &LlamaConfig, weights: &VarBuilder) -> Result<Self> {
        Self::half(config, weights, Half::Whole)
    }

    /// The same of a half alone: clients look words up, the decoder's side does the rest (with the embedding where it is the head).
    pub fn half(config: &LlamaConfig, weights: &VarBuilder, half: Half) -> Result<Self> {
        let rope = config.rope().map_err(|what| candle_core::Error::Msg(format!("text_config.{what} is not supported")))?;
        let (shape, tied) = ((config.vocab_size, config.hidden_size), config.tie_word_embeddings);
        let is_read = half.is_clients() || tied;
        let words = is_read.then(|| weights.get(shape, "model.embed_tokens.weight")).transpose()?;
        let trunk = match (half.is_decoders(), &words) {
            (false, _) => None,
            (true, Some(words)) if tied => Some(Trunk::new(config, weights, words.clone())?),
            (true, _) => Some(Trunk::new(config, weights, weights.get(shape, "lm_head.weight")?)?),
        };
        Ok(Self { config: config.clone(), rope, words, trunk })
    }

    /// Token ids `[n]` to embeddings `[n, d]`.
    pub fn embed(&self, tokens: &Tensor) -> Result<Tensor> {
        self.words()?.index_select(tokens, 0)?.to_dtype(self.dtype())
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

    /// What of a batch its blocks need besides hidden states.
    pub fn context(&self, batch: &Batch) -> Result<Context> {
        Ok(Context {
            mask: batch.mask.clone(),
            rotary: self.rotary(&batch.positions)?,
            read: batch.read.clone(),
            rows: batch.rows.clone(),
            checkpoint: batch.checkpoint,
        })
    }

    /// Whether positions turn otherwise where a sequence is longer, so that nothing of a shorter one can be kept.
    fn turns_anew(&self) -> bool {
        self.rope.turning_point().is_some()
    }

    /// Hidden states `[b, t, d]` of sequences of which one place each is read, by their positions: the last hidden states there, `[b, d]`,
    /// and what goes on from them. None where positions turn otherwise in longer sequences.
    pub(super) fn begin(
        &self,
        hidden: &Tensor,
        context: &Context,
        positions: &[Vec<u32>],
        adapt: &dyn Adapt,
    ) -> Result<Option<(Tensor, Cache)>> {
        let b = hidden.dim(0)?;
        if self.turns_anew() || context.read.elem_count() != b || positions.len() != b {
            return Ok(None);
        }
        let (rows, blocks) = self.trunk()?.rows_kept(hidden, context, adapt)?;
        Ok(Some((rows, Cache::new(blocks, &context.mask, &context.read, positions)?)))
    }

    /// The same of one token more of each sequence, `[b, 1, d]`.
    pub(super) fn go_on(&self, hidden: &Tensor, cache: &mut Cache, adapt: &dyn Adapt) -> Result<Tensor> {
        let (mask, positions) = cache.grow()?;
        let rotary = self.rotary(&positions)?;
        self.trunk()?.rows_after(hidden, &mut cache.blocks, (&mask, &rotary), adapt)
    }

    /// The weights' element type.
    pub fn weights_dtype(&self) -> DType {
        self.matrix().map_or(DType::F32, Tensor::dtype)
    }

    /// The element type of hidden states.
    pub fn dtype(&self) -> DType {
        precision::computes_in(self.weights_dtype(), self.device())
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        self.matrix().map_or(&Device::Cpu, Tensor::device)
    }

    /// A matrix that it has.
    fn matrix(&self) -> Option<&Tensor> {
        self.words.as_ref().or(self.trunk.as_ref().map(Trunk::head))
    }

    fn words(&self) -> Result<&Tensor> {
        match &self.words {
            Some(words) => Ok(words),
            None => bail!("this is the decoder's half of a model, which has no token embedding"),
        }
    }

    fn trunk(&self) -> Result<&Trunk> {
        match &self.trunk {
            Some(trunk) => Ok(trunk),
            None => bail!("this is the clients' half of a model, which has no decoder"),
        }
    }

    /// Hidden states `[n, d]` straight through the head: logits `[n, vocabulary]`.
    pub fn read_out(&self, hidden: &Tensor) -> Result<Tensor> {
        self.trunk()?.read_out(hidden)
    }

    /// Hidden states `[b, t, d]` through all blocks, then logits `[rows, vocabulary]` at the rows asked for. Behind the last
    /// block's attention only the places that are read go on.
    pub fn forward(&self, hidden: &Tensor, context: &Context, adapt: &dyn Adapt) -> Result<Tensor> {
        self.logits(&self.rows(hidden, context, adapt)?)
    }

    /// Logits of hidden states that [`Llama::rows`] gives, in f32 at least.
    pub fn logits(&self, rows: &Tensor) -> Result<Tensor> {
        self.trunk()?.logits(rows)
    }

    /// The same as [`Llama::forward`] up to the head: normed hidden states `[rows, d]`.
    pub fn rows(&self, hidden: &Tensor, context: &Context, adapt: &dyn Adapt) -> Result<Tensor> {
        self.trunk()?.rows(hidden, context, adapt)
    }
}
