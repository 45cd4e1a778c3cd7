//! Where a run's files lie: in a folder of its own, or in a pack with others'. Whoever reads runs reads them through this.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schema::manifest::{self, Mismatch, Standing};
use schema::toml_file;
use serde::de::DeserializeOwned;

use crate::error::ReportError;
use crate::pack::Pack;
use crate::rows::Rows;

/// The most bytes of a file that is held whole; partitions and lists of skipped rows grow with the data.
pub const MOST_BYTES: u64 = 256 << 20;

/// The most bytes of a text that a page shows.
const MOST_TEXT: u64 = 4 << 20;

/// A run's files.
#[derive(Debug, Clone)]
pub enum Source {
    /// A run folder.
    Folder(PathBuf),
    /// A pack, and which of its runs.
    Packed(Arc<Pack>, usize),
}

impl Source {
    /// The run's folder; of a packed run, the folder that it would be in the pack's.
    pub fn dir(&self) -> PathBuf {
        match self {
            Self::Folder(dir) => dir.clone(),
            Self::Packed(pack, run) => pack.dir(*run),
        }
    }

    /// How messages name one of its files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// What its manifest says; an error where a file is not as it was written.
    pub fn standing(&self) -> Result<Standing, ReportError> {
        match self {
            Self::Folder(dir) => Ok(manifest::check(dir)?),
            Self::Packed(pack, run) => pack.standing(*run),
        }
    }

    /// A file's content; none where the run has no such file.
    pub fn optional(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, ReportError> {
        let path = self.path(name);
        let read = match self {
            Self::Folder(_) => guard::files::read_here(&path, most),
            Self::Packed(pack, run) => match pack.text(*run, name)? {
                None => Err(ErrorKind::NotFound.into()),
                Some(text) if text.len() as u64 > most => Err(too_long(most)),
                Some(text) => Ok(text.into_bytes()),
            },
        };
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ReportError::Read { path, source }),
        }
    }

    /// A file's content.
    pub fn bytes(&self, name: &str, most: u64) -> Result<Vec<u8>, ReportError> {
        let missing = || ReportError::Read { path: self.path(name), source: not_found() };
        self.optional(name, most)?.ok_or_else(missing)
    }

    /// A text, as a page shows it.
    pub fn text(&self, name: &str) -> Result<String, ReportError> {
        let wrong = |_| io::Error::new(ErrorKind::InvalidInput, "it is not text in UTF-8");
        let text = String::from_utf8(self.bytes(name, MOST_TEXT)?).map_err(wrong);
        text.map_err(|source| ReportError::Read { path: self.path(name), source })
    }

    /// A TOML file as what it should be.
    pub fn toml<T: DeserializeOwned>(&self, name: &str) -> Result<T, ReportError> {
        let content = match self.bytes(name, toml_file::MOST_BYTES) {
            Ok(bytes) => Ok(bytes),
            Err(ReportError::Read { source, .. }) => Err(source),
            Err(error) => return Err(error),
        };
        Ok(toml_file::parsed(&self.path(name), content)?)
    }

    /// A JSON file as what it should be.
    pub fn json<T: DeserializeOwned>(&self, name: &str, most: u64) -> Result<T, ReportError> {
        parsed(&self.path(name), &self.bytes(name, most)?)
    }

    /// The same of a file that may not be there.
    pub fn optional_json<T: DeserializeOwned>(&self, name: &str, most: u64) -> Result<Option<T>, ReportError> {
        self.optional(name, most)?.map(|text| parsed(&self.path(name), &text)).transpose()
    }

    /// The rows of `records.parquet` or `predictions.parquet`.
    pub fn rows(&self, name: &str) -> Result<Rows, ReportError> {
        match self {
            Self::Folder(_) => Rows::of_file(&self.path(name)),
            Self::Packed(pack, run) => pack.rows(*run, name),
        }
    }
}

fn parsed<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, ReportError> {
    if guard::files::is_lfs_pointer(text) {
        return Err(Mismatch { path: path.into(), what: format!("it {}", guard::files::LFS_ADVICE) }.into());
    }
    serde_json::from_slice(text).map_err(|source| ReportError::Json { path: path.into(), source })
}

fn too_long(most: u64) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("it is longer than the {most} bytes that such a file may have"))
}

/// In the system's words.
fn not_found() -> io::Error {
    io::Error::from_raw_os_error(2)
}
