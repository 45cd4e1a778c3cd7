//! EVA-CLIP's ViT-g/14 (Fang et al., arXiv 2211.07636) as in BLIP-2 and MiniGPT-4, with the weight names of transformers'
//! `Blip2VisionModel`.
//!
//! One matrix makes queries, keys and values; its bias has zeros for the keys. BLIP-2 dropped the last of 40 blocks and put a norm
//! in its place.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::nn::{self, Activation};
use super::vit::{self, Block, BlockConfig};

/// Shapes of the tower, as in a checkpoint's `vision_config`. A key that is not there has transformers' default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EvaVisionConfig {
    /// Width d.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Pixels on a side.
    pub image_size: usize,
    /// Pixels on a side of a patch.
    pub patch_size: usize,
    /// Floor of the layer norms.
    pub layer_norm_eps: f64,
    /// The MLP's activation.
    pub hidden_act: Activation,
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
}

impl Default for EvaVisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 1408,
            intermediate_size: 6144,
            num_hidden_layers: 39,
            num_attention_heads: 16,
            image_size: 224,
            patch_size: 14,
            layer_norm_eps: 1e-6,
            hidden_act: Activation::Gelu,
            qkv_bias: true,
        }
    }
}

impl EvaVisionConfig {
    fn num_patches(&self) -> usize {
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

    /// Parameters: blocks, class token, positions, patch convolution with bias, the last norm.
    pub fn parameters(&self) -> u64 {
        let (d, p) = (self.hidden_size as u64, self.patch_size as u64);
        let block = self.block().parameters() - if self.qkv_bias { 0 } else { 3 * d };
        block * self.num_hidden_layers as u64 + d + (self.num_patches() as u64 + 1) * d + (3 * p * p + 1) * d + 2 * d
    }

    /// Floating-point operations of an image's way through it.
    pub fn image_flops(&self) -> f64 {
        vit::image_flops(&self.block(), self.num_hidden_layers, (self.num_patches(), 1), self.patch_size)
    }

    /// Tokens of an image, the class token among them.
    pub fn num_tokens(&self) -> usize {
        self.num_patches() + 1
    }

    /// What cannot be run, if anything.
    pub fn unsupported(&self) -> Option<String> {
        vit::unsupported(&self.block(), self.num_hidden_layers, self.image_size, self.patch_size)
    }
}

/// The tower.
#[derive(Debug, Clone)]
pub struct EvaVisionTower {
    patch: Tensor,
    patch_bias: Tensor,
    class: Tensor,
    position: Tensor,
    blocks: Vec<Block>,
    post_norm: nn::LayerNorm,
}

impl EvaVisionTower {
    /// Reads `embeddings.*`, `encoder.layers.*` and `post_layernorm.*`.
    pub fn new(config: &EvaVisionConfig, weights: &VarBuilder) -> Result<Self> {
        let (d, p) = (config.hidden_size, config.patch_size);
        let embeddings = weights.pp("embeddings");
        let blocks = (0..config.num_hidden_layers)
            .map(|i| Block::fused(&config.block(), config.qkv_bias, &weights.pp(format!("encoder.layers.{i}"))))
            .collect::<Result<_>>()?;
        Ok(Self {
            patch: embeddings.get((d, 3, p, p), "patch_embedding.weight")?,
            patch_bias: embeddings.get(d, "patch_embedding.bias")?,
            class: embeddings.get((1, 1, d), "class_embedding")?,
            position: embeddings.get((1, config.num_patches() + 1, d), "position_embedding")?,
            blocks,
            post_norm: nn::LayerNorm::new(d, config.layer_norm_eps, &weights.pp("post_layernorm"))?,
        })
    }

    /// Pixels `[n, 3, s, s]` to the state behind so many blocks, without the last norm: `[n, 1 + patches, d]`.
    pub fn hidden_state(&self, pixels: &Tensor, blocks: usize) -> Result<Tensor> {
        let patches = vit::patches(pixels, &self.patch)?.broadcast_add(&self.patch_bias)?;
        let (n, _, d) = patches.dims3()?;
        let class = self.class.broadcast_as((n, 1, d))?.contiguous()?;
        let mut x = Tensor::cat(&[&class, &patches], 1)?.broadcast_add(&self.position)?;
        for block in self.blocks.iter().take(blocks) {
            x = block.forward(&x)?;
        }
        Ok(x)
    }

    /// Pixels `[n, 3, s, s]` to `[n, 1 + patches, d]`.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        self.post_norm.forward(&self.hidden_state(pixels, self.blocks.len())?)
    }
}
