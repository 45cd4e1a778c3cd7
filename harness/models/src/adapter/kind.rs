//! What a kind of adapter is: its rank, its sites, and what it trains at one.

use serde::Serialize;

/// A row of `fedbench list adapters`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct AdapterKind {
    /// The name a config uses.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub sentence: &'static str,
    /// Its paper.
    pub source: &'static str,
    /// The rank without one in the config.
    pub rank: Rank,
    /// Alpha without one in the config, as a multiple of the rank.
    pub alpha_over_rank: f64,
    /// The sites (by group) without any in the config.
    pub sites: &'static [&'static str],
    /// The groups it may attach to.
    pub allowed: &'static [&'static str],
    /// What it trains at a site.
    pub shape: Shape,
}

impl AdapterKind {
    /// Whether it has a rank at all.
    pub fn has_rank(&self) -> bool {
        !matches!(self.rank, Rank::None)
    }
}

/// What an adapter trains at a site, by the tensors' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// `up(down(x))`.
    Pair {
        /// The matrix that goes down to the rank, `[r, d_in]`, and the one that comes back up, `[d_out, r]`.
        names: [&'static str; 2],
        /// Their biases, `[r]` and `[d_out]`, where there are some; then a ReLU lies between the matrices.
        biases: Option<[&'static str; 2]>,
    },
    /// A vector `[d_out]`, whatever enters.
    Shift {
        /// Its name.
        name: &'static str,
    },
    /// A vector `[d]` times what enters.
    Scale {
        /// Its name.
        name: &'static str,
    },
    /// Embeddings `[r, d]` in front of every sequence.
    Tokens {
        /// Their name.
        name: &'static str,
    },
}

/// An adapter kind's default rank.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rank {
    /// The kind has none.
    None,
    /// This.
    Fixed(usize),
    /// The decoder's width over this: a bottleneck's reduction factor.
    WidthOver(usize),
}

impl Rank {
    pub(super) fn at(self, width: usize) -> usize {
        match self {
            Self::None => 1,
            Self::Fixed(rank) => rank,
            Self::WidthOver(reduction) => (width / reduction).max(1),
        }
    }
}
