//! Kinds that train a vector at each site, and no matrix. They start at zero, so as the backbone itself.

use super::{AdapterKind, Rank, Shape};
use crate::sites::{NORMS, PROJECTIONS};

/// BitFit (Ben Zaken et al., arXiv 2106.10199): biases, here added to what leaves the decoder's projections, which have none of their
/// own in Llama: `W x + b`.
pub const BIAS: AdapterKind = AdapterKind {
    name: "bias",
    sentence: "A bias on what leaves the decoder's projections.",
    source: "BitFit, Ben Zaken et al., arXiv 2106.10199",
    rank: Rank::None,
    alpha_over_rank: 1.0,
    sites: &PROJECTIONS,
    allowed: &PROJECTIONS,
    shape: Shape::Shift { name: "bias" },
};

/// Norm tuning (Zhao et al., arXiv 2312.11420): the weights of the decoder's RMS norms, as what is added to them: `(w + v) x`, with the
/// normed `x`.
pub const NORM: AdapterKind = AdapterKind {
    name: "norm",
    sentence: "A change of the weights of the decoder's norms.",
    source: "Zhao et al., arXiv 2312.11420",
    rank: Rank::None,
    alpha_over_rank: 1.0,
    sites: &NORMS,
    allowed: &NORMS,
    shape: Shape::Scale { name: "weight" },
};
