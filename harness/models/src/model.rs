//! A frozen multimodal model: eyes, a Llama decoder and the text side. Every architecture is this with eyes of its own.

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use data::Preprocess;

use super::cached::Cache;
use super::folder::{self, Folder};
use super::llama::{Llama, LlamaConfig};
use super::{Backbone, Batch, ComponentParameters, Context, Embeddings, Halves, SiteSpec, Spec, TextCodec, kernels, nn};
use crate::adapter::{Adapt, Form, Untouched};

/// A vision tower with its connector.
pub trait Vision: Send + Sync {
    /// Pixels `[n, 3, s, s]` to what enters the connector's linear layers, `[n, tokens, d_seen]`.
    fn see(&self, pixels: &Tensor) -> Result<Tensor>;

    /// That, `[n, t, d_seen]`, to image tokens `[n, t, d]` of the decoder's width. Each token by itself.
    fn connect(&self, seen: &Tensor, adapt: &dyn Adapt) -> Result<Tensor>;
}

/// A model with its weights.
pub struct Model<V> {
    pub(super) spec: Spec,
    /// The eyes; none of the decoder's half.
    pub(super) vision: Option<V>,
    pub(super) decoder: Llama,
    pub(super) text: TextCodec,
    pub(super) preprocess: Preprocess,
    pub(super) sha256: String,
}

impl<V> Model<V> {
    /// The tower and the connector, which the decoder's half does not have.
    pub fn vision(&self) -> Result<&V> {
        match &self.vision {
            Some(vision) => Ok(vision),
            None => bail!("this is the decoder's half of a model, which has no eyes"),
        }
    }

    /// Hidden states `[n, d]` read as words, without blocks or norm: logits `[n, vocabulary]`.
    pub fn read_out(&self, hidden: &Tensor) -> Result<Tensor> {
        self.decoder.read_out(hidden)
    }
}

/// What is known of a model before its weights are read.
pub struct Parts {
    /// Shapes, counts and sites; numbers are as large as `dtype` makes them, whatever it says.
    pub spec: Spec,
    /// The decoder.
    pub decoder: LlamaConfig,
    /// Tokenizer and chat format.
    pub text: TextCodec,
    /// How images become pixels.
    pub preprocess: Preprocess,
}

impl<V> Model<V> {
    /// Reads the weights of a folder's half that is wanted, as `dtype`, by the names that `rename` gives them: `language_model.*` are the decoder's, the rest
    /// `eyes` asks for.
    pub fn of_folder(
        folder: &Folder,
        parts: Parts,
        rename: fn(&str) -> String,
        (dtype, device): (DType, &Device),
        eyes: impl FnOnce(&VarBuilder) -> Result<V>,
    ) -> crate::Result<Self> {
        let Parts { spec, decoder, text, preprocess } = parts;
        let spec = Spec { bytes_per_number: dtype.size_in_bytes(), ..spec };
        let weights = folder.weights(&spec, decoder.tie_word_embeddings, rename, dtype, device)?;
        let vision = folder.half().is_clients().then(|| eyes(&weights.builder)).transpose().map_err(folder::building)?;
        let decoder = Llama::half(&decoder, &weights.builder.pp("language_model"), folder.half()).map_err(folder::building)?;
        weights.all_asked()?;
        Ok(Self { spec, vision, decoder, text, preprocess, sha256: weights.sha256 })
    }
}

/// Shapes, counts and sites of a model around this decoder, from its tower's parameters, its connector's parameters and sites, and what
/// an image takes on the way through both.
pub fn spec(
    name: &str,
    decoder: &LlamaConfig,
    vision: u64,
    (connector, at_connector): (u64, Vec<SiteSpec>),
    (image_tokens, image_flops): (usize, f64),
) -> Spec {
    let d = decoder.hidden_size;
    let stream = |name: &str| SiteSpec { name: name.into(), group: name.into(), d_in: d, d_out: d, before_decoder: true };
    let mut sites = vec![stream("image"), stream("text"), stream("prompt")];
    sites.extend(at_connector);
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
        image_flops,
        bytes_per_number: 4,
        sites,
        head: Vec::new(),
        encoder: None,
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

    fn weights_dtype(&self) -> DType {
        self.decoder.weights_dtype()
    }

    fn dtype(&self) -> DType {
        self.decoder.dtype()
    }

    fn device(&self) -> &Device {
        self.decoder.device()
    }

    fn see(&self, pixels: &Tensor) -> Result<Tensor> {
        self.vision()?.see(pixels)
    }

    fn encode(&self, pixels: &Tensor) -> Result<Tensor> {
        let vision = self.vision()?;
        vision.connect(&vision.see(pixels)?, &Untouched)
    }

    fn embed(&self, batch: &Batch, features: &Tensor) -> Result<Embeddings> {
        let text = self.decoder.embed(&batch.tokens)?;
        self.embeddings(batch, in_place(batch, &text, features)?, None)
    }

    fn embed_unconnected(&self, batch: &Batch, seen: &Tensor) -> Result<Embeddings> {
        let text = self.decoder.embed(&batch.tokens)?;
        let no_text = Tensor::zeros((text.dim(0)?, seen.dim(2)?), text.dtype(), text.device())?;
        let hidden = text.reshape((batch.size, (), text.dim(1)?))?.broadcast_mul(&(1.0 - &batch.image_mask)?)?;
        self.embeddings(batch, hidden, Some(in_place(batch, &no_text, seen)?))
    }

    fn decode(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        self.finish(&self.enter(embeddings, adapt)?, &embeddings.context, adapt)
    }

    fn log_likelihoods(&self, embeddings: &Embeddings, targets: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
        self.likelihoods(&self.enter(embeddings, adapt)?, &embeddings.context, targets, adapt)
    }

    fn begin(&self, embeddings: &Embeddings, positions: &[Vec<u32>], adapt: &dyn Adapt) -> Result<Option<(Tensor, Cache)>> {
        let (hidden, context) = (self.enter(embeddings, adapt)?, &embeddings.context);
        let begun = match nn::is_half(self.dtype()) {
            true => self.decoder.begin(&hidden, context, positions, &Widened(adapt))?,
            false => self.decoder.begin(&hidden, context, positions, adapt)?,
        };
        begun.map(|(rows, cache)| Ok((self.decoder.logits(&rows)?, cache))).transpose()
    }

    fn go_on(&self, cache: &mut Cache, tokens: &[u32], adapt: &dyn Adapt) -> Result<Tensor> {
        let words = self.decoder.embed(&Tensor::from_slice(tokens, tokens.len(), self.device())?)?.unsqueeze(1)?;
        let behind = |adapt: &dyn Adapt, cache: &mut Cache| {
            let hidden = match adapt.delta("text", &words)? {
                Some(delta) => (&words + delta)?,
                None => words.clone(),
            };
            self.decoder.go_on(&hidden, cache, adapt)
        };
        let rows = match nn::is_half(self.dtype()) {
            true => behind(&Widened(adapt), cache)?,
            false => behind(adapt, cache)?,
        };
        self.decoder.logits(&rows)
    }

    fn halves(&self) -> Result<&dyn Halves> {
        Ok(self)
    }
}

impl<V: Vision> Halves for Model<V> {
    fn enter(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        match nn::is_half(self.dtype()) {
            true => self.adapted(embeddings, &Widened(adapt)),
            false => self.adapted(embeddings, adapt),
        }
    }

    fn context(&self, batch: &Batch) -> Result<Context> {
        self.decoder.context(batch)
    }

    fn finish(&self, hidden: &Tensor, context: &Context, adapt: &dyn Adapt) -> Result<Tensor> {
        self.decoder.logits(&self.rows(hidden, context, adapt)?)
    }

    fn likelihoods(&self, hidden: &Tensor, context: &Context, targets: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
        let rows = self.rows(hidden, context, adapt)?;
        let (n, most) = (rows.dim(0)?, if rows.device().is_cpu() { ROWS } else { ROWS_OF_A_GPU });
        let some = |from: usize| {
            let count = most.min(n - from);
            let logits = self.decoder.logits(&rows.narrow(0, from, count)?)?;
            nn::log_likelihood(&logits, &targets.narrow(0, from, count)?)
        };
        if n <= most {
            return nn::log_likelihood(&self.decoder.logits(&rows)?, targets);
        }
        Tensor::cat(&(0..n).step_by(most).map(some).collect::<Result<Vec<_>>>()?, 0)
    }
}

/// Rows whose logits exist at a time where only their likelihoods are asked for: a thread's lot of a product with a frozen weight, so
/// the bits are those of all rows at once.
const ROWS: usize = kernels::FROZEN_ROWS;
const ROWS_OF_A_GPU: usize = 8192;

/// Rows of text `[b * t, d]` and of pictures `[images, tokens, d]` where a batch has them, `[b, t, d]`.
fn in_place(batch: &Batch, text: &Tensor, pictures: &Tensor) -> Result<Tensor> {
    let d = text.dim(1)?;
    if batch.images.elem_count() == 0 {
        return text.reshape((batch.size, (), d));
    }
    let pictures = pictures.index_select(&batch.images, 0)?.reshape(((), d))?;
    Tensor::cat(&[text, &pictures], 0)?.index_select(&batch.source, 0)?.reshape((batch.size, (), d))
}

impl<V: Vision> Model<V> {
    fn embeddings(&self, batch: &Batch, mut hidden: Tensor, seen: Option<Tensor>) -> Result<Embeddings> {
        if let Some(virtual_tokens) = &batch.virtual_tokens {
            hidden = hidden.broadcast_mul(&(1.0 - virtual_tokens.sum_keepdim(2)?)?)?;
        }
        Ok(Embeddings {
            hidden,
            seen,
            virtual_tokens: batch.virtual_tokens.clone(),
            image_mask: batch.image_mask.clone(),
            text_mask: batch.text_mask.clone(),
            context: self.decoder.context(batch)?,
            layout: batch.layout.clone(),
        })
    }

    /// The decoder's last hidden states at the rows asked for.
    fn rows(&self, hidden: &Tensor, context: &Context, adapt: &dyn Adapt) -> Result<Tensor> {
        match nn::is_half(self.dtype()) {
            true => self.decoder.rows(hidden, context, &Widened(adapt)),
            false => self.decoder.rows(hidden, context, adapt),
        }
    }

    /// Hidden states as they enter the decoder.
    fn adapted(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        let frozen = match &embeddings.seen {
            Some(seen) => (&embeddings.hidden + self.vision()?.connect(seen, adapt)?.broadcast_mul(&embeddings.image_mask)?)?,
            None => embeddings.hidden.clone(),
        };
        let mut hidden = before_decoder(&frozen, embeddings, adapt)?;
        if let Some(places) = &embeddings.virtual_tokens
            && let Some(tokens) = adapt.delta("prompt", places)?
        {
            hidden = (hidden + tokens)?;
        }
        Ok(hidden)
    }
}

/// Adapters at image and text tokens; pairs by a kernel that leaves out the other tokens.
fn before_decoder(frozen: &Tensor, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
    let sites = [("image", &embeddings.image_mask), ("text", &embeddings.text_mask)];
    if kernels::serves(frozen) && sites.iter().all(|(site, _)| !matches!(adapt.form(site), Form::Opaque)) {
        return with_pairs(frozen, sites.map(|(site, mask)| (adapt.form(site), mask)));
    }
    let mut hidden = frozen.clone();
    for (site, mask) in sites {
        if let Some(delta) = adapt.delta(site, frozen)? {
            hidden = (hidden + delta.broadcast_mul(mask)?)?;
        }
    }
    Ok(hidden)
}

/// What each pair makes of the tokens under its mask `[b, t, 1]` is added to them.
fn with_pairs(hidden: &Tensor, sites: [(Form, &Tensor); 2]) -> Result<Tensor> {
    let (mut pairs, mut packing) = (Vec::new(), kernels::Packing::default());
    for (form, mask) in sites {
        if let Form::Pair { down, up, biases, scale } = form {
            let mask = mask.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            let rows = (0..mask.len()).filter(|&row| mask[row] > 0.0).collect();
            pairs.push((packing.push(down, up, biases, scale)?, rows));
        }
    }
    if pairs.is_empty() {
        return Ok(hidden.clone());
    }
    let residual = kernels::Residual { pairs, input_is_trained: hidden.track_op() };
    hidden.contiguous()?.apply_op2(&packing.finish(hidden)?, residual)
}

/// Adapters of f32 numbers on hidden states of 16 bits: what enters is widened, what is added is narrowed. A step of training is too
/// small for 16 bits, so adapters never have them.
pub(super) struct Widened<'a>(pub(super) &'a dyn Adapt);

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
