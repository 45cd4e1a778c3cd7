//! `nano`: LLaVA's architecture at a few million parameters, with weights that ship with the suite.

use candle_core::{DType, Device};

use super::checkpoint::Checkpoint;
use super::llava::{self, Llava, LlavaConfig};
use crate::{Error, Result};

/// Its name.
pub const NAME: &str = "nano";

const CONFIG: &str = include_str!("../../assets/nano/config.json");
const TOKENIZER: &[u8] = include_bytes!("../../assets/nano/tokenizer.json");
const WEIGHTS: &[u8] = include_bytes!("../../assets/nano/model.safetensors");

/// How the weights came to be: command, seed, commit, time, scores.
pub const CARD: &str = include_str!("../../assets/nano/card.toml");

/// Its shapes and chat format.
pub fn config() -> Result<LlavaConfig> {
    serde_json::from_str(CONFIG).map_err(|error| Error::Backbone(format!("embedded backbone `{NAME}`: {error}")))
}

/// The embedded weights, as `dtype`, on a device.
pub fn load(dtype: DType, device: &Device) -> Result<Llava> {
    Llava::from_bytes_as(NAME, &config()?, WEIGHTS, TOKENIZER, dtype, device)
}

/// The embedded weights by name.
pub fn checkpoint() -> Result<Checkpoint<'static>> {
    Checkpoint::held(&format!("backbone `{NAME}`"), WEIGHTS, llava::canonical_name)
}

/// SHA-256 of its config and tokenizer, which [`super::Backbone::weights_sha256`] covers neither here nor around `smol`.
pub fn embedded_sha256() -> String {
    schema::sha256_hex(format!("{} {}", schema::sha256_hex(CONFIG.as_bytes()), schema::sha256_hex(TOKENIZER)).as_bytes())
}
