//! A federation over Flower: the app that carries our frames, and a run by it.
//!
//! Flower starts a process of Python's for each message, so models and data live in long-lived processes of ours on both sides:
//!
//! ```text
//! SuperLink's machine                         a node
//! flower-superlink  <----- HTTP(S) ----->  flower-supernode --node-config 'worker="/run/w.sock"'
//!   ServerApp (a process a run)               ClientApp (a process a message)
//!       unix socket: fedbench coordinate          unix socket: fedbench worker
//! ```
//!
//! The app (`app/`) reads no tensor and has no loop of rounds: it brings the frames of `remote` from one side to the other, one message
//! a node and round. A node that is gone, or silent for `patience` seconds, is lost to its round and no more.

mod app;
mod submit;

pub(crate) use app::App;
pub(crate) use submit::submit;
