//! The federation: clients, the link between them and the server, aggregation, and the loop of rounds.

pub mod aggregate;
pub mod client;
mod exchange;
pub mod link;
pub mod method;
pub mod privacy;
pub mod run;
pub mod task;
pub mod wire;

pub use client::{Client, Fit, Objective, Pass, Plain, Step, Trainer, Work};
pub use link::Link;
pub use method::{ADAPTERS, Method, Placement, Round, Scope, Sets, Update};
pub use run::{Outcome, RoundReport, Watch, run};
pub use task::{Answers, Task};
