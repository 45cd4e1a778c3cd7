//! What is on disk, and nothing else: the only contract between the stages of the suite.
//!
//! - [`card`]: what a dataset is, and how its columns become examples and prompts;
//! - [`experiment`]: one configuration, and [`experiment::Suite`], a list of them;
//! - [`inputs`]: what a run read, by content;
//! - [`limits`]: how much a config may ask for;
//! - [`manifest`]: the checksums by which a finished run is known to be as it was written;
//! - [`metrics`]: the one table of what is measured, and what follows from it;
//! - [`pack`]: many runs in a few files;
//! - [`partition`]: which example belongs to which client;
//! - [`record`]: what a run measured: records, predictions, environment;
//! - [`run_dir`]: where each of these lies in a run folder;
//! - [`tag`]: kinds of example that every dataset has;
//! - [`toml_file`]: reading any of them, with errors that name the file, the key and what exists;
//! - [`Placement`], [`Scope`], [`Family`]: where a model lives, whose examples a method trains on, and what kind of method it is;
//! - [`sha256_hex`], [`nearest`], [`unknown`]: how all of the suite writes checksums, and lists what exists.

mod activations;
mod backbone;
pub mod card;
mod data_config;
mod digest;
pub mod experiment;
mod family;
pub mod inputs;
pub mod limits;
pub mod manifest;
pub mod metrics;
mod names;
mod of_dataset;
mod optimizer;
pub mod pack;
pub mod partition;
mod placement;
pub mod record;
pub mod run_dir;
pub mod tag;
mod test_rows;
pub mod toml_file;
mod toml_text;
mod tuned;

pub use card::Card;
pub use digest::{hex, sha256_hex};
pub use experiment::{Experiment, Suite};
pub use family::Family;
pub use inputs::{InputFile, Inputs};
pub use manifest::Manifest;
pub use metrics::Summary;
pub use names::{nearest, twice, unknown};
pub use of_dataset::OfDataset;
pub use placement::{Placement, Scope};
pub use record::{Environment, Prediction, Record};
