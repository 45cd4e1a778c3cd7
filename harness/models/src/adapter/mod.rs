//! Adapters: the few trained tensors, and how they act on a hidden state.
//!
//! Every adapter here adds something to what it adapts, so one method says it all: [`Adapt::delta`]. NanoAdapters ([`nano`]), LoRA
//! ([`lora`]) and bottlenecks ([`bottleneck`]) are pairs of low-rank matrices and differ in where they sit and in what lies between
//! the two; biases and norms ([`vector`]) are a vector at each site, and a prompt ([`mod@prompt`]) a few embeddings in front
//! ([`attached`] has all of them at work). That makes sums of adapters adapters again ([`AdapterSpec::mix`]). A model whose answers
//! are no words has a trained [`head`] beside them.

mod adapt;
pub mod attached;
pub mod bottleneck;
pub mod fisher;
pub mod head;
mod kind;
mod kinds;
pub mod lora;
pub mod nano;
pub mod prompt;
mod set;
mod spec;
pub mod vector;

pub use adapt::{Adapt, Form, Untouched};
pub use attached::Attached;
pub use head::Head;
pub use kind::{AdapterKind, Rank, Shape};
pub use kinds::{KINDS, Kinds, kind};
pub use set::Adapters;
pub use spec::AdapterSpec;
