//! A card for parquet files that have none: what their columns hold, and what a person would most likely say of them.
//!
//! A draft is a proposal. It is made of the columns' names, types and cells, each guess is said in words ([`Draft::notes`]), and the
//! loader itself says whether the rows can be read so ([`Draft::unread`]).

mod answers;
mod drafted;
mod found;
mod glance;
mod roles;
mod splits;
mod trial;

pub use drafted::{Draft, draft};
pub use found::{Found, found};
pub use glance::Glance;
pub use trial::Unread;
