//! What all exports read of a run and how they write.

use std::fs;
use std::path::{Path, PathBuf};

use arrow_array::{Array, BooleanArray, Float64Array, ListArray, StringArray, UInt32Array};
use chrono::DateTime;
use schema::card::Scoring;
use schema::metrics::Metric;
use schema::{Prediction, Record, run_dir};

use crate::rows::{bad, column};
use crate::{ReportError, Run};

/// Writes a file, its folders with it.
pub fn write(path: PathBuf, bytes: &[u8]) -> Result<PathBuf, ReportError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = fs::create_dir_all(folder).and_then(|()| guard::files::write_unlocked(&path, bytes));
    match written {
        Ok(()) => Ok(path),
        Err(source) => Err(ReportError::Write { path, source }),
    }
}

/// When the run started, in seconds since 1970; 0 where it does not say.
pub fn started(run: &Run) -> f64 {
    DateTime::parse_from_rfc3339(&run.environment.started).map_or(0.0, |time| time.timestamp() as f64)
}

/// A name as a part of a file's: letters, digits and `._-`, anything else a `-`.
pub fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

/// What was recorded, in its order.
pub fn records(run: &Run) -> Result<Vec<Record>, ReportError> {
    let rows = run.source.rows(run_dir::RECORDS)?;
    let (path, mut records) = (rows.path(), Vec::new());
    for batch in rows.batches(&["round", "client", "metric", "value"])? {
        let batch = batch?;
        let round: &UInt32Array = column(path, &batch, "round")?;
        let client: &UInt32Array = column(path, &batch, "client")?;
        let metric: &StringArray = column(path, &batch, "metric")?;
        let value: &Float64Array = column(path, &batch, "value")?;
        records.extend((0..batch.num_rows()).map(|row| Record {
            round: round.value(row),
            client: client.is_valid(row).then(|| client.value(row)),
            metric: Metric::parse(metric.value(row)),
            value: value.value(row),
        }));
    }
    Ok(records)
}

/// The answers, in their order, without further scores.
pub fn predictions(run: &Run) -> Result<Vec<Prediction>, ReportError> {
    let names = [
        "example",
        "client",
        "shard",
        "scoring",
        "prediction",
        "gold",
        "correct",
        "parsed",
        "option_scores",
        "gold_option",
        "score",
    ];
    let rows = run.source.rows(run_dir::PREDICTIONS)?;
    let (path, mut all) = (rows.path(), Vec::new());
    for batch in rows.batches(&names)? {
        let batch = batch?;
        let text = |name: &str| column::<StringArray>(path, &batch, name);
        let id = |name: &str| column::<UInt32Array>(path, &batch, name);
        let flag = |name: &str| column::<BooleanArray>(path, &batch, name);
        let (example, scoring, prediction, gold) = (text("example")?, text("scoring")?, text("prediction")?, text("gold")?);
        let (client, shard, correct, parsed) = (id("client")?, id("shard")?, flag("correct")?, flag("parsed")?);
        let options: &ListArray = column(path, &batch, "option_scores")?;
        let gold_option = batch.column_by_name("gold_option").and_then(|column| column.as_any().downcast_ref::<UInt32Array>());
        let score = batch.column_by_name("score").and_then(|column| column.as_any().downcast_ref::<Float64Array>());
        for row in 0..batch.num_rows() {
            let some = |ids: &UInt32Array| ids.is_valid(row).then(|| ids.value(row));
            let scores = if options.is_valid(row) { options.value(row) } else { options.values().slice(0, 0) };
            let scores = scores.as_any().downcast_ref::<Float64Array>().map_or(Vec::new(), |scores| scores.values().to_vec());
            let scoring = scoring.value(row);
            all.push(Prediction {
                example: example.value(row).into(),
                client: some(client),
                shard: some(shard),
                scoring: Scoring::parse(scoring).ok_or_else(|| bad(path, &format!("`{scoring}` is no way to answer")))?,
                prediction: prediction.value(row).into(),
                gold: gold.value(row).into(),
                correct: correct.value(row),
                parsed: parsed.value(row),
                option_scores: scores,
                gold_option: gold_option.and_then(some),
                score: score.filter(|score| score.is_valid(row)).map(|score| score.value(row)),
                further: Default::default(),
            });
        }
    }
    Ok(all)
}
