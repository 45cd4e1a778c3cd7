//! Prompt tuning (Lester et al., arXiv 2104.08691): p trained embeddings in front of every sequence, before the LLM, so that a client
//! needs no LLM to hold them. The rank is their number.
//!
//! They are drawn uniformly from ±0.5, the paper's random start. So this kind alone does not start as the backbone itself: whatever is
//! in front is seen.

use super::{AdapterKind, Rank, Shape};

/// Where they stand.
pub const SITE: &str = "prompt";

/// How far from zero its numbers are drawn.
pub const BOUND: f64 = 0.5;

/// Twenty, where the paper finds that more gain little.
pub const KIND: AdapterKind = AdapterKind {
    name: "prompt",
    sentence: "Trained embeddings in front of every sequence; the rank is their number.",
    source: "Lester et al., arXiv 2104.08691",
    rank: Rank::Fixed(20),
    alpha_over_rank: 1.0,
    sites: &[SITE],
    allowed: &[SITE],
    shape: Shape::Tokens { name: "tokens" },
};
