//! One experiment, put together: prepared, run, counted and written.
//!
//! [`check()`] says what a config may ask for; a [`Study`] is prepared once and run with a method; [`parameters`] counts what clients
//! hold; [`record`] writes the run folder; [`checksums`] says by content what was read.
//!
//! It may know everything below: data, models, tasks, federation. It must not know a dataset or a method by name, nor print.

mod by_class;
pub mod check;
pub mod checkpoints;
pub mod checksums;
mod error;
pub mod parameters;
pub mod record;
mod study;

pub use check::{Terms, check, check_decoder};
pub use error::{Error, Result};
pub use study::{Part, Study};
