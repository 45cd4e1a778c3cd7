//! SmolVLM (Marafioti et al., arXiv 2504.05299), an Idefics3 (Laurençon et al., arXiv 2408.12637): SigLIP tower, pixel-shuffle
//! connector, Llama decoder.
//!
//! Reads folders as `HuggingFaceTB/SmolVLM-256M-Instruct` has them. Its image processor's `do_image_splitting` says whether pictures
//! are cut. If so, a picture is squares row by row, each behind `<fake_token_around_image><row_R_col_C>`, and then the whole: up to
//! 17 squares of 64 tokens in SmolVLM-256M. If not, it is the whole alone, its tokens between
//! `<fake_token_around_image><global-img>` and `<fake_token_around_image>`.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::connector::{self, pixel_shuffle};
use super::folder::Folder;
use super::llama::LlamaConfig;
use super::model::{self, Model, Parts, Vision};
use super::processor::Kind;
use super::row::{Architecture, BackboneKind, BackboneRow};
use super::siglip::{SiglipVisionConfig, SiglipVisionTower};
use super::text::ChatFormat;
use super::{Spec, nn};
use crate::adapter::Adapt;
use crate::{Error, Result};

/// The name under which SmolVLM-256M's shapes are known.
pub const SMOLVLM_256M: &str = "smolvlm-256m";

/// Its shapes.
pub const SHAPES: BackboneRow = BackboneRow {
    name: SMOLVLM_256M,
    sentence: "SmolVLM-256M: SigLIP B/16-512, pixel shuffle, SmolLM2-135M; known by its shapes, for `fedbench cost`.",
    source: "Marafioti et al., arXiv 2504.05299; HuggingFaceTB/SmolVLM-256M-Instruct",
    kind: BackboneKind::Shapes(|| Ok(SmolVlmConfig::smolvlm_256m().spec(SMOLVLM_256M))),
};

/// Folders in its layout.
pub const FOLDERS: BackboneRow = BackboneRow {
    name: "smolvlm",
    sentence: "SmolVLM's and Idefics3's architecture, from a folder whose config.json has the model_type idefics3 or smolvlm.",
    source: "Marafioti et al., arXiv 2504.05299; transformers, Idefics3ForConditionalGeneration",
    kind: BackboneKind::Folders(Architecture {
        matches: &["idefics3", "smolvlm"],
        spec: |folder| Ok(SmolVlmConfig::of(folder)?.spec(&folder.name())),
        open: |folder, dtype, device| Ok(Box::new(SmolVlm::open(folder, dtype, device)?)),
    }),
};

/// The connector's one matrix.
const PROJECTION: &str = "projection";

/// `config.json` in Hugging Face's layout, with a `chat` table of ours. A key that is not there has transformers' default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SmolVlmConfig {
    /// The tower.
    pub vision_config: SiglipVisionConfig,
    /// The decoder.
    pub text_config: LlamaConfig,
    /// Patches merged `k x k` into one image token.
    pub scale_factor: usize,
    /// Whether the head is the token embedding. (`text_config` does not decide that here.)
    pub tie_word_embeddings: bool,
    /// The id of the image placeholder, where a checkpoint gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_token_id: Option<u32>,
    /// How prompts are wrapped.
    pub chat: ChatFormat,
}

impl Default for SmolVlmConfig {
    fn default() -> Self {
        Self {
            vision_config: SiglipVisionConfig::default(),
            text_config: LlamaConfig { rms_norm_eps: 1e-5, ..LlamaConfig::default() },
            scale_factor: 2,
            tie_word_embeddings: false,
            image_token_id: None,
            chat: chat(),
        }
    }
}

/// The first user's turn by the chat template of `HuggingFaceTB/SmolVLM-256M-Instruct`, images first.
fn chat() -> ChatFormat {
    ChatFormat {
        turn: "<|im_start|>User:{images}{prompt}<end_of_utterance>\n".into(),
        image: "<image>".into(),
        before_image: "<fake_token_around_image><global-img>".into(),
        after_image: "<fake_token_around_image>".into(),
        turn_without_images: Some("<|im_start|>User: {prompt}<end_of_utterance>\n".into()),
        answer: "Assistant:".into(),
        answer_lead: " ".into(),
        end: "<end_of_utterance>".into(),
        begin: None,
        joined: true,
    }
}

/// Before each part of a picture that is cut.
const BEFORE_TILE: &str = "<fake_token_around_image><row_{row}_col_{column}>";

/// The tokens that the chat format above is made of; without them it would be spelled out.
const CHAT_TOKENS: [&str; 4] = ["<|im_start|>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"];

impl SmolVlmConfig {
    /// SmolVLM-256M-Instruct.
    pub fn smolvlm_256m() -> Self {
        Self {
            vision_config: SiglipVisionConfig {
                hidden_size: 768,
                num_attention_heads: 12,
                image_size: 512,
                patch_size: 16,
                ..SiglipVisionConfig::default()
            },
            text_config: LlamaConfig {
                hidden_size: 576,
                intermediate_size: 1536,
                num_hidden_layers: 30,
                num_attention_heads: 9,
                num_key_value_heads: Some(3),
                vocab_size: 49_280,
                rms_norm_eps: 1e-5,
                rope_theta: 100_000.0,
                max_position_embeddings: 8192,
                ..LlamaConfig::default()
            },
            scale_factor: 4,
            ..Self::default()
        }
    }

    /// A folder's config.
    pub fn of(folder: &Folder) -> Result<Self> {
        folder.config(Self::unsupported)
    }

    /// What this code cannot run, if anything.
    fn unsupported(&self) -> Option<String> {
        if let Some(what) = self.vision_config.unsupported().or_else(|| self.text_config.unsupported()) {
            return Some(what);
        }
        let side = self.vision_config.side();
        let most = connector::MAX_SCALE;
        (!(1..=most).contains(&self.scale_factor) || !side.is_multiple_of(self.scale_factor)).then(|| {
            format!("scale_factor {} (it must divide the {side} patches of a row and be at most {most})", self.scale_factor)
        })
    }

    fn decoder(&self) -> LlamaConfig {
        LlamaConfig { tie_word_embeddings: self.tie_word_embeddings, ..self.text_config.clone() }
    }

    /// Width of what enters the connector's one matrix.
    fn merged(&self) -> usize {
        self.vision_config.hidden_size * self.scale_factor.pow(2)
    }

    /// Shapes, counts and sites.
    pub fn spec(&self, name: &str) -> Spec {
        let image_tokens = (self.vision_config.side() / self.scale_factor).pow(2);
        let (d_in, d_out) = (self.merged(), self.text_config.hidden_size);
        let connector = ((d_in * d_out) as u64, vec![connector::site(PROJECTION, d_in, d_out)]);
        let image_flops = self.vision_config.image_flops(self.vision_config.num_hidden_layers)
            + 2.0 * image_tokens as f64 * d_in as f64 * d_out as f64;
        model::spec(name, &self.decoder(), self.vision_config.parameters(), connector, (image_tokens, image_flops))
    }
}

/// SigLIP and the connector.
pub struct SmolVlmVision {
    tower: SiglipVisionTower,
    scale_factor: usize,
    projection: nn::Linear,
}

impl SmolVlmVision {
    /// The tower, for whoever wants its hidden states.
    pub fn tower(&self) -> &SiglipVisionTower {
        &self.tower
    }
}

impl Vision for SmolVlmVision {
    fn see(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        pixel_shuffle(&self.tower.forward(pixels)?, self.scale_factor)
    }

    fn connect(&self, seen: &Tensor, adapt: &dyn Adapt) -> candle_core::Result<Tensor> {
        connector::adapted(&self.projection, PROJECTION, seen, adapt)
    }
}

/// The model with its weights.
pub type SmolVlm = Model<SmolVlmVision>;

impl SmolVlm {
    /// Reads an opened folder, its weights as `dtype`.
    pub fn open(folder: &Folder, dtype: DType, device: &Device) -> Result<Self> {
        let config = SmolVlmConfig::of(folder)?;
        let spec = config.spec(&folder.name());
        let text = folder.text(config.chat.clone(), spec.image_tokens, config.image_token_id, spec.vocabulary)?;
        if config.chat == chat()
            && let Some(missing) = CHAT_TOKENS.into_iter().find(|token| !text.has_token(token))
        {
            let hint = "give the config a `chat` table (turn, image, answer, end, ...) of its own format";
            return Err(Error::Backbone(format!(
                "{}: its tokenizer has no `{missing}`, which SmolVLM's has; {hint}",
                folder.name()
            )));
        }
        let text = text.with_tiles(BEFORE_TILE);
        let preprocess = folder.preprocess(Kind::Idefics3, config.vision_config.image_size)?;
        let parts = Parts { spec, decoder: config.decoder(), text, preprocess };
        Self::of_folder(folder, parts, canonical_name, (dtype, device), |weights| Self::eyes(&config, weights))
    }

    fn eyes(config: &SmolVlmConfig, weights: &VarBuilder) -> candle_core::Result<SmolVlmVision> {
        let projection = weights.pp("connector.modality_projection.proj");
        Ok(SmolVlmVision {
            tower: SiglipVisionTower::new(&config.vision_config, &weights.pp("vision_model"))?,
            scale_factor: config.scale_factor,
            projection: nn::Linear::new(config.merged(), config.text_config.hidden_size, false, &projection)?,
        })
    }
}

/// Maps stored names to those read here: `model.text_model.*` and `lm_head.*` are the decoder's `language_model.*`.
fn canonical_name(name: &str) -> String {
    let name = name.strip_prefix("model.").unwrap_or(name);
    match name.split_once('.') {
        Some(("text_model", rest)) => format!("language_model.model.{rest}"),
        Some(("lm_head", rest)) => format!("language_model.lm_head.{rest}"),
        _ => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What transformers counts for this config, and what the published file holds.
    #[test]
    fn smolvlm_256m_counts() {
        let spec = SmolVlmConfig::smolvlm_256m().spec(SMOLVLM_256M);
        assert_eq!(spec.parameters.vision, 86_433_024);
        assert_eq!(spec.parameters.connector, 7_077_888);
        assert_eq!(spec.parameters.total(), 256_484_928);
        assert_eq!(spec.image_tokens, 64);
    }
}
