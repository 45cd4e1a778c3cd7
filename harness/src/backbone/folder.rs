//! A model's folder in Hugging Face's layout: `config.json`, safetensors (one file, or shards with an index), `tokenizer.json`, and
//! the image processor's settings. Nothing in it is trusted.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenizers::Tokenizer;

use super::checkpoint::{self, Checkpoint};
use super::processor::{self, Kind};
use super::text::{self, ChatFormat, TextCodec};
use super::{Spec, fit, precision};
use crate::data::Preprocess;
use crate::{Error, Result};

/// What a folder holds, by its `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `llava`, and configs of ours, which name none.
    Llava,
    /// `idefics3`, `smolvlm`.
    SmolVlm,
    /// `minigpt4`, and `blip-2` around a Llama decoder.
    MiniGpt4,
}

/// The `model_type`s that are read.
const MODEL_TYPES: [(&str, Architecture); 5] = [
    ("llava", Architecture::Llava),
    ("idefics3", Architecture::SmolVlm),
    ("smolvlm", Architecture::SmolVlm),
    ("minigpt4", Architecture::MiniGpt4),
    ("blip-2", Architecture::MiniGpt4),
];

/// The files beside the weights that say what a model is, how it is asked and what it is shown.
const SAID: [&str; 4] = ["config.json", "tokenizer.json", "preprocessor_config.json", "processor_config.json"];

/// An opened folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    config: Value,
}

impl Folder {
    /// Reads its `config.json`.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { config: json(&path.join("config.json"))?, path: path.into() })
    }

    /// Its last part, the model's name in reports.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| self.path.display().to_string(), |name| name.to_string_lossy().into_owned())
    }

    /// Which architecture it is of.
    pub fn architecture(&self) -> Result<Architecture> {
        let Some(name) = self.config.get("model_type") else { return Ok(Architecture::Llava) };
        let found = MODEL_TYPES.iter().find(|(known, _)| name.as_str() == Some(known)).map(|(_, architecture)| *architecture);
        found.ok_or_else(|| {
            let known = MODEL_TYPES.map(|(known, _)| format!("\"{known}\""));
            self.wrong(&format!("model_type = {name} is not supported; there are {}", known.join(", ")))
        })
    }

    /// The config as an architecture has it, `check` telling what of it cannot be run.
    pub fn config<C: DeserializeOwned>(&self, check: impl FnOnce(&C) -> Option<String>) -> Result<C> {
        let config = C::deserialize(&self.config).map_err(|error| self.wrong(&error.to_string()))?;
        match check(&config) {
            Some(what) => Err(self.wrong(&format!("{what} is not supported; the model would be wrong"))),
            None => Ok(config),
        }
    }

    fn wrong(&self, what: &str) -> Error {
        Error::Backbone(format!("{}: {what}", self.path.join("config.json").display()))
    }

    /// `tokenizer.json` with a chat format, for images of so many tokens; `image_token` is the id that the config has for the
    /// placeholder, if it has one.
    pub fn text(&self, chat: ChatFormat, image_tokens: usize, image_token: Option<u32>, vocabulary: usize) -> Result<TextCodec> {
        let path = self.path.join("tokenizer.json");
        let failed = |what: String| Error::Backbone(format!("{}: {what}", path.display()));
        let codec = TextCodec::new(self.tokenizer()?, chat, image_tokens).map_err(|error| failed(error.to_string()))?;
        if let Some(id) = image_token.filter(|&id| id != codec.image_token()) {
            return Err(failed(format!("the image token's id is {}, but config.json says {id}", codec.image_token())));
        }
        match codec.largest_token() {
            Some(id) if id as usize >= vocabulary => {
                Err(failed(format!("token id {id} has no row in an embedding of {vocabulary} (text_config.vocab_size)")))
            }
            _ => Ok(codec),
        }
    }

    /// `tokenizer.json`.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let path = self.path.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        text::read(&bytes).map_err(|what| Error::Backbone(format!("{}: {what}", path.display())))
    }

    /// The image processor, for pictures of `image_size` pixels on a side.
    pub fn preprocess(&self, kind: Kind, image_size: usize) -> Result<Preprocess> {
        let (own, shared) = (self.path.join("preprocessor_config.json"), self.path.join("processor_config.json"));
        let (path, table) = match (own.is_file(), shared.is_file()) {
            (true, _) => (own.clone(), Some(json(&own)?)),
            (false, true) => (shared.clone(), json(&shared)?.get("image_processor").cloned()),
            (false, false) => (self.path.join("config.json"), None),
        };
        processor::preprocess(kind, table.as_ref(), image_size)
            .map_err(|what| Error::Backbone(format!("{}: {what}", path.display())))
    }

    /// The weights under the names that `rename` gives them, if memory can hold them, and the SHA-256 of all that makes the model.
    pub fn weights(
        &self,
        spec: &Spec,
        rename: fn(&str) -> String,
        dtype: DType,
        device: &Device,
    ) -> Result<(VarBuilder<'static>, String)> {
        fit::check(spec, dtype, device)?;
        let (checkpoint, sha256) = self.checkpoint(rename)?;
        Ok((precision::builder(Box::new(checkpoint), dtype, device), sha256))
    }

    /// The weights, none of them read yet, and the SHA-256 of all that makes the model.
    pub fn checkpoint(&self, rename: fn(&str) -> String) -> Result<(Checkpoint<'static>, String)> {
        let checkpoint = Checkpoint::open(&self.path, rename)?;
        let sha256 = self.sha256(checkpoint.sha256())?;
        Ok((checkpoint, sha256))
    }

    /// Over the weights' hash and the files that say what the model is, how it is asked and what it is shown: with another chat format
    /// a run is another run.
    fn sha256(&self, weights: &str) -> Result<String> {
        let mut said = weights.as_bytes().to_vec();
        for name in SAID {
            let path = self.path.join(name);
            if path.is_file() {
                said.extend(std::fs::read(&path).map_err(|source| Error::Read { path, source })?);
            }
        }
        Ok(schema::sha256_hex(&said))
    }
}

/// All files of a model's folder that are read, where they are there.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = SAID.iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect();
    files.extend(checkpoint::files(folder)?);
    Ok(files)
}

fn json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
    serde_json::from_str(&text).map_err(|error| Error::Backbone(format!("{}: {error}", path.display())))
}

/// A failure while a model is built, without the layer that it passed through.
pub fn building(error: candle_core::Error) -> Error {
    Error::Backbone(error.to_string())
}
