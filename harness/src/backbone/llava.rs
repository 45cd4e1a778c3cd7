//! LLaVA-1.5 (Liu et al., arXiv 2310.03744): CLIP tower, two-layer MLP connector, Llama decoder.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};
use tokenizers::Tokenizer;

use super::clip_vit::{ClipVisionConfig, ClipVisionTower};
use super::connector::Connector;
use super::llama::{self, Llama, LlamaConfig};
use super::text::{ChatFormat, TextCodec};
use super::{Backbone, Batch, ComponentParameters, Embeddings, SiteSpec, Spec};
use crate::adapter::Adapt;
use crate::data::Preprocess;
use crate::{Error, Result};

/// The name under which LLaVA-1.5-7B's shapes are known.
pub const LLAVA_7B: &str = "llava-1.5-7b";

/// `config.json` in Hugging Face's layout, with a `chat` table of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlavaConfig {
    /// The tower.
    pub vision_config: ClipVisionConfig,
    /// The decoder.
    pub text_config: LlamaConfig,
    /// Which hidden state of the tower feeds the connector, counted as Hugging Face counts.
    #[serde(default = "default_feature_layer")]
    pub vision_feature_layer: isize,
    /// Patches merged `k x k` into one image token before the connector (pixel shuffle, as SmolVLM's `scale_factor`); 1 in LLaVA.
    #[serde(default = "default_scale_factor")]
    pub scale_factor: usize,
    /// How prompts are wrapped.
    #[serde(default = "default_chat")]
    pub chat: ChatFormat,
}

fn default_feature_layer() -> isize {
    -2
}

fn default_scale_factor() -> usize {
    1
}

/// Vicuna's format as LLaVA-1.5 uses it.
fn default_chat() -> ChatFormat {
    let system = "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and \
                  polite answers to the user's questions.";
    ChatFormat {
        turn: format!("{system} USER: {{images}}\n{{prompt}}"),
        image: "<image>".into(),
        answer: " ASSISTANT:".into(),
        end: "</s>".into(),
        begin: Some("<s>".into()),
    }
}

impl LlavaConfig {
    /// LLaVA-1.5-7B (vocabulary 32064, as in `llava-hf/llava-1.5-7b-hf`).
    pub fn llava_7b() -> Self {
        Self {
            vision_config: ClipVisionConfig {
                hidden_size: 1024,
                intermediate_size: 4096,
                num_hidden_layers: 24,
                num_attention_heads: 16,
                image_size: 336,
                patch_size: 14,
                layer_norm_eps: 1e-5,
            },
            text_config: LlamaConfig {
                hidden_size: 4096,
                intermediate_size: 11_008,
                num_hidden_layers: 32,
                num_attention_heads: 32,
                num_key_value_heads: 32,
                vocab_size: 32_064,
                rms_norm_eps: 1e-5,
                rope_theta: 10_000.0,
                tie_word_embeddings: false,
                rope_parameters: None,
                rope_scaling: None,
                head_dim: None,
                attention_bias: false,
            },
            vision_feature_layer: -2,
            scale_factor: 1,
            chat: default_chat(),
        }
    }

    /// Reads a `config.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let config: Self = serde_json::from_str(&text)
            .map_err(|error| Error::Backbone(format!("{}: {error} (expected a LLaVA config.json)", path.display())))?;
        match config.unsupported() {
            Some(what) => {
                Err(Error::Backbone(format!("{}: {what} is not supported; the decoder would be wrong", path.display())))
            }
            None => Ok(config),
        }
    }

    /// What this code cannot run, if anything.
    fn unsupported(&self) -> Option<String> {
        let columns = self.vision_config.image_size / self.vision_config.patch_size;
        if self.scale_factor == 0 || !columns.is_multiple_of(self.scale_factor) {
            return Some(format!("scale_factor {} (it must divide the {columns} patches of a row)", self.scale_factor));
        }
        self.text_config.unsupported()
    }

    /// Image tokens per image.
    pub fn image_tokens(&self) -> usize {
        self.vision_config.num_patches() / self.scale_factor.pow(2)
    }

    /// Parameters by component.
    pub fn parameters(&self) -> ComponentParameters {
        let (v, t) = (&self.vision_config, &self.text_config);
        let (dv, dt) = (v.hidden_size as u64, t.hidden_size as u64);
        let vision_block = 4 * (dv * dv + dv) + 2 * dv * v.intermediate_size as u64 + v.intermediate_size as u64 + dv + 4 * dv;
        // Class token, positions, patch convolution, and the norms before and after; the last is stored though LLaVA skips it.
        let vision_rest = dv + (v.num_patches() as u64 + 1) * dv + 3 * (v.patch_size * v.patch_size) as u64 * dv + 4 * dv;
        let weights = t.sites().into_iter().filter(|site| site.group != llama::FFN);
        let projections: u64 = weights.map(|site| (site.d_in * site.d_out) as u64).sum();
        let embedding = t.vocab_size as u64 * dt;
        let head = if t.tie_word_embeddings { 0 } else { embedding };
        ComponentParameters {
            vision: vision_block * v.num_hidden_layers as u64 + vision_rest,
            connector: dv * (self.scale_factor as u64).pow(2) * dt + dt + dt * dt + dt,
            embedding,
            decoder: projections + (2 * t.num_hidden_layers as u64 + 1) * dt + head,
        }
    }

    /// Shapes, counts and sites.
    pub fn spec(&self, name: &str) -> Spec {
        let d = self.text_config.hidden_size;
        let stream = |name: &str| SiteSpec { name: name.into(), group: name.into(), d_in: d, d_out: d, before_decoder: true };
        let mut sites = vec![stream("image"), stream("text")];
        sites.extend(self.text_config.sites());
        Spec {
            name: name.into(),
            parameters: self.parameters(),
            d_model: d,
            layers: self.text_config.num_hidden_layers,
            vocabulary: self.text_config.vocab_size,
            image_tokens: self.image_tokens(),
            bytes_per_number: 4,
            sites,
        }
    }
}

/// The model with its weights.
pub struct Llava {
    spec: Spec,
    feature_layer: isize,
    tower: ClipVisionTower,
    connector: Connector,
    decoder: Llama,
    text: TextCodec,
    preprocess: Preprocess,
    sha256: String,
}

impl Llava {
    /// Builds the model over weights named as Hugging Face names them.
    pub fn new(name: &str, config: &LlavaConfig, weights: &VarBuilder, tokenizer: Tokenizer, sha256: String) -> Result<Self> {
        let spec = config.spec(name);
        let (dv, dt) = (config.vision_config.hidden_size, config.text_config.hidden_size);
        Ok(Self {
            feature_layer: config.vision_feature_layer,
            tower: ClipVisionTower::new(&config.vision_config, &weights.pp("vision_tower.vision_model"))?,
            connector: Connector::new(dv, dt, config.scale_factor, &weights.pp("multi_modal_projector"))?,
            decoder: Llama::new(&config.text_config, &weights.pp("language_model"))?,
            text: TextCodec::new(tokenizer, config.chat.clone(), spec.image_tokens)?,
            preprocess: Preprocess::clip(config.vision_config.image_size),
            spec,
            sha256,
        })
    }

    /// Hidden states `[n, d]` read as words, without blocks or norm: logits `[n, vocabulary]`.
    pub fn read_out(&self, hidden: &Tensor) -> candle_core::Result<Tensor> {
        self.decoder.read_out(hidden)
    }

    /// Reads a folder with `config.json`, `model.safetensors` and `tokenizer.json`.
    pub fn read(folder: &Path, device: &Device) -> Result<Self> {
        let config = LlavaConfig::read(&folder.join("config.json"))?;
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| Error::Read { path, source })
        };
        let name = folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned());
        Self::from_bytes(&name, &config, &read("model.safetensors")?, &read("tokenizer.json")?, device)
    }

    /// Builds the model from a checkpoint's bytes; any float type is widened to f32.
    pub fn from_bytes(name: &str, config: &LlavaConfig, safetensors: &[u8], tokenizer: &[u8], device: &Device) -> Result<Self> {
        let tensors = candle_core::safetensors::load_buffer(safetensors, device)
            .map_err(|error| Error::Backbone(format!("backbone `{name}`: unreadable safetensors: {error}")))?;
        let tokenizer = Tokenizer::from_bytes(tokenizer)
            .map_err(|error| Error::Backbone(format!("backbone `{name}`: unreadable tokenizer.json: {error}")))?;
        let weights = VarBuilder::from_tensors(canonical_names(tensors), DType::F32, device);
        Self::new(name, config, &weights, tokenizer, schema::sha256_hex(safetensors))
    }
}

/// Maps the names that different transformers versions write to the ones read here.
fn canonical_names(tensors: HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    tensors.into_iter().map(|(name, tensor)| (canonical_name(&name), tensor)).collect()
}

fn canonical_name(name: &str) -> String {
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

impl Backbone for Llava {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn text(&self) -> &TextCodec {
        &self.text
    }

    fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    fn weights_sha256(&self) -> &str {
        &self.sha256
    }

    fn dtype(&self) -> DType {
        self.decoder.dtype()
    }

    fn device(&self) -> &Device {
        self.decoder.device()
    }

    fn encode(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        let hidden = self.tower.hidden_state(pixels, self.feature_layer)?;
        let patches = hidden.dim(1)? - 1;
        self.connector.forward(&hidden.narrow(1, 1, patches)?.contiguous()?)
    }

    fn embed(&self, batch: &Batch, features: &Tensor) -> candle_core::Result<Embeddings> {
        let text = self.decoder.embed(&batch.tokens)?;
        let d = text.dim(1)?;
        let hidden = if batch.images.elem_count() == 0 {
            text
        } else {
            let images = features.index_select(&batch.images, 0)?.reshape(((), d))?;
            Tensor::cat(&[&text, &images], 0)?.index_select(&batch.source, 0)?
        };
        Ok(Embeddings {
            hidden: hidden.reshape((batch.size, (), d))?,
            image_mask: batch.image_mask.clone(),
            text_mask: batch.text_mask.clone(),
            mask: batch.mask.clone(),
            rotary: self.decoder.rotary(&batch.positions)?,
            read: batch.read.clone(),
            rows: batch.rows.clone(),
        })
    }

    fn decode(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> candle_core::Result<Tensor> {
        let mut hidden = embeddings.hidden.clone();
        for (site, mask) in [("image", &embeddings.image_mask), ("text", &embeddings.text_mask)] {
            if let Some(delta) = adapt.delta(site, &embeddings.hidden)? {
                hidden = (hidden + delta.broadcast_mul(mask)?)?;
            }
        }
        self.decoder.forward(&hidden, embeddings, adapt)
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
