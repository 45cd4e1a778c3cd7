//! Writing a run folder: every file aside and renamed, the manifest last, so that a folder that it fits is complete.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, UInt32Array};
use federation::Outcome;
use guard::lock::Lock;
use models::adapter::Adapters;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use schema::manifest::{self, Entry};
use schema::{Environment, Manifest, Prediction, Record, Summary, run_dir};
use serde::Serialize;

use crate::study::Study;
use crate::{Error, Result};

/// A run folder being written, by this process alone.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// What was written by this process, for the manifest.
    written: Mutex<BTreeMap<String, Entry>>,
    _lock: Lock,
}

impl RunDir {
    /// Whether another process is at the folder of a run below `out`.
    pub fn is_taken(out: &Path, run_name: &str) -> bool {
        let path = out.join(run_name);
        path.join(guard::lock::NAME).exists() && matches!(Lock::of_folder(&path), Ok(None))
    }

    /// The folder of a run below `out`; created if need be. An error if another process is at it.
    pub fn create(out: &Path, run_name: &str) -> Result<Self> {
        let path = out.join(run_name);
        fs::create_dir_all(&path).map_err(|error| write_error(&path, &error))?;
        let lock = Lock::of_folder(&path).map_err(|error| write_error(&path.join(guard::lock::NAME), &error))?;
        let lock = lock.ok_or_else(|| Error::Busy { path: path.clone() })?;
        Ok(Self { path, written: Mutex::default(), _lock: lock })
    }

    /// A folder for something other than a run; an error where a run lies, finished or not.
    pub fn beside_runs(folder: &Path) -> Result<Self> {
        Self::check_no_run(folder)?;
        Self::create(folder, "")
    }

    /// An error where a run lies in a folder itself: its files would be overwritten, and what lies below it is never found.
    pub fn check_no_run(folder: &Path) -> Result<()> {
        let is_there = |name: &&str| fs::symlink_metadata(folder.join(name)).is_ok();
        // An interrupted run has no more; either alone may be somebody's own.
        let begun = [run_dir::EXPERIMENT, run_dir::PARTITION];
        let found = [run_dir::MANIFEST, run_dir::SUMMARY].into_iter().find(is_there);
        match found.or_else(|| begun.iter().all(is_there).then_some(begun[0])) {
            Some(name) => {
                let folder = folder.display();
                Err(Error::Usage(format!("--out {folder}: a run lies there (its {name} does); give another folder")))
            }
            None => Ok(()),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what an earlier run left here, so that nothing of it is taken for this one's: manifest and summary first.
    pub fn clear(&self) -> Result<()> {
        [run_dir::MANIFEST, run_dir::SUMMARY].into_iter().chain(run_dir::FILES).try_for_each(|name| self.remove(name))
    }

    /// Removes a file that may be there.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(write_error(&path, &error)),
            _ => Ok(()),
        }
    }

    /// Writes bytes under a name: aside, synced, then renamed.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        guard::files::write(&path, bytes).map_err(|error| write_error(&path, &error))?;
        self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), Entry::of(bytes));
        Ok(())
    }

    /// Writes plain data as JSON.
    pub fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        let mut text = serde_json::to_string_pretty(value).map_err(|error| write_error(&self.path.join(name), &error))?;
        text.push('\n');
        self.write(name, text.as_bytes())
    }

    /// Writes plain data as TOML.
    pub fn write_toml<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        let text = toml::to_string(value).map_err(|error| write_error(&self.path.join(name), &error))?;
        self.write(name, text.as_bytes())
    }

    /// What is known before the first round.
    pub fn write_setup(&self, study: &Study, environment: &Environment) -> Result<()> {
        let skipped = [&study.train_split().dataset.skipped, &study.test_split().dataset.skipped];
        self.write_toml(run_dir::EXPERIMENT, study.experiment())?;
        self.write_toml(run_dir::CARD, study.card())?;
        self.write_json(run_dir::ENVIRONMENT, &Environment { format: manifest::FORMAT, ..environment.clone() })?;
        self.write_json(run_dir::PARTITION, study.partition())?;
        self.write_json(run_dir::SKIPPED, &skipped.into_iter().flatten().collect::<Vec<_>>())
    }

    /// What came out; the summary last but one, and the manifest of all that was written last.
    pub fn write_outcome(&self, study: &Study, outcome: &Outcome, summary: &Summary) -> Result<()> {
        self.write(run_dir::RECORDS, &records(&outcome.measured.records)?)?;
        self.write(run_dir::PREDICTIONS, &predictions(&outcome.predictions)?)?;
        self.write(run_dir::ADAPTERS, &saved_adapters(outcome)?.to_bytes()?)?;
        let timings = schema::record::Timings {
            rounds: outcome.measured.timings.clone(),
            features_seconds: study.test_split().features_seconds() + study.train_split().features_seconds(),
        };
        self.write_json(run_dir::TIMINGS, &timings)?;
        self.write_json(run_dir::SUMMARY, summary)?;
        self.write_manifest()
    }

    fn write_manifest(&self) -> Result<()> {
        let files = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.write_json(run_dir::MANIFEST, &Manifest { format: manifest::FORMAT, files })?;
        guard::files::sync_folder(&self.path);
        Ok(())
    }
}

fn write_error(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::Write { path: path.into(), reason: reason.to_string() }
}

/// The global adapters by name, and each client's own as `client-<id>/<name>`.
fn saved_adapters(outcome: &Outcome) -> Result<Adapters> {
    let mut all = outcome.global.clone();
    for (client, adapters) in &outcome.personal {
        for (name, tensor) in adapters.iter() {
            all.insert(format!("client-{client}/{name}"), tensor.clone());
        }
    }
    Ok(all)
}

/// `records.parquet`.
pub fn records(records: &[Record]) -> Result<Vec<u8>> {
    parquet_bytes(vec![
        ("round", Arc::new(UInt32Array::from_iter_values(records.iter().map(|record| record.round))) as ArrayRef, false),
        ("client", Arc::new(UInt32Array::from_iter(records.iter().map(|record| record.client))), true),
        ("metric", Arc::new(StringArray::from_iter_values(records.iter().map(|record| record.metric.name()))), false),
        ("value", Arc::new(Float64Array::from_iter_values(records.iter().map(|record| record.value))), false),
    ])
}

/// `predictions.parquet`; a column more for every further score.
pub fn predictions(predictions: &[Prediction]) -> Result<Vec<u8>> {
    let mut scores = ListBuilder::new(Float64Builder::new());
    for prediction in predictions {
        scores.append_value(prediction.option_scores.iter().copied().map(Some));
    }
    let text = |f: fn(&Prediction) -> &str| Arc::new(StringArray::from_iter_values(predictions.iter().map(f))) as ArrayRef;
    let id = |f: fn(&Prediction) -> Option<u32>| Arc::new(UInt32Array::from_iter(predictions.iter().map(f))) as ArrayRef;
    let flag =
        |f: fn(&Prediction) -> bool| Arc::new(BooleanArray::from(predictions.iter().map(f).collect::<Vec<bool>>())) as ArrayRef;
    let mut columns = vec![
        ("example", text(|p| &p.example), false),
        ("client", id(|p| p.client), true),
        ("shard", id(|p| p.shard), true),
        ("scoring", text(|p| p.scoring.name()), false),
        ("prediction", text(|p| &p.prediction), false),
        ("gold", text(|p| &p.gold), false),
        ("correct", flag(|p| p.correct), false),
        ("parsed", flag(|p| p.parsed), false),
        ("option_scores", Arc::new(scores.finish()) as ArrayRef, true),
        ("gold_option", id(|p| p.gold_option), true),
    ];
    if predictions.iter().any(|prediction| prediction.score.is_some()) {
        columns.push(("score", Arc::new(Float64Array::from_iter(predictions.iter().map(|p| p.score))) as ArrayRef, true));
    }
    let further: BTreeSet<&String> = predictions.iter().flat_map(|prediction| prediction.further.keys()).collect();
    let names: Vec<String> = further.iter().map(|name| format!("{}{name}", Prediction::FURTHER)).collect();
    for (name, score) in names.iter().zip(further) {
        let values = predictions.iter().map(|prediction| prediction.further.get(score).copied());
        columns.push((name, Arc::new(Float64Array::from_iter(values)) as ArrayRef, true));
    }
    parquet_bytes(columns)
}

fn parquet_bytes(columns: Vec<(&str, ArrayRef, bool)>) -> Result<Vec<u8>> {
    let failed = |error: &dyn std::fmt::Display| Error::Write { path: "parquet buffer".into(), reason: error.to_string() };
    let batch = RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| failed(&error))?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).set_created_by("fedbench".into()).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).map_err(|error| failed(&error))?;
    writer.write(&batch).map_err(|error| failed(&error))?;
    writer.close().map_err(|error| failed(&error))?;
    Ok(bytes)
}
