//! A person's own questions become parquet: a CSV, JSON lines, or folders of pictures.
//!
//! - [`table`]: rows and typed columns, whatever they were written in; `csv` and `jsonl` [`read()`] them, `folders` makes them of
//!   pictures in folders that are called like their labels;
//! - [`choices`]: options that stand in columns of their own, or in one with a mark between them, become a list;
//! - [`parts`]: which rows are trained on and which are judged on;
//! - [`write`](mod@write): pictures are read, tried and put into the parquet files, so that nothing else is needed.

pub mod choices;
mod csv;
mod folders;
mod jsonl;
mod names;
pub mod parts;
mod read;
pub mod table;
mod write;

pub use folders::folders;
pub use read::read;
pub use table::{Table, TableError};
pub use write::{Look, Made, Written, write};
