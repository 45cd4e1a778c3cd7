//! LoRA (Hu et al., arXiv 2106.09685): `W x + alpha/r * B A x` at projections of the decoder, and at the connector's linear layers.

use super::{AdapterKind, Rank, Shape};
use crate::sites::CONNECTOR;

/// The name of the matrix that goes down to the rank.
pub const A: &str = "lora_A";
/// The name of the one that comes back up.
pub const B: &str = "lora_B";

/// The decoder's projections, as [`crate::sites::PROJECTIONS`] has them, and the connector.
const SITES: [&str; 8] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", CONNECTOR];

/// Query and value projections at rank 8, the reference code's choice.
pub const KIND: AdapterKind = AdapterKind {
    name: "lora",
    sentence: "A low-rank change of frozen matrices: the decoder's projections, the connector's layers.",
    source: "Hu et al., arXiv 2106.09685",
    rank: Rank::Fixed(8),
    alpha_over_rank: 2.0,
    sites: &["q_proj", "v_proj"],
    allowed: &SITES,
    shape: Shape::Pair { names: [A, B], biases: None },
};
