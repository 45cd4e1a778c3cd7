//! A model's folder in Hugging Face's layout: `config.json`, safetensors (one file, or shards with an index), `tokenizer.json`, and
//! the image processor's settings. Nothing in it is trusted.
//!
//! # What a folder holds
//!
//! A folder is what `save_pretrained` writes: `config.json`, `model.safetensors` (or shards with `model.safetensors.index.json`),
//! `tokenizer.json`, and the image processor's settings: the table `image_processor` of `processor_config.json`, otherwise
//! `preprocessor_config.json` (the order of transformers 5). Its `model_type` says which architecture it is of:
//!
//! | `model_type` | file | what it is |
//! |---|---|---|
//! | `llava` | `llava.rs` | LLaVA-1.5: CLIP, two-layer MLP, Llama; weight names of all transformers versions |
//! | `idefics3`, `smolvlm` | `smolvlm.rs` | SmolVLM: SigLIP, pixel shuffle, Llama; pictures cut into squares where `do_image_splitting` says so (`data/tiles.rs`) |
//! | `minigpt4`, `blip-2` | `minigpt4.rs` | MiniGPT-4: EVA-CLIP, Q-Former, projection, Llama; the layout is BLIP-2's |
//! | `vilt` | `vilt/` | ViLT: text and patches through one encoder, which answers by class |
//!
//! - Keys that a config leaves out have transformers' defaults. Keys that would change a number and are not known here are
//!   errors.
//! - Rotary positions are scaled as the config says: `linear`, `llama3`, `yarn`, `longrope`, and `dynamic` within its first
//!   context (`rope/`). LongRoPE's long factors apply to a sequence whose longest branch is longer than the first context.
//! - The chat format is the one of the published chat template, written down in the architecture's file (no template is run); a
//!   `chat` table in `config.json` replaces it. Turns are tokenized as one text, so ids are those of transformers' processors.
//! - Nothing in a folder is trusted: sizes, offsets, types and shapes are checked, every byte of a safetensors file belongs to
//!   one tensor (`stored.rs`), shards may not lie elsewhere, pickles are not read. A tensor is read when the model asks for it; a
//!   number in it that is not finite, or would not be in the type that is asked for, or is beyond 1e6, is an error with the
//!   tensor's name. A head in the file that is not the embedding it is said to be is an error, too, and so is a weight of a block
//!   or connector that the model of this config never asked for (`Checkpoint::all_asked`).
//! - The tokenizers library trusts its files, so what a `tokenizer.json` describes is looked at first: how long a text may
//!   become, how many steps and added tokens there are. Patterns of its own run on a thread that is given up after five seconds
//!   (`models/src/tokenizer.rs`). Text from outside never becomes a special token: its spelling is changed, and an id that comes
//!   of it all the same is an error (`text.rs`). So is a token without a row in the embedding: at once if every text may hold it,
//!   otherwise where a text asks for it. `tests/hostile.rs` feeds damaged files to all of it.
//! - `backbone.dtype` holds the weights in 16 bits; adapters, their gradients and logits are f32. On the CPU (`precision.rs`)
//!   only matrices have 16 bits, and hidden states, norms and softmax are f32: half the memory, and with AVX512_BF16 about 0.6 of
//!   the time. On a GPU hidden states have 16 bits too, norms and softmax widen to f32, as in transformers (`Widened` in
//!   `model.rs`). The memory of the CPU is asked before loading; a GPU's is not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use data::Preprocess;
use guard::text::line;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenizers::Tokenizer;

use super::checkpoint::{self, Checkpoint, Shared};
use super::files::{read, there};
use super::processor::{self, Kind};
use super::text::{ChatFormat, TextCodec};
use super::{Half, Spec, fit, precision, tokenizer};
use crate::{Error, Result};

/// The architecture of configs of ours, which name none.
const OURS: &str = "llava";

/// The files beside the weights that say what a model is, how it is asked and what it is shown.
const SAID: [&str; 4] = ["config.json", "tokenizer.json", "preprocessor_config.json", "processor_config.json"];

/// A table of settings larger than this is refused; bytes. (A published config has some thousand.)
const MAX_TABLE: u64 = 4 << 20;

/// A tokenizer larger than this is refused; bytes. (One with 260,000 tokens and all their merges just fits.)
const MAX_TOKENIZER: u64 = 32 << 20;

/// More tokens than a picture takes in any model: 256 x 256.
const MAX_IMAGE_TOKENS: usize = 1 << 16;

/// An opened folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    config: Value,
    half: Half,
}

impl Folder {
    /// Reads its `config.json`.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { config: table(&path.join("config.json"))?, path: path.into(), half: Half::Whole })
    }

    /// The same, of which a half of the model alone is wanted.
    pub fn of_half(self, half: Half) -> Self {
        Self { half, ..self }
    }

    /// Which part of the model is wanted.
    pub fn half(&self) -> Half {
        self.half
    }

    /// Its last part, the model's name in reports.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| self.path.display().to_string(), |name| name.to_string_lossy().into_owned())
    }

    /// What its config calls its architecture.
    pub fn model_type(&self) -> Result<&str> {
        match self.config.get("model_type") {
            None => Ok(OURS),
            Some(Value::String(name)) => Ok(name),
            Some(other) => Err(self.wrong(&format!("model_type = {}: expected a string", line(&other.to_string(), 80)))),
        }
    }

    /// The config as an architecture has it, `check` telling what of it cannot be run.
    pub fn config<C: DeserializeOwned>(&self, check: impl FnOnce(&C) -> Option<String>) -> Result<C> {
        let tables = [Some(&self.config), self.config.get("text_config"), self.config.get("vision_config")];
        let quantised = |table: &&Value| table.get("quantization_config").is_some_and(|quantised| !quantised.is_null());
        if tables.iter().flatten().any(quantised) {
            return Err(self.wrong("it has a quantization_config; quantised weights are not read: give them as F32, F16 or BF16"));
        }
        let config = C::deserialize(&self.config).map_err(|error| self.wrong(&line(&error.to_string(), 300)))?;
        match check(&config).map(|what| line(&what, 300)) {
            Some(what) => Err(self.wrong(&format!("{what} is not supported; the model would be wrong"))),
            None => Ok(config),
        }
    }

    /// An error about its `config.json`.
    pub fn wrong(&self, what: &str) -> Error {
        Error::Backbone(format!("{}: {what}", self.path.join("config.json").display()))
    }

    /// `tokenizer.json` with a chat format, for images of so many tokens and an embedding of so many rows; `image_token` is the id that
    /// the config has for the placeholder, if it has one.
    pub fn text(&self, chat: ChatFormat, image_tokens: usize, image_token: Option<u32>, vocabulary: usize) -> Result<TextCodec> {
        if image_tokens > MAX_IMAGE_TOKENS {
            return Err(self.wrong(&format!("a picture would take {image_tokens} tokens; at most {MAX_IMAGE_TOKENS} are read")));
        }
        chat.check().map_err(|what| self.wrong(&format!("chat.{what}")))?;
        let path = self.path.join("tokenizer.json").display().to_string();
        let codec = TextCodec::new(self.tokenizer()?, &path, chat, image_tokens, vocabulary)?;
        codec.check_rows()?;
        match image_token.filter(|&id| id != codec.image_token()) {
            Some(id) => Err(Error::Backbone(format!(
                "{path}: the image token's id is {}, but config.json says {id}",
                codec.image_token()
            ))),
            None => Ok(codec),
        }
    }

    /// `tokenizer.json`.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let path = self.path.join("tokenizer.json");
        let other = ["tokenizer.model", "vocab.json", "vocab.txt"].into_iter().find(|name| there(&self.path.join(name)));
        if let Some(other) = other.filter(|_| !there(&path)) {
            let folder = self.path.display();
            let what = match other {
                "tokenizer.model" => "SentencePiece's",
                "vocab.json" => "GPT-2's",
                _ => "BERT's",
            };
            return Err(Error::Backbone(format!(
                "{folder}: holds {other} ({what}) and no tokenizer.json, which alone is read; in Python, with transformers: \
                 AutoTokenizer.from_pretrained(\"{folder}\").save_pretrained(\"{folder}\")"
            )));
        }
        let bytes = read(&path, MAX_TOKENIZER)?;
        tokenizer::read(bytes).map_err(|what| Error::Backbone(format!("{}: {what}", path.display())))
    }

    /// The image processor, for pictures of `image_size` pixels on a side: the table `image_processor` of `processor_config.json`,
    /// where transformers 5 writes it, otherwise `preprocessor_config.json`, as transformers 5 reads them. A config of ours needs
    /// neither.
    pub fn preprocess(&self, kind: Kind, image_size: usize) -> Result<Preprocess> {
        let (own, shared) = (self.path.join("preprocessor_config.json"), self.path.join("processor_config.json"));
        let nested = match there(&shared) {
            true => table(&shared)?.get("image_processor").filter(|nested| !nested.is_null()).cloned(),
            false => None,
        };
        let (path, table) = match nested {
            Some(nested) => (shared, Some(nested)),
            None if there(&own) => (own.clone(), Some(table(&own)?)),
            None if self.config.get("model_type").is_none() => (self.path.join("config.json"), None),
            None => {
                let folder = self.path.display();
                return Err(Error::Backbone(format!(
                    "{folder}: holds neither a processor_config.json with a table `image_processor` nor a \
                     preprocessor_config.json; without its image processor's settings the model would see other pictures"
                )));
            }
        };
        processor::preprocess(kind, table.as_ref(), image_size)
            .map_err(|what| Error::Backbone(format!("{}: {}", path.display(), line(&what, 300))))
    }

    /// The weights, to be asked for under the names that `rename` gives them, if memory can hold them, and the SHA-256 of all that makes the model.
    /// `tied` says whether the head is the token embedding.
    pub fn weights(&self, spec: &Spec, tied: bool, rename: fn(&str) -> String, dtype: DType, device: &Device) -> Result<Weights> {
        fit::check(spec, self.half, dtype, device)?;
        let (checkpoint, sha256) = self.checkpoint(rename)?;
        self.head(&checkpoint, "language_model.", tied)?;
        let checkpoint = Arc::new(checkpoint);
        Ok(Weights {
            builder: precision::builder(Box::new(Shared(checkpoint.clone())), dtype, device),
            checkpoint,
            sha256,
            half: self.half,
        })
    }

    /// The weights, none of them read yet, and the SHA-256 of all that makes the model.
    pub fn checkpoint(&self, rename: fn(&str) -> String) -> Result<(Checkpoint<'static>, String)> {
        let checkpoint = Checkpoint::open(&self.path, rename)?;
        let sha256 = self.sha256(checkpoint.sha256())?;
        Ok((checkpoint, sha256))
    }

    /// Fails if a head lies in the file that is not the embedding it is said to be: transformers then leaves the two apart.
    /// `decoder` is what the decoder's names begin with.
    pub(super) fn head(&self, checkpoint: &Checkpoint, decoder: &str, tied: bool) -> Result<()> {
        let [head, embedding] = ["lm_head.weight", "model.embed_tokens.weight"].map(|name| format!("{decoder}{name}"));
        match tied && checkpoint.same(&head, &embedding)? == Some(false) {
            true => Err(self.wrong(
                "tie_word_embeddings = true, but the weights hold a head (lm_head.weight) that is not the token embedding: set it \
                 to false, or leave the head out of the file",
            )),
            false => Ok(()),
        }
    }

    /// Over the weights' hash and the files that say what the model is, how it is asked and what it is shown: with another chat format
    /// a run is another run.
    fn sha256(&self, weights: &str) -> Result<String> {
        let mut said = weights.as_bytes().to_vec();
        for name in SAID {
            let path = self.path.join(name);
            if there(&path) {
                said.extend(read(&path, MAX_TOKENIZER)?);
            }
        }
        Ok(schema::sha256_hex(&said))
    }
}

/// What a model is built of.
pub struct Weights {
    /// Asked for the weights one by one.
    pub builder: VarBuilder<'static>,
    /// The SHA-256 of all that makes the model.
    pub sha256: String,
    checkpoint: Arc<Checkpoint<'static>>,
    half: Half,
}

impl Weights {
    /// Fails if the built model left weights of its own kind aside ([`Checkpoint::all_asked`]).
    pub fn all_asked(&self) -> Result<()> {
        self.checkpoint.all_asked(|name| match name.starts_with("language_model.") {
            true => self.half.is_decoders(),
            false => self.half.is_clients(),
        })
    }
}

/// All files of a model's folder that are read, where they are there.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = SAID.iter().map(|name| folder.join(name)).filter(|path| there(path)).collect();
    files.extend(checkpoint::files(folder)?);
    Ok(files)
}

/// A JSON table of settings. (Of a key that is there twice the last counts, as in transformers.)
fn table(path: &Path) -> Result<Value> {
    let failed = |what: String| Error::Backbone(format!("{}: {what}", path.display()));
    let bytes = read(path, MAX_TABLE)?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| failed(line(&error.to_string(), 300)))?;
    if value.is_object() { Ok(value) } else { Err(failed("it is no JSON table; expected { \"key\": value, ... }".into())) }
}

/// A failure while a model is built, without the layer that it passed through.
pub fn building(error: candle_core::Error) -> Error {
    Error::Backbone(error.to_string())
}
