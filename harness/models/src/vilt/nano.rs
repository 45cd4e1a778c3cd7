//! `nano-vilt`: ViLT's architecture at a million parameters, with weights that ship with the suite.
//!
//! `fedbench pretrain nano-vilt` makes it as ViLT was made: a picture transformer that sees already, here [`nano`]'s tower, becomes the
//! encoder's first blocks, the words of [`nano`]'s language model its words, and all of it learns from questions about generated
//! pictures (`models/src/pretrain/encoder.rs`). Its tokenizer is [`nano`]'s.

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use data::{Filter, Fit, Preprocess};

use super::config::ViltConfig;
use super::model::Vilt;
use crate::checkpoint::Checkpoint;
use crate::row::{BackboneKind, BackboneRow, Shipped};
use crate::text::ChatFormat;
use crate::{Error, Half, Result, TextCodec, nano, precision};

/// Its name.
pub const NAME: &str = "nano-vilt";

/// Its row.
pub const ROW: BackboneRow = BackboneRow {
    name: NAME,
    sentence: "ViLT's architecture at a million parameters, an encoder that answers by class, pretrained by `fedbench pretrain \
               nano-vilt`; its weights ship with the suite.",
    source: "this repository, harness/assets/nano-vilt",
    kind: BackboneKind::Shipped(Shipped {
        spec: || Ok(config()?.spec(NAME)),
        sha256: || {
            schema::sha256_hex(format!("{} {}", schema::sha256_hex(CONFIG.as_bytes()), nano::embedded_sha256()).as_bytes())
        },
        open: |half, dtype, device| Ok(Box::new(load(half, dtype, device)?)),
    }),
};

const CONFIG: &str = include_str!("../../../assets/nano-vilt/config.json");
const WEIGHTS: &[u8] = include_bytes!("../../../assets/nano-vilt/model.safetensors");

/// How the weights came to be: command, seed, commit, time, scores.
pub const CARD: &str = include_str!("../../../assets/nano-vilt/card.toml");

/// Its shapes.
pub fn config() -> Result<ViltConfig> {
    serde_json::from_str(CONFIG).map_err(wrong)
}

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::Backbone(format!("embedded backbone `{NAME}`: {error}"))
}

fn load(half: Half, dtype: DType, device: &Device) -> Result<Vilt> {
    if half != Half::Whole {
        return Err(wrong("an encoder cannot be cut in front of its decoder: it has none"));
    }
    of_bytes(&config()?, WEIGHTS, dtype, device)
}

/// A model of such weights.
pub fn of_bytes(config: &ViltConfig, weights: &[u8], dtype: DType, device: &Device) -> Result<Vilt> {
    let checkpoint = Checkpoint::held(&format!("backbone `{NAME}`"), weights, str::to_owned)?;
    let sha256 = checkpoint.sha256().to_owned();
    let builder = precision::builder(Box::new(checkpoint), dtype, device);
    assemble(config, &builder, dtype, sha256)
}

/// A model over weights, whatever they are.
pub(crate) fn assemble(config: &ViltConfig, weights: &VarBuilder, dtype: DType, sha256: String) -> Result<Vilt> {
    let spec = crate::Spec { bytes_per_number: dtype.size_in_bytes(), ..config.spec(NAME) };
    let tokenizer = crate::tokenizer::read(nano::TOKENIZER.to_vec()).map_err(wrong)?;
    let text = TextCodec::new(tokenizer, NAME, chat(), spec.image_tokens, config.vocab_size)?;
    Vilt::assemble(config, spec, weights, (text, preprocess(config)), sha256).map_err(wrong)
}

/// Pictures as ViLT's processor makes them, smaller, in the colours that `nano`'s tower knows.
fn preprocess(config: &ViltConfig) -> Preprocess {
    let shortest = config.image_size as u32;
    let fit = Fit::ShortestThenCut { shortest, longest: shortest * 1333 / 800 };
    Preprocess { size: config.patch_size, fit, filter: Filter::Bicubic, ..Preprocess::clip(config.patch_size) }
}

/// `nano`'s marks.
fn chat() -> ChatFormat {
    let (turn, image, end) = ("{images}<s>{prompt}</s>".into(), "<image>".into(), "</s>".into());
    ChatFormat { turn, image, end, ..super::config::chat() }
}
