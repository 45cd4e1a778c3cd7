//! What a column holds, at a glance.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Schema};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{DataError, brief};
use crate::parquet_file::{Opened, open};
use crate::picture_cell::{self, ImageCell};
use crate::{columns, decode};

/// Rows of a split that are looked at.
pub(super) const MOST_ROWS: usize = 200_000;
/// Rows whose pictures are looked at.
const PICTURED_ROWS: usize = 3;
/// Different values that are counted.
const MOST_VALUES: usize = 20_000;
/// Cells that are shown.
const SHOWN: usize = 3;

/// What a column holds.
#[derive(Debug, Clone, Serialize)]
pub struct Glance {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Rows that were looked at, in all splits.
    pub rows: usize,
    /// Those of them without a value.
    pub nulls: usize,
    /// How many different values they have; none of a type that is not counted, or where there are more than are counted.
    pub values: Option<usize>,
    /// The first few.
    pub first: Vec<String>,
    #[serde(skip)]
    pub(super) data_type: DataType,
    #[serde(skip)]
    pub(super) counts: BTreeMap<String, usize>,
    /// The names of its numbers, as the library `datasets` keeps them.
    #[serde(skip)]
    pub(super) class_names: Vec<String>,
    /// Whether no value is there twice in a split.
    #[serde(skip)]
    pub(super) is_unique: bool,
    /// Texts that end with a question mark.
    #[serde(skip)]
    pub(super) asks: usize,
    /// Items of the shortest list; none where no cell is one.
    #[serde(skip)]
    pub(super) fewest: Option<usize>,
    /// Cells that are lists, or texts that are one.
    #[serde(skip)]
    pub(super) lists: usize,
}

impl Glance {
    pub(super) fn is_text(&self) -> bool {
        self.data_type == DataType::Utf8
    }

    pub(super) fn is_picture(&self) -> bool {
        self.data_type != DataType::Null && picture_cell::accepts(&self.data_type)
    }

    /// Whether every cell is a list of several texts, or a text that is one.
    pub(super) fn holds_lists(&self) -> bool {
        self.lists > 0 && self.lists + self.nulls == self.rows
    }

    fn of(name: &str, data_type: &DataType) -> Self {
        Self {
            name: name.into(),
            kind: columns::type_name(data_type),
            rows: 0,
            nulls: 0,
            values: None,
            first: Vec::new(),
            data_type: data_type.clone(),
            counts: BTreeMap::new(),
            class_names: Vec::new(),
            is_unique: true,
            asks: 0,
            fewest: None,
            lists: 0,
        }
    }

    fn see(&mut self, array: &ArrayRef, seen: &mut BTreeSet<[u8; 32]>) {
        for row in 0..array.len() {
            self.rows += 1;
            if array.is_null(row) || *array.data_type() == DataType::Null {
                (self.nulls, self.is_unique) = (self.nulls + 1, false);
                continue;
            }
            if let Some(items) = columns::items(array, row) {
                self.fewest = Some(self.fewest.map_or(items, |fewest| fewest.min(items)));
                self.lists += 1;
            }
            let Some(text) = columns::shown(array, row) else { continue };
            self.asks += usize::from(text.trim_end().ends_with('?'));
            self.is_unique &= !text.is_empty() && seen.insert(Sha256::digest(text.as_bytes()).into());
            if self.first.len() < SHOWN && !self.first.contains(&brief(&text)) {
                self.first.push(brief(&text));
            }
            if self.counts.len() <= MOST_VALUES {
                *self.counts.entry(text).or_default() += 1;
            }
        }
        self.values = Some(self.counts.len()).filter(|&count| count > 0 && count <= MOST_VALUES);
    }

    fn see_picture(&mut self, array: &ArrayRef) {
        for row in 0..array.len() {
            self.rows += 1;
            match picture_cell::read(array, row) {
                ImageCell::Null => self.nulls += 1,
                ImageCell::One(picture) => self.first.push(pictured(&picture)),
                ImageCell::List(pictures) => self.first.push(pictures.iter().map(pictured).collect::<Vec<_>>().join(", ")),
            }
        }
        self.first.truncate(SHOWN);
    }
}

fn pictured(picture: &picture_cell::PictureCell<'_>) -> String {
    match picture {
        picture_cell::PictureCell::Bytes(bytes) => match decode::dimensions(bytes) {
            Ok((width, height)) => format!("{width} x {height} pixels"),
            Err(_) => format!("{} bytes that are no picture", bytes.len()),
        },
        picture_cell::PictureCell::Path(path) => format!("the file {}", brief(path)),
        _ => "nothing".into(),
    }
}

/// All columns of the files of one dataset (the files of every split have the same), and the rows of each split.
pub(super) fn glance(
    folder: &Path,
    splits: &BTreeMap<String, Vec<String>>,
) -> Result<(Vec<Glance>, BTreeMap<String, usize>), DataError> {
    let (mut all, mut rows) = (Vec::<Glance>::new(), BTreeMap::new());
    for (split, files) in splits {
        let mut seen: Vec<BTreeSet<[u8; 32]>> = vec![BTreeSet::new(); all.len()];
        let mut left = MOST_ROWS;
        for file in files {
            let path = folder.join(file);
            let opened = open(&path)?;
            *rows.entry(split.clone()).or_default() += opened.rows();
            if all.is_empty() {
                all = opened.schema().fields().iter().map(|field| Glance::of(field.name(), field.data_type())).collect();
                name_classes(&opened, &mut all);
            }
            seen.resize(all.len(), BTreeSet::new());
            check_same(&path, opened.schema(), &all)?;
            left -= see_file(&path, opened, &mut all, &mut seen, left)?;
        }
    }
    Ok((all, rows))
}

/// Looks at a file's cells: all rows of what is cheap, few of what holds pictures. How many rows it was.
fn see_file(
    path: &Path,
    opened: Opened,
    all: &mut [Glance],
    seen: &mut [BTreeSet<[u8; 32]>],
    most: usize,
) -> Result<usize, DataError> {
    let (pictures, cheap): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(|&at| all[at].is_picture());
    let mut rows = 0;
    for batch in if cheap.is_empty() { None } else { Some(opened.batches(cheap.clone())?) }.into_iter().flatten() {
        let batch = batch?;
        let batch = batch.slice(0, batch.num_rows().min(most - rows));
        for (column, &at) in batch.columns().iter().zip(&cheap) {
            all[at].see(column, &mut seen[at]);
        }
        rows += batch.num_rows();
        if rows == most {
            break;
        }
    }
    if pictures.iter().any(|&at| all[at].rows == 0) {
        let first = open(path)?.batches(pictures.clone())?.next().transpose()?;
        let first = first.map(|batch| batch.slice(0, batch.num_rows().min(PICTURED_ROWS)));
        for (column, &at) in first.iter().flat_map(|batch| batch.columns()).zip(&pictures) {
            all[at].see_picture(column);
        }
    }
    Ok(rows)
}

/// Files with other columns are another dataset's.
fn check_same(path: &Path, found: &Schema, all: &[Glance]) -> Result<(), DataError> {
    let named = |glance: &Glance| found.fields().iter().find(|field| *field.name() == glance.name);
    for glance in all {
        let Some(field) = named(glance) else {
            let message =
                format!("has no column `{}`, which other files here have; name a folder or a file of one dataset", glance.name);
            return Err(DataError::parquet(path, message));
        };
        let null = |kind: &DataType| *kind == DataType::Null;
        if *field.data_type() != glance.data_type && !null(field.data_type()) && !null(&glance.data_type) {
            let (here, there) = (columns::type_name(field.data_type()), &glance.kind);
            let message = format!("column `{}` is {}, in other files here {}", brief(&glance.name), brief(&here), brief(there));
            return Err(DataError::parquet(path, message));
        }
    }
    Ok(())
}

/// What `datasets` wrote of a column of class labels: `{"info": {"features": {"label": {"names": [...]}}}}`.
fn name_classes(opened: &Opened, all: &mut [Glance]) {
    let Some(entries) = opened.metadata().file_metadata().key_value_metadata() else { return };
    let text = entries.iter().find(|entry| entry.key == "huggingface").and_then(|entry| entry.value.as_deref());
    let Some(value) = text.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok()) else { return };
    for glance in all {
        let names = value.pointer("/info/features").and_then(|features| features.get(&glance.name)?.get("names")?.as_array());
        let names = names.into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned()));
        glance.class_names = names.collect();
    }
}
