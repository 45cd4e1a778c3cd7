//! A split's files: found by the card's names, checked against the card's checksum.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use schema::card::{Card, Split};
use sha2::{Digest, Sha256};

use super::error::{DataError, brief, listed};

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
    patterns.iter().try_for_each(|pattern| check_inside(pattern, split))?;
    let found = patterns.iter().map(|pattern| matches(dir, pattern, split));
    let found: Vec<PathBuf> = found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let mut seen = BTreeSet::new();
    // Paths compare by their parts, so `./x` is `x`.
    if let Some(twice) = found.iter().find(|path| !seen.insert(*path)) {
        return Err(DataError::Twice { path: twice.clone(), split: split.into() });
    }
    check_shards(&found, split)?;
    Ok(found)
}

/// A card reads its own folder: no name of it leads elsewhere.
fn check_inside(pattern: &str, split: &str) -> Result<(), DataError> {
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !pattern.is_empty() && Path::new(pattern).components().all(inside) {
        return Ok(());
    }
    Err(DataError::Outside { pattern: brief(pattern), split: split.into() })
}

/// Files whose names promise others (`train-00000-of-00003.parquet`) are read together or not at all.
fn check_shards(files: &[PathBuf], split: &str) -> Result<(), DataError> {
    let mut sets: BTreeMap<(PathBuf, String, usize), BTreeSet<usize>> = BTreeMap::new();
    for path in files {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some((rest, number, count)) = shard(&name) {
            sets.entry((path.with_file_name(""), rest, count)).or_default().insert(number);
        }
    }
    for ((dir, rest, wanted), there) in sets {
        // `-of-00003` may number from 0 or from 1.
        let first = usize::from(!there.contains(&0) && there.contains(&wanted));
        if let Some(missing) = (first..first + wanted).find(|number| !there.contains(number)) {
            return Err(DataError::Shards { dir, split: split.into(), name: brief(&rest), found: there.len(), wanted, missing });
        }
    }
    Ok(())
}

/// `train-*-of-00003.parquet`, 0 and 3 of `train-00000-of-00003.parquet`.
fn shard(name: &str) -> Option<(String, usize, usize)> {
    let (before, after) = name.rsplit_once("-of-")?;
    let (count, end) = after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len()));
    let (head, number) = before.rsplit_once('-').unwrap_or(("", before));
    let parsed = |digits: &str| (digits.len() >= 2 && digits.chars().all(|c| c.is_ascii_digit())).then(|| digits.parse().ok())?;
    Some((format!("{head}-*-of-{count}{end}"), parsed(number)?, parsed(count)?))
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

/// Whether a file name fits a pattern, whose `*` stand for any run of characters. Each part takes the first place it fits, so the time
/// grows with the lengths' product at most.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let head = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(head) else { return false };
    let Some(tail) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(tail)
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
    if !folder.is_dir() {
        return "the folder does not exist: get the dataset first".into();
    }
    format!("nearest first, there are: {}", listed(wanted, names.iter().map(String::as_str)))
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
        let mut file = guard::files::open(path).map_err(DataError::file(path))?;
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
    use super::*;

    #[test]
    fn a_star_matches_any_run_of_characters() {
        for (pattern, name, expect) in [
            ("train.parquet", "train.parquet", true),
            ("train-*.parquet", "train-00000-of-00001.parquet", true),
            ("train-*.parquet", "test-00000.parquet", false),
            ("*", "x", true),
            ("ab*ba", "aba", false),
            ("*-of-*.parquet", "train-00000-of-00001.parquet", true),
            ("*-of-*.parquet", "train-00000.parquet", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*b", "ab", false),
            ("**", "", true),
            ("train*", "train", true),
        ] {
            assert_eq!(fits(pattern, name), expect, "{pattern} {name}");
        }
        assert!(!fits(&format!("{}b", "*a".repeat(100)), &"a".repeat(200)));
    }

    #[test]
    fn names_that_promise_others() {
        assert_eq!(shard("train-00001-of-00003.parquet"), Some(("train-*-of-00003.parquet".into(), 1, 3)));
        assert_eq!(shard("00001-of-00003"), Some(("-*-of-00003".into(), 1, 3)));
        for name in ["train.parquet", "king-of-spades.parquet", "a-1-of-b.parquet", "best-of-10.parquet"] {
            assert_eq!(shard(name), None, "{name}");
        }
        let check =
            |names: &[&str]| check_shards(&names.iter().map(|name| Path::new("d").join(name)).collect::<Vec<_>>(), "train");
        assert!(check(&["t-00000-of-00002.parquet", "t-00001-of-00002.parquet", "u-00000-of-00001.parquet"]).is_ok());
        assert!(check(&["t-00001-of-00002.parquet", "t-00002-of-00002.parquet"]).is_ok());
        let error = check(&["t-00000-of-00003.parquet", "t-00002-of-00003.parquet"]).expect_err("one is missing").to_string();
        assert!(error.contains("2 of the 3 files of split `train`") && error.contains("missing is number 1"), "{error}");
    }

    #[test]
    fn names_lead_nowhere_else() {
        for pattern in ["x.parquet", "data/x-*.parquet", "./x.parquet", "a..b.parquet"] {
            assert!(check_inside(pattern, "train").is_ok(), "{pattern}");
        }
        for pattern in ["../x.parquet", "/etc/x.parquet", "data/../../x.parquet", "", ".."] {
            let error = check_inside(pattern, "train").expect_err(pattern).to_string();
            assert!(error.contains("split `train`") && error.contains("within the dataset's folder"), "{error}");
        }
    }
}
