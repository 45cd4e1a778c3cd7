//! The machine that a run is on: what time it is, what memory is left, which threads work.
//!
//! It may know the operating system and nothing of ours. It must not decide anything: no number of a result may depend on what it
//! answers.

pub mod clock;
pub mod memory;
pub mod threads;
