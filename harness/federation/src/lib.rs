//! The federation: the contract of a method, clients, the link between them and the server, and the loop of rounds.
//!
//! [`Method`] is what a paper adds, [`registry`] the table of methods; a [`Client`] trains on a [`Task`]. [`run()`] is the loop, over a
//! [`Federation`] that somebody has prepared: it hands an [`Engine`] orders and takes replies ([`order`]), whose tensors are
//! [`Payload`]s in an encoding of [`wire`]; [`link`] counts their bytes. A [`Host`] makes a reply of an order, and [`InProcess`] is the
//! engine whose host is in this process; others bring it [`message`]s.
//!
//! It may know adapters (`models`), and a judge (`tasks`) that it asks and never looks into. It must not know datasets, files,
//! backbones, or any method by name.

pub mod aggregate;
pub mod checkpoint;
pub mod client;
mod engine;
mod error;
mod exact;
mod exchange;
mod host;
mod in_process;
mod judging;
pub mod link;
mod memory;
pub mod message;
pub mod method;
pub mod objective;
pub mod order;
mod parts;
mod payload;
pub mod privacy;
pub mod registry;
mod round;
pub mod run;
pub mod schedule;
mod sets;
pub mod shares;
pub mod task;
mod trainer;
mod watch;
pub mod wire;

pub use checkpoint::{Checkpoint, Checkpoints};
pub use client::{Client, Fit, HEAD, Pass};
pub use engine::Engine;
pub use error::{Error, Result};
pub use host::Host;
pub use in_process::InProcess;
pub use link::Link;
pub use memory::Memories;
pub use message::Message;
pub use method::{Diagnostic, Method, merge};
pub use objective::{Objective, Plain};
pub use order::{Order, Reply};
pub use parts::Federation;
pub use payload::Payload;
pub use round::{Round, Step, Work};
pub use run::{Outcome, run, run_from};
pub use schedule::Schedule;
pub use schema::{Family, Placement, Scope};
pub use sets::{ADAPTERS, Sets, Update};
pub use task::{Answers, Soft, Task};
pub use trainer::Trainer;
pub use watch::{RoundReport, Unwatched, Watch};
