//! Rotary positions as checkpoints ask for them (Su et al., arXiv 2104.09864), scaled ones included.
//!
//! transformers 5 writes one table `rope_parameters`; before, there were `rope_theta` and `rope_scaling`, whose kind was `type`
//! or `rope_type`. All are read ([`RopeParameters`]).

mod parameters;
mod scaling;

pub use parameters::{Decoder, RopeParameters};
pub use scaling::{Long, Rope, Scaling, Yarn};
