//! The suite's integration tests: one binary, a module per question.
//!
//! - [`parity`]: do models, adapters, optimizer and merging give what other people's code gives? (`tests/fixtures`)
//! - [`gradients`]: are all gradients right, and does every adapter tensor get one?
//! - [`laws`]: do methods and runs obey the laws of ARCHITECTURE.md? Tables over `baselines::METHODS`, so a new row is tested.
//! - [`methods`]: is every method, round by round, what PyTorch makes of its definition? (`tests/fixtures/methods.py`)
//! - [`vqa`]: are soft scores those of the official evaluation? (`tests/fixtures/vqa.py`)
//! - [`floors`]: does every crate see only what lies below it?
//! - [`hub`]: does the Hub's client keep what is whole and nothing else, whatever a server does? (`hub_site`: such a server)

mod cli;
mod floors;
mod gradients;
mod hub;
mod hub_site;
mod laws;
mod methods;
mod parity;
mod support;
mod tiny;
mod vqa;
