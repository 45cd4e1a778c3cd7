//! A language model with its tokenizer, read from a folder as `save_pretrained` writes it, or from a GGUF file, dequantised.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;
use tokenizers::Tokenizer;

use super::checkpoint::{Checkpoint, Shared};
use super::files;
use super::folder::{self, Folder};
use super::gguf::{Gguf, llama::GgufLlama};
use super::llama::LlamaConfig;
use super::precision;
use crate::{Error, Result};

/// A language model with its tokenizer, its weights not yet read.
pub struct Llm {
    pub(super) config: LlamaConfig,
    pub(super) tokenizer: Tokenizer,
    /// Where the tokenizer is from.
    pub(super) from: String,
    pub(super) weights: Box<dyn SimpleBackend>,
    /// Where its safetensors are from, if it has some.
    pub(super) checkpoint: Option<Arc<Checkpoint<'static>>>,
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
