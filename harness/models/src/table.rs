//! The backbones there are by name.

use std::path::Path;

use candle_core::{DType, Device};
use serde::Serialize;

use crate::folder::{Architecture, Folder};
use crate::{Backbone, Error, Result, Spec, llava, minigpt4, nano, smol, smolvlm};

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
pub fn spec(name: &str) -> Result<Spec> {
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
pub fn load(name: &str, device: &Device) -> Result<Box<dyn Backbone>> {
    load_as(name, DType::F32, device)
}

/// A backbone with its weights as `dtype`, by name or folder.
pub fn load_as(name: &str, dtype: DType, device: &Device) -> Result<Box<dyn Backbone>> {
    match name {
        nano::NAME => Ok(Box::new(nano::load(dtype, device)?)),
        smol::NAME => Err(Error::Usage(format!("backbone `{name}` needs to be told where {} lies: `smol::load`", smol::HUB_ID))),
        path if Path::new(path).is_dir() => {
            let folder = Folder::open(Path::new(path))?;
            Ok(match folder.architecture()? {
                Architecture::Llava => Box::new(llava::Llava::open(&folder, dtype, device)?),
                Architecture::SmolVlm => Box::new(smolvlm::SmolVlm::open(&folder, dtype, device)?),
                Architecture::MiniGpt4 => Box::new(minigpt4::MiniGpt4::open(&folder, dtype, device)?),
            })
        }
        known if BACKBONES.iter().any(|row| row.name == known) => Err(Error::Usage(format!(
            "backbone `{name}` is known by its shapes only (`fedbench cost`): give a folder with its config.json, tokenizer.json and safetensors"
        ))),
        unknown => Err(unknown_backbone(unknown)),
    }
}

/// The type of weights that a config names: `f32` without a name.
pub fn parse_dtype(name: Option<&str>) -> Result<DType> {
    match name {
        None | Some("f32") => Ok(DType::F32),
        Some("bf16") => Ok(DType::BF16),
        Some("f16") => Ok(DType::F16),
        Some(other) => Err(Error::Usage(format!("backbone.dtype = \"{other}\": expected \"f32\", \"bf16\" or \"f16\""))),
    }
}

fn unknown_backbone(name: &str) -> Error {
    let path = Path::new(name);
    let wanted = "expected the name of a backbone (`fedbench list backbones`) or a folder with config.json, tokenizer.json and safetensors";
    let shown = guard::text::line(name, 200);
    if std::fs::symlink_metadata(path).is_ok() {
        return Error::Usage(format!("backbone `{shown}` is no folder; {wanted}"));
    }
    // What is spelled as a path is one.
    if path.components().count() != 1 || name.starts_with(['.', '~']) || name.ends_with('/') {
        return Error::Usage(format!("backbone `{shown}`: there is no such folder; {wanted}"));
    }
    Error::unknown("backbone", name, BACKBONES.iter().map(|row| row.name))
}
