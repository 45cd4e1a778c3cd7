//! What the configs of vision transformers have in common; in what they differ each [`Tower`] says. A convolutional tower shares none of
//! it ([`super::efficientnet`]), and a model does not care which it has ([`super::model::Vision`]).

use std::fmt::Debug;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::nn::Activation;
use super::vit::{self, BlockConfig};

/// In what CLIP's, SigLIP's and EVA-CLIP's towers differ before a weight is read.
pub trait Tower: Debug + Clone + PartialEq {
    /// The one `model_type` that a config may name, if it matters.
    const MODEL_TYPE: Option<&'static str>;
    /// Whether a class token stands before the patches.
    const CLASS_TOKEN: bool;
    /// Whether the patches' convolution has a bias.
    const PATCH_BIAS: bool;
    /// Norms outside of the blocks that a checkpoint stores.
    const NORMS: u64;
    /// Whether one matrix makes queries, keys and values, which then have a bias as `qkv_bias` says.
    const FUSED: bool;

    /// transformers' defaults.
    fn defaults() -> TowerConfig<Self>;
}

/// Shapes of a tower, as in a checkpoint's `vision_config`. A key that is not there has transformers' default for this tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, bound = "")]
pub struct TowerConfig<T: Tower> {
    /// The architecture, where a checkpoint names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_type: Option<String>,
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
    /// Whether queries, keys and values have a bias, where one matrix makes them; elsewhere they have one.
    #[serde(skip_serializing_if = "is_true")]
    pub qkv_bias: bool,
    /// Whose shapes these are.
    #[serde(skip)]
    pub tower: PhantomData<T>,
}

fn is_true(value: &bool) -> bool {
    *value
}

impl<T: Tower> Default for TowerConfig<T> {
    fn default() -> Self {
        T::defaults()
    }
}

impl<T: Tower> TowerConfig<T> {
    /// Patches in a row or column.
    pub fn side(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Patches of an image, the class token not counted.
    pub fn num_patches(&self) -> usize {
        self.side().pow(2)
    }

    /// Tokens of an image, the class token among them where there is one.
    pub fn num_tokens(&self) -> usize {
        self.num_patches() + usize::from(T::CLASS_TOKEN)
    }

    /// Shapes of a block.
    pub fn block(&self) -> BlockConfig {
        BlockConfig {
            d: self.hidden_size,
            hidden: self.intermediate_size,
            heads: self.num_attention_heads,
            eps: self.layer_norm_eps,
            activation: self.hidden_act,
        }
    }

    /// Parameters: blocks, class token, positions, patch convolution, and the norms outside of blocks.
    pub fn parameters(&self) -> u64 {
        let (d, p) = (self.hidden_size as u64, self.patch_size as u64);
        let no_bias = if T::FUSED && !self.qkv_bias { 3 * d } else { 0 };
        let blocks = (self.block().parameters() - no_bias) * self.num_hidden_layers as u64;
        let [class, patch_bias] = [T::CLASS_TOKEN, T::PATCH_BIAS].map(u64::from);
        blocks + class * d + self.num_tokens() as u64 * d + (3 * p * p + patch_bias) * d + T::NORMS * 2 * d
    }

    /// Floating-point operations of an image's way to the hidden state behind so many blocks.
    pub fn image_flops(&self, blocks: usize) -> f64 {
        vit::image_flops(&self.block(), blocks, (self.num_patches(), usize::from(T::CLASS_TOKEN)), self.patch_size)
    }

    /// What cannot be run, if anything.
    pub fn unsupported(&self) -> Option<String> {
        if let (Some(name), Some(only)) = (self.model_type.as_deref(), T::MODEL_TYPE)
            && name != only
        {
            return Some(format!("vision_config.model_type = \"{name}\" (only \"{only}\" is)"));
        }
        vit::unsupported(&self.block(), self.num_hidden_layers, self.image_size, self.patch_size)
    }
}
