//! A backbone of your own, outside the suite's crates: no vision tower at all. As in Fuyu (Bavishi et al., 2023), patches of a picture
//! go through one linear layer straight into a Llama.
//!
//! ```text
//! cargo run --release --example my_backbone -- run experiment.toml
//! ```
//!
//! with `backbone = { name = "FOLDER" }` in the experiment, where the folder's `config.json` has `"model_type": "patches"`: beside it
//! stand all methods, datasets, suites and reports of fedbench. A kind of adapter stands at the end.

use std::process::ExitCode;

use candle_core::{Result, Tensor};
use data::Preprocess;
use federation::registry::Registry;
use models::adapter::{Adapt, AdapterKind, Rank, Shape};
use models::folder::Folder;
use models::llama::LlamaConfig;
use models::model::{self, Model, Parts, Vision};
use models::text::ChatFormat;
use models::{Architecture, BackboneKind, BackboneRow, Spec, connector, nn, vit};
use serde::Deserialize;

/// The folder's `config.json`.
#[derive(Deserialize)]
struct Config {
    /// The decoder.
    text_config: LlamaConfig,
    /// Pixels on a side, of a picture and of a patch.
    image_size: usize,
    patch_size: usize,
    /// The id of the image placeholder.
    image_token_index: u32,
    /// How prompts are wrapped.
    chat: ChatFormat,
}

impl Config {
    /// What of it cannot be run is said before a weight is read.
    fn of(folder: &Folder) -> models::Result<Self> {
        folder.config(|config: &Self| {
            let sizes = [("image_size", config.image_size), ("patch_size", config.patch_size)];
            config.text_config.unsupported().or_else(|| vit::positive("config", &sizes))
        })
    }

    /// Numbers of a patch.
    fn patch(&self) -> usize {
        3 * self.patch_size.pow(2)
    }

    /// Shapes, counts, and the sites where adapters may attach.
    fn spec(&self, name: &str) -> Spec {
        let (tokens, d) = ((self.image_size / self.patch_size).pow(2), self.text_config.hidden_size);
        let layer = ((self.patch() * d + d) as u64, vec![connector::site("projection", self.patch(), d)]);
        let image_flops = 2.0 * (tokens * self.patch() * d) as f64;
        model::spec(name, &self.text_config, 0, layer, (tokens, image_flops))
    }
}

/// The eyes.
struct Patches {
    patch_size: usize,
    projection: nn::Linear,
}

impl Vision for Patches {
    /// What enters the projection, frozen and kept for each picture: the patches as they are.
    fn see(&self, pixels: &Tensor) -> Result<Tensor> {
        vit::flattened(pixels, self.patch_size)
    }

    fn connect(&self, seen: &Tensor, adapt: &dyn Adapt) -> Result<Tensor> {
        connector::adapted(&self.projection, "projection", seen, adapt)
    }
}

fn open(folder: &Folder, dtype: candle_core::DType, device: &candle_core::Device) -> models::Opened {
    let config = Config::of(folder)?;
    let spec = config.spec(&folder.name());
    let text = folder.text(config.chat.clone(), spec.image_tokens, Some(config.image_token_index), spec.vocabulary)?;
    let (preprocess, decoder) = (Preprocess::clip(config.image_size), config.text_config.clone());
    let parts = Parts { spec, decoder, text, preprocess };
    let model = Model::of_folder(folder, parts, str::to_owned, (dtype, device), |weights| {
        let (projection, d) = (weights.pp("projection"), config.text_config.hidden_size);
        Ok(Patches { patch_size: config.patch_size, projection: nn::Linear::new(config.patch(), d, true, &projection)? })
    })?;
    Ok(Box::new(model))
}

/// What the suite should know of it.
static ROW: BackboneRow = BackboneRow {
    name: "patches",
    sentence: "Patches of a picture through one linear layer into a Llama; a folder holds the weights.",
    source: "Bavishi et al., Fuyu-8B, 2023",
    kind: BackboneKind::Folders(Architecture {
        matches: &["patches"],
        spec: |folder| Ok(Config::of(folder)?.spec(&folder.name())),
        open,
    }),
};

/// Adapters of your own: pairs at the projection alone.
static KIND: AdapterKind = AdapterKind {
    name: "projection",
    sentence: "A low-rank change of the layer that patches enter by.",
    source: "this file",
    rank: Rank::Fixed(2),
    alpha_over_rank: 2.0,
    sites: &["connector"],
    allowed: &["connector"],
    shape: Shape::Pair { names: ["down", "up"], biases: None },
};

fn main() -> ExitCode {
    fedbench::cli::main(Registry::new(baselines::METHODS).backbone(&ROW).adapter(&KIND))
}
