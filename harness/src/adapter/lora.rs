//! LoRA (Hu et al., arXiv 2106.09685): `W x + alpha/r * B A x` at projections of the decoder.

use super::{AdapterKind, Rank};
use crate::backbone::llama::PROJECTIONS;

/// Query and value projections at rank 8, the reference code's choice.
pub const KIND: AdapterKind = AdapterKind {
    name: "lora",
    rank: Rank::Fixed(8),
    alpha_over_rank: 2.0,
    sites: &["q_proj", "v_proj"],
    allowed: &PROJECTIONS,
    names: ["lora_A", "lora_B"],
    biases: None,
};
