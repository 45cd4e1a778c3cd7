//! LLaVA-1.5 (Liu et al., arXiv 2310.03744): CLIP tower, two-layer MLP connector, Llama decoder.
//!
//! Reads folders as `llava-hf/llava-1.5-7b-hf` has them, in the weight names of all transformers versions.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use data::Preprocess;
use serde::{Deserialize, Serialize};
use tokenizers::Tokenizer;

use super::checkpoint::Checkpoint;
use super::clip_vit::{ClipVisionConfig, ClipVisionTower};
use super::connector::{self, Connector, ConnectorConfig};
use super::folder::{self, Folder};
use super::llama::{Llama, LlamaConfig};
use super::model::{self, Model, Parts, Vision};
use super::nn::Activation;
use super::processor::Kind;
use super::row::{Architecture, BackboneKind, BackboneRow};
use super::text::{ChatFormat, TextCodec};
use super::{ComponentParameters, Half, Spec, precision};
use crate::adapter::Adapt;
use crate::{Error, Result};

/// The name under which LLaVA-1.5-7B's shapes are known.
pub const LLAVA_7B: &str = "llava-1.5-7b";

/// Its shapes.
pub const SHAPES: BackboneRow = BackboneRow {
    name: LLAVA_7B,
    sentence: "LLaVA-1.5-7B: CLIP ViT-L/14-336, two-layer MLP, Vicuna-7B; known by its shapes, for `fedbench cost`.",
    source: "Liu et al., arXiv 2310.03744; llava-hf/llava-1.5-7b-hf",
    kind: BackboneKind::Shapes(|| Ok(LlavaConfig::llava_7b().spec(LLAVA_7B))),
};

/// Folders in its layout, and in one of ours that names no `model_type`.
pub const FOLDERS: BackboneRow = BackboneRow {
    name: "llava",
    sentence: "LLaVA's architecture, from a folder whose config.json has the model_type llava, or none.",
    source: "Liu et al., arXiv 2310.03744; transformers, LlavaForConditionalGeneration",
    kind: BackboneKind::Folders(Architecture {
        matches: &["llava"],
        spec: |folder| Ok(LlavaConfig::of(folder)?.spec(&folder.name())),
        open: |folder, dtype, device| Ok(Box::new(Llava::open(folder, dtype, device)?)),
    }),
};

/// `config.json` in Hugging Face's layout, with a `chat` table and a `scale_factor` of ours. A key that is not there has
/// transformers' default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LlavaConfig {
    /// The tower.
    pub vision_config: ClipVisionConfig,
    /// The decoder.
    pub text_config: LlamaConfig,
    /// Which hidden state of the tower feeds the connector, counted as Hugging Face counts.
    pub vision_feature_layer: isize,
    /// `default` drops the class token, `full` keeps it.
    pub vision_feature_select_strategy: Select,
    /// Between the connector's layers.
    pub projector_hidden_act: Activation,
    /// Whether they have biases.
    pub multimodal_projector_bias: bool,
    /// Whether the head is the token embedding; `text_config` may say so too.
    pub tie_word_embeddings: bool,
    /// The id of the image placeholder, where a checkpoint gives it.
    #[serde(alias = "image_token_id", skip_serializing_if = "Option::is_none")]
    pub image_token_index: Option<u32>,
    /// Patches merged `k x k` into one image token before the connector (pixel shuffle, as SmolVLM's `scale_factor`); 1 in LLaVA.
    pub scale_factor: usize,
    /// How prompts are wrapped.
    pub chat: ChatFormat,
}

/// What of a hidden state feeds the connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Select {
    /// The patches.
    Default,
    /// The class token and the patches.
    Full,
}

impl Default for LlavaConfig {
    fn default() -> Self {
        Self {
            vision_config: ClipVisionConfig::large_336(),
            text_config: LlamaConfig::default(),
            vision_feature_layer: -2,
            vision_feature_select_strategy: Select::Default,
            projector_hidden_act: Activation::Gelu,
            multimodal_projector_bias: true,
            tie_word_embeddings: false,
            image_token_index: None,
            scale_factor: 1,
            chat: chat(),
        }
    }
}

/// Vicuna's format as the chat template of `llava-hf/llava-1.5-7b-hf` has it: images first, no system prompt.
fn chat() -> ChatFormat {
    ChatFormat {
        turn: "USER: {images}{prompt}".into(),
        image: "<image>".into(),
        before_image: String::new(),
        after_image: "\n".into(),
        turn_without_images: None,
        answer: " ASSISTANT:".into(),
        answer_lead: " ".into(),
        end: "</s>".into(),
        begin: Some("<s>".into()),
        joined: true,
    }
}

impl LlavaConfig {
    /// LLaVA-1.5-7B (vocabulary 32064, as in `llava-hf/llava-1.5-7b-hf`).
    pub fn llava_7b() -> Self {
        let text_config =
            LlamaConfig { vocab_size: 32_064, rms_norm_eps: 1e-5, max_position_embeddings: 4096, ..LlamaConfig::default() };
        Self { text_config, ..Self::default() }
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
        let columns = self.vision_config.image_size / self.vision_config.patch_size;
        if self.scale_factor > connector::MAX_SCALE || self.scale_factor == 0 || !columns.is_multiple_of(self.scale_factor) {
            return Some(format!(
                "scale_factor {} (it must divide the {columns} patches of a row and be at most {})",
                self.scale_factor,
                connector::MAX_SCALE
            ));
        }
        if self.scale_factor > 1 && self.vision_feature_select_strategy == Select::Full {
            return Some("vision_feature_select_strategy \"full\" with a scale_factor".into());
        }
        let (layer, blocks) = (self.vision_feature_layer, self.vision_config.num_hidden_layers as isize);
        (!(-blocks - 1..=blocks).contains(&layer))
            .then(|| format!("vision_feature_layer {layer} of a tower with {blocks} blocks"))
    }

    /// Image tokens per image.
    pub fn image_tokens(&self) -> usize {
        let class = usize::from(self.vision_feature_select_strategy == Select::Full);
        self.vision_config.num_patches() / self.scale_factor.pow(2) + class
    }

    /// Blocks of the tower that an image passes: those behind the hidden state that is read are not.
    fn blocks_run(&self) -> usize {
        let layer = self.vision_feature_layer;
        let blocks = self.vision_config.num_hidden_layers as isize;
        (if layer < 0 { blocks + 1 + layer } else { layer }).max(0) as usize
    }

    fn connector(&self) -> ConnectorConfig {
        ConnectorConfig {
            d_vision: self.vision_config.hidden_size,
            d_text: self.text_config.hidden_size,
            scale_factor: self.scale_factor,
            activation: self.projector_hidden_act,
            has_bias: self.multimodal_projector_bias,
        }
    }

    /// The decoder, tied if either table says so.
    fn decoder(&self) -> LlamaConfig {
        let tied = self.tie_word_embeddings || self.text_config.tie_word_embeddings;
        LlamaConfig { tie_word_embeddings: tied, ..self.text_config.clone() }
    }

    /// Parameters by component.
    pub fn parameters(&self) -> ComponentParameters {
        self.spec("").parameters
    }

    /// Shapes, counts and sites.
    pub fn spec(&self, name: &str) -> Spec {
        let connector = self.connector();
        let (dv, dt) = (connector.d_in() as u64, connector.d_text as u64);
        let parameters = dv * dt + dt * dt + if connector.has_bias { 2 * dt } else { 0 };
        let vision = self.vision_config.parameters();
        let tokens = self.image_tokens();
        let image_flops =
            self.vision_config.image_flops(self.blocks_run()) + 2.0 * tokens as f64 * ((dv + dt) as f64 * dt as f64);
        model::spec(name, &self.decoder(), vision, (parameters, connector.sites()), (tokens, image_flops))
    }
}

/// CLIP and the connector.
pub struct LlavaVision {
    tower: ClipVisionTower,
    feature_layer: isize,
    select: Select,
    connector: Connector,
}

impl LlavaVision {
    /// The tower, for whoever wants its other hidden states.
    pub fn tower(&self) -> &ClipVisionTower {
        &self.tower
    }
}

impl Vision for LlavaVision {
    fn see(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        let hidden = self.tower.hidden_state(pixels, self.feature_layer)?;
        let hidden = match self.select {
            Select::Default => hidden.narrow(1, 1, hidden.dim(1)? - 1)?.contiguous()?,
            Select::Full => hidden,
        };
        self.connector.merge(&hidden)
    }

    fn connect(&self, seen: &Tensor, adapt: &dyn Adapt) -> candle_core::Result<Tensor> {
        self.connector.forward(seen, adapt)
    }
}

/// The model with its weights.
pub type Llava = Model<LlavaVision>;

impl Llava {
    /// Builds the model over weights named as transformers 4.37 named them.
    pub fn new(name: &str, config: &LlavaConfig, weights: &VarBuilder, tokenizer: Tokenizer, sha256: String) -> Result<Self> {
        let text = Self::codec(name, config, tokenizer)?;
        let preprocess = Preprocess::clip(config.vision_config.image_size);
        Self::assemble(config.spec(name), config, (weights, Half::Whole), text, preprocess, sha256)
    }

    fn codec(name: &str, config: &LlavaConfig, tokenizer: Tokenizer) -> Result<TextCodec> {
        let from = format!("backbone `{name}`, its tokenizer.json");
        TextCodec::new(tokenizer, &from, config.chat.clone(), config.image_tokens(), config.text_config.vocab_size)
    }

    /// Puts the parts of a half together; `weights` are named as transformers 4.37 named them.
    pub(super) fn assemble(
        spec: Spec,
        config: &LlavaConfig,
        (weights, half): (&VarBuilder, Half),
        text: TextCodec,
        preprocess: Preprocess,
        sha256: String,
    ) -> Result<Self> {
        let vision = half.is_clients().then(|| Self::eyes(config, weights)).transpose().map_err(folder::building)?;
        let decoder = Llama::half(&config.decoder(), &weights.pp("language_model"), half).map_err(folder::building)?;
        Ok(Self { spec, vision, decoder, text, preprocess, sha256 })
    }

    fn eyes(config: &LlavaConfig, weights: &VarBuilder) -> candle_core::Result<LlavaVision> {
        Ok(LlavaVision {
            tower: ClipVisionTower::new(&config.vision_config, &weights.pp("vision_tower.vision_model"))?,
            feature_layer: config.vision_feature_layer,
            select: config.vision_feature_select_strategy,
            connector: Connector::new(&config.connector(), &weights.pp("multi_modal_projector"))?,
        })
    }

    /// Reads a folder, its weights as f32.
    pub fn read(path: &Path, device: &Device) -> Result<Self> {
        Self::open(&Folder::open(path)?, DType::F32, device)
    }

    /// Reads an opened folder, its weights as `dtype`.
    pub fn open(folder: &Folder, dtype: DType, device: &Device) -> Result<Self> {
        let config = LlavaConfig::of(folder)?;
        let spec = config.spec(&folder.name());
        let text = folder.text(config.chat.clone(), spec.image_tokens, config.image_token_index, spec.vocabulary)?;
        let preprocess = folder.preprocess(Kind::Clip, config.vision_config.image_size)?;
        let parts = Parts { spec, decoder: config.decoder(), text, preprocess };
        Self::of_folder(folder, parts, canonical_name, (dtype, device), |weights| Self::eyes(&config, weights))
    }

    /// Builds the model from a checkpoint's bytes; any float type is widened to f32.
    pub fn from_bytes(name: &str, config: &LlavaConfig, safetensors: &[u8], tokenizer: &[u8], device: &Device) -> Result<Self> {
        Self::half_from_bytes(name, config, Half::Whole, (safetensors, tokenizer), (DType::F32, device))
    }

    /// A half of it, with weights of another type.
    pub fn half_from_bytes(
        name: &str,
        config: &LlavaConfig,
        half: Half,
        (safetensors, tokenizer): (&[u8], &[u8]),
        (dtype, device): (DType, &Device),
    ) -> Result<Self> {
        let tokenizer = Tokenizer::from_bytes(tokenizer)
            .map_err(|error| Error::Backbone(format!("backbone `{name}`: unreadable tokenizer.json: {error}")))?;
        let checkpoint = Checkpoint::held(&format!("backbone `{name}`"), safetensors, canonical_name)?;
        let sha256 = checkpoint.sha256().to_owned();
        let weights = precision::builder(Box::new(checkpoint), dtype, device);
        let text = Self::codec(name, config, tokenizer)?;
        let spec = Spec { bytes_per_number: dtype.size_in_bytes(), ..config.spec(name) };
        let preprocess = Preprocess::clip(config.vision_config.image_size);
        Self::assemble(spec, config, (&weights, half), text, preprocess, sha256)
    }
}

/// Maps the names that different transformers versions write to the ones read here.
pub(super) fn canonical_name(name: &str) -> String {
    let name = name.strip_prefix("model.").filter(|rest| !rest.starts_with("layers.")).unwrap_or(name);
    match name.split_once('.') {
        Some(("vision_tower", rest)) if !rest.starts_with("vision_model.") => format!("vision_tower.vision_model.{rest}"),
        Some(("language_model", rest)) if !rest.starts_with("model.") && !rest.starts_with("lm_head.") => {
            format!("language_model.model.{rest}")
        }
        Some(("lm_head", rest)) => format!("language_model.lm_head.{rest}"),
        _ => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The anchors of the storage table, checked against transformers' module counts.
    #[test]
    fn llava_7b_counts() {
        let parameters = LlavaConfig::llava_7b().parameters();
        assert_eq!(parameters.vision, 303_507_456);
        assert_eq!(parameters.connector, 20_979_712);
        assert_eq!(parameters.total(), 7_063_427_072);
    }

    #[test]
    fn names_of_all_transformers_versions_meet() {
        for (written, read) in [
            ("vision_tower.vision_model.pre_layrnorm.weight", "vision_tower.vision_model.pre_layrnorm.weight"),
            ("model.vision_tower.pre_layrnorm.weight", "vision_tower.vision_model.pre_layrnorm.weight"),
            ("model.language_model.layers.0.mlp.up_proj.weight", "language_model.model.layers.0.mlp.up_proj.weight"),
            ("language_model.model.norm.weight", "language_model.model.norm.weight"),
            ("lm_head.weight", "language_model.lm_head.weight"),
            ("model.multi_modal_projector.linear_1.bias", "multi_modal_projector.linear_1.bias"),
        ] {
            assert_eq!(canonical_name(written), read);
        }
    }
}
