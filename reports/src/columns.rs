//! The two parquet files of a run, read column by column and condensed while reading: no string outlives its batch.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

use arrow_array::{Array, BooleanArray, Float64Array, RecordBatch, StringArray, UInt32Array};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::ReportError;

const BATCH_ROWS: usize = 65_536;

/// What a run's predictions say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Predictions {
    /// Rows answered by option likelihood.
    pub option_likelihood: u64,
    /// Rows answered by generation.
    pub generation: u64,
    /// Rows whose generated text could not be parsed.
    pub unparsed: u64,
    /// Global-scope rows beyond the first of an example.
    pub repeated: u64,
    /// Global-scope answers (no client): the hash of the example's id, its lowest bit replaced by whether the answer was right;
    /// sorted, each example once. Eight bytes an example, and two runs pair by one merge.
    pub answers: Vec<u64>,
    /// The same of answers with a client's own adapters, each example once for every client.
    pub own_answers: Vec<u64>,
}

/// Reads `predictions.parquet`.
pub fn predictions(path: &Path) -> Result<Predictions, ReportError> {
    let mut read = Predictions::default();
    for batch in open(path, &["example", "client", "scoring", "correct", "parsed"])? {
        let batch = batch.map_err(|error| bad(path, &error))?;
        count_predictions(path, &batch, &mut read)?;
    }
    read.answers.sort_unstable();
    read.own_answers.sort_unstable();
    let rows = read.answers.len();
    read.answers.dedup_by_key(|answer| *answer >> 1);
    read.repeated = (rows - read.answers.len()) as u64;
    Ok(read)
}

fn count_predictions(path: &Path, batch: &RecordBatch, read: &mut Predictions) -> Result<(), ReportError> {
    let example: &StringArray = column(path, batch, "example")?;
    let client: &UInt32Array = column(path, batch, "client")?;
    let scoring: &StringArray = column(path, batch, "scoring")?;
    let correct: &BooleanArray = column(path, batch, "correct")?;
    let parsed: &BooleanArray = column(path, batch, "parsed")?;
    for row in 0..batch.num_rows() {
        match scoring.value(row) {
            "option-likelihood" => read.option_likelihood += 1,
            "generation" => read.generation += 1,
            other => return Err(bad(path, &format!("scoring `{other}` is neither `option-likelihood` nor `generation`"))),
        }
        read.unparsed += u64::from(!parsed.value(row));
        let right = u64::from(correct.value(row));
        if client.is_null(row) {
            read.answers.push((hash(example.value(row)) & !1) | right);
        } else {
            let of_client = format!("{} {}", client.value(row), example.value(row));
            read.own_answers.push((hash(&of_client) & !1) | right);
        }
    }
    Ok(())
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// The accuracies of `records.parquet`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Accuracies {
    /// Of the whole federation: round, accuracy.
    pub by_round: Vec<(u32, f64)>,
    /// Each client's last one on its own test shard.
    pub by_client: BTreeMap<u32, f64>,
}

/// Reads the rows of `records.parquet` with metric `accuracy`, and `client_accuracy`.
pub fn accuracies(path: &Path) -> Result<Accuracies, ReportError> {
    let mut read = Accuracies::default();
    for batch in open(path, &["round", "client", "metric", "value"])? {
        let batch = batch.map_err(|error| bad(path, &error))?;
        let round: &UInt32Array = column(path, &batch, "round")?;
        let client: &UInt32Array = column(path, &batch, "client")?;
        let metric: &StringArray = column(path, &batch, "metric")?;
        let value: &Float64Array = column(path, &batch, "value")?;
        for row in 0..batch.num_rows() {
            match (metric.value(row), client.is_null(row)) {
                ("accuracy", true) => read.by_round.push((round.value(row), value.value(row))),
                ("client_accuracy", false) => drop(read.by_client.insert(client.value(row), value.value(row))),
                _ => {}
            }
        }
    }
    Ok(read)
}

fn open(path: &Path, columns: &[&str]) -> Result<ParquetRecordBatchReader, ReportError> {
    let file = File::open(path).map_err(|source| ReportError::Read { path: path.into(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| bad(path, &error))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(|error| bad(path, &error))
}

fn column<'a, A: Array + 'static>(path: &Path, batch: &'a RecordBatch, name: &str) -> Result<&'a A, ReportError> {
    let column = batch.column_by_name(name).ok_or_else(|| bad(path, &format!("no column `{name}`")))?;
    let wrong = || bad(path, &format!("column `{name}` has the unexpected type {}", column.data_type()));
    column.as_any().downcast_ref().ok_or_else(wrong)
}

fn bad(path: &Path, error: &impl ToString) -> ReportError {
    ReportError::Parquet { path: path.into(), message: error.to_string() }
}
