//! What a model is asked, and how its answers are judged.
//!
//! A [`task`] is a row: what is right, what training descends, how a model answers, and what answers are worth, by name. [`table`] has the
//! suite's own, each from its file, and says which of them a card sets; nothing else here knows one by name.
//!
//! [`split`] holds a dataset with its images' features; [`prepare`] makes token sequences of its examples; a [`judge::Judge`] answers
//! them with any adapters ([`predict`], by likelihood, by generation or by class: [`classes`] are answers of training rows), and [`judgement`] says what the answers are worth. What the
//! data make doubtful, [`doubts`] say.
//!
//! It may know data and models. It must not know methods, clients that train, or rounds.

mod bleu;
mod blind;
pub mod breakdown;
mod by_class;
mod captioning;
mod cider;
pub mod classes;
mod classification;
pub mod doubts;
mod error;
pub mod example;
mod features;
pub mod generation;
mod grounding;
pub mod judge;
pub mod judgement;
mod lengths;
mod likelihood;
pub mod lookup;
mod lots;
mod multiple_choice;
mod options;
mod people;
pub mod predict;
mod prediction;
pub mod prepare;
pub mod ranked;
pub mod reach;
mod short_answer;
pub mod split;
pub mod table;
pub mod task;
pub mod trivial;
pub mod vqa;
mod words;

pub use bleu::{bleu, rouge_l};
pub use cider::Corpus;
pub use error::{Error, Result};
pub use judge::Judge;
pub use judgement::Judgement;
pub use lots::largest_batch;
pub use split::Split;
pub use table::{TASKS, Tasks};
pub use task::TaskRow;
pub use words::words;
