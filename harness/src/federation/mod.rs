//! The federation: clients, the link between them and the server, aggregation, and the loop of rounds.

pub mod aggregate;
pub mod client;
pub mod link;
pub mod method;
pub mod run;

pub use client::{Client, Fit, Objective, Plain};
pub use link::Link;
pub use method::{Method, Placement, Scope, Update};
pub use run::{Outcome, RoundReport, Watch, run};
