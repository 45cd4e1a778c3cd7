//! A split's files: found by the card's names, checked against the card's checksum.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use schema::card::{Card, Split};
use sha2::{Digest, Sha256};

use super::error::{DataError, listed};

/// The card's entry for a split.
pub(super) fn split<'a>(card: &'a Card, name: &str) -> Result<&'a Split, DataError> {
    card.splits.get(name).ok_or_else(|| DataError::NoSplit {
        dataset: card.name.clone(),
        split: name.into(),
        splits: listed(name, card.splits.keys().map(String::as_str)),
    })
}

/// The files of a split, in row order; at least one.
pub(super) fn find(dir: &Path, card: &Card, name: &str) -> Result<Vec<PathBuf>, DataError> {
    let files = all(dir, &split(card, name)?.files, name)?;
    if files.is_empty() {
        return Err(DataError::Card { dataset: card.name.clone(), message: format!("split `{name}` names no file") });
    }
    Ok(files)
}

/// The files of a split's pictures; none where they lie beside the questions.
pub(super) fn pictures(dir: &Path, card: &Card, name: &str) -> Result<Vec<PathBuf>, DataError> {
    all(dir, &split(card, name)?.pictures, name)
}

/// All files of a split in the order they are read: its questions', then its pictures'.
pub fn of_split(dir: &Path, card: &Card, name: &str) -> Result<Vec<PathBuf>, DataError> {
    let mut files = find(dir, card, name)?;
    files.extend(pictures(dir, card, name)?);
    Ok(files)
}

fn all(dir: &Path, patterns: &[String], split: &str) -> Result<Vec<PathBuf>, DataError> {
    let found = patterns.iter().map(|pattern| matches(dir, pattern, split));
    Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The files that one name of a card stands for, sorted by name.
fn matches(dir: &Path, pattern: &str, split: &str) -> Result<Vec<PathBuf>, DataError> {
    let full = dir.join(pattern);
    let folder = full.parent().unwrap_or(dir).to_path_buf();
    let name = full.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let there = names_in(&folder);
    let found: Vec<&String> = there.iter().filter(|file| fits(&name, file)).collect();
    if found.is_empty() {
        let there = describe(&folder, &name, &there);
        return Err(DataError::NoFile { dir: folder, pattern: pattern.into(), split: split.into(), there });
    }
    Ok(found.into_iter().map(|file| folder.join(file)).collect())
}

/// Whether a file name fits a pattern with at most one `*`.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail),
    }
}

/// The names of the files in a folder, sorted; none where there is no folder.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter(|entry| !entry.path().is_dir()).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn describe(folder: &Path, wanted: &str, names: &[String]) -> String {
    const SHOWN: usize = 8;
    if !folder.is_dir() {
        return "the folder does not exist: get the dataset first".into();
    }
    let nearest = schema::nearest(wanted, names.iter().map(String::as_str));
    let more = nearest.len().saturating_sub(SHOWN);
    let shown = listed(wanted, nearest.into_iter().take(SHOWN));
    if more == 0 {
        format!("nearest first, there are: {shown}")
    } else {
        format!("nearest first, there are: {shown} and {more} more")
    }
}

/// Checks the files' bytes against the card's checksum, where it has one.
pub(super) fn check_sha256(files: &[PathBuf], split: &Split, name: &str) -> Result<(), DataError> {
    let Some(wanted) = &split.sha256 else { return Ok(()) };
    let found = sha256(files)?;
    if found.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(DataError::Checksum { files: joined(files), split: name.into(), found, wanted: wanted.clone() })
}

/// The SHA-256 of the files' bytes, one after the other.
pub(super) fn sha256(files: &[PathBuf]) -> Result<String, DataError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    for path in files {
        let mut file = File::open(path).map_err(DataError::file(path))?;
        loop {
            let read = file.read(&mut buffer).map_err(DataError::file(path))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
    }
    Ok(schema::hex(&hasher.finalize()))
}

/// Paths as a message names them.
pub(super) fn joined(files: &[PathBuf]) -> String {
    files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_matches_any_run_of_characters() {
        for (pattern, name, expect) in [
            ("train.parquet", "train.parquet", true),
            ("train-*.parquet", "train-00000-of-00001.parquet", true),
            ("train-*.parquet", "test-00000.parquet", false),
            ("*", "x", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits(pattern, name), expect, "{pattern} {name}");
        }
    }
}
