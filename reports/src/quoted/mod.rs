//! Tables that a page quotes from runs: what makes a table stands in a comment above it, and whoever renews the page makes it again.
//!
//! ```markdown
//! <!-- table
//! runs = ["results/2026-11-27/quickstart"]
//! rows = ["zero-shot", "fedavg-lora"]
//! columns = [{ title = "IconGen (%)", dataset = "icongen" }]
//! -->
//! | method | IconGen (%) |
//! ...
//! <!-- /table -->
//! ```
//!
//! [`wanted`] is what such a comment asks for, [`table`] makes it from runs, [`page`] finds the comments and puts the tables below
//! them. Words around the tables are not touched.

pub mod page;
pub mod table;
pub mod wanted;

pub use page::Page;
