//! Generators: pictures with questions, made from a seed alone.
//!
//! [`GENERATORS`] lists the datasets, [`write`] puts one on disk as ordinary parquet in a Hub schema, with a card, and
//! [`shortcuts::measure`] says how far one gets in it without looking. [`pretrain`] is the separate stream from which the tiny
//! backbone learns to see.

pub mod canvas;
mod english;
pub mod glyphs;
pub mod icongen;
pub mod item;
pub mod layout;
pub mod look;
pub mod pretrain;
mod rows;
pub mod scigen;
pub mod shortcuts;

use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use schema::Card;
use seed::Seed;

use crate::{cards, parquet_out};
use shortcuts::TextRow;

/// A dataset that is made rather than downloaded.
#[derive(Debug)]
pub struct Generator {
    /// The name a user types, and the name of its card.
    pub name: &'static str,
    /// The name a table shows.
    pub title: &'static str,
    /// What it is, in a sentence.
    pub sentence: &'static str,
    /// The splits and how many rows each has unless asked for another number: `train`, `test`, and `validation`, on which settings
    /// such as a learning rate are chosen.
    pub splits: [(&'static str, usize); 3],
    rows: fn(Seed, &str, Range<usize>) -> RecordBatch,
    text: fn(Seed, &str, usize) -> TextRow,
}

/// Every generator.
pub const GENERATORS: &[Generator] = &[
    Generator {
        name: "icongen",
        title: "IconGen",
        sentence: "Abstract diagrams with short questions in thirteen skills, in the schema of ICON-QA.",
        splits: [("train", 4000), ("test", 1000), ("validation", 500)],
        rows: rows::icon_rows,
        text: shortcuts::icon_text,
    },
    Generator {
        name: "scigen",
        title: "SciGen",
        sentence: "School science with diagrams, maps and words in nineteen topics, in the schema of ScienceQA.",
        splits: [("train", 3000), ("test", 1000), ("validation", 500)],
        rows: rows::sci_rows,
        text: shortcuts::sci_text,
    },
];

/// The version of the generators; a change of any row is a new version.
pub const VERSION: u32 = 4;

/// The generator of a name.
pub fn find(name: &str) -> Option<&'static Generator> {
    GENERATORS.iter().find(|generator| generator.name == name)
}

/// Why a dataset could not be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A file or folder could not be written.
    #[error("cannot write {path}: {source}; give a folder that you may write to and that has room")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The parquet writer failed.
    #[error("cannot write {path} as parquet: {source}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the writer said.
        source: parquet::errors::ParquetError,
    },
    /// The dataset's card is missing or does not parse.
    #[error("the card of `{name}` cannot be used: {message}; it should be a card like those in data-scripts/cards")]
    Card {
        /// The dataset.
        name: String,
        /// What is wrong.
        message: String,
    },
}

/// Writes a dataset into its folder: one parquet file per split, and `card.toml` with row counts and checksums.
///
/// `sizes` are the rows of train and test if not the default ones; validation is never larger than test. Row i of a split depends
/// on the seed, the split and i alone, so a smaller dataset is the beginning of a larger one. Every file is written aside and
/// renamed, the card last.
pub fn write(generator: &Generator, dir: &Path, sizes: Option<(usize, usize)>, seed: u64) -> Result<Card, GenerateError> {
    std::fs::create_dir_all(dir).map_err(|source| GenerateError::Io { path: dir.into(), source })?;
    let mut card = cards::card(generator.name).map_err(|message| GenerateError::Card { name: generator.name.into(), message })?;
    card.revision = format!("generator version {VERSION}, seed {seed}");
    card.splits.clear();
    let (train, test) = sizes.unwrap_or((generator.splits[0].1, generator.splits[1].1));
    for ((split, _), rows) in generator.splits.iter().zip([train, test, test.min(generator.splits[2].1)]) {
        let file = format!("{split}-00000-of-00001.parquet");
        let path = dir.join(&file);
        let batches = chunks(rows).map(|range| (generator.rows)(Seed::new(seed), split, range));
        let bytes = parquet_out::encode(batches).map_err(|source| GenerateError::Parquet { path: path.clone(), source })?;
        write_aside(&path, &bytes)?;
        let sha256 = Some(schema::sha256_hex(&bytes));
        let split_card = schema::card::Split { files: vec![file], pictures: vec![], rows: Some(rows), sha256, fold: None };
        card.splits.insert((*split).into(), split_card);
    }
    let text = toml::to_string(&card)
        .map_err(|error| GenerateError::Card { name: generator.name.into(), message: error.to_string() })?;
    write_aside(&dir.join("card.toml"), text.as_bytes())?;
    Ok(card)
}

/// Row ranges of one row group each; one empty range if there are no rows, so that the file still has its columns.
fn chunks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let step = parquet_out::ROW_GROUP;
    (0..rows.div_ceil(step).max(1)).map(move |i| i * step..((i + 1) * step).min(rows))
}

fn write_aside(path: &Path, bytes: &[u8]) -> Result<(), GenerateError> {
    let aside = path.with_extension("partial");
    std::fs::write(&aside, bytes)
        .and_then(|()| std::fs::rename(&aside, path))
        .map_err(|source| GenerateError::Io { path: path.into(), source })
}

#[cfg(test)]
mod tests;
