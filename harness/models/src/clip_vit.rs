//! CLIP's vision tower (Radford et al., arXiv 2103.00020), with Hugging Face's weight names.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::nn::{self, Activation};
use super::vit::{self, Block, BlockConfig};

/// Shapes of the tower, as in a checkpoint's `vision_config`. A key that is not there has transformers' default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipVisionConfig {
    /// The architecture, where a checkpoint names it: `clip_vision_model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_type: Option<String>,
    /// Width d.
    #[serde(default = "default_hidden_size")]
    pub hidden_size: usize,
    /// Width of the MLP.
    #[serde(default = "default_intermediate_size")]
    pub intermediate_size: usize,
    /// Blocks.
    #[serde(default = "default_layers")]
    pub num_hidden_layers: usize,
    /// Attention heads.
    #[serde(default = "default_layers")]
    pub num_attention_heads: usize,
    /// Pixels on a side.
    #[serde(default = "default_image_size")]
    pub image_size: usize,
    /// Pixels on a side of a patch.
    #[serde(default = "default_patch_size")]
    pub patch_size: usize,
    /// Floor of the layer norms.
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f64,
    /// The MLP's activation.
    #[serde(default = "default_activation")]
    pub hidden_act: Activation,
}

fn default_hidden_size() -> usize {
    768
}

fn default_intermediate_size() -> usize {
    3072
}

fn default_layers() -> usize {
    12
}

fn default_image_size() -> usize {
    224
}

fn default_patch_size() -> usize {
    32
}

fn default_eps() -> f64 {
    1e-5
}

fn default_activation() -> Activation {
    Activation::QuickGelu
}

impl ClipVisionConfig {
    /// CLIP ViT-L/14-336, the tower of LLaVA-1.5.
    pub fn large_336() -> Self {
        Self {
            model_type: None,
            hidden_size: 1024,
            intermediate_size: 4096,
            num_hidden_layers: 24,
            num_attention_heads: 16,
            image_size: 336,
            patch_size: 14,
            layer_norm_eps: default_eps(),
            hidden_act: default_activation(),
        }
    }

    /// Patches of an image, the class token not counted.
    pub fn num_patches(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }

    fn block(&self) -> BlockConfig {
        BlockConfig {
            d: self.hidden_size,
            hidden: self.intermediate_size,
            heads: self.num_attention_heads,
            eps: self.layer_norm_eps,
            activation: self.hidden_act,
        }
    }

    /// Parameters: blocks, class token, positions, patch convolution, and the norms before and after; the last is stored though
    /// LLaVA skips it.
    pub fn parameters(&self) -> u64 {
        let (d, p) = (self.hidden_size as u64, self.patch_size as u64);
        self.block().parameters() * self.num_hidden_layers as u64
            + d
            + (self.num_patches() as u64 + 1) * d
            + 3 * p * p * d
            + 4 * d
    }

    /// Floating-point operations of an image's way to the hidden state behind so many blocks.
    pub fn image_flops(&self, blocks: usize) -> f64 {
        vit::image_flops(&self.block(), blocks, (self.num_patches(), 1), self.patch_size)
    }

    /// What cannot be run, if anything.
    pub fn unsupported(&self) -> Option<String> {
        if let Some(other) = self.model_type.as_deref().filter(|&name| name != "clip_vision_model") {
            return Some(format!("vision_config.model_type = \"{other}\" (only \"clip_vision_model\" is)"));
        }
        vit::unsupported(&self.block(), self.num_hidden_layers, self.image_size, self.patch_size)
    }
}

/// The tower: patch embedding, blocks, and all hidden states.
#[derive(Debug, Clone)]
pub struct ClipVisionTower {
    patch: Tensor,
    class: Tensor,
    position: Tensor,
    pre_norm: nn::LayerNorm,
    blocks: Vec<Block>,
}

impl ClipVisionTower {
    /// Reads `embeddings.*`, `pre_layrnorm.*` (CLIP's spelling) and `encoder.layers.*`.
    pub fn new(config: &ClipVisionConfig, weights: &VarBuilder) -> Result<Self> {
        let (d, p) = (config.hidden_size, config.patch_size);
        let embeddings = weights.pp("embeddings");
        let blocks = (0..config.num_hidden_layers)
            .map(|i| Block::new(&config.block(), &weights.pp(format!("encoder.layers.{i}"))))
            .collect::<Result<_>>()?;
        Ok(Self {
            patch: embeddings.get((d, 3, p, p), "patch_embedding.weight")?,
            class: embeddings.get(d, "class_embedding")?,
            position: embeddings.get((config.num_patches() + 1, d), "position_embedding.weight")?.to_dtype(weights.dtype())?,
            pre_norm: nn::LayerNorm::new(d, config.layer_norm_eps, &weights.pp("pre_layrnorm"))?,
            blocks,
        })
    }

    /// Pixels `[n, 3, s, s]` to the hidden state after block `layer` `[n, 1 + patches, d]`, counted as Hugging Face counts: 0 is
    /// the embedding, -1 the last block's output, -2 the one before.
    pub fn hidden_state(&self, pixels: &Tensor, layer: isize) -> Result<Tensor> {
        let count = self.blocks.len() as isize + 1;
        let index = if layer < 0 { count + layer } else { layer };
        if !(0..count).contains(&index) {
            candle_core::bail!("vision feature layer {layer}: the tower has hidden states {}..={}", -count, count - 1)
        }
        let mut x = self.pre_norm.forward(&self.embed(pixels)?)?;
        for block in &self.blocks[..index as usize] {
            x = block.forward(&x)?;
        }
        Ok(x)
    }

    fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let patches = vit::patches(pixels, &self.patch)?;
        let (n, _, d) = patches.dims3()?;
        let class = self.class.reshape((1, 1, d))?.broadcast_as((n, 1, d))?;
        Tensor::cat(&[&class.contiguous()?, &patches], 1)?.broadcast_add(&self.position)
    }
}
