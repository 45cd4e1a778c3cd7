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
mod toml_text;

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

/// Names whose distance is measured; of more, the others stay last.
const MEASURED_NAMES: usize = 5_000;
/// Characters of a name by which it is measured: a mistyped name differs before.
const MEASURED_CHARACTERS: usize = 64;

/// The names nearest to `wanted` first (edit distance, then alphabet): how every message of the suite lists alternatives.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let head = |name: &'a str| name.char_indices().nth(MEASURED_CHARACTERS).map_or(name, |(end, _)| &name[..end]);
    let wanted: String = wanted.chars().take(MEASURED_CHARACTERS).collect();
    let measured = |(place, name): (usize, &'a str)| match place < MEASURED_NAMES {
        true => (strsim::damerau_levenshtein(&wanted, head(name)), name),
        false => (usize::MAX, name),
    };
    let mut names: Vec<(usize, &str)> = names.into_iter().enumerate().map(measured).collect();
    names.sort_unstable();
    names.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn nearest_first() {
        assert_eq!(super::nearest("fedano", ["local", "fedavg-nano", "fednano"])[0], "fednano");
    }

    #[test]
    fn long_names_and_many_are_listed_in_no_time() {
        let long: Vec<String> = (0..20_000).map(|name| format!("{name}{}", "x".repeat(2_000))).collect();
        let found = super::nearest(&"y".repeat(1_000_000), long.iter().map(String::as_str));
        assert_eq!(found.len(), long.len());
    }
}
