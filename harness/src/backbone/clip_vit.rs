//! CLIP's vision tower (Radford et al., arXiv 2103.00020), with Hugging Face's weight names.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::nn;

/// Shapes of the tower, as in a checkpoint's `vision_config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipVisionConfig {
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
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f64,
}

fn default_eps() -> f64 {
    1e-5
}

impl ClipVisionConfig {
    /// Patches of an image, the class token not counted.
    pub fn num_patches(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
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
    patch_size: usize,
}

impl ClipVisionTower {
    /// Reads `embeddings.*`, `pre_layrnorm.*` (CLIP's spelling) and `encoder.layers.*`.
    pub fn new(config: &ClipVisionConfig, weights: &VarBuilder) -> Result<Self> {
        let (d, p) = (config.hidden_size, config.patch_size);
        let embeddings = weights.pp("embeddings");
        let blocks = (0..config.num_hidden_layers)
            .map(|i| Block::new(config, &weights.pp(format!("encoder.layers.{i}"))))
            .collect::<Result<_>>()?;
        Ok(Self {
            patch: embeddings.get((d, 3, p, p), "patch_embedding.weight")?,
            class: embeddings.get(d, "class_embedding")?,
            position: embeddings.get((config.num_patches() + 1, d), "position_embedding.weight")?,
            pre_norm: nn::LayerNorm::new(d, config.layer_norm_eps, &weights.pp("pre_layrnorm"))?,
            blocks,
            patch_size: p,
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
        let (n, _, height, width) = pixels.dims4()?;
        let (p, d) = (self.patch_size, self.class.dim(0)?);
        let (rows, columns) = (height / p, width / p);
        // A convolution whose stride is its kernel is one multiplication of flattened patches.
        let patches = pixels
            .reshape((n, 3, rows, p, columns, p))?
            .permute((0, 2, 4, 1, 3, 5))?
            .contiguous()?
            .reshape((n * rows * columns, 3 * p * p))?;
        let patches = patches.matmul(&self.patch.reshape((d, 3 * p * p))?.t()?)?.reshape((n, rows * columns, d))?;
        let class = self.class.reshape((1, 1, d))?.broadcast_as((n, 1, d))?;
        Tensor::cat(&[&class.contiguous()?, &patches], 1)?.broadcast_add(&self.position)
    }
}

#[derive(Debug, Clone)]
struct Block {
    norm1: nn::LayerNorm,
    q: nn::Linear,
    k: nn::Linear,
    v: nn::Linear,
    out: nn::Linear,
    norm2: nn::LayerNorm,
    fc1: nn::Linear,
    fc2: nn::Linear,
    heads: usize,
}

impl Block {
    fn new(config: &ClipVisionConfig, weights: &VarBuilder) -> Result<Self> {
        let (d, hidden, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let attention = weights.pp("self_attn");
        let mlp = weights.pp("mlp");
        Ok(Self {
            norm1: nn::LayerNorm::new(d, eps, &weights.pp("layer_norm1"))?,
            q: nn::Linear::new(d, d, true, &attention.pp("q_proj"))?,
            k: nn::Linear::new(d, d, true, &attention.pp("k_proj"))?,
            v: nn::Linear::new(d, d, true, &attention.pp("v_proj"))?,
            out: nn::Linear::new(d, d, true, &attention.pp("out_proj"))?,
            norm2: nn::LayerNorm::new(d, eps, &weights.pp("layer_norm2"))?,
            fc1: nn::Linear::new(d, hidden, true, &mlp.pp("fc1"))?,
            fc2: nn::Linear::new(hidden, d, true, &mlp.pp("fc2"))?,
            heads: config.num_attention_heads,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.norm1.forward(x)?;
        let (q, k, v) = (self.q.forward(&h)?, self.k.forward(&h)?, self.v.forward(&h)?);
        let attended = nn::attention(&q, &k, &v, self.heads, self.heads, None, None)?;
        let x = (x + self.out.forward(&attended)?)?;
        let h = self.fc1.forward(&self.norm2.forward(&x)?)?;
        &x + self.fc2.forward(&nn::quick_gelu(&h)?)?
    }
}
