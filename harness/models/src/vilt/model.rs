//! ViLT with its weights.

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use data::{Fit, Preprocess, Tiles};

use super::blocks::Block;
use super::config::{ViltConfig, chat};
use super::embedding::{Embedding, Places};
use super::head;
use crate::adapter::Adapt;
use crate::folder::{self, Folder};
use crate::model::Widened;
use crate::processor::Kind;
use crate::{Backbone, Batch, Context, Embeddings, Half, Spec, TextCodec, nn};

/// The encoder.
pub struct Vilt {
    spec: Spec,
    embedding: Embedding,
    blocks: Vec<Block>,
    norm: nn::LayerNorm,
    pooler: nn::Linear,
    text: TextCodec,
    preprocess: Preprocess,
    sha256: String,
}

/// What stands before the names of `ViltModel`'s weights where a head lies beside them.
const PREFIX: &str = "vilt.";

/// Heads that may lie in a folder; none of them is read.
const HEADS: [&str; 3] = ["classifier.", "mlm_score.", "rank_output."];

impl Vilt {
    /// Reads an opened folder, its weights as `dtype`.
    pub fn open(folder: &Folder, dtype: DType, device: &Device) -> crate::Result<Self> {
        let config = ViltConfig::of(folder)?;
        if folder.half() != Half::Whole {
            return Err(folder.wrong("an encoder cannot be cut in front of its decoder: it has none"));
        }
        let spec = Spec { bytes_per_number: dtype.size_in_bytes(), ..config.spec(&folder.name()) };
        let text = folder.text(chat(), spec.image_tokens, None, spec.vocabulary)?;
        let preprocess = folder.preprocess(Kind::Vilt, config.patch_size)?;
        check_length(&config, &preprocess).map_err(|what| folder.wrong(&what))?;
        let rename = |name: &str| match name.starts_with(PREFIX) || HEADS.iter().any(|head| name.starts_with(head)) {
            true => name.to_owned(),
            false => format!("{PREFIX}{name}"),
        };
        let weights = folder.weights(&spec, false, rename, dtype, device)?;
        let model = Self::assemble(&config, spec, &weights.builder, (text, preprocess), weights.sha256.clone());
        let model = model.map_err(folder::building)?;
        weights.all_asked()?;
        Ok(model)
    }

    /// Puts it together from weights named as `ViltForMaskedLM` names them.
    pub(crate) fn assemble(
        config: &ViltConfig,
        spec: Spec,
        weights: &VarBuilder,
        (text, preprocess): (TextCodec, Preprocess),
        sha256: String,
    ) -> Result<Self> {
        let (d, weights) = (config.hidden_size, weights.pp("vilt"));
        let blocks = (0..config.num_hidden_layers).map(|i| Block::new(config, i, &weights.pp(format!("encoder.layer.{i}"))));
        Ok(Self {
            embedding: Embedding::new(config, &weights.pp("embeddings"))?,
            blocks: blocks.collect::<Result<_>>()?,
            norm: nn::LayerNorm::new(d, config.layer_norm_eps, &weights.pp("layernorm"))?,
            pooler: nn::Linear::new(d, d, true, &weights.pp("pooler.dense"))?,
            text: text.of_encoder(config.encoder()),
            spec,
            preprocess,
            sha256,
        })
    }

    /// The pooled state of each example, `[b, pictures * d]`.
    pub fn pooled(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        match nn::is_half(self.dtype()) {
            true => self.through(embeddings, &Widened(adapt)),
            false => self.through(embeddings, adapt),
        }
    }

    fn through(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        let (mut x, context) = (embeddings.hidden.clone(), &embeddings.context);
        for (i, block) in self.blocks.iter().enumerate() {
            let read = (i + 1 == self.blocks.len()).then_some(&context.read);
            x = block.forward(&x, &context.mask, read, adapt)?;
        }
        let pooled = self.pooler.forward(&self.norm.forward(&x)?)?.tanh()?;
        pooled.flatten_from(1)
    }
}

/// Fails if a picture may have more patches than `max_image_length`, beyond which transformers draws some by chance.
fn check_length(config: &ViltConfig, preprocess: &Preprocess) -> std::result::Result<(), String> {
    let Fit::ShortestThenCut { shortest, longest } = preprocess.fit else { return Ok(()) };
    let patch = config.patch_size as i64;
    let most = (i64::from(shortest) / patch) * (i64::from(longest) / patch);
    match config.max_image_length >= 0 && config.max_image_length < most {
        true => Err(format!(
            "max_image_length = {}: a picture may have {most} patches, of which some would be drawn by chance; expected -1, or at least \
             {most}",
            config.max_image_length
        )),
        false => Ok(()),
    }
}

impl Backbone for Vilt {
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
        self.embedding.weights_dtype()
    }

    fn dtype(&self) -> DType {
        self.embedding.dtype()
    }

    fn device(&self) -> &Device {
        self.embedding.device()
    }

    fn see(&self, pixels: &Tensor) -> Result<Tensor> {
        self.encode(pixels)
    }

    fn encode(&self, pixels: &Tensor) -> Result<Tensor> {
        self.embedding.project(pixels)
    }

    fn embed(&self, batch: &Batch, features: &Tensor) -> Result<Embeddings> {
        match batch.images.elem_count() {
            0 => self.embed_cut(batch, features, &[]),
            _ => bail!("an encoder's patches have places in their pictures: how these are cut must be said"),
        }
    }

    fn embed_cut(&self, batch: &Batch, features: &Tensor, pictures: &[Tiles]) -> Result<Embeddings> {
        let places = Places::of(batch)?;
        let (dtype, device) = (self.dtype(), self.device());
        let hidden = self.embedding.hidden(batch, &places, features, pictures)?;
        let passes = places.first.len() / batch.size;
        if passes * batch.size != places.first.len() || passes == 0 {
            bail!("{} texts for {} examples", places.first.len(), batch.size)
        }
        let rows: Vec<u32> = batch.owners.iter().map(|owner| owner.sequence as u32).collect();
        Ok(Embeddings {
            hidden,
            seen: None,
            virtual_tokens: None,
            image_mask: batch.image_mask.clone(),
            text_mask: batch.text_mask.clone(),
            context: Context {
                mask: places.mask(batch.size, dtype, device)?,
                rotary: nn::Rotary::at(&[vec![0]], 2, 1.0, dtype, device)?,
                read: Tensor::new(places.first.as_slice(), device)?,
                rows: Tensor::from_vec(rows, batch.owners.len(), device)?,
                checkpoint: batch.checkpoint,
            },
            layout: batch.layout.clone(),
        })
    }

    fn embed_unconnected(&self, _batch: &Batch, _seen: &Tensor) -> Result<Embeddings> {
        bail!("an encoder has no connector")
    }

    /// Class logits `[rows, classes]`, a row for each answer.
    fn decode(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor> {
        head::logits(&self.pooled(embeddings, adapt)?, adapt)?.index_select(&embeddings.context.rows, 0)
    }
}
