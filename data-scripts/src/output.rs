//! A dataset's folder while it is written: by one process at a time, and whole or as it was before.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use guard::files::{self, Growing};
use guard::lock::{self, Lock};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use schema::Card;
use schema::card::Split;

use crate::hub::checksum;
use crate::parquet_out;

/// The name of the card beside the parquet files; written last.
pub(crate) const CARD: &str = "card.toml";
/// Bytes of a card; a longer file is none.
const LONGEST_CARD: u64 = 1 << 20;

/// Why a dataset could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A file or folder could not be written.
    #[error("cannot write {}: {source}; give a folder that you may write to and that has room", path.display())]
    Io {
        /// What was made, written or renamed.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another process holds the lock of the folder.
    #[error("{}: another process is writing this dataset; wait for it, or give another --out", folder.display())]
    Busy {
        /// The dataset's folder.
        folder: PathBuf,
    },
    /// A folder that holds something that would be overwritten.
    #[error(
        "{}: not an empty folder, and no dataset `{name}` that could be made again (it holds `{found}`); give a new folder as --out",
        folder.display()
    )]
    Foreign {
        /// The folder that was asked for.
        folder: PathBuf,
        /// The dataset that was to be written.
        name: String,
        /// One name of what it holds.
        found: String,
    },
    /// The parquet writer failed.
    #[error("cannot write {} as parquet: {source}", path.display())]
    Parquet {
        /// The parquet file, under its final name.
        path: PathBuf,
        /// The parquet writer's reason.
        source: ParquetError,
    },
    /// The dataset's card is missing or does not parse.
    #[error("the card of `{name}` cannot be used: {message}; it should be a card like those in data-scripts/cards")]
    Card {
        /// The dataset's name.
        name: String,
        /// Why it does not parse, or that it is missing.
        message: String,
    },
    /// What lies in a cache is not what was put there.
    #[error("{}: {message}; remove the folder, and it is made again", folder.display())]
    Spoiled {
        /// The dataset's folder.
        folder: PathBuf,
        /// Which file is not as it was written.
        message: String,
    },
}

impl OutputError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// A dataset's folder that this process alone writes to.
pub(crate) struct Output {
    folder: PathBuf,
    /// Whether the folder was not there before.
    is_new: bool,
    lock: Option<Lock>,
}

impl Output {
    /// Takes a folder that is new, empty or holds the dataset of this name.
    pub fn open(folder: &Path, name: &str) -> Result<Self, OutputError> {
        let is_new = !folder.exists();
        fs::create_dir_all(folder).map_err(OutputError::io(folder))?;
        let lock = Lock::of_folder(folder).map_err(OutputError::io(folder))?;
        let lock = Some(lock.ok_or_else(|| OutputError::Busy { folder: folder.into() })?);
        let output = Self { folder: folder.into(), is_new, lock };
        match foreign(folder, name).map_err(OutputError::io(folder))? {
            Some(found) => {
                let found = guard::text::line(&found, 80);
                Err(OutputError::Foreign { folder: folder.into(), name: name.into(), found })
            }
            None => Ok(output),
        }
    }

    /// Begins a split's file.
    pub fn split(&self, split: &str, schema: SchemaRef) -> Result<SplitFile, OutputError> {
        let path = self.folder.join(format!("{split}-00000-of-00001.parquet"));
        let (growing, file) = Growing::create(&path).map_err(OutputError::io(&path))?;
        let writer = parquet_out::writer(file, schema).map_err(|source| OutputError::Parquet { path: path.clone(), source })?;
        Ok(SplitFile { growing, writer, rows: 0 })
    }

    /// Gives all files their names, the card last. Without a card what lies there is no dataset: so it is while files of two
    /// generations lie side by side.
    pub fn finish(self, files: Vec<Growing>, card: &Card) -> Result<(), OutputError> {
        let path = self.folder.join(CARD);
        let text =
            toml::to_string(card).map_err(|error| OutputError::Card { name: card.name.clone(), message: error.to_string() })?;
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(OutputError::Io { path, source: error });
        }
        for file in files {
            let place = file.path().to_owned();
            file.finish().map_err(OutputError::io(&place))?;
        }
        files::write(&path, text.as_bytes()).map_err(OutputError::io(&path))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.lock = None;
        if self.is_new {
            // Only an empty folder can be removed so: one that nothing came of.
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// Something in a folder that is no dataset of this name; none where there is nothing, or such a dataset.
fn foreign(folder: &Path, name: &str) -> std::io::Result<Option<String>> {
    let is_ours = |found: &str| found == lock::NAME || (found.starts_with('.') && found.ends_with(".part"));
    let mut found = None;
    for entry in fs::read_dir(folder)? {
        let entry = entry?.file_name().to_string_lossy().into_owned();
        if !is_ours(&entry) {
            found = Some(entry);
        }
    }
    Ok(found.filter(|_| card_name(folder).as_deref() != Some(name)))
}

/// The name in a folder's card.
fn card_name(folder: &Path) -> Option<String> {
    let card: toml::Table = files::read_text_here(&folder.join(CARD), LONGEST_CARD).ok()?.parse().ok()?;
    Some(card.get("name")?.as_str()?.to_owned())
}

/// A split's parquet file, growing.
pub(crate) struct SplitFile {
    growing: Growing,
    writer: ArrowWriter<File>,
    rows: usize,
}

impl SplitFile {
    /// Adds rows.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), OutputError> {
        self.rows += rows.num_rows();
        self.writer.write(rows).map_err(|source| OutputError::Parquet { path: self.growing.path().into(), source })
    }

    /// Ends the row group, so that what it holds leaves the memory.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        self.writer.flush().map_err(|source| OutputError::Parquet { path: self.growing.path().into(), source })
    }

    /// Ends the file: the card's entry, and the file, which has no name yet.
    pub fn finish(self) -> Result<(Split, Growing), OutputError> {
        let Self { growing, writer, rows } = self;
        writer.close().map_err(|source| OutputError::Parquet { path: growing.path().into(), source })?;
        let sha256 = checksum::sha256(&growing.aside()).map_err(OutputError::io(growing.path()))?;
        let name = growing.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok((Split { files: vec![name], pictures: vec![], rows: Some(rows), sha256: Some(sha256), fold: None }, growing))
    }
}

/// Reads back a dataset that lies in a cache: its card is `wanted` with the checksums that were written there, and its files have
/// those.
pub(crate) fn check(folder: &Path, wanted: &Card) -> Result<Card, OutputError> {
    let spoiled = |message: String| OutputError::Spoiled { folder: folder.into(), message };
    let text = files::read_text_here(&folder.join(CARD), LONGEST_CARD).map_err(|error| spoiled(format!("{CARD}: {error}")))?;
    let card: Card = toml::from_str(&text)
        .map_err(|error| spoiled(format!("{CARD} is damaged ({})", guard::text::line(&error.to_string(), 200))))?;
    if (&card.name, &card.revision) != (&wanted.name, &wanted.revision) {
        return Err(spoiled(format!("{CARD} is of another dataset than {}, {}", wanted.name, wanted.revision)));
    }
    let mut whole = wanted.clone();
    for (name, split) in &mut whole.splits {
        let written = card.splits.get(name).filter(|written| (&written.files, written.rows) == (&split.files, split.rows));
        let stated = written.and_then(|written| written.sha256.clone());
        let stated = stated.ok_or_else(|| spoiled(format!("{CARD} lacks its split `{name}`, or the checksum of that")))?;
        for file in &split.files {
            let found = checksum::sha256(&folder.join(file)).map_err(|error| spoiled(format!("{file}: {error}")))?;
            if found != stated {
                return Err(spoiled(format!("{file} is not the one that was written there: its SHA-256 is {found}")));
            }
        }
        split.sha256 = Some(stated);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> Result<Output, OutputError> {
        Output::open(folder, "icongen")
    }

    #[test]
    fn a_folder_is_new_empty_or_ours() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new");
        drop(open(&folder).unwrap());
        assert!(!folder.exists(), "nothing came of it");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(".x.part"), "left by one that was killed").unwrap();
        let held = open(&folder).unwrap();
        assert!(matches!(open(&folder), Err(OutputError::Busy { .. })));
        drop(held);
        fs::write(folder.join("train-00000-of-00001.parquet"), "theirs").unwrap();
        let error = open(&folder).err().unwrap().to_string();
        assert!(error.contains("not an empty folder") && error.contains("`train-00000-of-00001.parquet`"), "{error}");
        fs::write(folder.join(CARD), "name = \"other\"").unwrap();
        assert!(matches!(open(&folder), Err(OutputError::Foreign { .. })));
        fs::write(folder.join(CARD), "name = \"icongen\"").unwrap();
        assert!(open(&folder).is_ok());
    }
}
