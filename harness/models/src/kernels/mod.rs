//! CPU kernels with hand-written backward passes, as candle custom operations.
//!
//! Composed of candle operations, attention and norms spend most of their time moving intermediate tensors through memory. Here
//! each is one pass over its input, parallel over examples or rows, with the intermediate recomputed in the backward pass. The
//! composed forms in [`super::nn`] stay: they serve other devices, and the tests hold these against them. Elementwise loops are
//! compiled for several instruction sets and chosen at run time; no sum is reassociated, so every choice gives the same bits.

#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod convolution;
mod decoder;
mod elementwise;
mod frozen;
mod kept;
mod laid;
mod lay;
mod linear;
mod matrix;
mod norm;
mod pair;
mod panels;
mod real;
mod rounding;
mod scene;
mod simd;
mod spread;
mod storage;
mod sums;
mod unit;

pub use attention::Attention;
pub use decoder::{At, Block, Decoder};
pub use elementwise::{AddBias, QuickGelu, SiluGate};
pub use linear::FrozenLinear;
pub use norm::{LayerNorm, RmsNorm};
pub use pair::{Packing, Pair, Residual};
pub use real::Real;
pub use spread::ROWS as FROZEN_ROWS;
pub use storage::serves;
pub use unit::in_use;
