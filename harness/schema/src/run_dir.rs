//! Where each thing lies in a run folder.
//!
//! `<out>/<dataset>-<method>-s<seed>-<hash>/`, `<dataset>` the card's name, the hash over the resolved experiment (defaults
//! filled in) with every name and path in it replaced by the checksum of what it names ([`crate::inputs`]): the card (as
//! read, so without comments), the files of both splits and the pictures that rows name by path, everything the backbone is read
//! from, the partition's file. The same bytes under any path are one run; other bytes are another. A method and its kind of
//! adapters are two choices; a pair that has a name of its own is called by it (`fedavg` on LoRA is `fedavg-lora`), here and in
//! every file, so that its two spellings are one run:
//!
//! | file | holds |
//! |---|---|
//! | `experiment.toml`, `card.toml` | the resolved experiment; the dataset's card |
//! | `environment.json` | commit, versions, machine, threads, kernels, command, hash of the backbone's weights; commit, checksums and listing host of what came from the Hub; `inputs`: the checksums in the run's name, and of each file that was read; `doubts`: what the data make doubtful |
//! | `partition.json`, `skipped.json` | which example belongs to whom, with a hash; rows left out and why |
//! | `records.parquet` | round, client, metric, value |
//! | `predictions.parquet` | example, client, shard, scoring, prediction, gold, correct, parsed, option scores and which option is right; the score, where a metric knows more than right and wrong |
//! | `adapters.safetensors` | the global adapters (none in it for zero-shot); a client's own as `client-<id>/<name>` |
//! | `timings.json` | what the clock said |
//! | `summary.json` | one flat table of the run |
//! | `manifest.json` | size and SHA-256 of every file above; written last |
//! | `checkpoint/` | where the run stands after its last round ([`CHECKPOINT`]); no part of what came out, and free to be removed |
//!
//! Checksums are kept in memory and in `$FEDBENCH_CACHE/checksums.json`, by a file's size, times and inode, so a suite reads no
//! file twice for them; one whose times lie less than two seconds back is read each time (`harness/study/src/checksums.rs`). What
//! is loaded in a process (splits, backbones, timings) is found again by the same checksums and the whole card, never by name.
//! Files that changed while they were read are an error. Old runs have no `inputs`: reports group them by names and paths, as
//! they always did, and apart from runs that have them.
//!
//! A run's folder is locked by the process that writes it (`.lock`, which ends with the process); a second one is told so, and
//! asks again under the lock whether the run is complete. No link is followed in a run folder, neither for reading nor for
//! writing.

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
/// The folder of what a run goes on from: the server's state, and what clients of its process remember, as of the last round. A run that
/// was killed goes on there, as does one of more rounds. It says which program wrote it and has checksums of its own; no manifest names it.
pub const CHECKPOINT: &str = "checkpoint";
/// What every finished run has, beside the manifest.
pub const FILES: [&str; 10] =
    [EXPERIMENT, CARD, ENVIRONMENT, PARTITION, SKIPPED, RECORDS, PREDICTIONS, ADAPTERS, TIMINGS, SUMMARY];

/// The most bytes of a summary: it is one flat table.
pub const MOST_SUMMARY: u64 = 1 << 20;
