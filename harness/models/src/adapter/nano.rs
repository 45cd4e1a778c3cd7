//! NanoAdapters (FedNano, arXiv 2506.14824): `h + alpha/r * up(down(h))` on the image tokens after the connector and on the
//! text-token embeddings, no bias, no nonlinearity. They sit before the LLM, so a client needs no LLM to hold them.

use super::{AdapterKind, Rank, Shape};

/// The paper's r = 64 at d = 4096 is one part in 64 of the width; 8 is that for the embedded backbone, rounded up.
pub const KIND: AdapterKind = AdapterKind {
    name: "nano",
    sentence: "NanoAdapters: low-rank maps of image and text tokens before the decoder, so that a client needs no LLM.",
    source: "FedNano, arXiv 2506.14824",
    rank: Rank::Fixed(8),
    alpha_over_rank: 2.0,
    sites: &["image", "text"],
    allowed: &["image", "text"],
    shape: Shape::Pair { names: ["down", "up"], biases: None },
};
