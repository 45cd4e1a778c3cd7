//! A pack: finished runs in a few files, for keeping.
//!
//! ```text
//! <pack>/
//!   runs.parquet         one row a run: its folder's name, its texts as they were, and what else it had
//!   records.parquet      the rows of all runs' records.parquet, in the order of the runs
//!   predictions.parquet  the same of predictions.parquet
//!   texts.parquet        cards and partitions, each once, by the SHA-256 of its content
//!   adapters/            where asked for: `<SHA-256>.safetensors`, each once
//!   pack.json            every file's size and SHA-256; written last, so a pack that it fits is complete
//! ```
//!
//! Runs stand in the order of their folders' names. In `records.parquet` and `predictions.parquet` a run has row groups of its own, of
//! [`GROUP_ROWS`] rows but for the last, so that one run is read without the others; their columns are those of all runs together, and
//! a run's row in `runs.parquet` says which it had. Texts are byte for byte the files of the run folder; parquet is written anew, with
//! the same rows.
//!
//! Finished runs are kept in packs (`fedbench keep`; `schema/src/pack.rs` has the format): all runs' rows in `records.parquet`
//! and `predictions.parquet`, a row group (or several) for each run, their texts in `runs.parquet`, cards and partitions once
//! each in `texts.parquet`, and a manifest, `pack.json`, written last. `reports::source` is a run's files wherever they lie, so
//! whatever reads folders reads packs, and says the same of both; only the path of a run that is reported as a repeat is the
//! pack's. A pack is held against its manifest, and each run in it against the manifest that came with it; runs that came without
//! one stay unverified. Adapters, which no report reads, are kept with `--adapters`, each content once. `keep` reads back what it
//! wrote before the manifest is written. `keep --unpack` gives the folders back, texts byte for byte; parquet is written anew as
//! a run writes it, so it has the same bytes as long as the parquet library writes the same (where it does not, the command says
//! so, and the rows are the same).

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::manifest::{self, Entry, Mismatch};
use crate::run_dir;

/// The format of packs that are written now.
pub const FORMAT: u32 = 1;

/// One row a run.
pub const RUNS: &str = "runs.parquet";
/// All runs' measured values.
pub const RECORDS: &str = run_dir::RECORDS;
/// All runs' judged examples.
pub const PREDICTIONS: &str = run_dir::PREDICTIONS;
/// What several runs share.
pub const TEXTS: &str = "texts.parquet";
/// Adapters, by content.
pub const ADAPTERS: &str = "adapters";
/// Every file's size and SHA-256; written last.
pub const MANIFEST: &str = "pack.json";
/// What every pack has, beside its manifest.
pub const FILES: [&str; 4] = [RUNS, RECORDS, PREDICTIONS, TEXTS];

/// Files of a run that are texts of its own, a column each of `runs.parquet`.
pub const OWN_TEXTS: [&str; 5] =
    [run_dir::EXPERIMENT, run_dir::ENVIRONMENT, run_dir::SKIPPED, run_dir::TIMINGS, run_dir::SUMMARY];
/// Files of a run that others have, too: `runs.parquet` has their SHA-256, `texts.parquet` what they say.
pub const SHARED_TEXTS: [&str; 2] = [run_dir::CARD, run_dir::PARTITION];

/// The most rows of a row group of records or predictions.
pub const GROUP_ROWS: u64 = 1 << 20;
/// The most runs of a pack.
pub const MOST_RUNS: u64 = 10_000;

/// Its manifest has a line or two for each file.
const MOST_BYTES: u64 = 16 << 20;

/// A pack's manifest, `pack.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// The pack's format, [`FORMAT`].
    pub format: u32,
    /// How many runs it holds.
    pub runs: u64,
    /// How many of them came without a manifest, so that nothing said whether they were as they were written.
    pub unverified: u64,
    /// The files.
    pub files: BTreeMap<String, Entry>,
}

/// Only the format: what else a manifest says depends on it.
#[derive(Deserialize)]
struct Stated {
    format: u32,
}

/// The column of `runs.parquet` that holds a file's text: the file's name without its ending.
pub fn column(file: &str) -> &str {
    file.split_once('.').map_or(file, |(stem, _)| stem)
}

/// Where the adapters of some content lie in a pack.
pub fn adapters(sha256: &str) -> String {
    format!("{ADAPTERS}/{sha256}.safetensors")
}

/// Whether a run's folder can have this name in a pack: one component that leads nowhere else.
pub fn is_name(name: &str) -> bool {
    manifest::is_plain(name)
}

/// Whether a text is a SHA-256 as this suite writes it, and so leads nowhere else as a file's name.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a pack lies in a folder, whole or not.
pub fn is_there(folder: &Path) -> bool {
    let is_there = |name: &str| folder.join(name).symlink_metadata().is_ok();
    is_there(MANIFEST) || (is_there(RUNS) && is_there(PREDICTIONS))
}

impl Pack {
    /// Reads a pack's manifest, which names all that a pack must have and nothing else.
    pub fn read(folder: &Path) -> Result<Self, Mismatch> {
        let path = folder.join(MANIFEST);
        let wrong = |what: String| Err(Mismatch { path: path.clone(), what });
        if path.symlink_metadata().is_err() {
            return wrong("is missing: the pack was not finished, or the file was removed".into());
        }
        let text = manifest::bytes(&path, MOST_BYTES)?;
        let Stated { format } = parsed(&path, &text)?;
        if format != FORMAT {
            return wrong(format!("format {format}: this version knows format {FORMAT}; a newer fedbench reads it"));
        }
        let pack: Self = parsed(&path, &text)?;
        if let Some(name) = FILES.iter().find(|name| !pack.files.contains_key(**name)) {
            return wrong(format!("it does not name {name}, which every pack has"));
        }
        match pack.files.keys().find(|name| !is_file(name)) {
            Some(name) => wrong(format!("`{}` is no name of a pack's file", guard::text::line(name, 80))),
            None => Ok(pack),
        }
    }

    /// Compares every file that it names with what lies in a folder.
    pub fn compare(&self, folder: &Path) -> Result<(), Mismatch> {
        manifest::compare(&self.files, folder, MANIFEST)
    }
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, Mismatch> {
    serde_json::from_slice(text)
        .map_err(|error| Mismatch { path: path.into(), what: format!("is not what a pack's manifest is: {error}") })
}

fn is_file(name: &str) -> bool {
    let stem = name.strip_prefix(ADAPTERS).and_then(|name| name.strip_prefix('/')?.strip_suffix(".safetensors"));
    FILES.contains(&name) || stem.is_some_and(is_sha256)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_manifest_of_another_format_or_of_other_files_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = |why: &str| {
            let error = Pack::read(folder.path()).expect_err("refused");
            assert!(error.path.ends_with(MANIFEST) && error.what.contains(why), "{why}: {error}");
        };
        refused("is missing");
        let files = FILES.map(|name| (name.to_owned(), Entry::of(b""))).into_iter().collect();
        let whole = Pack { format: FORMAT, runs: 1, unverified: 0, files };
        let save =
            |pack: &Pack| fs::write(folder.path().join(MANIFEST), serde_json::to_string(pack).expect("JSON")).expect("written");
        save(&whole);
        assert_eq!(Pack::read(folder.path()), Ok(whole.clone()));
        save(&Pack { format: 2, ..whole.clone() });
        refused("format 2: this version knows format 1");
        fs::write(folder.path().join(MANIFEST), "{\"format\": 9, \"what\": []}").expect("written");
        refused("format 9");
        let mut lacking = whole.clone();
        lacking.files.remove(TEXTS);
        save(&lacking);
        refused("does not name texts.parquet");
        for name in ["../x", "adapters/x.safetensors", "adapters/../../x", "notes.txt"] {
            let mut elsewhere = whole.clone();
            elsewhere.files.insert(name.into(), Entry::of(b""));
            save(&elsewhere);
            refused("no name of a pack's file");
        }
        let mut with_adapters = whole;
        with_adapters.files.insert(adapters(&crate::digest::sha256_hex(b"")), Entry::of(b""));
        save(&with_adapters);
        assert_eq!(Pack::read(folder.path()), Ok(with_adapters));
    }
}
