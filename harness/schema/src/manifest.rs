//! The checksums by which a finished run is known to be as it was written, `manifest.json`.
//!
//! A run's last file. Where it is missing, the run was interrupted, or made before there were manifests ([`Environment::format`] tells
//! the two apart), or somebody removed it. Files that a manifest does not name are nobody's business: nothing reads them.
//!
//! [`Environment::format`]: crate::Environment::format
//!
//! A folder is taken for a run only as it was written (`schema/src/manifest.rs`). Where a file does not fit the manifest, `run`
//! and `suite` say which and run it again; `report`, `gate`, `compare`, `reproduce` and `eval --adapters` refuse it. They also
//! refuse a run whose files disagree (`reports/src/agree.rs`): accuracies and what guessing would reach are computed again from
//! the predictions, all that follows from records from these (`run` and `suite` ask that, too). A manifest says nothing of whose
//! folder it is: the name must also be the hash of the experiment and the inputs in it, and of a run that has a manifest every
//! judged example, score and count must be there and give the summary. `--no-verify` takes folders as they are, and a report then
//! warns of what disagrees. A summary without a manifest is an error, unless `environment.json` states no `format`: such runs are
//! older than manifests, and are read with a notice, but run again by `run` and `suite`. Files that no manifest names (reports,
//! notes) are nobody's business.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Environment, Summary, run_dir};

/// The format of run folders that are written now; 0 is that of runs without a manifest.
pub const FORMAT: u32 = 1;

/// A manifest has a line or two for each of a dozen files; more is none.
const MOST_BYTES: u64 = 1 << 20;

/// So much of `environment.json` is read for its format: it lists every file that came from the Hub.
const MOST_ENVIRONMENT_BYTES: u64 = 64 << 20;

/// Every file of a finished run, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The folder's format, [`FORMAT`].
    pub format: u32,
    /// Every file of the folder but the manifest itself, by name.
    pub files: BTreeMap<String, Entry>,
}

/// What a file was when it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of its content.
    pub sha256: String,
}

impl Entry {
    /// Of a file's content.
    pub fn of(content: &[u8]) -> Self {
        Self { bytes: content.len() as u64, sha256: crate::sha256_hex(content) }
    }

    /// Of an open file, without holding it.
    pub fn of_file(file: File) -> io::Result<Self> {
        Ok(Self { bytes: file.metadata()?.len(), sha256: sha256(file)? })
    }
}

/// What a run folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No run, or an interrupted one: it has no summary.
    Unfinished,
    /// Every file is as its manifest says.
    Whole,
    /// Finished before there were manifests: nothing says whether it is as it was written.
    Unverified,
}

/// A file of a run folder that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct Mismatch {
    /// The file that is not as it was written, or should not be there.
    pub path: PathBuf,
    /// What is wrong with it, behind its name in a message.
    pub what: String,
}

/// Looks at a run folder and compares every file with the manifest; an error names the first that does not fit.
pub fn check(folder: &Path) -> Result<Standing, Mismatch> {
    if !is_there(&folder.join(run_dir::SUMMARY)) && !is_there(&folder.join(run_dir::MANIFEST)) {
        return Ok(Standing::Unfinished);
    }
    let path = folder.join(run_dir::MANIFEST);
    if !is_there(&path) {
        return match format(folder)? {
            0 => Ok(Standing::Unverified),
            _ => Err(Mismatch { path, what: "is missing: the run was interrupted at its end, or the file was removed".into() }),
        };
    }
    Manifest::read(&path)?.compare(folder)?;
    Ok(Standing::Whole)
}

/// Whether a whole folder holds the run that it is named after; an error says why not. Another run's folder under this name has a
/// manifest that fits, too.
pub fn check_name(folder: &Path) -> Result<(), Mismatch> {
    let summary_path = folder.join(run_dir::SUMMARY);
    let wrong = |path: &Path, what: String| Mismatch { path: path.into(), what };
    let summary: Summary = json(&summary_path, run_dir::MOST_SUMMARY)?;
    let name = folder.file_name().unwrap_or_default();
    if *name != *summary.run {
        let said = guard::text::line(&summary.run, 120);
        return Err(wrong(&summary_path, format!("it is the summary of `{said}`, another run")));
    }
    let environment: Environment = json(&folder.join(run_dir::ENVIRONMENT), MOST_ENVIRONMENT_BYTES)?;
    let path = folder.join(run_dir::EXPERIMENT);
    let experiment = crate::toml_file::read_here(&path).map_err(|error| wrong(&path, error.to_string()))?;
    match environment.inputs.and_then(|inputs| summary.misnamed(&experiment, &inputs)) {
        Some(what) => Err(wrong(&path, format!("something was changed after the run: {what}"))),
        None => Ok(()),
    }
}

/// Whether anything has this name, a link that leads nowhere included.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// The format that a folder's `environment.json` states.
fn format(folder: &Path) -> Result<u32, Mismatch> {
    #[derive(Deserialize)]
    struct Stated {
        #[serde(default)]
        format: u32,
    }
    let path = folder.join(run_dir::ENVIRONMENT);
    let stated: Stated = json(&path, MOST_ENVIRONMENT_BYTES)?;
    Ok(stated.format)
}

impl Manifest {
    /// Reads a manifest that names all that a run must have, and nothing outside its folder.
    pub fn read(path: &Path) -> Result<Self, Mismatch> {
        Self::parse(path, &bytes(path, MOST_BYTES)?)
    }

    /// The same of its text; `path` names it in errors.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, Mismatch> {
        let manifest: Self = parsed(path, text)?;
        let wrong = |what: String| Err(Mismatch { path: path.into(), what });
        if manifest.format != FORMAT {
            return wrong(format!("format {}: this version knows format {FORMAT}", manifest.format));
        }
        if let Some(name) = run_dir::FILES.iter().find(|name| !manifest.files.contains_key(**name)) {
            return wrong(format!("it does not name {name}, which every run has"));
        }
        match manifest.files.keys().find(|name| !is_plain(name)) {
            Some(name) => wrong(format!("`{}` is no name of a file in this folder", guard::text::line(name, 80))),
            None => Ok(manifest),
        }
    }

    /// Compares every file that it names with what lies in a folder.
    pub fn compare(&self, folder: &Path) -> Result<(), Mismatch> {
        compare(&self.files, folder, run_dir::MANIFEST)
    }
}

/// Compares files with what a manifest of this name says of them; an error names the first that differs.
pub(crate) fn compare(files: &BTreeMap<String, Entry>, folder: &Path, manifest: &str) -> Result<(), Mismatch> {
    for (name, entry) in files {
        let path = folder.join(name);
        let found = entry.differs(&path, manifest).unwrap_or_else(|error| Some(unreadable(&error, manifest)));
        if let Some(what) = found {
            return Err(Mismatch { path, what });
        }
    }
    Ok(())
}

impl Entry {
    /// In what a file differs from what was written.
    fn differs(&self, path: &Path, manifest: &str) -> io::Result<Option<String>> {
        let file = guard::files::open_here(path)?;
        let bytes = file.metadata()?.len();
        if bytes != self.bytes {
            return Ok(Some(format!("it has {bytes} bytes, {manifest} says {}", self.bytes)));
        }
        let changed = format!("its content was changed: its SHA-256 is not the one in {manifest}");
        Ok((sha256(file)? != self.sha256).then_some(changed))
    }
}

fn unreadable(error: &io::Error, manifest: &str) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("is missing, and {manifest} names it"),
        _ => format!("cannot be read: {error}"),
    }
}

/// The SHA-256 of a file, without holding it.
fn sha256(mut file: File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(crate::hex(&hasher.finalize())),
            read => hasher.update(&piece[..read]),
        }
    }
}

/// One component, and none that leads elsewhere.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

fn json<T: serde::de::DeserializeOwned>(path: &Path, most: u64) -> Result<T, Mismatch> {
    parsed(path, &bytes(path, most)?)
}

pub(crate) fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, Mismatch> {
    guard::files::read_here(path, most).map_err(|error| Mismatch { path: path.into(), what: format!("cannot be read: {error}") })
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, Mismatch> {
    serde_json::from_slice(text)
        .map_err(|error| Mismatch { path: path.into(), what: format!("is not what a run writes: {error}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A finished run: every file holds its name.
    fn run() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let mut files = BTreeMap::new();
        for name in run_dir::FILES {
            let content = if name == run_dir::ENVIRONMENT { "{\"format\": 1}" } else { name };
            fs::write(folder.path().join(name), content).expect("written");
            files.insert(name.to_owned(), Entry::of(content.as_bytes()));
        }
        save(&folder, &Manifest { format: FORMAT, files });
        folder
    }

    fn save(folder: &tempfile::TempDir, manifest: &Manifest) {
        let text = serde_json::to_string(manifest).expect("plain data");
        fs::write(folder.path().join(run_dir::MANIFEST), text).expect("written");
    }

    fn refused(folder: &tempfile::TempDir, file: &str, why: &str) {
        let error = check(folder.path()).expect_err("does not fit");
        assert!(error.path.ends_with(file) && error.what.contains(why), "{file}, {why}: {error}");
    }

    #[test]
    fn what_a_folder_is() {
        let folder = run();
        assert_eq!(check(folder.path()), Ok(Standing::Whole));
        fs::write(folder.path().join("notes.txt"), "mine").expect("written");
        assert_eq!(check(folder.path()), Ok(Standing::Whole), "what no manifest names is nobody's business");
        fs::remove_file(folder.path().join(run_dir::MANIFEST)).expect("removed");
        refused(&folder, run_dir::MANIFEST, "is missing");
        fs::write(folder.path().join(run_dir::ENVIRONMENT), "{}").expect("written");
        assert_eq!(check(folder.path()), Ok(Standing::Unverified));
        fs::remove_file(folder.path().join(run_dir::SUMMARY)).expect("removed");
        assert_eq!(check(folder.path()), Ok(Standing::Unfinished));
        assert_eq!(check(&folder.path().join("nowhere")), Ok(Standing::Unfinished));
    }

    #[test]
    fn every_file_is_compared() {
        for name in run_dir::FILES {
            let folder = run();
            let path = folder.path().join(name);
            let mut content = fs::read(&path).expect("there");
            content[0] ^= 1;
            fs::write(&path, &content).expect("written");
            refused(&folder, name, "SHA-256");
            fs::write(&path, &content[1..]).expect("written");
            refused(&folder, name, "bytes, manifest.json says");
            fs::remove_file(&path).expect("removed");
            refused(&folder, name, "is missing");
            std::os::unix::fs::symlink("/etc/hostname", &path).expect("a link");
            refused(&folder, name, "it is a link");
        }
    }

    #[test]
    fn a_manifest_names_everything_and_nothing_elsewhere() {
        let folder = run();
        let whole = Manifest::read(&folder.path().join(run_dir::MANIFEST)).expect("its manifest");
        let mut lacking = whole.clone();
        lacking.files.remove(run_dir::ADAPTERS);
        save(&folder, &lacking);
        refused(&folder, run_dir::MANIFEST, "does not name adapters.safetensors");
        for name in ["../x", "/etc/hostname", "..", ""] {
            let mut elsewhere = whole.clone();
            elsewhere.files.insert(name.into(), Entry::of(b""));
            save(&folder, &elsewhere);
            refused(&folder, run_dir::MANIFEST, "no name of a file");
        }
        save(&folder, &Manifest { format: 7, ..whole });
        refused(&folder, run_dir::MANIFEST, "format 7");
        for damaged in ["", "{}", "\0\0\0", "{\"format\": 1"] {
            fs::write(folder.path().join(run_dir::MANIFEST), damaged).expect("written");
            refused(&folder, run_dir::MANIFEST, "not what a run writes");
        }
    }
}
