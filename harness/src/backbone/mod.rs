//! Backbones: frozen multimodal models, with sites where adapters attach.
//!
//! A backbone is its own file over [`nn`]; it does not know which method runs. [`llava`], [`smolvlm`] and [`minigpt4`] read folders
//! in Hugging Face's layout, [`nano`] is the small one that ships with the suite.

pub mod batch;
mod chat;
pub mod checkpoint;
pub mod clip_vit;
pub mod connector;
pub mod eva_vit;
pub mod fit;
pub mod folder;
pub mod gguf;
pub mod kernels;
pub mod llama;
pub mod llava;
pub mod minigpt4;
pub mod model;
pub mod nano;
pub mod nn;
pub mod precision;
pub mod pretrain;
pub mod processor;
pub mod qformer;
pub mod rope;
mod shards;
pub mod siglip;
pub mod smol;
pub mod smolvlm;
pub mod text;
mod tokenizer;
pub mod vit;

use std::path::Path;

use candle_core::{DType, Device, Result, Tensor};
use serde::Serialize;

pub use batch::{Batch, Branch, Sequence};
pub use text::{Shown, TextCodec};

use crate::adapter::Adapt;
use crate::data::Preprocess;
use folder::{Architecture, Folder};

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
    /// Tokens of an image that is not cut, and of each square of one that is.
    pub image_tokens: usize,
    /// Floating-point operations of such a square on its way through tower and connector.
    pub image_flops: f64,
    /// Bytes of one number as it is held and as it crosses a link.
    pub bytes_per_number: usize,
    /// Where adapters may attach.
    pub sites: Vec<SiteSpec>,
}

/// A batch as the decoder will see it: frozen, without adapters.
#[derive(Debug, Clone)]
pub struct Embeddings {
    /// Image and text embeddings in place, `[b, t, d]`; zero at image tokens where there is `seen`.
    pub hidden: Tensor,
    /// What enters the connector at image tokens, `[b, t, d_seen]`, where the connector is still to run.
    pub seen: Option<Tensor>,
    /// Which virtual token is where, `[b, t, p]`; none of none.
    pub virtual_tokens: Option<Tensor>,
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

    /// SHA-256 of the weights; of a folder, of its configuration and tokenizer too.
    fn weights_sha256(&self) -> &str;

    /// The weights' element type.
    fn weights_dtype(&self) -> DType;

    /// The element type of pixels and hidden states ([`precision`]).
    fn dtype(&self) -> DType;

    /// Where the weights are.
    fn device(&self) -> &Device;

    /// Frozen vision encoder: pixels `[n, 3, s, s]` to what enters the connector's linear layers, `[n, tokens, d_seen]`.
    fn see(&self, pixels: &Tensor) -> Result<Tensor>;

    /// Frozen vision encoder and connector: pixels `[n, 3, s, s]` to image tokens `[n, tokens, d]`. Never depends on an adapter,
    /// so it is computed once per image.
    fn encode(&self, pixels: &Tensor) -> Result<Tensor>;

    /// Token embeddings with the images' features (`[images, tokens, d]`, a row per image of the feature store) in their places.
    fn embed(&self, batch: &Batch, features: &Tensor) -> Result<Embeddings>;

    /// The same with what [`Backbone::see`] gives (`[images, tokens, d_seen]`), for adapters at the connector, which runs in
    /// [`Backbone::decode`] then.
    fn embed_unconnected(&self, batch: &Batch, seen: &Tensor) -> Result<Embeddings>;

    /// Adapters and decoder: logits `[rows, vocabulary]` at the rows asked for.
    fn decode(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> Result<Tensor>;

    /// The same as log-likelihoods of `targets` `[rows]`, `[rows]`, without a gradient: no more than some rows' logits exist at a
    /// time.
    fn log_likelihoods(&self, embeddings: &Embeddings, targets: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
        nn::log_likelihood(&self.decode(embeddings, adapt)?, targets)
    }
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

/// The backbones there are by name. A folder in the layout of any of them works too.
pub const BACKBONES: &[BackboneRow] = &[
    BackboneRow {
        name: nano::NAME,
        sentence: "LLaVA's architecture at a few million parameters, pretrained by `fedbench pretrain nano`; its weights ship with the suite.",
        source: "this repository, harness/assets/nano",
        embedded: true,
    },
    BackboneRow {
        name: smol::NAME,
        sentence: "SmolLM2-135M-Instruct behind nano's tower; the connector ships with the suite, the language model comes from the Hub, a folder or a GGUF file (FEDBENCH_SMOL).",
        source: "Ben Allal et al., arXiv 2502.02737; HuggingFaceTB/SmolLM2-135M-Instruct; harness/assets/smol",
        embedded: false,
    },
    BackboneRow {
        name: smolvlm::SMOLVLM_256M,
        sentence: "SmolVLM-256M: SigLIP B/16-512, pixel shuffle, SmolLM2-135M; known by its shapes, for `fedbench cost`.",
        source: "Marafioti et al., arXiv 2504.05299; HuggingFaceTB/SmolVLM-256M-Instruct",
        embedded: false,
    },
    BackboneRow {
        name: llava::LLAVA_7B,
        sentence: "LLaVA-1.5-7B: CLIP ViT-L/14-336, two-layer MLP, Vicuna-7B; known by its shapes, for `fedbench cost`.",
        source: "Liu et al., arXiv 2310.03744; llava-hf/llava-1.5-7b-hf",
        embedded: false,
    },
    BackboneRow {
        name: minigpt4::MINIGPT4_7B,
        sentence: "MiniGPT-4: EVA-CLIP ViT-g/14, Q-Former with 32 queries, Llama-2 or Vicuna 7B; known by its shapes, for `fedbench cost`.",
        source: "Zhu et al., arXiv 2304.10592; BLIP-2: Li et al., arXiv 2301.12597",
        embedded: false,
    },
];

/// The shapes of a backbone by name, without its weights.
pub fn spec(name: &str) -> crate::Result<Spec> {
    match name {
        nano::NAME => Ok(nano::config()?.spec(name)),
        smol::NAME => Ok(smol::config()?.spec(name)),
        smolvlm::SMOLVLM_256M => Ok(smolvlm::SmolVlmConfig::smolvlm_256m().spec(name)),
        llava::LLAVA_7B => Ok(llava::LlavaConfig::llava_7b().spec(name)),
        minigpt4::MINIGPT4_7B => Ok(minigpt4::MiniGpt4Config::default().spec(name)),
        path if Path::new(path).is_dir() => {
            let folder = Folder::open(Path::new(path))?;
            Ok(match folder.architecture()? {
                Architecture::Llava => llava::LlavaConfig::of(&folder)?.spec(name),
                Architecture::SmolVlm => smolvlm::SmolVlmConfig::of(&folder)?.spec(name),
                Architecture::MiniGpt4 => minigpt4::MiniGpt4Config::of(&folder)?.spec(name),
            })
        }
        unknown => Err(unknown_backbone(unknown)),
    }
}

/// A backbone with its weights as f32, by name or folder.
pub fn load(name: &str, device: &Device) -> crate::Result<Box<dyn Backbone>> {
    load_as(name, DType::F32, device)
}

/// A backbone with its weights as `dtype`, by name or folder.
pub fn load_as(name: &str, dtype: DType, device: &Device) -> crate::Result<Box<dyn Backbone>> {
    match name {
        nano::NAME => Ok(Box::new(nano::load(dtype, device)?)),
        smol::NAME => {
            Err(crate::Error::Usage(format!("backbone `{name}` needs to be told where {} lies: `smol::load`", smol::HUB_ID)))
        }
        path if Path::new(path).is_dir() => {
            let folder = Folder::open(Path::new(path))?;
            Ok(match folder.architecture()? {
                Architecture::Llava => Box::new(llava::Llava::open(&folder, dtype, device)?),
                Architecture::SmolVlm => Box::new(smolvlm::SmolVlm::open(&folder, dtype, device)?),
                Architecture::MiniGpt4 => Box::new(minigpt4::MiniGpt4::open(&folder, dtype, device)?),
            })
        }
        known if BACKBONES.iter().any(|row| row.name == known) => Err(crate::Error::Usage(format!(
            "backbone `{name}` is known by its shapes only (`fedbench cost`): give a folder with its config.json, tokenizer.json and safetensors"
        ))),
        unknown => Err(unknown_backbone(unknown)),
    }
}

/// The type of weights that a config names: `f32` without a name.
pub fn parse_dtype(name: Option<&str>) -> crate::Result<DType> {
    match name {
        None | Some("f32") => Ok(DType::F32),
        Some("bf16") => Ok(DType::BF16),
        Some("f16") => Ok(DType::F16),
        Some(other) => Err(crate::Error::Usage(format!("backbone.dtype = \"{other}\": expected \"f32\", \"bf16\" or \"f16\""))),
    }
}

/// The type of adapters on a backbone: its own, but f32 where that has 16 bits.
pub fn adapter_dtype(backbone: &dyn Backbone) -> DType {
    if nn::is_half(backbone.dtype()) { DType::F32 } else { backbone.dtype() }
}

fn unknown_backbone(name: &str) -> crate::Error {
    let path = Path::new(name);
    let wanted = "expected the name of a backbone (`fedbench list backbones`) or a folder with config.json, tokenizer.json and safetensors";
    let shown = guard::text::line(name, 200);
    if std::fs::symlink_metadata(path).is_ok() {
        return crate::Error::Usage(format!("backbone `{shown}` is no folder; {wanted}"));
    }
    // What is spelled as a path is one.
    if path.components().count() != 1 || name.starts_with(['.', '~']) || name.ends_with('/') {
        return crate::Error::Usage(format!("backbone `{shown}`: there is no such folder; {wanted}"));
    }
    crate::Error::unknown("backbone", name, BACKBONES.iter().map(|row| row.name))
}
