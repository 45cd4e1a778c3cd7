//! MiniGPT-4 (Zhu et al., arXiv 2304.10592): BLIP-2's frozen eyes (EVA-CLIP ViT-g/14, Q-Former with 32 queries), one linear
//! projection, a Llama decoder (Vicuna, Llama-2).
//!
//! MiniGPT-4 was published as pieces in formats of their own, so the folder's layout is one of ours: transformers' BLIP-2 around a
//! Llama. `config.json` has `model_type` `minigpt4` (or `blip-2`), `vision_config`, `qformer_config`, `text_config`,
//! `num_query_tokens`; weights are `vision_model.*`, `query_tokens`, `qformer.*`, `language_projection.*` (MiniGPT-4's
//! `llama_proj`), `language_model.*`; the tokenizer has a token `<image>`, which needs no row in the embedding. It is what
//! `Blip2ForConditionalGeneration` with a `LlamaConfig` saves. A `chat` table in the config replaces the chat format, such as
//! Llama-2's `[INST] <Img>{images}</Img> {prompt}` with the answer behind ` [/INST]`.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::connector;
use super::eva_vit::{EvaVisionConfig, EvaVisionTower};
use super::folder::Folder;
use super::llama::LlamaConfig;
use super::model::{self, Model, Parts, Vision};
use super::processor::Kind;
use super::qformer::{QFormer, QFormerConfig};
use super::row::{Architecture, BackboneKind, BackboneRow};
use super::text::ChatFormat;
use super::vit::positive;
use super::{Spec, nn};
use crate::Result;
use crate::adapter::Adapt;

/// The name under which MiniGPT-4's shapes with a 7B decoder are known.
pub const MINIGPT4_7B: &str = "minigpt-4-7b";

/// Its shapes.
pub const SHAPES: BackboneRow = BackboneRow {
    name: MINIGPT4_7B,
    sentence: "MiniGPT-4: EVA-CLIP ViT-g/14, Q-Former with 32 queries, Llama-2 or Vicuna 7B; known by its shapes, for `fedbench cost`.",
    source: "Zhu et al., arXiv 2304.10592; BLIP-2: Li et al., arXiv 2301.12597",
    kind: BackboneKind::Shapes(|| Ok(MiniGpt4Config::default().spec(MINIGPT4_7B))),
};

/// Folders in the layout of a BLIP-2 around a Llama.
pub const FOLDERS: BackboneRow = BackboneRow {
    name: "minigpt4",
    sentence: "MiniGPT-4's architecture, from a folder whose config.json has the model_type minigpt4, or blip-2 around a Llama.",
    source: "Zhu et al., arXiv 2304.10592; transformers, Blip2ForConditionalGeneration",
    kind: BackboneKind::Folders(Architecture {
        matches: &["minigpt4", "blip-2"],
        spec: |folder| Ok(MiniGpt4Config::of(folder)?.spec(&folder.name())),
        open: |folder, dtype, device| Ok(Box::new(MiniGpt4::open(folder, dtype, device)?)),
    }),
};

/// The linear layer behind the Q-Former.
const PROJECTION: &str = "projection";

/// `config.json` as transformers writes it for a BLIP-2, with a `chat` table of ours. A key that is not there has transformers'
/// default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MiniGpt4Config {
    /// The tower.
    pub vision_config: EvaVisionConfig,
    /// The Q-Former.
    pub qformer_config: QFormerConfig,
    /// The decoder.
    pub text_config: LlamaConfig,
    /// Queries, hence tokens per image.
    pub num_query_tokens: usize,
    /// The id of the image placeholder, where a checkpoint gives it.
    #[serde(alias = "image_token_id", skip_serializing_if = "Option::is_none")]
    pub image_token_index: Option<u32>,
    /// How prompts are wrapped.
    pub chat: ChatFormat,
}

impl Default for MiniGpt4Config {
    fn default() -> Self {
        Self {
            vision_config: EvaVisionConfig::default(),
            qformer_config: QFormerConfig::default(),
            text_config: LlamaConfig::default(),
            num_query_tokens: 32,
            image_token_index: None,
            chat: chat(),
        }
    }
}

/// MiniGPT-4's format for Vicuna.
fn chat() -> ChatFormat {
    ChatFormat {
        turn: "###Human: {images}{prompt}".into(),
        image: "<image>".into(),
        before_image: "<Img>".into(),
        after_image: "</Img> ".into(),
        turn_without_images: None,
        answer: " ###Assistant:".into(),
        answer_lead: " ".into(),
        end: "</s>".into(),
        begin: Some("<s>".into()),
        joined: true,
    }
}

impl MiniGpt4Config {
    /// A folder's config.
    pub fn of(folder: &Folder) -> Result<Self> {
        folder.config(Self::unsupported)
    }

    /// What this code cannot run, if anything.
    fn unsupported(&self) -> Option<String> {
        let parts = [self.vision_config.unsupported(), self.qformer_config.unsupported(), self.text_config.unsupported()];
        parts.into_iter().flatten().next().or_else(|| positive("config", &[("num_query_tokens", self.num_query_tokens)]))
    }

    /// Shapes, counts and sites. The Q-Former and its queries count as the connector's, as the projection does.
    pub fn spec(&self, name: &str) -> Spec {
        let (dq, dt) = (self.qformer_config.hidden_size as u64, self.text_config.hidden_size as u64);
        let qformer = self.qformer_config.parameters(self.vision_config.hidden_size);
        let connector = qformer + self.num_query_tokens as u64 * dq + dq * dt + dt;
        let site = connector::site(PROJECTION, self.qformer_config.hidden_size, self.text_config.hidden_size);
        let vision = self.vision_config.parameters();
        let (queries, eyes) = (self.num_query_tokens, &self.vision_config);
        let read = self.qformer_config.flops(queries, eyes.num_tokens(), eyes.hidden_size);
        let image_flops = eyes.image_flops(eyes.num_hidden_layers) + read + 2.0 * queries as f64 * dq as f64 * dt as f64;
        model::spec(name, &self.text_config, vision, (connector, vec![site]), (queries, image_flops))
    }
}

/// EVA-CLIP, the Q-Former and the projection.
pub struct MiniGpt4Vision {
    tower: EvaVisionTower,
    /// `[1, queries, d]`.
    queries: Tensor,
    qformer: QFormer,
    projection: nn::Linear,
}

impl MiniGpt4Vision {
    /// The tower, for whoever wants its hidden states.
    pub fn tower(&self) -> &EvaVisionTower {
        &self.tower
    }

    /// The Q-Former, for whoever wants its hidden states.
    pub fn qformer(&self) -> &QFormer {
        &self.qformer
    }

    /// The learned queries for `n` pictures, `[n, queries, d]`.
    pub fn queries(&self, n: usize) -> candle_core::Result<Tensor> {
        let (_, queries, d) = self.queries.dims3()?;
        self.queries.broadcast_as((n, queries, d))?.contiguous()
    }
}

impl Vision for MiniGpt4Vision {
    fn see(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        let picture = self.tower.forward(pixels)?;
        self.qformer.forward(&self.queries(pixels.dim(0)?)?, &picture)
    }

    fn connect(&self, seen: &Tensor, adapt: &dyn Adapt) -> candle_core::Result<Tensor> {
        connector::adapted(&self.projection, PROJECTION, seen, adapt)
    }
}

/// The model with its weights.
pub type MiniGpt4 = Model<MiniGpt4Vision>;

impl MiniGpt4 {
    /// Reads an opened folder, its weights as `dtype`.
    pub fn open(folder: &Folder, dtype: DType, device: &Device) -> Result<Self> {
        let config = MiniGpt4Config::of(folder)?;
        let spec = config.spec(&folder.name());
        let text = folder.text(config.chat.clone(), spec.image_tokens, config.image_token_index, spec.vocabulary)?;
        let preprocess = folder.preprocess(Kind::Blip, config.vision_config.image_size)?;
        let parts = Parts { spec, decoder: config.text_config.clone(), text, preprocess };
        Self::of_folder(folder, parts, canonical_name, (dtype, device), |weights| Self::eyes(&config, weights))
    }

    fn eyes(config: &MiniGpt4Config, weights: &VarBuilder) -> candle_core::Result<MiniGpt4Vision> {
        let (dv, dq) = (config.vision_config.hidden_size, config.qformer_config.hidden_size);
        Ok(MiniGpt4Vision {
            tower: EvaVisionTower::new(&config.vision_config, &weights.pp("vision_model"))?,
            queries: weights.get((1, config.num_query_tokens, dq), "query_tokens")?,
            qformer: QFormer::new(&config.qformer_config, dv, &weights.pp("qformer"))?,
            projection: nn::Linear::new(dq, config.text_config.hidden_size, true, &weights.pp("language_projection"))?,
        })
    }
}

/// Stored names are the ones read here, but for a `model.` that some versions put before them.
fn canonical_name(name: &str) -> String {
    name.strip_prefix("model.").unwrap_or(name).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What transformers counts for its `Blip2VisionModel`, `Blip2QFormerModel` (text half left out) and a 7B Llama.
    #[test]
    fn minigpt4_7b_counts() {
        let spec = MiniGpt4Config::default().spec(MINIGPT4_7B);
        assert_eq!(spec.parameters.vision, 985_952_256);
        assert_eq!(spec.parameters.connector, 105_137_664 + 32 * 768 + 768 * 4096 + 4096);
        assert_eq!(spec.image_tokens, 32);
        assert_eq!(spec.parameters.embedding + spec.parameters.decoder, 6_738_415_616);
    }
}
