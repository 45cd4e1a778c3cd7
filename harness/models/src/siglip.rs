//! SigLIP's vision tower (Zhai et al., arXiv 2303.15343) as in Idefics3 and SmolVLM, with Hugging Face's weight names.
//!
//! No class token; the convolution has a bias; a norm stands behind the last block. Patches have positions in their order.
//! (transformers finds positions by fractions of the picture, in f32. For the sides that checkpoints have, such as 24, 26, 27 and
//! 32 patches, that is the same; for some others, 19 the smallest, rounding gives two neighbours one position.)

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::nn::{self, Activation};
use super::vit::{self, Block, BlockConfig};

/// Shapes of the tower, as in a checkpoint's `vision_config`. A key that is not there has transformers' default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SiglipVisionConfig {
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
}

impl Default for SiglipVisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 1152,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 16,
            image_size: 224,
            patch_size: 32,
            layer_norm_eps: 1e-6,
            hidden_act: Activation::GeluTanh,
        }
    }
}

impl SiglipVisionConfig {
    /// Patches in a row or column.
    pub fn side(&self) -> usize {
        self.image_size / self.patch_size
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

    /// Parameters: blocks, positions, patch convolution with bias, the last norm.
    pub fn parameters(&self) -> u64 {
        let (d, p) = (self.hidden_size as u64, self.patch_size as u64);
        self.block().parameters() * self.num_hidden_layers as u64 + (self.side() as u64).pow(2) * d + (3 * p * p + 1) * d + 2 * d
    }

    /// Floating-point operations of an image's way through it.
    pub fn image_flops(&self) -> f64 {
        vit::image_flops(&self.block(), self.num_hidden_layers, (self.side().pow(2), 0), self.patch_size)
    }

    /// What cannot be run, if anything.
    pub fn unsupported(&self) -> Option<String> {
        vit::unsupported(&self.block(), self.num_hidden_layers, self.image_size, self.patch_size)
    }
}

/// The tower.
#[derive(Debug, Clone)]
pub struct SiglipVisionTower {
    patch: Tensor,
    patch_bias: Tensor,
    /// In the order of the patches, `[patches, d]`.
    position: Tensor,
    blocks: Vec<Block>,
    post_norm: nn::LayerNorm,
}

impl SiglipVisionTower {
    /// Reads `embeddings.*`, `encoder.layers.*` and `post_layernorm.*`.
    pub fn new(config: &SiglipVisionConfig, weights: &VarBuilder) -> Result<Self> {
        let (d, p, side) = (config.hidden_size, config.patch_size, config.side());
        let embeddings = weights.pp("embeddings");
        let blocks = (0..config.num_hidden_layers)
            .map(|i| Block::new(&config.block(), &weights.pp(format!("encoder.layers.{i}"))))
            .collect::<Result<_>>()?;
        Ok(Self {
            patch: embeddings.get((d, 3, p, p), "patch_embedding.weight")?,
            patch_bias: embeddings.get(d, "patch_embedding.bias")?,
            position: embeddings.get((side * side, d), "position_embedding.weight")?.to_dtype(weights.dtype())?,
            blocks,
            post_norm: nn::LayerNorm::new(d, config.layer_norm_eps, &weights.pp("post_layernorm"))?,
        })
    }

    /// Pixels `[n, 3, s, s]` to the state behind so many blocks, without the last norm: `[n, patches, d]`.
    pub fn hidden_state(&self, pixels: &Tensor, blocks: usize) -> Result<Tensor> {
        let patches = vit::patches(pixels, &self.patch)?.broadcast_add(&self.patch_bias)?;
        let mut x = patches.broadcast_add(&self.position)?;
        for block in self.blocks.iter().take(blocks) {
            x = block.forward(&x)?;
        }
        Ok(x)
    }

    /// Pixels `[n, 3, s, s]` to `[n, patches, d]`.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        self.post_norm.forward(&self.hidden_state(pixels, self.blocks.len())?)
    }
}
