//! A frozen multimodal model, as everybody else sees it.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, bail};
use data::{Preprocess, Tiles};
use schema::experiment::LossAt;

use crate::adapter::Adapt;
use crate::cached::Cache;
use crate::crossing::{Crossing, Said, through};
use crate::layout::Layout;
use crate::nn::{self, Rotary};
use crate::{Batch, Spec, TextCodec};

/// What of a batch the decoder needs besides hidden states.
#[derive(Debug, Clone)]
pub struct Context {
    /// Added to attention scores, `[b, 1, t, t]`.
    pub mask: Tensor,
    /// Rotary tables.
    pub rotary: Rotary,
    /// The places at which anything is read, `[b * r]` into `[b * t]`.
    pub read: Tensor,
    /// Where the read logits are, into `[b * r]`.
    pub rows: Tensor,
    /// As the batch has it.
    pub checkpoint: bool,
}

/// A batch as the decoder will see it: frozen, without adapters.
#[derive(Debug, Clone)]
pub struct Embeddings {
    /// Image and text embeddings in place, `[b, t, d]`; zero at image tokens where there is `seen`.
    pub hidden: Tensor,
    /// What enters the connector at image tokens, `[b, t, d_seen]`, where the connector is still to run.
    pub seen: Option<Tensor>,
    /// Which virtual token is where, `[b, t, p]`; none of none.
    pub virtual_tokens: Option<Tensor>,
    /// 1 at image tokens, `[b, t, 1]`.
    pub image_mask: Tensor,
    /// 1 at text tokens, `[b, t, 1]`.
    pub text_mask: Tensor,
    /// For the decoder.
    pub context: Context,
    /// How sequences lie in it.
    pub layout: Arc<Layout>,
}

/// A model that is cut in front of its decoder: what clients do of [`Backbone::decode`], and what the decoder does.
pub trait Halves {
    /// Adapters at the connector and on the stream: hidden states `[b, t, d]` as they enter the decoder.
    fn enter(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor>;

    /// What of a batch the decoder needs besides them.
    fn context(&self, batch: &Batch) -> Result<Context>;

    /// The decoder: logits `[rows, vocabulary]` at the rows asked for.
    fn finish(&self, hidden: &Tensor, context: &Context, adapt: &dyn Adapt) -> Result<Tensor>;

    /// The same as log-likelihoods of `targets` `[rows]`, without a gradient: no more than some rows' logits exist at a time.
    fn likelihoods(&self, hidden: &Tensor, context: &Context, targets: &Tensor, adapt: &dyn Adapt) -> Result<Tensor>;
}

/// A frozen multimodal model.
pub trait Backbone: Send + Sync {
    /// Shapes, parameter counts, sites.
    fn spec(&self) -> &Spec;

    /// Tokenizer and chat format.
    fn text(&self) -> &TextCodec;

    /// How images become pixels.
    fn preprocess(&self) -> &Preprocess;

    /// SHA-256 of the weights; of a folder, of its configuration and tokenizer too.
    fn weights_sha256(&self) -> &str;

    /// The weights' element type.
    fn weights_dtype(&self) -> DType;

    /// The element type of pixels and hidden states ([`crate::precision`]).
    fn dtype(&self) -> DType;

    /// Where the weights are.
    fn device(&self) -> &Device;

    /// Frozen vision encoder: pixels `[n, 3, s, s]` to what enters the connector's linear layers, `[n, tokens, d_seen]`.
    fn see(&self, pixels: &Tensor) -> Result<Tensor>;

    /// Frozen vision encoder and connector: pixels `[n, 3, s, s]` to image tokens `[n, tokens, d]`. Never depends on an adapter,
    /// so it is computed once per image.
    fn encode(&self, pixels: &Tensor) -> Result<Tensor>;

    /// Token embeddings with the images' features (`[images, tokens, d]`, a row per image of the feature store) in their places.
    fn embed(&self, batch: &Batch, features: &Tensor) -> Result<Embeddings>;

    /// The same for a backbone that must know how the batch's pictures are cut, all of them in order; others need not.
    fn embed_cut(&self, batch: &Batch, features: &Tensor, pictures: &[Tiles]) -> Result<Embeddings> {
        let _ = pictures;
        self.embed(batch, features)
    }

    /// The same with what [`Backbone::see`] gives (`[images, tokens, d_seen]`), for adapters at the connector, which runs in
    /// [`Backbone::decode`] then.
    fn embed_unconnected(&self, batch: &Batch, seen: &Tensor) -> Result<Embeddings>;

    /// Adapters and decoder: logits `[rows, vocabulary]` at the rows asked for.
    fn decode(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor>;

    /// The same as log-likelihoods of `targets` `[rows]`, `[rows]`, without a gradient: no more than some rows' logits exist at a
    /// time.
    fn log_likelihoods(&self, embeddings: &Embeddings, targets: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
        nn::log_likelihood(&self.decode(embeddings, adapt)?, targets)
    }

    /// Logits `[b, vocabulary]` at the one place of each sequence that is read, and what goes on from there token by token
    /// ([`Backbone::go_on`]); `positions` are the batch's. None of a model that keeps nothing: it is asked anew for every token.
    fn begin(&self, embeddings: &Embeddings, positions: &[Vec<u32>], adapt: &dyn Adapt) -> Result<Option<(Tensor, Cache)>> {
        let _ = (embeddings, positions, adapt);
        Ok(None)
    }

    /// Logits `[b, vocabulary]` behind one token more of each sequence.
    fn go_on(&self, cache: &mut Cache, tokens: &[u32], adapt: &dyn Adapt) -> Result<Tensor> {
        let _ = (cache, tokens, adapt);
        bail!("backbone `{}` keeps nothing of a sequence", self.spec().name)
    }

    /// Both halves, of a model that can be cut in front of its decoder.
    fn halves(&self) -> Result<&dyn Halves> {
        bail!("backbone `{}` cannot be cut in front of its decoder", self.spec().name)
    }

    /// What [`Backbone::decode`] says where the model is cut, with a gradient; what crosses the cut is encoded. `targets` `[rows]` go
    /// where the loss is computed.
    fn said(&self, embeddings: &Embeddings, targets: &Tensor, adapt: &dyn Adapt, crossing: Crossing) -> Result<Said> {
        let _ = targets;
        if crossing.activations.is_plain() {
            return Ok(Said::here(self.decode(embeddings, adapt)?));
        }
        let halves = self.halves()?;
        let hidden = through(&halves.enter(embeddings, adapt)?, crossing.activations)?;
        let logits = halves.finish(&hidden, &embeddings.context, adapt)?;
        Ok(Said::here(match crossing.loss_at {
            LossAt::Client => through(&logits, crossing.activations)?,
            LossAt::Server => logits,
        }))
    }
}

/// The type of adapters on a backbone: its own, but f32 where that has 16 bits.
pub fn adapter_dtype(backbone: &dyn Backbone) -> DType {
    if nn::is_half(backbone.dtype()) { DType::F32 } else { backbone.dtype() }
}
