//! `nano`: LLaVA's architecture at a few million parameters, with weights that ship with the suite.
//!
//! `nano` is LLaVA's architecture with one thing more: 64 patches of 8 pixels are merged two by two into 16 image tokens before
//! the two-layer connector (pixel shuffle, `scale_factor` 2, as in SmolVLM). Sixteen tokens keep a client's step short;
//! eight-pixel patches are what lets it tell shapes apart. `fedbench pretrain nano` makes it in two phases
//! (`models/src/pretrain/`): *grounding*, in which each image token, read out through the tied embedding, names what has its
//! centre there (CLIP's part in LLaVA: a tower that sees before it talks), then *dialogue*, captions and questions through the
//! whole model. Hidden matrices are trained with Muon, the rest with AdamW: in trial runs of 300 grounding steps, the dialogue
//! loss that AdamW (1.5e-3) reached after 300 steps Muon (5e-3) reached between 100 and 200. Looks, phrasings and topics of the
//! pretraining stream differ from those of IconGen and SciGen (`data-scripts/src/generators/pretrain.rs`), and no question is
//! shared.

use candle_core::{DType, Device};

use super::Half;
use super::llava::{Llava, LlavaConfig};
use super::row::{BackboneKind, BackboneRow, Shipped};
use crate::{Error, Result};

/// Its name.
pub const NAME: &str = "nano";

/// Its row.
pub const ROW: BackboneRow = BackboneRow {
    name: NAME,
    sentence: "LLaVA's architecture at a few million parameters, pretrained by `fedbench pretrain nano`; its weights ship with the suite.",
    source: "this repository, harness/assets/nano",
    kind: BackboneKind::Shipped(Shipped {
        spec: || Ok(config()?.spec(NAME)),
        sha256: embedded_sha256,
        open: |half, dtype, device| Ok(Box::new(load_half(half, dtype, device)?)),
    }),
};

const CONFIG: &str = include_str!("../../assets/nano/config.json");
pub(super) const TOKENIZER: &[u8] = include_bytes!("../../assets/nano/tokenizer.json");
const WEIGHTS: &[u8] = include_bytes!("../../assets/nano/model.safetensors");

/// How the weights came to be: command, seed, commit, time, scores.
pub const CARD: &str = include_str!("../../assets/nano/card.toml");

/// Its shapes and chat format.
pub fn config() -> Result<LlavaConfig> {
    serde_json::from_str(CONFIG).map_err(|error| Error::Backbone(format!("embedded backbone `{NAME}`: {error}")))
}

/// The embedded weights, as `dtype`, on a device.
pub fn load(dtype: DType, device: &Device) -> Result<Llava> {
    load_half(Half::Whole, dtype, device)
}

fn load_half(half: Half, dtype: DType, device: &Device) -> Result<Llava> {
    Llava::half_from_bytes(NAME, &config()?, half, (WEIGHTS, TOKENIZER), (dtype, device))
}

/// The embedded weights by name.
pub(super) fn tensors() -> Result<std::collections::BTreeMap<String, candle_core::Tensor>> {
    let checkpoint = super::checkpoint::Checkpoint::held(&format!("backbone `{NAME}`"), WEIGHTS, super::llava::canonical_name)?;
    Ok(checkpoint.all(&Device::Cpu)?.into_iter().collect())
}

/// SHA-256 of its config and tokenizer, which [`super::Backbone::weights_sha256`] does not cover.
pub fn embedded_sha256() -> String {
    schema::sha256_hex(format!("{} {}", schema::sha256_hex(CONFIG.as_bytes()), schema::sha256_hex(TOKENIZER)).as_bytes())
}
