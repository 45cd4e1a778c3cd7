//! Backbones: frozen multimodal models, with sites where adapters attach.
//!
//! A backbone is its own file over [`nn`]; it does not know which method runs. [`llava`] reads LLaVA-shaped folders, [`nano`] is
//! the small one that ships with the suite.

pub mod batch;
pub mod clip_vit;
pub mod connector;
pub mod kernels;
pub mod llama;
pub mod llava;
pub mod nano;
pub mod nn;
pub mod pretrain;
pub mod text;

use candle_core::{DType, Device, Result, Tensor};
use serde::Serialize;

pub use batch::{Batch, Branch, Sequence};
pub use text::TextCodec;

use crate::adapter::Adapt;
use crate::data::Preprocess;

/// A place where an adapter may attach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SiteSpec {
    /// Its full name: `image`, `text`, `layers.<i>.q_proj`, ...
    pub name: String,
    /// The name a config selects it by: `image`, `text`, `q_proj`, ...
    pub group: String,
    /// Width of what enters.
    pub d_in: usize,
    /// Width of what leaves.
    pub d_out: usize,
    /// Whether it lies before the decoder, so that a client can hold it while the LLM stays on the server.
    pub before_decoder: bool,
}

/// Parameters by component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ComponentParameters {
    /// The vision tower.
    pub vision: u64,
    /// The connector.
    pub connector: u64,
    /// The text-token embedding.
    pub embedding: u64,
    /// The rest of the decoder, an untied head included.
    pub decoder: u64,
}

impl ComponentParameters {
    /// The whole frozen model.
    pub fn total(&self) -> u64 {
        self.vision + self.connector + self.embedding + self.decoder
    }
}

/// What is known of a backbone without its weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spec {
    /// The name a user types.
    pub name: String,
    /// Parameters by component.
    pub parameters: ComponentParameters,
    /// The decoder's width d.
    pub d_model: usize,
    /// The decoder's blocks.
    pub layers: usize,
    /// Vocabulary.
    pub vocabulary: usize,
    /// Tokens per image.
    pub image_tokens: usize,
    /// Bytes of one number as it is held and as it crosses a link.
    pub bytes_per_number: usize,
    /// Where adapters may attach.
    pub sites: Vec<SiteSpec>,
}

/// A batch as the decoder will see it: frozen, without adapters.
#[derive(Debug, Clone)]
pub struct Embeddings {
    /// Image and text embeddings in place, `[b, t, d]`.
    pub hidden: Tensor,
    /// 1 at image tokens, `[b, t, 1]`.
    pub image_mask: Tensor,
    /// 1 at text tokens, `[b, t, 1]`.
    pub text_mask: Tensor,
    /// Added to attention scores, `[b, 1, t, t]`.
    pub mask: Tensor,
    /// Rotary tables.
    pub rotary: nn::Rotary,
    /// The places at which anything is read, `[b * r]` into `[b * t]`.
    pub read: Tensor,
    /// Where the read logits are, into `[b * r]`.
    pub rows: Tensor,
}

/// A frozen multimodal model.
pub trait Backbone: Send + Sync {
    /// Shapes, parameter counts, sites.
    fn spec(&self) -> &Spec;

    /// Tokenizer and chat format.
    fn text(&self) -> &TextCodec;

    /// How images become pixels.
    fn preprocess(&self) -> &Preprocess;

    /// SHA-256 of the weights.
    fn weights_sha256(&self) -> &str;

    /// The weights' element type.
    fn dtype(&self) -> DType;

    /// Where the weights are.
    fn device(&self) -> &Device;

    /// Frozen vision encoder and connector: pixels `[n, 3, s, s]` to image tokens `[n, tokens, d]`. Never depends on an adapter,
    /// so it is computed once per image.
    fn encode(&self, pixels: &Tensor) -> Result<Tensor>;

    /// Token embeddings with the images' features (`[images, tokens, d]`, a row per image of the feature store) in their places.
    fn embed(&self, batch: &Batch, features: &Tensor) -> Result<Embeddings>;

    /// Adapters and decoder: logits `[rows, vocabulary]` at the rows asked for.
    fn decode(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor>;
}

/// A row of `fedbench list backbones`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct BackboneRow {
    /// The name a user types.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub sentence: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// Whether its weights are at hand without a folder.
    pub embedded: bool,
}

/// The backbones there are. A folder in LLaVA's layout works too.
pub const BACKBONES: &[BackboneRow] = &[
    BackboneRow {
        name: nano::NAME,
        sentence: "LLaVA's architecture at a few million parameters, pretrained by `fedbench pretrain nano`; its weights ship with the suite.",
        source: "this repository, harness/assets/nano",
        embedded: true,
    },
    BackboneRow {
        name: llava::LLAVA_7B,
        sentence: "LLaVA-1.5-7B: CLIP ViT-L/14-336, two-layer MLP, Vicuna-7B; known by its shapes, for `fedbench cost`.",
        source: "Liu et al., arXiv 2310.03744; llava-hf/llava-1.5-7b-hf",
        embedded: false,
    },
];

/// The shapes of a backbone by name, without its weights.
pub fn spec(name: &str) -> crate::Result<Spec> {
    match name {
        nano::NAME => Ok(nano::config()?.spec(nano::NAME)),
        llava::LLAVA_7B => Ok(llava::LlavaConfig::llava_7b().spec(llava::LLAVA_7B)),
        folder if std::path::Path::new(folder).is_dir() => {
            Ok(llava::LlavaConfig::read(&std::path::Path::new(folder).join("config.json"))?.spec(folder))
        }
        unknown => Err(unknown_backbone(unknown)),
    }
}

/// A backbone with its weights, by name or folder.
pub fn load(name: &str, device: &Device) -> crate::Result<Box<dyn Backbone>> {
    match name {
        nano::NAME => Ok(Box::new(nano::load(device)?)),
        llava::LLAVA_7B => Err(crate::Error::Usage(format!(
            "backbone `{name}` is known by its shapes only (`fedbench cost`): give a folder with its config.json, tokenizer.json and safetensors"
        ))),
        folder if std::path::Path::new(folder).is_dir() => {
            Ok(Box::new(llava::Llava::read(std::path::Path::new(folder), device)?))
        }
        unknown => Err(unknown_backbone(unknown)),
    }
}

fn unknown_backbone(name: &str) -> crate::Error {
    crate::Error::unknown("backbone", name, BACKBONES.iter().map(|row| row.name))
}
