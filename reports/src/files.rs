//! The files of a run folder, each up to a stated size.

use std::fs;
use std::path::Path;

use schema::manifest::Mismatch;
use serde::de::DeserializeOwned;

use crate::ReportError;

/// The most bytes of a file that is held whole; partitions and lists of skipped rows grow with the data.
pub(crate) const MOST_BYTES: u64 = 256 << 20;

/// The most bytes of a text that a page shows.
const MOST_TEXT: u64 = 4 << 20;

/// A text file of a run, as a page shows it.
pub fn text(path: &Path) -> Result<String, ReportError> {
    guard::files::read_text_here(path, MOST_TEXT).map_err(|source| ReportError::Read { path: path.into(), source })
}

/// Whether anything has this name: what it is, is asked where it is opened.
pub(crate) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Reads a JSON file of at most so many bytes.
pub(crate) fn json<T: DeserializeOwned>(path: &Path, most: u64) -> Result<T, ReportError> {
    let text = guard::files::read_here(path, most).map_err(|source| ReportError::Read { path: path.into(), source })?;
    if guard::files::is_lfs_pointer(&text) {
        return Err(Mismatch { path: path.into(), what: format!("it {}", guard::files::LFS_ADVICE) }.into());
    }
    serde_json::from_slice(&text).map_err(|source| ReportError::Json { path: path.into(), source })
}
