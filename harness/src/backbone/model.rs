//! A frozen multimodal model: eyes, a Llama decoder and the text side. Every architecture is this with eyes of its own.

use candle_core::{DType, Device, Result, Tensor};

use super::llama::{Llama, LlamaConfig};
use super::{Backbone, Batch, ComponentParameters, Embeddings, SiteSpec, Spec, TextCodec, nn};
use crate::adapter::{Adapt, Form};
use crate::data::Preprocess;

/// A vision tower with its connector.
pub trait Vision: Send + Sync {
    /// Pixels `[n, 3, s, s]` to image tokens `[n, tokens, d]` of the decoder's width.
    fn encode(&self, pixels: &Tensor) -> Result<Tensor>;
}

/// A model with its weights.
pub struct Model<V> {
    pub(super) spec: Spec,
    pub(super) vision: V,
    pub(super) decoder: Llama,
    pub(super) text: TextCodec,
    pub(super) preprocess: Preprocess,
    pub(super) sha256: String,
}

impl<V> Model<V> {
    /// The tower and the connector.
    pub fn vision(&self) -> &V {
        &self.vision
    }

    /// Hidden states `[n, d]` read as words, without blocks or norm: logits `[n, vocabulary]`.
    pub fn read_out(&self, hidden: &Tensor) -> Result<Tensor> {
        self.decoder.read_out(hidden)
    }
}

/// Shapes, counts and sites of a model around this decoder; `vision` and `connector` are parameters.
pub fn spec(name: &str, decoder: &LlamaConfig, vision: u64, connector: u64, image_tokens: usize) -> Spec {
    let d = decoder.hidden_size;
    let stream = |name: &str| SiteSpec { name: name.into(), group: name.into(), d_in: d, d_out: d, before_decoder: true };
    let mut sites = vec![stream("image"), stream("text"), stream("prompt")];
    sites.extend(decoder.sites());
    Spec {
        name: name.into(),
        parameters: ComponentParameters {
            vision,
            connector,
            embedding: decoder.embedding_parameters(),
            decoder: decoder.decoder_parameters(),
        },
        d_model: d,
        layers: decoder.num_hidden_layers,
        vocabulary: decoder.vocab_size,
        image_tokens,
        bytes_per_number: 4,
        sites,
    }
}

impl<V: Vision> Backbone for Model<V> {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn text(&self) -> &TextCodec {
        &self.text
    }

    fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    fn weights_sha256(&self) -> &str {
        &self.sha256
    }

    fn dtype(&self) -> DType {
        self.decoder.dtype()
    }

    fn device(&self) -> &Device {
        self.decoder.device()
    }

    fn encode(&self, pixels: &Tensor) -> Result<Tensor> {
        self.vision.encode(pixels)
    }

    fn embed(&self, batch: &Batch, features: &Tensor) -> Result<Embeddings> {
        let text = self.decoder.embed(&batch.tokens)?;
        let d = text.dim(1)?;
        let hidden = if batch.images.elem_count() == 0 {
            text
        } else {
            let images = features.index_select(&batch.images, 0)?.reshape(((), d))?;
            Tensor::cat(&[&text, &images], 0)?.index_select(&batch.source, 0)?
        };
        let mut hidden = hidden.reshape((batch.size, (), d))?;
        if let Some(virtual_tokens) = &batch.virtual_tokens {
            hidden = hidden.broadcast_mul(&(1.0 - virtual_tokens.sum_keepdim(2)?)?)?;
        }
        Ok(Embeddings {
            hidden,
            virtual_tokens: batch.virtual_tokens.clone(),
            image_mask: batch.image_mask.clone(),
            text_mask: batch.text_mask.clone(),
            mask: batch.mask.clone(),
            rotary: self.decoder.rotary(&batch.positions)?,
            read: batch.read.clone(),
            rows: batch.rows.clone(),
        })
    }

    fn decode(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        match nn::is_half(self.dtype()) {
            true => self.adapted(embeddings, &Widened(adapt)),
            false => self.adapted(embeddings, adapt),
        }
    }
}

impl<V> Model<V> {
    fn adapted(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        let mut hidden = embeddings.hidden.clone();
        for (site, mask) in [("image", &embeddings.image_mask), ("text", &embeddings.text_mask)] {
            if let Some(delta) = adapt.delta(site, &embeddings.hidden)? {
                hidden = (hidden + delta.broadcast_mul(mask)?)?;
            }
        }
        if let Some(places) = &embeddings.virtual_tokens
            && let Some(tokens) = adapt.delta("prompt", places)?
        {
            hidden = (hidden + tokens)?;
        }
        self.decoder.forward(&hidden, embeddings, adapt)
    }
}

/// Adapters of f32 numbers on a half-precision model: what enters is widened, what is added is narrowed. A step of training is too
/// small for 16 bits, so adapters never have them.
struct Widened<'a>(&'a dyn Adapt);

impl Adapt for Widened<'_> {
    fn delta(&self, site: &str, input: &Tensor) -> Result<Option<Tensor>> {
        let delta = self.0.delta(site, &nn::widened(input)?)?;
        delta.map(|delta| delta.to_dtype(input.dtype())).transpose()
    }

    /// Whether there is something stays known; what it is would have the wrong type.
    fn form(&self, site: &str) -> Form<'_> {
        match self.0.form(site) {
            Form::Nothing => Form::Nothing,
            Form::Pair { .. } | Form::Opaque => Form::Opaque,
        }
    }
}
