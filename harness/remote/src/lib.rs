//! Clients in other processes: the engine that brings orders to them, and the worker that has them.
//!
//! A [`Worker`] has some of the clients (a [`federation::Host`]) and waits at an address. The server's engine is [`Workers`], which
//! calls workers itself, or [`Relay`], which hands the same frames to another program that knows where workers are (Flower). What is
//! said is in [`talk`]: an [`Introduction`], by which a worker of another experiment, other data or other weights is refused before it
//! has done anything, and then orders and replies as [`federation::Message`]s, which no number depends on.
//!
//! What clients remember stays with them: a worker keeps it in files ([`Memories`]), the last two rounds', and goes on from the round
//! that the server's order names. So a worker may be killed and started again, and an update that never arrived leaves no trace.
//!
//! A worker that cannot be reached, breaks off or makes no sense costs the round its clients ([`federation::order::Done::Lost`]); what
//! its own work says is wrong (a loss that is not finite before training) is an error of the run, as it is in one process.
//!
//! It may know the seam (`federation`) and lines (`line`). It must not know what orders are about: no tensor, no method, no dataset.

mod engine;
mod error;
mod introduction;
mod memories;
mod relay;
pub mod talk;
mod worker;

pub use engine::{Workers, attempt};
pub use error::{Error, Result};
pub use introduction::Introduction;
pub use memories::Memories;
pub use relay::Relay;
pub use worker::{Notice, Worker};
