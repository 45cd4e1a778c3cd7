//! Generators: pictures with questions, made from a seed alone.
//!
//! [`GENERATORS`] lists the datasets, [`write()`] puts one on disk as ordinary parquet in a Hub schema, with a card, and
//! [`shortcuts::measure`] says how far one gets in it without looking. [`pretrain`] is the separate stream from which the tiny
//! backbone learns to see.

pub mod boxes;
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
use std::path::Path;

use arrow_array::RecordBatch;
use schema::Card;
use schema::card::Split;
use seed::Seed;

use crate::output::{self, Output, OutputError};
use crate::{cards, parquet_out};

pub use rows::TextRow;

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

/// Every generator, a row each: a new one is a row and a card.
pub const GENERATORS: &[Generator] = &[
    Generator {
        name: "icongen",
        title: "IconGen",
        sentence: "Abstract diagrams with short questions in thirteen skills, in the schema of ICON-QA.",
        splits: [("train", 4000), ("test", 1000), ("validation", 500)],
        rows: rows::icon_rows,
        text: rows::icon_text,
    },
    Generator {
        name: "scigen",
        title: "SciGen",
        sentence: "School science with diagrams, maps and words in nineteen topics, in the schema of ScienceQA.",
        splits: [("train", 3000), ("test", 1000), ("validation", 500)],
        rows: rows::sci_rows,
        text: rows::sci_text,
    },
    Generator {
        name: "icongen-boxes",
        title: "IconGen boxes",
        sentence: "Shapes on pictures as IconGen's, one of which is to be found; the answer is the box around it.",
        splits: [("train", 4000), ("test", 1000), ("validation", 500)],
        rows: rows::box_rows,
        text: rows::box_text,
    },
];

/// The version of the generators; a change of any row is a new version.
pub const VERSION: u32 = 4;

/// The generator of a name; none for datasets that come from elsewhere.
pub fn find(name: &str) -> Option<&'static Generator> {
    GENERATORS.iter().find(|generator| generator.name == name)
}

/// The most rows of a split that may be asked for.
pub const MOST_ROWS: usize = 1_000_000;

/// Writes a dataset into its folder: one parquet file per split, and `card.toml` with row counts and checksums.
///
/// `sizes` are the rows of train and test if not the default ones; validation is never larger than test. Row i of a split depends
/// on the seed, the split and i alone, so a smaller dataset is the beginning of a larger one. The folder must be new, empty or hold
/// this dataset; every file is written aside and renamed when all are there, the card last.
pub fn write(generator: &Generator, dir: &Path, sizes: Option<(usize, usize)>, seed: u64) -> Result<Card, OutputError> {
    let mut card = bare_card(generator, sizes, seed)?;
    let output = Output::open(dir, generator.name)?;
    let mut files = Vec::new();
    for (split, rows) in splits(generator, sizes) {
        let batch = |range| (generator.rows)(Seed::new(seed), split, range);
        let mut file = output.split(split, batch(0..0).schema())?;
        for range in chunks(rows) {
            file.write(&batch(range))?;
        }
        let (entry, file) = file.finish()?;
        card.splits.insert(split.into(), entry);
        files.push(file);
    }
    output.finish(files, &card)?;
    Ok(card)
}

/// The card of a dataset that [`write()`] put into a folder earlier; an error unless it and all files are as they were written.
pub fn check(generator: &Generator, dir: &Path, sizes: Option<(usize, usize)>, seed: u64) -> Result<Card, OutputError> {
    output::check(dir, &bare_card(generator, sizes, seed)?)
}

/// Splits and their rows.
fn splits(generator: &Generator, sizes: Option<(usize, usize)>) -> impl Iterator<Item = (&'static str, usize)> {
    let (train, test) = sizes.unwrap_or((generator.splits[0].1, generator.splits[1].1));
    let rows = [train, test, test.min(generator.splits[2].1)];
    generator.splits.iter().zip(rows).map(|((split, _), rows)| (*split, rows))
}

/// All of a dataset's card that is known before it is made: its files' checksums are missing.
fn bare_card(generator: &Generator, sizes: Option<(usize, usize)>, seed: u64) -> Result<Card, OutputError> {
    let mut card = cards::card(generator.name).map_err(|message| OutputError::Card { name: generator.name.into(), message })?;
    card.revision = format!("generator version {VERSION}, seed {seed}");
    card.splits.clear();
    for (split, rows) in splits(generator, sizes) {
        let files = vec![format!("{split}-00000-of-00001.parquet")];
        card.splits.insert(split.into(), Split { files, pictures: vec![], rows: Some(rows), sha256: None, fold: None });
    }
    Ok(card)
}

/// Row ranges of one row group each; one empty range if there are no rows, so that the file still has its columns.
fn chunks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let step = parquet_out::ROW_GROUP;
    (0..rows.div_ceil(step).max(1)).map(move |i| i * step..((i + 1) * step).min(rows))
}

#[cfg(test)]
mod tests;
