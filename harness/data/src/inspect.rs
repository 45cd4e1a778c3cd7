//! What is in a dataset, for a person who has just written a card.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::file::metadata::ParquetMetaData;
use schema::card::{BadRow, Card};
use schema::record::Skipped;
use serde::Serialize;

use super::error::{DataError, brief};
use super::example::Example;
use super::examples::Dataset;
use super::parquet_file::{Opened, open};
use super::{columns, decode, files};

/// Values of a partition key that the terminal shows.
const SHOWN_LABELS: usize = 12;
/// Columns that the terminal shows.
const SHOWN_COLUMNS: usize = 200;
/// Rows left out that the terminal shows.
const SHOWN_SKIPPED: usize = 5;
/// Example rows.
const SHOWN_EXAMPLES: usize = 3;

/// What is in a dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The dataset's name.
    pub dataset: String,
    /// Its splits by name.
    pub splits: BTreeMap<String, SplitInspection>,
}

/// What is in a split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitInspection {
    /// Its files, in row order.
    pub files: Vec<PathBuf>,
    /// SHA-256 of their bytes, one after the other: what a card may pin.
    pub sha256: String,
    /// Rows.
    pub rows: usize,
    /// Parquet row groups.
    pub row_groups: usize,
    /// The columns of the first file.
    pub columns: Vec<Column>,
    /// Examples that came of the rows.
    pub examples: usize,
    /// Rows left out, each with its reason.
    pub skipped: Vec<Skipped>,
    /// How many of the rows another of the files has, too.
    #[serde(skip_serializing_if = "is_none")]
    pub repeated: usize,
    /// Sizes of the different pictures; none where there are none.
    pub images: Option<ImageSizes>,
    /// For every partition key of the card, how many examples each value has.
    pub labels: BTreeMap<String, BTreeMap<String, usize>>,
    /// The first few examples.
    pub first: Vec<Shown>,
}

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Null cells, by the file's statistics (an empty list counts as null); none where the files have none.
    pub nulls: Option<u64>,
}

/// Sizes of pictures, ordered by their number of pixels: width, height.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageSizes {
    /// Different pictures.
    pub count: usize,
    /// The smallest.
    pub min: (u32, u32),
    /// The median.
    pub median: (u32, u32),
    /// The largest.
    pub max: (u32, u32),
}

/// An example, without its pictures' bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its id.
    pub id: String,
    /// Its question.
    pub question: String,
    /// Its hint.
    pub hint: String,
    /// Its choices.
    pub choices: Vec<String>,
    /// The right answer's text.
    pub answer: String,
    /// How many pictures it has.
    pub images: usize,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// Reads every split of a dataset and says what is there. Bad rows are counted, never fatal.
pub fn inspect(dir: &Path, card: &Card) -> Result<Inspection, DataError> {
    let lenient = Card { on_bad_row: BadRow::Skip, ..card.clone() };
    let splits = card.splits.keys().map(|split| Ok((split.clone(), inspect_split(dir, &lenient, split)?)));
    Ok(Inspection { dataset: card.name.clone(), splits: splits.collect::<Result<_, DataError>>()? })
}

fn inspect_split(dir: &Path, card: &Card, split: &str) -> Result<SplitInspection, DataError> {
    let paths = files::find(dir, card, split)?;
    let readers = paths.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
    let metadata: Vec<&ParquetMetaData> = readers.iter().map(Opened::metadata).collect();
    let columns = readers[0].schema().fields().iter().enumerate().map(|(root, field)| Column {
        name: field.name().clone(),
        kind: guard::text::line(&columns::type_name(field.data_type()), 1_000),
        nulls: nulls(&metadata, root),
    });
    let data = Dataset::load(dir, card, split, None)?;
    Ok(SplitInspection {
        sha256: files::sha256(&paths)?,
        rows: readers.iter().map(Opened::rows).fold(0, usize::saturating_add),
        row_groups: metadata.iter().map(|file| file.num_row_groups()).sum(),
        columns: columns.collect(),
        examples: data.examples.len(),
        images: image_sizes(&data)?,
        labels: card.partition_keys.iter().map(|key| (key.clone(), label_counts(&data, key))).collect(),
        first: data.examples.iter().take(SHOWN_EXAMPLES).map(shown).collect(),
        skipped: data.skipped,
        repeated: data.repeated,
        files: paths,
    })
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

/// Null cells of a top-level column: those of its first leaf, over all row groups.
fn nulls(files: &[&ParquetMetaData], root: usize) -> Option<u64> {
    let mut total = 0u64;
    for file in files {
        let schema = file.file_metadata().schema_descr();
        let leaf = (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == root)?;
        for group in file.row_groups() {
            total = total.saturating_add(group.column(leaf).statistics()?.null_count_opt()?);
        }
    }
    Some(total)
}

fn image_sizes(data: &Dataset) -> Result<Option<ImageSizes>, DataError> {
    let size = |encoded: &Arc<[u8]>| decode::dimensions(encoded).map_err(|reason| DataError::Image { reason });
    let mut sizes = data.images.iter().map(size).collect::<Result<Vec<_>, _>>()?;
    sizes.sort_by_key(|&(width, height)| (u64::from(width) * u64::from(height), width));
    let (Some(&min), Some(&max)) = (sizes.first(), sizes.last()) else { return Ok(None) };
    Ok(Some(ImageSizes { count: sizes.len(), min, median: sizes[sizes.len() / 2], max }))
}

fn label_counts(data: &Dataset, key: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for example in &data.examples {
        *counts.entry(data.label(example, key)).or_default() += 1;
    }
    counts
}

fn shown(example: &Example) -> Shown {
    Shown {
        id: example.id.clone(),
        question: example.question.clone(),
        hint: example.hint.clone(),
        choices: example.choices.clone(),
        answer: example.answer_text().into(),
        images: example.images.len(),
        tags: example.tags.clone(),
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", one_line(&self.dataset))?;
        self.splits.iter().try_for_each(|(name, split)| write!(out, "\nsplit {}\n{split}", one_line(name)))
    }
}

impl fmt::Display for SplitInspection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for path in &self.files {
            writeln!(out, "  file      {}", path.display())?;
        }
        writeln!(out, "  sha256    {}", self.sha256)?;
        writeln!(out, "  rows      {} in {} row groups; {} examples", self.rows, self.row_groups, self.examples)?;
        self.write_skipped(out)?;
        if self.repeated > 0 {
            writeln!(out, "  repeated  {} rows that another of these files has, too", self.repeated)?;
        }
        if let Some(images) = &self.images {
            writeln!(out, "  images    {images}")?;
        }
        self.write_columns(out)?;
        self.labels.iter().try_for_each(|(key, counts)| write_labels(out, key, counts))?;
        self.first.iter().try_for_each(|example| write!(out, "{example}"))
    }
}

impl SplitInspection {
    fn write_skipped(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.skipped.is_empty() {
            return Ok(());
        }
        writeln!(out, "  left out  {} rows, the first:", self.skipped.len())?;
        self.skipped.iter().take(SHOWN_SKIPPED).try_for_each(|row| writeln!(out, "    row {}: {}", row.row, row.reason))
    }

    fn write_columns(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<(String, &Column)> =
            self.columns.iter().take(SHOWN_COLUMNS).map(|column| (one_line(&column.name), column)).collect();
        let width = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        writeln!(out, "  columns")?;
        shown.iter().try_for_each(|(name, column)| {
            let nulls = match column.nulls {
                None => "nulls unknown".to_string(),
                Some(0) => "no nulls".into(),
                Some(count) => format!("{count} nulls"),
            };
            // A width of `format!` ends at 65,535.
            let room = " ".repeat(width - name.chars().count());
            writeln!(out, "    {name}{room}  {}, {nulls}", brief(&column.kind))
        })?;
        match self.columns.len().checked_sub(SHOWN_COLUMNS + 1) {
            None => Ok(()),
            Some(more) => writeln!(out, "    and {} more", more + 1),
        }
    }
}

impl fmt::Display for ImageSizes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, min, median, max } = self;
        write!(
            out,
            "{count} different, {} x {} to {} x {}, median {} x {} pixels",
            min.0, min.1, max.0, max.1, median.0, median.1
        )
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "  example   {} ({} images)", one_line(&self.id), self.images)?;
        if !self.hint.is_empty() {
            writeln!(out, "    hint      {}", one_line(&self.hint))?;
        }
        writeln!(out, "    question  {}", one_line(&self.question))?;
        if !self.choices.is_empty() {
            writeln!(out, "    choices   {}", one_line(&self.choices.join(" | ")))?;
        }
        writeln!(out, "    answer    {}", one_line(&self.answer))
    }
}

fn write_labels(out: &mut fmt::Formatter<'_>, key: &str, counts: &BTreeMap<String, usize>) -> fmt::Result {
    let mut sorted: Vec<(&String, &usize)> = counts.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    writeln!(out, "  {}: {} values", brief(key), sorted.len())?;
    for (label, count) in sorted.iter().take(SHOWN_LABELS) {
        writeln!(out, "    {count:>6}  {}", if label.is_empty() { "(empty)".into() } else { brief(label) })?;
    }
    match sorted.get(SHOWN_LABELS..).unwrap_or_default() {
        [] => Ok(()),
        rest => writeln!(out, "    {:>6}  in {} others", rest.iter().map(|(_, count)| **count).sum::<usize>(), rest.len()),
    }
}

/// Text on one line of a terminal.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 100;
    // Far more than is shown needs no splitting.
    let head = text.char_indices().nth(20 * LONGEST).map_or(text, |(end, _)| &text[..end]);
    let line = head.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
