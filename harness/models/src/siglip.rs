//! SigLIP's vision tower (Zhai et al., arXiv 2303.15343) as in Idefics3 and SmolVLM, with Hugging Face's weight names.
//!
//! No class token; the convolution has a bias; a norm stands behind the last block. Patches have positions in their order.
//! (transformers finds positions by fractions of the picture, in f32. For the sides that checkpoints have, such as 24, 26, 27 and
//! 32 patches, that is the same; for some others, 19 the smallest, rounding gives two neighbours one position.)

use std::marker::PhantomData;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::nn::{self, Activation};
use super::tower::{Tower, TowerConfig};
use super::vit::{self, Block};

/// SigLIP's, with a norm behind the blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Siglip;

/// Shapes of the tower.
pub type SiglipVisionConfig = TowerConfig<Siglip>;

impl Tower for Siglip {
    const MODEL_TYPE: Option<&'static str> = None;
    const CLASS_TOKEN: bool = false;
    const PATCH_BIAS: bool = true;
    const NORMS: u64 = 1;
    const FUSED: bool = false;

    fn defaults() -> SiglipVisionConfig {
        SiglipVisionConfig {
            model_type: None,
            hidden_size: 1152,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 16,
            image_size: 224,
            patch_size: 32,
            layer_norm_eps: 1e-6,
            hidden_act: Activation::GeluTanh,
            qkv_bias: true,
            tower: PhantomData,
        }
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
        let (d, p) = (config.hidden_size, config.patch_size);
        let embeddings = weights.pp("embeddings");
        let blocks = (0..config.num_hidden_layers)
            .map(|i| Block::new(&config.block(), &weights.pp(format!("encoder.layers.{i}"))))
            .collect::<Result<_>>()?;
        Ok(Self {
            patch: embeddings.get((d, 3, p, p), "patch_embedding.weight")?,
            patch_bias: embeddings.get(d, "patch_embedding.bias")?,
            position: embeddings.get((config.num_patches(), d), "position_embedding.weight")?.to_dtype(weights.dtype())?,
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
