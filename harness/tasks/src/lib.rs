//! What a model is asked, and how its answers are judged.
//!
//! [`split`] holds a dataset with its images' features; [`prepare`] makes token sequences of its examples; a [`judge::Judge`] answers
//! them with any adapters ([`predict`], by likelihood or by generation), and [`judgement`] says what the answers are worth.
//!
//! It may know data and models. It must not know methods, clients that train, or rounds.

pub mod breakdown;
mod error;
pub mod example;
mod features;
mod generation;
pub mod judge;
pub mod judgement;
mod lengths;
mod likelihood;
mod lots;
mod options;
pub mod predict;
pub mod prepare;
pub mod reach;
pub mod split;
pub mod trivial;
pub mod vqa;

pub use error::{Error, Result};
pub use judge::Judge;
pub use judgement::Judgement;
pub use lots::largest_batch;
pub use split::Split;
