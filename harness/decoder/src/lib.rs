//! A model's decoder in another process: split training as it would be deployed.
//!
//! A client holds tower, connector, token embedding and its adapters; the decoder (blocks, last norm, head) is held by a process that
//! [`serve`]s it. [`Remote`] is a backbone whose decoder is there: training goes through it, Fisher passes and judging too, and in f32
//! all numbers have the bits of one process. It may know models, and a line to another process; it must not know clients, methods or
//! rounds.
//!
//! # What is said on a line
//! A frame is a head in JSON behind its length, and a body of numbers; that of a forward pass begins with its batch's layout.
//!
//! | the client asks | body | the decoder says | body |
//! |---|---|---|---|
//! | `hello`: protocol, checksum and type of the weights | | `ready`, or `no` and why | |
//! | `forward`: the batch's layout, the encoding, where the loss is | hidden states, and with `loss_at = "server"` the labels | `said` | logits, or log-likelihoods of the labels |
//! | `backward` | the gradient of what was said | `gradient` | that of the hidden states |
//!
//! The layout says how long sequences are and what is read of them: mask, positions and rotary tables are made of it, and no padding
//! travels. Labels, log-likelihoods and their gradients have four bytes each; all else is a row a token, encoded as
//! `federation.activations` says ([`models::crossing`]). What a decoder keeps of a forward pass for its backward pass is kept for the
//! line alone, one pass a line; a client opens as many lines as it has passes under way.
//!
//! A decoder that is lost is called once more in each step, and asked for the same again: a forward pass changes nothing. If it stays
//! lost, the run ends with an error that names it. Nothing that a caller says ends the decoder: what is no message, or makes no sense,
//! is answered with `no`, and the line is closed.
//!
//! # Who sees what
//! Split training hides less than it may seem to. Whoever runs the decoder sees, of every training example, the hidden states of
//! prompt and pictures (from which texts, and to some degree pictures, can be reconstructed: with a public token embedding a text's
//! hidden state is its token but for the adapter), how long prompts and answers are, and the gradients that come back. With `loss_at =
//! "server"` it sees the answers themselves; with `"client"` these stay, but the gradient of logits tells them: it is negative at the
//! right token alone. Adapters do not cross this line (the server of the federation gets those), nor do pixels. Judging goes the same
//! way, test questions and options with it. TLS hides all of it from the network, a token hides none; neither hides anything from the
//! decoder.

mod error;
mod far;
mod message;
mod remote;
mod serve;
mod session;
mod step;

pub use error::{Error, Result};
pub use far::Place;
pub use remote::Remote;
pub use serve::serve;
