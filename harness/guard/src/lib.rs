//! What comes from outside, met without trust.
//!
//! Everything the suite reads may have been made, damaged or put there by somebody else, and everything it writes lies in a folder
//! that others may write to. This crate knows nothing of datasets, models or runs; it knows how such things are opened:
//!
//! - [`files`]: regular files only, up to a stated size; files of our own are written aside and renamed, and no link is followed;
//! - [`lock`]: a folder has one writer at a time;
//! - [`leftovers`]: what processes that were killed left behind;
//! - [`stars`]: names that fit a pattern;
//! - [`text`]: somebody else's text as a message or a table may show it;
//! - [`panics`]: a library that panics over its file is an error with a name;
//! - [`parquet`]: a parquet file's footer and page headers, walked before the library sees them.

pub mod files;
pub mod leftovers;
pub mod lock;
pub mod panics;
pub mod parquet;
pub mod stars;
pub mod text;
