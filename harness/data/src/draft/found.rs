//! The parquet files of a folder, by what their names say they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::files;

/// Folders within folders that are looked into.
const DEEPEST: usize = 8;
/// Files that a card of one's own would name.
const MOST_FILES: usize = 10_000;

/// Parquet files that have no card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What the dataset would be called: the folder's name, or the file's.
    pub name: String,
    /// The folder from which files are named.
    pub folder: PathBuf,
    /// The files by split, in order.
    pub splits: BTreeMap<String, Vec<String>>,
}

/// The parquet files in and below a folder, or one file; an error where there are none.
pub fn found(path: &Path) -> Result<Found, DataError> {
    if path.is_dir() {
        return in_folder(path);
    }
    std::fs::metadata(path).map_err(DataError::file(path))?;
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Found { name, folder: folder.into(), splits: BTreeMap::from([(split_of(&file), vec![file])]) })
}

fn in_folder(folder: &Path) -> Result<Found, DataError> {
    let mut all = Vec::new();
    walk(folder, "", DEEPEST, &mut all)?;
    if all.is_empty() {
        let message = "no parquet file lies in it or below; `fedbench data import` makes some of a CSV, of JSON lines, or of folders \
                       of pictures";
        return Err(DataError::parquet(folder, message));
    }
    let mut splits: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in all {
        splits.entry(split_of(&file)).or_default().push(file);
    }
    // `.` and links have no name of their own.
    let named = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = named.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Found { name, folder: folder.into(), splits })
}

fn walk(folder: &Path, below: &str, deep: usize, all: &mut Vec<String>) -> Result<(), DataError> {
    let entries = std::fs::read_dir(folder).map_err(DataError::file(folder))?;
    let mut names: Vec<(String, bool)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.file_type().ok()?.is_dir())))
        .filter(|(name, _)| !name.starts_with(['.', '_']))
        .collect();
    names.sort();
    for (name, is_folder) in names {
        let path = folder.join(&name);
        if is_folder && deep > 0 {
            walk(&path, &format!("{below}{name}/"), deep - 1, all)?;
        } else if !is_folder && name.ends_with(".parquet") {
            all.push(format!("{below}{name}"));
        }
    }
    match all.len() > MOST_FILES {
        true => Err(DataError::parquet(folder, format!("over {MOST_FILES} parquet files lie in it; name a folder below it"))),
        false => Ok(()),
    }
}

/// The split that a file's name speaks of, or its folder's: `data/train-00000-of-00002.parquet`, `test/0000.parquet`.
fn split_of(file: &str) -> String {
    let mut words = file.rsplit('/').map(|part| part.strip_suffix(".parquet").unwrap_or(part));
    let stem = words.next().unwrap_or_default();
    let set = files::shard(stem).map_or_else(|| stem.to_owned(), |(set, ..)| set);
    let bare = set.trim_end_matches(|c: char| c.is_ascii_digit() || "-_. ".contains(c));
    let own = known(bare);
    let of_folder = words.find_map(known);
    own.or(of_folder).map_or_else(|| if bare.is_empty() { "all".into() } else { bare.to_owned() }, str::to_owned)
}

/// The usual name of what is called like that.
fn known(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let parts = || word.split(|c: char| !c.is_alphanumeric());
    if word.contains("train") {
        return Some("train");
    }
    if word.contains("valid") || parts().any(|part| part == "val" || part == "dev") {
        return Some("validation");
    }
    word.contains("test").then_some("test")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_says_what_it_is_of() {
        for (file, split) in [
            ("train-00000-of-00002.parquet", "train"),
            ("data/test-00001-of-00002-9a7f3c55d2.parquet", "test"),
            ("validation/0000.parquet", "validation"),
            ("val.parquet", "validation"),
            ("my_dev_set.parquet", "validation"),
            ("questions.parquet", "questions"),
            ("0000.parquet", "all"),
            ("train/part-0.parquet", "train"),
        ] {
            assert_eq!(split_of(file), split, "{file}");
        }
    }

    #[test]
    fn nothing_there_says_what_makes_something() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.csv"), "a,b\n").unwrap();
        let error = found(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no parquet file") && error.contains("data import"), "{error}");
        assert!(found(&folder.path().join("none.parquet")).is_err());
    }
}
