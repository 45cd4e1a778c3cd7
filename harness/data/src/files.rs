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
    check_links(&found, split)?;
    check_shards(&found, split)?;
    Ok(found)
}

/// One file by two links is one file.
fn check_links(files: &[PathBuf], split: &str) -> Result<(), DataError> {
    let mut seen = BTreeSet::new();
    let twice = files.iter().find(|path| identity(path).is_some_and(|identity| !seen.insert(identity)));
    twice.map_or(Ok(()), |path| Err(DataError::Twice { path: path.clone(), split: split.into() }))
}

/// What two names of one file have in common; none where there is no file.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok()
}

/// Files that hold the same bytes hold the same rows. Only those of one size are read.
pub(super) fn check_different(files: &[&PathBuf], split: &str) -> Result<(), DataError> {
    let mut by_size: BTreeMap<u64, Vec<&PathBuf>> = BTreeMap::new();
    for path in files {
        by_size.entry(std::fs::metadata(path).map_err(DataError::file(path))?.len()).or_default().push(path);
    }
    for alike in by_size.values().filter(|alike| alike.len() > 1) {
        let mut seen: BTreeMap<String, &PathBuf> = BTreeMap::new();
        for path in alike {
            if let Some(other) = seen.insert(sha256(std::slice::from_ref(*path))?, *path) {
                return Err(DataError::Same { path: other.clone(), other: (*path).clone(), split: split.into() });
            }
        }
    }
    Ok(())
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
    let mut sets: BTreeMap<(PathBuf, String), (usize, BTreeMap<usize, String>)> = BTreeMap::new();
    for path in files {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some((set, number, count)) = shard(&name) else { continue };
        let dir = path.with_file_name("");
        let (wanted, there) = sets.entry((dir.clone(), set)).or_insert_with(|| (count, BTreeMap::new()));
        let other = if *wanted == count { there.get(&number) } else { there.values().next() };
        if let Some(other) = other {
            return Err(DataError::Sets { dir, split: split.into(), name: brief(other), other: brief(&name) });
        }
        there.insert(number, name);
    }
    for ((dir, _), (wanted, names)) in sets {
        let rest = names.values().next().cloned().unwrap_or_default();
        let there: BTreeSet<usize> = names.into_keys().collect();
        // `-of-00003` may number from 0 or from 1.
        let first = usize::from(!there.contains(&0) && there.contains(&wanted));
        if let Some(missing) = (first..first + wanted).find(|number| !there.contains(number)) {
            return Err(DataError::Shards { dir, split: split.into(), name: brief(&rest), found: there.len(), wanted, missing });
        }
    }
    Ok(())
}

/// What parts a shard's number and count from `of` and from the rest.
const BETWEEN: [char; 4] = ['-', '_', '.', ' '];
/// Characters of a hash in a shard's name, at least.
const HASH: usize = 6;

/// The set's name, 0 and 3 of `train-00000-of-00003.parquet`, of `train_0_of_3.parquet`, and of `train-00000-of-00003-9a7f3c55.parquet`,
/// as the Hub named them, with a hash that each shard has of its own.
pub(super) fn shard(name: &str) -> Option<(String, usize, usize)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    // The last place where numbers stand on both sides.
    let sides = |at: usize| {
        let before = name[..at].strip_suffix(BETWEEN)?;
        let after = name[at + 2..].strip_prefix(BETWEEN)?;
        let start = before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (count, end) = after.split_at(digits(after));
        let head = &before[..start];
        let alone = head.is_empty() || head.ends_with(BETWEEN) || head.ends_with('(');
        Some((head, before[start..].parse().ok()?, count.parse().ok()?, end)).filter(|_| alone)
    };
    let (head, number, count, end) = name.rmatch_indices("of").find_map(|(at, _)| sides(at))?;
    let hash = end.strip_prefix(BETWEEN).filter(|rest| rest.bytes().take_while(u8::is_ascii_hexdigit).count() >= HASH);
    let end = hash.map_or(end, |rest| rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    Some((format!("{}{end}", head.trim_end_matches(BETWEEN)), number, count))
}

/// The files that one name of a card stands for, sorted by name.
fn matches(dir: &Path, pattern: &str, split: &str) -> Result<Vec<PathBuf>, DataError> {
    let mut parts: Vec<&str> = pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    // All files below, as one star is all files in a folder.
    let name = parts.pop().unwrap_or_default();
    parts.extend((name == "**").then_some("**"));
    parts.dedup_by(|part, before| *part == "**" && *before == "**");
    let folders = folders(dir, &parts);
    let in_folder = |folder: &PathBuf| {
        let files = names_in(folder).into_iter().filter(|file| takes(name, file));
        files.map(|file| folder.join(file)).collect::<Vec<_>>()
    };
    let found: Vec<PathBuf> = folders.iter().flat_map(in_folder).collect();
    if found.is_empty() {
        let plain = parts.iter().take_while(|part| !part.contains('*')).collect::<PathBuf>();
        let folder = dir.join(plain);
        let there = describe(&folder, name, &parts);
        return Err(DataError::NoFile { dir: folder, pattern: pattern.into(), split: split.into(), there });
    }
    Ok(found)
}

/// Folders within folders that `**` walks into.
const DEEPEST: usize = 16;

/// The folders that a pattern's parts but the last stand for, sorted: a star stands for a folder's name or a part of it, two stars for
/// any number of folders in each other. No link to a folder is followed for a star.
fn folders(dir: &Path, parts: &[&str]) -> Vec<PathBuf> {
    let Some((part, rest)) = parts.split_first() else { return vec![dir.to_owned()] };
    let below = |part: &str| subfolders(dir).into_iter().filter(|name| takes(part, name)).map(|name| dir.join(name)).collect();
    let next: Vec<PathBuf> = match *part {
        "**" => {
            let mut all = vec![dir.to_owned()];
            walk(dir, DEEPEST, &mut all);
            all
        }
        part if part.contains('*') => below(part),
        plain => vec![dir.join(plain)],
    };
    let mut found: Vec<PathBuf> = next.iter().flat_map(|folder| folders(folder, rest)).collect();
    found.sort();
    found.dedup();
    found
}

fn walk(dir: &Path, deep: usize, all: &mut Vec<PathBuf>) {
    for folder in subfolders(dir).into_iter().filter(|name| takes("*", name)).map(|name| dir.join(name)) {
        all.push(folder.clone());
        if deep > 0 {
            walk(&folder, deep - 1, all);
        }
    }
}

/// Whether a name fits a part of a pattern. A star takes nothing that Arrow would not: those are other programs' leavings.
fn takes(part: &str, name: &str) -> bool {
    let hidden = part.contains('*') && !part.starts_with(['.', '_']) && name.starts_with(['.', '_']);
    guard::stars::fits(part, name) && !hidden
}

/// The names of the files in a folder, sorted; none where there is no folder.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter(|entry| !entry.path().is_dir()).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The names of the folders in a folder, links to folders left out.
fn subfolders(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// What is there instead of a file: `folder` is as far as the pattern's parts have no star.
fn describe(folder: &Path, wanted: &str, parts: &[&str]) -> String {
    if !folder.is_dir() {
        return "the folder does not exist: get the dataset first".into();
    }
    if parts.iter().any(|part| part.contains('*')) {
        let mut within = subfolders(folder);
        within.sort();
        return format!("the folders in it are: {}", listed(wanted, within.iter().map(String::as_str)));
    }
    let names = names_in(folder);
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
    fn names_that_promise_others() {
        for name in [
            "train-00001-of-00003.parquet",
            "train-00001-of-00003-0123456789abcdef.parquet",
            "train_00001_of_00003.parquet",
            "train.00001-of-00003.parquet",
            "train-1-of-3.parquet",
            "train (1 of 3).parquet",
        ] {
            let (set, number, count) = shard(name).expect(name);
            assert!(set.starts_with("train") && set.ends_with(".parquet") && (number, count) == (1, 3), "{name} {set}");
        }
        assert_eq!(shard("00001-of-00003"), Some((String::new(), 1, 3)));
        for name in ["train.parquet", "king-of-spades.parquet", "a-1-of-b.parquet", "best-of-10.parquet", "v1-of-3.parquet", "of"]
        {
            assert_eq!(shard(name), None, "{name}");
        }
        let check =
            |names: &[&str]| check_shards(&names.iter().map(|name| Path::new("d").join(name)).collect::<Vec<_>>(), "train");
        assert!(check(&["t-00000-of-00002.parquet", "t-00001-of-00002.parquet", "u-00000-of-00001.parquet"]).is_ok());
        assert!(check(&["t-00001-of-00002.parquet", "t-00002-of-00002.parquet"]).is_ok());
        assert!(check(&["t-00000-of-00002-a1b2c3d4.parquet", "t-00001-of-00002-ffffc3d4.parquet"]).is_ok());
        for both in [
            ["t-00000-of-00001.parquet", "t-00000-of-00002.parquet"],
            ["t-00000-of-00001-a1b2c3d4.parquet", "t-00000-of-00001-ffffc3d4.parquet"],
            ["t-00000-of-00001.parquet", "t-00000-of-00001-ffffc3d4.parquet"],
        ] {
            let error = check(&both).expect_err("two sets").to_string();
            assert!(error.contains("of two sets of files") && both.iter().all(|name| error.contains(name)), "{error}");
        }
        for gap in ["t_00000_of_00003.parquet", "t-0-of-3.parquet", "t.00000-of-00003.parquet"] {
            let error = check(&[gap]).expect_err(gap).to_string();
            assert!(error.contains("1 of the 3 files"), "{error}");
        }
        let error = check(&["t-00000-of-00003.parquet", "t-00002-of-00003.parquet"]).expect_err("one is missing").to_string();
        assert!(error.contains("2 of the 3 files of split `train`") && error.contains("missing is number 1"), "{error}");
    }

    /// Stars in names of folders, and two for folders in each other.
    #[test]
    fn stars_stand_for_folders_too() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in
            ["b/x-1.parquet", "a/x-1.parquet", "a/deep/x-2.parquet", "x-0.parquet", "_old/x-1.parquet", "a/.tmp/x-1.parquet"]
        {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, name).expect("written");
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(dir.path().join("a"), dir.path().join("linked")).expect("a link");
        let found = |pattern: &str| {
            let found = matches(dir.path(), pattern, "train").expect(pattern);
            found.iter().map(|path| path.strip_prefix(dir.path()).expect("below").display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found("*/x-*.parquet"), ["a/x-1.parquet", "b/x-1.parquet"]);
        assert_eq!(found("a/*/x-*.parquet"), ["a/deep/x-2.parquet"]);
        let all = ["x-0.parquet", "a/x-1.parquet", "a/deep/x-2.parquet", "b/x-1.parquet"];
        for pattern in ["**/x-*.parquet", "**", "./**/**/*.parquet", "**/*"] {
            assert_eq!(found(pattern), all, "{pattern}");
        }
        assert_eq!(found("linked/x-1.parquet"), ["linked/x-1.parquet"]);
        let none = matches(dir.path(), "*/y.parquet", "train").expect_err("none").to_string();
        assert!(
            none.contains("no file `*/y.parquet`") && none.contains("the folders in it are: ") && none.contains("`b`"),
            "{none}"
        );
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
