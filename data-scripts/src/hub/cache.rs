//! What is at hand, in the folders that Python's huggingface_hub keeps as well:
//!
//! ```text
//! datasets--owner--name/
//!   refs/main                 the commit that `main` was when it was last asked for
//!   blobs/<etag>              a file's content under its checksum; `<etag>.incomplete` while it comes
//!   snapshots/<commit>/<path> a link to the content
//!   .fedbench/<commit>.json   which host listed which file; ours alone, Python's client passes over it
//! .locks/datasets--owner--name/<etag>.lock
//! ```
//!
//! A blob gets its name when its checksum is right, and a snapshot's link comes after that: what has its name was whole. Others may
//! write here, too, so a checksum is taken again whenever something is fetched, and no link is followed for writing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use guard::files;
use hf_hub::{Cache, CacheRepo};
use schema::record::{Download, DownloadedFile};

use super::checksum;
use super::error::HubError;
use super::id::{DEEPEST, Etag, HubId, fits, is_commit, is_inside};
use super::listing::{Listing, Remote};

/// Bytes of a file that holds a commit; a longer one is none.
const LONGEST_REFERENCE: u64 = 1 << 10;
/// The longest file that says who listed what.
const LONGEST_HOSTS: u64 = 64 << 20;

/// A repository's folder in the cache: contents by checksum, and links to them by commit and path.
pub(super) struct Shelf<'a> {
    id: &'a HubId,
    root: &'a Path,
    repo: CacheRepo,
    /// `models--owner--name` or `datasets--owner--name` in the cache; perhaps not there.
    pub folder: PathBuf,
}

/// Files of one commit that are at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The folder with the files at their paths.
    pub folder: PathBuf,
    /// The commit that its files are of.
    pub commit: String,
    /// The files' paths in the repository, sorted.
    pub files: Vec<String>,
}

impl<'a> Shelf<'a> {
    pub fn new(root: &'a Path, id: &'a HubId) -> Self {
        let (cache, repo) = (Cache::new(root.into()), id.repo(&id.revision));
        Self { id, root, folder: root.join(repo.folder_name()), repo: cache.repo(repo) }
    }

    /// The commit that the revision is, as far as the cache knows.
    pub fn commit(&self) -> Option<String> {
        if is_commit(&self.id.revision) {
            return Some(self.id.revision.clone());
        }
        let commit = String::from_utf8(files::read(&self.reference(), LONGEST_REFERENCE).ok()?).ok()?;
        is_commit(commit.trim()).then(|| commit.trim().to_owned())
    }

    fn reference(&self) -> PathBuf {
        self.folder.join("refs").join(&self.id.revision)
    }

    /// Where a commit's files lie.
    pub fn snapshot_folder(&self, commit: &str) -> PathBuf {
        self.repo.pointer_path(commit)
    }

    /// What is there of the revision; none where there is nothing.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let commit = self.commit()?;
        let folder = self.repo.pointer_path(&commit);
        let mut files = Vec::new();
        gather(&folder, "", DEEPEST, &mut files);
        files.sort();
        (!files.is_empty()).then_some(Snapshot { folder, commit, files })
    }

    /// Where a content lies, by its checksum.
    pub fn blob(&self, etag: &Etag) -> PathBuf {
        self.repo.blob_path(etag.as_str())
    }

    /// Where a content grows until it is whole; what an earlier command left there is gone on with.
    pub fn incomplete(&self, etag: &Etag) -> PathBuf {
        self.repo.blob_path(&format!("{}.incomplete", etag.as_str()))
    }

    /// Waits until no other process fetches this content; the lock is held until the file is dropped.
    pub fn lock(&self, etag: &Etag) -> Result<File, HubError> {
        self.lock_named(etag.as_str())
    }

    fn lock_named(&self, name: &str) -> Result<File, HubError> {
        let folder = self.root.join(".locks").join(self.folder.file_name().unwrap_or_default());
        fs::create_dir_all(&folder).map_err(HubError::file(&folder))?;
        let path = folder.join(format!("{name}.lock"));
        let file = files::open_own(&path).map_err(HubError::file(&path))?;
        file.lock().map_err(HubError::file(&path))?;
        Ok(file)
    }

    /// How much there is of a file of a commit. `reads` is told before a whole one is read for its checksum.
    pub fn held(&self, commit: &str, remote: &Remote, reads: impl FnOnce()) -> Result<Held, HubError> {
        let place = self.repo.pointer_path(commit).join(&remote.path);
        if !place.metadata().is_ok_and(|found| found.is_file() && found.len() == remote.size) {
            return Ok(Held::Missing);
        }
        reads();
        match checksum::like(&remote.etag, &place)? == remote.etag {
            true => Ok(Held::Whole),
            false => Ok(Held::Spoiled),
        }
    }

    /// Whether a content lies under its name: a file of its own, of the listed size and with the right checksum.
    pub fn has_blob(&self, remote: &Remote) -> Result<bool, HubError> {
        let blob = self.blob(&remote.etag);
        let is_long_enough = blob.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() == remote.size);
        Ok(is_long_enough && checksum::like(&remote.etag, &blob)? == remote.etag)
    }

    /// Puts a content into a commit's snapshot.
    pub fn link(&self, commit: &str, path: &str, etag: &Etag) -> Result<(), HubError> {
        let link = self.repo.pointer_path(commit).join(path);
        let folder = link.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(HubError::file(folder))?;
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link).map_err(HubError::file(&link))?;
        }
        // From snapshots/<commit>/ up to the repository's folder, and once more for every folder in the path.
        let up = "../".repeat(2 + path.matches('/').count());
        place(&self.blob(etag), &format!("{up}blobs/{}", etag.as_str()), &link).map_err(HubError::file(&link))
    }

    /// Remembers which commit a branch or tag is; a commit needs no remembering.
    pub fn remember(&self, commit: &str) -> Result<(), HubError> {
        if self.id.revision == commit {
            return Ok(());
        }
        let reference = self.reference();
        let folder = reference.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(HubError::file(folder))?;
        let _alone = self.lock_named("references")?;
        files::write(&reference, commit.as_bytes()).map_err(HubError::file(&reference))
    }

    /// Remembers who listed a commit's files, for the records of runs.
    pub fn remember_host(&self, listing: &Listing) -> Result<(), HubError> {
        let path = hosts_path(&self.folder, &listing.commit);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(HubError::file(folder))?;
        let _alone = self.lock_named("hosts")?;
        let mut known = hosts(&self.folder, &listing.commit);
        known.extend(listing.files.iter().map(|file| (file.path.clone(), listing.host.clone())));
        let text = serde_json::to_string(&known).unwrap_or_default();
        files::write(&path, text.as_bytes()).map_err(HubError::file(&path))
    }
}

/// How much there is of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Its content is the listed one.
    Whole,
    /// Something of its length that is something else.
    Spoiled,
    /// Nothing, or a part.
    Missing,
}

fn hosts_path(repository: &Path, commit: &str) -> PathBuf {
    repository.join(".fedbench").join(format!("{commit}.json"))
}

/// Which host listed which file of a commit, as far as that is known.
fn hosts(repository: &Path, commit: &str) -> BTreeMap<String, String> {
    let text = files::read_here(&hosts_path(repository, commit), LONGEST_HOSTS).ok();
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

#[cfg(unix)]
fn place(_blob: &Path, relative: &str, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(relative, link)
}

/// Where links need privileges, the content is copied: aside, then renamed.
#[cfg(not(unix))]
fn place(blob: &Path, _relative: &str, link: &Path) -> std::io::Result<()> {
    let aside = link.with_extension("part");
    fs::copy(blob, &aside).and_then(|_| fs::rename(&aside, link))
}

/// The paths of all files below a folder, relative to it; links that lead nowhere or to folders are left out, and so are names that
/// no listing may have.
fn gather(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{prefix}{name}");
        let (itself, at_the_end) = (entry.file_type(), entry.path().metadata());
        match (itself, at_the_end) {
            (_, Ok(found)) if found.is_file() && is_inside(&path) => files.push(path),
            (Ok(kind), _) if kind.is_dir() && depth > 0 => gather(&entry.path(), &format!("{path}/"), depth - 1, files),
            _ => {}
        }
    }
}

impl Snapshot {
    /// The files that fit a pattern: all of them, or none. Where names say that they belong together (`-00000-of-00003`), some of
    /// them are an error.
    pub fn matching(&self, pattern: &str) -> Result<Vec<&str>, HubError> {
        let found: Vec<&str> = self.files.iter().map(String::as_str).filter(|path| fits(pattern, path)).collect();
        let wanted = found.iter().filter_map(|path| promised(path)).max().unwrap_or(0);
        match found.len() {
            0 => Ok(found),
            count if count < wanted => {
                Err(HubError::Partial { folder: self.folder.clone(), pattern: pattern.into(), found: count, wanted })
            }
            _ => Ok(found),
        }
    }

    /// What a run's folder says of it: commit, files and checksums. Reads files whose name is git's checksum, which are small, and
    /// compares; and those whose name is none.
    pub fn record(&self, id: &HubId) -> Result<Download, HubError> {
        let file = |path: &String| {
            let place = self.folder.join(path);
            let bytes = place.metadata().map_err(HubError::file(&place))?.len();
            let named = fs::read_link(&place).ok().and_then(|blob| Etag::parse(&blob.file_name()?.to_string_lossy()));
            let (sha256, git_blob) = match named {
                Some(Etag::Sha256(digits)) => (Some(digits), None),
                Some(wanted @ Etag::Git(_)) => {
                    compare(&place, &wanted)?;
                    (None, Some(wanted.as_str().into()))
                }
                None => (Some(checksum::sha256(&place).map_err(HubError::file(&place))?), None),
            };
            Ok(DownloadedFile { path: path.clone(), bytes, sha256, git_blob })
        };
        let files = self.files.iter().map(file).collect::<Result<_, HubError>>()?;
        Ok(Download {
            kind: id.kind,
            id: id.name.clone(),
            revision: id.revision.clone(),
            commit: self.commit.clone(),
            host: self.host(),
            files,
        })
    }

    /// Who listed its files; several with commas between, none where that is not known of any.
    fn host(&self) -> Option<String> {
        let hosts = hosts(self.folder.parent()?.parent()?, &self.commit);
        let named: BTreeSet<&str> = self.files.iter().filter_map(|path| hosts.get(path)).map(String::as_str).collect();
        (!named.is_empty()).then(|| guard::text::line(&Vec::from_iter(named).join(", "), 400))
    }

    /// Reads every file whose name in the cache is its checksum; an error at the first whose content is another.
    pub fn check(&self, mut reads: impl FnMut(&str, u64)) -> Result<(), HubError> {
        for path in &self.files {
            let place = self.folder.join(path);
            let Some(name) = fs::read_link(&place).ok().and_then(|blob| Some(blob.file_name()?.to_string_lossy().into_owned()))
            else {
                continue;
            };
            let Some(wanted) = Etag::parse(&name) else { continue };
            reads(path, place.metadata().map_or(0, |found| found.len()));
            compare(&place, &wanted)?;
        }
        Ok(())
    }
}

/// A file must have the content that its name in the cache stands for.
fn compare(place: &Path, wanted: &Etag) -> Result<(), HubError> {
    let found = checksum::like(wanted, place)?;
    if found == *wanted {
        return Ok(());
    }
    let path = fs::canonicalize(place).unwrap_or_else(|_| place.into());
    Err(HubError::Spoiled { path, found: found.as_str().into(), wanted: wanted.as_str().into() })
}

/// 3 of `train-00000-of-00003.parquet`.
fn promised(path: &str) -> Option<usize> {
    let (_, after) = path.rsplit_once("-of-")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(files: &[&str]) -> Snapshot {
        Snapshot { folder: "s".into(), commit: "c".into(), files: files.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn some_of_what_belongs_together_is_an_error() {
        let two = snapshot(&[
            "data/test-00000-of-00001.parquet",
            "data/train-00000-of-00003.parquet",
            "data/train-00002-of-00003.parquet",
        ]);
        assert_eq!(two.matching("data/test-*.parquet").unwrap(), ["data/test-00000-of-00001.parquet"]);
        assert!(two.matching("data/val-*.parquet").unwrap().is_empty());
        let error = two.matching("data/train-*.parquet").unwrap_err().to_string();
        assert!(error.contains("2 of the 3 files of `data/train-*.parquet`"), "{error}");
    }
}
