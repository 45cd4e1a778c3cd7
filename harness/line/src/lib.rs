//! A line between two processes.
//!
//! Frames of bytes in both directions over a socket, one after the other. This crate knows who may be at the other end and how much
//! the socket carried. It does not know what is said: no tensor, no client, no method; who speaks first, and about what, is for the
//! crates that use it.
//!
//! - An [`Address`] is `tcp://HOST:PORT` (this machine alone), `tls://HOST:PORT` or `unix:PATH`.
//! - [`Security`]: certificates, shown by both sides, and a token. On `tcp://` and `unix:` without a token, whoever has an account on
//!   this machine and may open the socket may speak; a Unix socket is opened by its owner alone.
//! - [`Listener`] and [`Line::connect`] are the two ends. A caller says which line it speaks and its token, and is told whether it is
//!   accepted, or why not; then the line is a [`Line`] for both.
//! - [`Line::send`] and [`Line::receive`]: eight bytes of length, little-endian, and that many bytes. Nothing is trusted: a length is
//!   held against what the receiver expects at most, and memory grows with what has arrived, not with what was announced.
//! - [`Line::carried`] counts bytes on the socket itself, certificates, TLS records and lengths included.
//!
//! Why not gRPC: it would bring an asynchronous runtime and some 36 crates, for one request at a time on one connection. rustls is
//! here anyway, for the Hub.

mod address;
mod caller;
mod connect;
mod error;
mod frame;
mod greeting;
mod line;
mod listener;
mod secret;
mod security;
mod socket;
mod socket_file;
mod stream;
#[cfg(test)]
mod tests;

pub use address::Address;
pub use caller::Caller;
pub use error::{Error, Result};
pub use line::Line;
pub use listener::Listener;
pub use security::Security;
pub use socket::Carried;
