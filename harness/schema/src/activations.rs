use serde::{Deserialize, Serialize};

/// How the numbers of an activation are encoded: those of one token together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activations {
    /// As they are: f32, or what hidden states are on a GPU.
    #[default]
    F32,
    /// Rounded to bf16.
    Bf16,
    /// Whole multiples, at most 127, of a scale for each token.
    Int8,
    /// Whole multiples, at most 7, of a scale for each token; two in a byte.
    Int4,
}

impl Activations {
    /// Whether nothing is done to them.
    pub fn is_plain(&self) -> bool {
        *self == Self::F32
    }
}
