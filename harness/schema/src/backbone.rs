//! The frozen model, as an experiment names it.

use serde::{Deserialize, Serialize};

/// The frozen model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackboneConfig {
    /// A backbone's name (`fedbench list backbones`) or a folder.
    pub name: String,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// How its weights are held: `f32` (also without this key), `bf16` or `f16`. Adapters are f32 in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    /// Where weights lie that the backbone asks for (`smol`'s language model), a file or a folder; without it a variable of the
    /// environment or the Hub's cache says so, as for every other part. Not part of the run's identity, which has the checksums.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// What a training step does not keep for its backward pass. Not part of the run's identity: no number depends on it.
    #[serde(skip_serializing_if = "Checkpoint::is_none")]
    #[schemars(extend("default" = "none"))]
    pub checkpoint: Checkpoint,
}

impl Default for BackboneConfig {
    fn default() -> Self {
        Self { name: "nano".into(), device: "cpu".into(), dtype: None, weights: None, checkpoint: Checkpoint::None }
    }
}

/// What a training step computes a second time instead of keeping it (Chen et al., arXiv 1604.06174).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Checkpoint {
    /// Nothing: what the backward pass reads is kept.
    #[default]
    None,
    /// Of each decoder block only what enters it is kept: about a seventh of the numbers, for one more forward pass.
    Block,
}

impl Checkpoint {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}
