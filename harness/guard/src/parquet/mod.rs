//! A parquet file, looked at before a library is handed it.
//!
//! The library trusts a footer: a negative length is a panic, a schema 20,000 deep a stack that overflows, a page that promises
//! gigabytes an allocation of them. So footer and page headers are walked here first, every number against the file's length and a
//! stated limit; [`Footer::plan`] then says how many rows may be decoded at a time.

mod codecs;
mod footer;
mod pages;
mod problem;
mod thrift;

pub use footer::{Footer, MAX_FOOTER_BYTES, footer};
pub use pages::{Doubt, Packed, Plan, ROWS_AT_ONCE};
pub use problem::{Problem, what_it_is};

#[cfg(test)]
mod tests;
