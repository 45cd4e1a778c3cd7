//! EVA-CLIP's ViT-g/14 (Fang et al., arXiv 2211.07636) as in BLIP-2 and MiniGPT-4, with the weight names of transformers'
//! `Blip2VisionModel`.
//!
//! One matrix makes queries, keys and values; its bias has zeros for the keys. BLIP-2 dropped the last of 40 blocks and put a norm
//! in its place.

use std::marker::PhantomData;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::nn::{self, Activation};
use super::tower::{Tower, TowerConfig};
use super::vit::{self, Block};

/// EVA-CLIP's, with a class token and a norm behind the blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Eva;

/// Shapes of the tower.
pub type EvaVisionConfig = TowerConfig<Eva>;

impl Tower for Eva {
    const MODEL_TYPE: Option<&'static str> = None;
    const CLASS_TOKEN: bool = true;
    const PATCH_BIAS: bool = true;
    const NORMS: u64 = 1;
    const FUSED: bool = true;

    fn defaults() -> EvaVisionConfig {
        EvaVisionConfig {
            model_type: None,
            hidden_size: 1408,
            intermediate_size: 6144,
            num_hidden_layers: 39,
            num_attention_heads: 16,
            image_size: 224,
            patch_size: 14,
            layer_norm_eps: 1e-6,
            hidden_act: Activation::Gelu,
            qkv_bias: true,
            tower: PhantomData,
        }
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
            position: embeddings.get((1, config.num_tokens(), d), "position_embedding")?,
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
