//! Bottleneck adapters (Houlsby et al., arXiv 1902.00751) where FedDAT puts them (Chen et al., arXiv 2308.12305; `adapter.py:22-46`
//! of its code): behind each decoder block's FFN, on the residual stream, `h + up(ReLU(down(h)))` with biases.
//!
//! FedDAT draws both matrices from N(0, 0.02); here `up` starts at zero as everywhere, so that every method starts as the backbone.

use super::{AdapterKind, Rank, Shape};

/// Reduction 16, scale 1: FedDAT's.
pub const KIND: AdapterKind = AdapterKind {
    name: "bottleneck",
    sentence: "Two matrices with a ReLU between them behind each block's FFN.",
    source: "Houlsby et al., arXiv 1902.00751; FedDAT, arXiv 2308.12305",
    rank: Rank::WidthOver(16),
    alpha_over_rank: 1.0,
    sites: &["ffn"],
    allowed: &["ffn"],
    shape: Shape::Pair { names: ["down", "up"], biases: Some(["down_bias", "up_bias"]) },
};
