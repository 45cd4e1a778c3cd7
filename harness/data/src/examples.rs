//! A split's parquet files become examples, through the dataset's card.
//!
//! Files are streamed, row group by row group, and only the columns that the card names are read. A row that cannot be read stops
//! the load or is left out and listed, as the card says; nothing is dropped silently.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use guard::text::line;
use schema::card::{AnswerForm, BadRow, Card, Fold, PictureFiles};
use schema::record::Skipped;
use sha2::{Digest, Sha256};

use super::card::join_cards;
use super::error::{DataError, brief};
use super::example::{Answer, Example, Origin, Rejection};
use super::image::Preprocess;
use super::parquet_file::{Opened, open};
use super::picture_cell::{Beside, Found, ImageCell};
use super::repeated::Repeated;
use super::row::Row;
use super::{columns, decode, files, labels, pictures};

/// Bytes that a split's texts may take in memory: a million questions of two hundred words.
const MAX_TEXT_BYTES: usize = 1 << 30;
/// What an example takes in memory besides its texts.
const EXAMPLE_BYTES: usize = 512;
/// Rows left out that are listed, at most; where there are more, nothing fits.
const MAX_SKIPPED: usize = 1_000_000;

/// Characters of a picture's name that a message shows.
const SHOWN_ID: usize = 80;

/// A split in memory.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What it was read through.
    pub card: Arc<Card>,
    /// The split's name.
    pub split: String,
    /// The rows that could be used, in file order.
    pub examples: Vec<Example>,
    /// The encoded pictures, each content once.
    pub images: Vec<Arc<[u8]>>,
    /// Where each of them was first met.
    pub origins: Vec<Origin>,
    /// The rows left out.
    pub skipped: Vec<Skipped>,
    /// How many of the rows another of the split's files has, too.
    pub repeated: usize,
    /// The ids of rows that were left out because they stand in another split ([`Self::without`]).
    pub deduplicated: Vec<String>,
    /// Every file that was read for it: parquet, and pictures that cells name by their path.
    pub files: Vec<PathBuf>,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.file.display(), self.place)
    }
}

impl Dataset {
    /// Reads a split from the dataset's folder; with a `limit`, only its first so many usable rows.
    pub fn load(dir: &Path, card: &Card, split: &str, limit: Option<usize>) -> Result<Self, DataError> {
        let listed = labels::listed(dir, card)?;
        let paths = files::find(dir, card, split)?;
        let readers = paths.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
        check_rows(card, split, &paths, readers.iter().map(Opened::rows).fold(0, usize::saturating_add))?;
        let with_rows: Vec<&PathBuf> =
            paths.iter().zip(&readers).filter(|(_, reader)| reader.rows() > 0).map(|(path, _)| path).collect();
        files::check_different(&with_rows, split)?;
        files::check_sha256(&paths, files::split(card, split)?, split)?;
        let fold = files::split(card, split)?.fold.as_ref();
        let mut loader = Loader::new(dir, (card, &listed), split, fold, limit.unwrap_or(usize::MAX));
        for (path, reader) in paths.iter().zip(readers) {
            loader.repeated.next_file();
            loader.read_file(path, reader)?;
        }
        loader.dataset.files.splice(0..0, paths.iter().cloned());
        if let Some(columns) = &card.pictures {
            let pictures = files::pictures(dir, card, split)?;
            loader.join(&pictures, columns)?;
            loader.dataset.files.extend(pictures);
        }
        loader.finish(&paths)
    }

    fn empty(card: Arc<Card>, split: String) -> Self {
        Self {
            card,
            split,
            examples: Vec::new(),
            images: Vec::new(),
            origins: Vec::new(),
            skipped: Vec::new(),
            repeated: 0,
            deduplicated: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Several datasets as one: ids begin with the dataset's name, and the tag `dataset` tells them apart.
    pub fn join(parts: Vec<Self>) -> Result<Self, DataError> {
        let cards: Vec<Card> = parts.iter().map(|part| (*part.card).clone()).collect();
        let split = parts.first().map(|part| part.split.clone()).unwrap_or_default();
        let mut joined = Self::empty(Arc::new(join_cards(&cards)?), split);
        for part in parts {
            joined.append(part);
        }
        Ok(joined)
    }

    fn append(&mut self, part: Self) {
        let (name, images) = (part.card.name.clone(), self.images.len());
        self.examples.extend(part.examples.into_iter().map(|mut example| {
            example.id = format!("{name}/{}", example.id);
            example.tags.insert(Card::DATASET.into(), name.clone());
            example.images.iter_mut().for_each(|image| *image += images);
            example
        }));
        self.images.extend(part.images);
        self.origins.extend(part.origins);
        self.files.extend(part.files);
        self.repeated += part.repeated;
        let of_part = |skipped: Skipped| Skipped { split: format!("{name}/{}", skipped.split), ..skipped };
        self.skipped.extend(part.skipped.into_iter().map(of_part));
    }

    /// One of the pictures as a backbone sees it ([`Preprocess::pixels`]).
    pub fn pixels(&self, image: usize, preprocess: &Preprocess) -> Result<Vec<f32>, DataError> {
        let named = |error| match (error, self.origins.get(image)) {
            (DataError::Image { reason }, Some(origin)) => DataError::Picture { origin: origin.to_string(), reason },
            (error, _) => error,
        };
        preprocess.pixels(&self.images[image], self.card.max_image_pixels).map_err(named)
    }

    /// The label of one of the examples, "" for a key that it does not have.
    pub fn label(&self, example: &Example, key: &str) -> String {
        example.label(key).unwrap_or_default()
    }
}

fn check_rows(card: &Card, split: &str, paths: &[PathBuf], found: usize) -> Result<(), DataError> {
    match files::split(card, split)?.rows {
        Some(wanted) if wanted != found => {
            Err(DataError::RowCount { files: files::joined(paths), split: split.into(), found, wanted })
        }
        _ => Ok(()),
    }
}

/// Gathers examples over a split's files.
struct Loader<'a> {
    dataset: Dataset,
    folder: &'a Path,
    card: &'a Card,
    fold: Option<&'a Fold>,
    limit: usize,
    /// Rows met so far, over all files.
    row: usize,
    /// Where a picture's content (by SHA-256) is in `dataset.images`.
    known_images: BTreeMap<[u8; 32], usize>,
    /// Whether pictures that were decoded on trial are sound, by their content.
    tried: BTreeMap<[u8; 32], Result<(), String>>,
    /// Which row first had an id.
    known_ids: BTreeMap<String, usize>,
    /// The examples that wait for a picture of files of its own, with their rows, by its name there.
    waiting: BTreeMap<String, Vec<(usize, usize)>>,
    /// What the files' rows hold.
    repeated: Repeated,
    /// Bytes of the examples' texts, about.
    text_bytes: usize,
    /// The first row whose answer is no choice by one, as if choices were counted from another number, and why it is none.
    beyond: Option<(usize, String)>,
    /// How many there are.
    beyond_count: usize,
    /// How many answers are the choice at the other end, which there would be none of.
    end_count: usize,
}

impl<'a> Loader<'a> {
    /// The card as it is, and as rows are read through it: with its labels listed.
    fn new(folder: &'a Path, (own, card): (&Card, &'a Card), split: &str, fold: Option<&'a Fold>, limit: usize) -> Self {
        let dataset = Dataset::empty(Arc::new(own.clone()), split.into());
        Self {
            dataset,
            folder,
            card,
            fold,
            limit,
            row: 0,
            known_images: BTreeMap::new(),
            tried: BTreeMap::new(),
            known_ids: BTreeMap::new(),
            waiting: BTreeMap::new(),
            repeated: Repeated::default(),
            text_bytes: 0,
            beyond: None,
            beyond_count: 0,
            end_count: 0,
        }
    }

    fn full(&self) -> bool {
        self.dataset.examples.len() >= self.limit
    }

    /// Whether the rows so far leave open from which number the answers count. Then a limit does not end the reading.
    fn in_doubt(&self) -> bool {
        self.limit > 0
            && matches!(self.card.answer, AnswerForm::Index | AnswerForm::IndexFromOne)
            && self.beyond_count >= self.end_count
    }

    /// Counts an answer that says from which number they count.
    fn count(&mut self, row: &Result<Row<'_>, Rejection>) {
        match row {
            Ok(Row { answer: Answer::Choice(place), choices, .. }) => {
                let end = if self.card.answer == AnswerForm::IndexFromOne { choices.len().saturating_sub(1) } else { 0 };
                self.end_count += usize::from(*place == end);
            }
            Err(Rejection::Beyond(reason)) => {
                self.beyond_count += 1;
                self.beyond.get_or_insert_with(|| (self.row, reason.clone()));
            }
            _ => {}
        }
    }

    fn read_file(&mut self, path: &Path, reader: Opened) -> Result<(), DataError> {
        let roots = columns::project(path, self.card, reader.schema())?;
        let first_row = self.row;
        for batch in reader.batches(roots)? {
            if self.full() && !self.in_doubt() {
                break;
            }
            self.read_batch(path, first_row, &batch?)?;
            self.check_size(path)?;
        }
        Ok(())
    }

    fn check_size(&self, path: &Path) -> Result<(), DataError> {
        if self.text_bytes > MAX_TEXT_BYTES {
            let message = format!(
                "with row {} the split's examples take over {MAX_TEXT_BYTES} bytes of memory, the limit, without their pictures; name fewer \
                 files, or a `fold`, in the card",
                self.row
            );
            return Err(DataError::parquet(path, message));
        }
        match self.dataset.skipped.first() {
            Some(first) if self.dataset.skipped.len() > MAX_SKIPPED => {
                let message = format!("over {MAX_SKIPPED} rows are left out; the first is row {}: {}", first.row, first.reason);
                Err(DataError::parquet(path, message))
            }
            _ => Ok(()),
        }
    }

    fn read_batch(&mut self, path: &Path, first_row: usize, batch: &RecordBatch) -> Result<(), DataError> {
        let beside = self.beside(path);
        let (file, card, start) = (Arc::from(path), self.card, self.row);
        let mut rows = Vec::new();
        for index in 0..batch.num_rows() {
            if self.fold.is_none_or(|fold| fold.holds(start + index)) {
                rows.push((start + index, Row::read(columns::cells(batch, card, index), card, &beside)));
            }
        }
        if !self.full() {
            let pictures = rows.iter().filter_map(|(_, row)| row.as_ref().ok()).flat_map(|row| &row.images);
            self.try_all(pictures.map(|(_, found)| &*found.bytes));
        }
        for (number, row) in rows {
            let full = self.full();
            if full && !self.in_doubt() {
                return Ok(());
            }
            self.row = number;
            self.count(&row);
            if full {
                continue;
            }
            match row.and_then(|row| self.add(row, &file, number - first_row)) {
                Ok(()) => {}
                Err(Rejection::Bad(reason) | Rejection::Beyond(reason)) if self.card.on_bad_row == BadRow::Error => {
                    return Err(DataError::BadRow { path: path.into(), row: self.row - first_row, reason });
                }
                Err(Rejection::Bad(reason) | Rejection::Beyond(reason) | Rejection::Skip(reason)) => {
                    self.dataset.skipped.push(Skipped { split: self.dataset.split.clone(), row: self.row, reason });
                }
            }
        }
        self.row = start + batch.num_rows();
        Ok(())
    }

    fn beside<'p>(&self, parquet: &'p Path) -> Beside<'p>
    where
        'a: 'p,
    {
        Beside { folder: self.folder, parquet, max_image_pixels: self.card.max_image_pixels }
    }

    /// Where bad rows are left out, whether a picture can be decoded must be known before the row is taken: tries those that are
    /// new. Otherwise a picture is decoded when it is wanted, once.
    fn try_all<'p>(&mut self, pictures: impl Iterator<Item = &'p [u8]>) {
        if self.card.on_bad_row == BadRow::Error {
            return;
        }
        let content = |encoded: &'p [u8]| (Sha256::digest(encoded).into(), encoded);
        let new: BTreeMap<[u8; 32], &[u8]> = pictures.map(content).filter(|(hash, _)| !self.tried.contains_key(hash)).collect();
        let (hashes, encoded): (Vec<_>, Vec<_>) = new.into_iter().unzip();
        self.tried.extend(hashes.into_iter().zip(decode::try_all(&encoded, self.card.max_image_pixels)));
    }

    fn add(&mut self, row: Row<'_>, file: &Arc<Path>, in_file: usize) -> Result<(), Rejection> {
        for (column, found) in &row.images {
            if let Some(Err(reason)) = self.tried.get(&<[u8; 32]>::from(Sha256::digest(&*found.bytes))) {
                return Err(Rejection::bad(format!("column `{column}`: {reason}")));
            }
        }
        let id = row.id.clone().unwrap_or_else(|| format!("{}-{}", self.dataset.split, self.row));
        if let Some(first) = self.known_ids.get(&id) {
            return Err(Rejection::bad(format!("the id `{}` is already that of row {first}", brief(&id))));
        }
        self.text_bytes = self.text_bytes.saturating_add(EXAMPLE_BYTES + 2 * id.len() + row.text_bytes());
        self.known_ids.insert(id.clone(), self.row);
        let raw_bytes = row.raw_bytes();
        let place = |column: &str| format!("row {in_file} (counted from 0), column `{column}`");
        let images: Vec<usize> =
            row.images.into_iter().map(|(column, found)| self.intern(found, file, || place(column))).collect();
        self.dataset.repeated += usize::from(self.repeated.has(&(
            &row.question,
            &row.hint,
            &row.choices,
            &row.answer,
            &row.picture,
            &row.tags,
            &images,
        )));
        if let Some(key) = row.picture.clone() {
            self.waiting.entry(key).or_default().push((self.dataset.examples.len(), self.row));
        }
        self.dataset.examples.push(Example {
            id,
            row: self.row,
            raw_bytes,
            question: row.question,
            hint: row.hint,
            choices: row.choices,
            answer: row.answer,
            images,
            card: self.dataset.card.clone(),
            tags: self.card.columns.tags.iter().cloned().zip(row.tags).collect(),
        });
        Ok(())
    }

    /// The index of a picture's content.
    fn intern(&mut self, found: Found<'_>, file: &Arc<Path>, place: impl FnOnce() -> String) -> usize {
        let Dataset { images, origins, files, .. } = &mut self.dataset;
        files.extend(found.file);
        *self.known_images.entry(Sha256::digest(&*found.bytes).into()).or_insert_with(|| {
            origins.push(Origin { file: file.clone(), place: place() });
            images.push(Arc::from(&*found.bytes));
            images.len() - 1
        })
    }

    /// Gives the examples their pictures; every one of them must be there.
    fn join(&mut self, paths: &[PathBuf], columns: &PictureFiles) -> Result<(), DataError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut pictures: BTreeMap<String, Result<Vec<(usize, u64)>, String>> = BTreeMap::new();
        pictures::each(paths, columns, &waiting, |path, id, cell| {
            let place = || format!("picture `{}`", line(id, SHOWN_ID));
            let found = match self.sound(path, cell) {
                Err(reason) if self.card.on_bad_row == BadRow::Error => {
                    let origin = Origin { file: path.into(), place: place() }.to_string();
                    return Err(DataError::Picture { origin, reason });
                }
                Err(reason) => Err(format!("{}: {reason}", place())),
                Ok(found) => Ok(found),
            };
            let file = Arc::from(path);
            let intern = |found: Found<'_>| {
                let bytes = found.bytes.len() as u64;
                (self.intern(found, &file, place), bytes)
            };
            let found = found.map(|found| found.into_iter().map(intern).collect());
            match pictures.insert(id.into(), found.clone()) {
                Some(before) if before != found => {
                    Err(DataError::parquet(path, format!("{} is there twice, with different pictures", place())))
                }
                _ => Ok(()),
            }
        })?;
        let mut left_out = BTreeMap::new();
        for (id, pictures) in pictures {
            for (example, row) in waiting.remove(&id).into_iter().flatten() {
                match &pictures {
                    Err(reason) => drop(left_out.insert(example, (row, reason.clone()))),
                    Ok(pictures) => {
                        let example = &mut self.dataset.examples[example];
                        example.images.extend(pictures.iter().map(|(picture, _)| picture));
                        example.raw_bytes += pictures.iter().map(|(_, bytes)| bytes).sum::<u64>();
                    }
                }
            }
        }
        let missing = self.missing(paths, columns, &waiting);
        if self.card.on_bad_row == BadRow::Error {
            missing?;
        }
        for (id, examples) in waiting {
            let reason = format!("column `{}` has no picture `{}`", columns.id, line(&id, SHOWN_ID));
            left_out.extend(examples.into_iter().map(|(example, row)| (example, (row, reason.clone()))));
        }
        self.leave_out(left_out);
        Ok(())
    }

    /// The pictures of a cell, tried where bad rows are left out. The error is a reason.
    fn sound<'c>(&mut self, path: &Path, cell: &ImageCell<'c>) -> Result<Vec<Found<'c>>, String> {
        let found = self.beside(path).pictures(cell)?;
        if *cell == ImageCell::Null {
            return Err("the cell is null".into());
        }
        if found.is_empty() {
            return Err("the list of pictures is empty".into());
        }
        self.try_all(found.iter().map(|found| &*found.bytes));
        match found.iter().find_map(|found| self.tried.get(&<[u8; 32]>::from(Sha256::digest(&*found.bytes)))?.clone().err()) {
            Some(reason) => Err(reason),
            None => Ok(found),
        }
    }

    /// Leaves examples out for their pictures' sake.
    fn leave_out(&mut self, left_out: BTreeMap<usize, (usize, String)>) {
        let mut at = 0;
        self.dataset.examples.retain(|_| {
            at += 1;
            !left_out.contains_key(&(at - 1))
        });
        let split = &self.dataset.split;
        let skipped = left_out.into_values().map(|(row, reason)| Skipped { split: split.clone(), row, reason });
        self.dataset.skipped.extend(skipped);
        self.dataset.skipped.sort_by_key(|skipped| skipped.row);
    }

    fn missing(
        &self,
        paths: &[PathBuf],
        columns: &PictureFiles,
        waiting: &BTreeMap<String, Vec<(usize, usize)>>,
    ) -> Result<(), DataError> {
        match waiting.iter().next() {
            None => Ok(()),
            Some((id, examples)) => Err(DataError::NoPicture {
                files: files::joined(paths),
                column: columns.id.clone(),
                id: id.clone(),
                example: self.dataset.examples[examples[0].0].id.clone(),
                more: waiting.len() - 1,
            }),
        }
    }

    fn finish(self, paths: &[PathBuf]) -> Result<Dataset, DataError> {
        // Left out under `on_bad_row`, such rows would hide that every other answer is one off.
        if let Some((row, reason)) = self.beyond.as_ref().filter(|_| self.beyond_count > self.end_count) {
            let (beyond, end) = (self.beyond_count, self.end_count);
            return Err(DataError::OneOff { beyond, end, files: files::joined(paths), row: *row, reason: reason.clone() });
        }
        if !self.dataset.examples.is_empty() {
            return Ok(self.dataset);
        }
        let why = match self.dataset.skipped.first() {
            Some(first) => format!("all {} were left out; row {}: {}", self.row, first.row, first.reason),
            None if self.limit == 0 => "a limit of 0 rows was asked for".into(),
            None => "the files hold none".into(),
        };
        Err(DataError::NoRows { files: files::joined(paths), split: self.dataset.split, why })
    }
}

#[cfg(test)]
#[path = "joins_tests.rs"]
mod joins_tests;
#[cfg(test)]
#[path = "examples_tests.rs"]
mod tests;
