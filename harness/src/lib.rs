//! Everything a method may not change: data, backbones, adapters, the federation's loop, metrics and accounting.
//!
//! Modules in the order data flows: [`data`] reads parquet into examples; [`backbone`] turns them into logits; [`adapter`] is what
//! is trained; [`study`] holds one experiment's prepared parts; [`federation`] runs rounds; [`metrics`] judges; [`accounting`]
//! counts; [`record`] writes the run folder. [`checksums`] says by content what was read. [`registry`] lists what a config may name.

pub mod accounting;
pub mod adapter;
pub mod backbone;
pub mod checksums;
pub mod data;
mod error;
mod features;
pub mod federation;
mod lengths;
pub mod limits;
pub mod metrics;
pub mod record;
pub mod registry;
mod stored;
pub mod study;
pub mod threads;

pub use error::{Error, Result};
