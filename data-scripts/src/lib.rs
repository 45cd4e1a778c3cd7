//! Where the data comes from: cards for public datasets, and deterministic generators of pictures with questions.
//!
//! - [`cards`]: one card per dataset, what its columns mean and how an example becomes a prompt;
//! - [`generators`]: IconGen and SciGen (benchmarks in Hub schemas, made on the spot) and the pretraining stream of the tiny
//!   backbone;
//! - [`hflb`]: FedDAT's federation, imported from its authors' archives of [`conversations`];
//! - [`import`](mod@import): a person's own CSV, JSON lines or folders of pictures;
//! - [`hub`]: models and datasets from the Hugging Face Hub.

pub mod cards;
pub mod conversations;
pub mod generators;
pub mod hflb;
pub mod hub;
pub mod import;
mod output;
mod parquet_out;

pub use output::OutputError;
