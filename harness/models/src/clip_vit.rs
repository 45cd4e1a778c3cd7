//! CLIP's vision tower (Radford et al., arXiv 2103.00020), with Hugging Face's weight names.

use std::marker::PhantomData;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::nn::{self, Activation};
use super::tower::{Tower, TowerConfig};
use super::vit::{self, Block};

/// CLIP's, with a class token, a norm before the blocks and one behind them, which is stored though LLaVA skips it.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip;

/// Shapes of the tower.
pub type ClipVisionConfig = TowerConfig<Clip>;

impl Tower for Clip {
    const MODEL_TYPE: Option<&'static str> = Some("clip_vision_model");
    const CLASS_TOKEN: bool = true;
    const PATCH_BIAS: bool = false;
    const NORMS: u64 = 2;
    const FUSED: bool = false;

    fn defaults() -> ClipVisionConfig {
        ClipVisionConfig {
            model_type: None,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 224,
            patch_size: 32,
            layer_norm_eps: 1e-5,
            hidden_act: Activation::QuickGelu,
            qkv_bias: true,
            tower: PhantomData,
        }
    }
}

impl ClipVisionConfig {
    /// CLIP ViT-L/14-336, the tower of LLaVA-1.5.
    pub fn large_336() -> Self {
        Self {
            hidden_size: 1024,
            intermediate_size: 4096,
            num_hidden_layers: 24,
            num_attention_heads: 16,
            image_size: 336,
            patch_size: 14,
            ..Self::default()
        }
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
            position: embeddings.get((config.num_tokens(), d), "position_embedding.weight")?.to_dtype(weights.dtype())?,
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
