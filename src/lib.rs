//! The command line over the suite's crates.
//!
//! A user's own crate adds a method as a row and calls the same `main`:
//!
//! ```no_run
//! use federation::registry::Registry;
//! // let registry = Registry::new(baselines::METHODS).method(my_row);
//! fedbench::cli::main(Registry::new(baselines::METHODS));
//! ```

pub mod cli;
mod environment;
mod flower;
mod generate;
pub mod held;
pub mod hub;
mod interrupt;
mod lessons;
mod library;
mod locate;
pub mod located;
mod output;
mod peft;
pub mod plan;
mod progress;
pub mod resume;
pub mod runner;
pub mod session;
mod slurm;
mod trained_on;
mod wheel;
