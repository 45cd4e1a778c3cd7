//! Where each thing lies in a run folder.
//!
//! ```text
//! <run name>/
//!   experiment.toml       the resolved configuration
//!   card.toml             the dataset's card
//!   environment.json      commit, versions, machine, threads, command
//!   partition.json        which example belongs to which client
//!   records.parquet       one row per measured value: no timings, so the same seed gives the same bytes
//!   predictions.parquet   one row per judged example
//!   timings.json          what the clock said
//!   skipped.json          rows left out, each with its reason
//!   adapters.safetensors  the global adapters after the last round (and each client's own, where a method has them)
//!   summary.json          flat
//!   manifest.json         every file's size and SHA-256; written last, so a folder that it fits is complete
//! ```

/// The resolved configuration.
pub const EXPERIMENT: &str = "experiment.toml";
/// The dataset's card.
pub const CARD: &str = "card.toml";
/// Commit, versions, machine, threads, command.
pub const ENVIRONMENT: &str = "environment.json";
/// Which example belongs to which client.
pub const PARTITION: &str = "partition.json";
/// One row per measured value.
pub const RECORDS: &str = "records.parquet";
/// One row per judged example.
pub const PREDICTIONS: &str = "predictions.parquet";
/// What the clock said.
pub const TIMINGS: &str = "timings.json";
/// Rows left out, each with its reason.
pub const SKIPPED: &str = "skipped.json";
/// The trained tensors.
pub const ADAPTERS: &str = "adapters.safetensors";
/// The flat summary; written last but one.
pub const SUMMARY: &str = "summary.json";
/// Every file's size and SHA-256; written last.
pub const MANIFEST: &str = "manifest.json";
/// What every finished run has, beside the manifest.
pub const FILES: [&str; 10] =
    [EXPERIMENT, CARD, ENVIRONMENT, PARTITION, SKIPPED, RECORDS, PREDICTIONS, ADAPTERS, TIMINGS, SUMMARY];

/// The most bytes of a summary: it is one flat table.
pub const MOST_SUMMARY: u64 = 1 << 20;
