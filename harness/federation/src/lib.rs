//! The federation: the contract of a method, clients, the link between them and the server, and the loop of rounds.
//!
//! [`Method`] is what a paper adds, [`registry`] the table of methods; a [`Client`] trains on a [`Task`]; [`link`] counts the bytes that
//! [`wire`] encodes; [`run()`] is the loop, over a [`Federation`] that somebody has prepared.
//!
//! It may know adapters (`models`), and a judge (`tasks`) that it asks and never looks into. It must not know datasets, files,
//! backbones, or any method by name.

pub mod aggregate;
pub mod client;
mod error;
mod exchange;
pub mod link;
pub mod method;
pub mod objective;
mod parts;
pub mod privacy;
pub mod registry;
mod round;
pub mod run;
pub mod schedule;
mod sets;
pub mod task;
mod watch;
pub mod wire;

pub use client::{Client, Fit, Pass, Trainer};
pub use error::{Error, Result};
pub use link::Link;
pub use method::{Method, merge};
pub use objective::{Objective, Plain};
pub use parts::Federation;
pub use round::{Round, Step, Work};
pub use run::{Outcome, run};
pub use schedule::Schedule;
pub use schema::{Family, Placement, Scope};
pub use sets::{ADAPTERS, Sets, Update};
pub use task::{Answers, Task};
pub use watch::{RoundReport, Unwatched, Watch};
