//! What is on disk, and nothing else: the only contract between the stages of the suite.
//!
//! - [`card`]: what a dataset is, and how its columns become examples and prompts;
//! - [`experiment`]: one configuration, and [`experiment::Suite`], a list of them;
//! - [`inputs`]: what a run read, by content;
//! - [`manifest`]: the checksums by which a finished run is known to be as it was written;
//! - [`partition`]: which example belongs to which client;
//! - [`record`]: what a run measured: records, predictions, summary, environment;
//! - [`run_dir`]: where each of these lies in a run folder;
//! - [`toml_file`]: reading any of them, with errors that name the file, the key and what exists.

pub mod card;
pub mod experiment;
pub mod inputs;
pub mod manifest;
pub mod partition;
pub mod record;
pub mod run_dir;
pub mod toml_file;

pub use card::Card;
pub use experiment::{Experiment, Suite};
pub use inputs::{InputFile, Inputs};
pub use manifest::Manifest;
pub use record::{Environment, Prediction, Record, Summary};

use sha2::{Digest, Sha256};

/// The SHA-256 of some bytes, as lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The names nearest to `wanted` first (edit distance, then alphabet): how every message of the suite lists alternatives.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_by_key(|name| (strsim::damerau_levenshtein(wanted, name), *name));
    names
}

#[cfg(test)]
mod tests {
    #[test]
    fn nearest_first() {
        assert_eq!(super::nearest("fedano", ["local", "fedavg-nano", "fednano"])[0], "fednano");
    }
}
