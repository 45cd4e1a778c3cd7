//! Whether rows can be read as a card says: the loader's own word.

use std::collections::BTreeMap;
use std::path::Path;

use schema::card::Card;
use serde::Serialize;

use super::glance::MOST_ROWS;
use crate::columns;
use crate::error::DataError;
use crate::example::{Answer, Rejection};
use crate::parquet_file::open;
use crate::picture_cell::Beside;
use crate::row::Row;

/// Rows that are named, each with its reason.
const NAMED: usize = 20;

/// A row that the loader would not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// Its split, as the files' names say.
    pub split: String,
    /// Its row in this split, from 0.
    pub row: usize,
    /// Why.
    pub reason: String,
}

/// What came of reading rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Trial {
    /// Rows that were read, by split.
    pub read: BTreeMap<String, usize>,
    /// Rows that could not be, by split.
    pub bad: BTreeMap<String, usize>,
    /// The first of those.
    pub first: Vec<Unread>,
    /// Whether some answer is the first choice.
    pub has_first: bool,
}

impl Trial {
    /// Rows that could not be read.
    pub(super) fn all_bad(&self) -> usize {
        self.bad.values().sum()
    }

    fn note(&mut self, split: &str, row: usize, outcome: Result<Row<'_>, Rejection>) {
        match outcome {
            Ok(read) => {
                self.has_first |= matches!(read.answer, Answer::Choice(0));
                *self.read.entry(split.into()).or_default() += 1;
            }
            Err(Rejection::Bad(reason) | Rejection::Beyond(reason) | Rejection::Skip(reason)) => {
                *self.bad.entry(split.into()).or_default() += 1;
                if self.first.len() < NAMED {
                    self.first.push(Unread { split: split.into(), row, reason });
                }
            }
        }
    }
}

/// Reads rows through a card, their texts alone. An error where a column cannot serve.
pub(super) fn trial(folder: &Path, card: &Card, splits: &BTreeMap<String, Vec<String>>) -> Result<Trial, DataError> {
    // A picture says nothing of how a row is read, unless options are pictures.
    let mut card = card.clone();
    if card.choices.image_options.is_empty() {
        card.columns.images.clear();
    }
    let mut trial = Trial::default();
    for (split, files) in splits {
        let mut row = 0;
        for file in files {
            let path = folder.join(file);
            let opened = open(&path)?;
            let roots = columns::project(&path, &card, opened.schema())?;
            let beside = Beside { folder, parquet: &path, max_image_pixels: card.max_image_pixels };
            for batch in opened.batches(roots)? {
                let batch = batch?;
                for at in 0..batch.num_rows().min(MOST_ROWS - row.min(MOST_ROWS)) {
                    trial.note(split, row + at, Row::read(columns::cells(&batch, &card, at), &card, &beside));
                }
                row += batch.num_rows();
            }
        }
    }
    Ok(trial)
}
