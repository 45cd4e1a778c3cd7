//! From parquet to what a client trains on, in the order data flows.
//!
//! It may know what is on disk (`schema`) and how to meet it (`guard`), and draws from named streams (`seed`). It must not know tensors
//! (no candle), models or methods: pixels and texts leave it as numbers and strings.
//!
//! - [`examples`]: a split's parquet files become [`Example`]s, through the dataset's card;
//! - [`inspect`](mod@inspect): what is in a dataset, for a person who has just written a card;
//! - [`draft`](mod@draft): a card for parquet files that have none;
//! - [`image`]: an encoded picture becomes the pixels that a backbone's image processor makes of it;
//! - [`partition`]: which example belongs to which client;
//! - [`prompt`]: what the model is asked, and what a generated answer means.

pub mod draft;
pub mod examples;
pub mod image;
pub mod inspect;
pub mod partition;
pub mod prompt;

mod boxes;
mod card;
#[cfg(test)]
mod cells_tests;
mod choices;
mod columns;
mod decode;
mod error;
mod example;
mod files;
mod joined;
mod labels;
mod list_text;
mod parquet_file;
mod parquet_pages;
#[cfg(test)]
mod parquet_tests;
mod people;
mod picture_cell;
mod pictures;
mod pillow;
mod repeated;
mod row;
mod sample;
mod sound;
#[cfg(test)]
mod testing;
mod tiles;
mod without;

pub use card::{check as check_card, join_cards};
pub use decode::try_picture;
pub use error::DataError;
pub use example::{Answer, Corners, Example, Origin};
pub use examples::Dataset;
pub use files::of_split;
pub use image::{Fit, Preprocess};
pub use inspect::{Inspection, inspect};
pub use list_text::list;
pub use partition::{LabelTable, ShardIndices, draw, label_table, load, resolve, save};
pub use pillow::Filter;
pub use prompt::{Rendered, letter, normalize, parse_choice, render};
pub use sample::Rows;
pub use tiles::Tiles;
