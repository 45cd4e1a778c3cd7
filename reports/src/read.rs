//! Folders to runs: what is complete, what is not, and what each one holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use schema::experiment::PartitionScheme;
use schema::partition::Partition;
use schema::record::Skipped;
use schema::{Environment, Experiment, Summary, run_dir};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ReportError;
use crate::columns::{self, Predictions, Recorded};

/// A finished run, without its tensors.
#[derive(Debug)]
pub struct Run {
    /// Its folder.
    pub dir: PathBuf,
    /// `summary.json`.
    pub summary: Summary,
    /// `experiment.toml`.
    pub experiment: Experiment,
    /// `environment.json`.
    pub environment: Environment,
    /// Rows of the dataset that were left out.
    pub skipped: usize,
    /// What `predictions.parquet` says, condensed.
    pub predictions: Predictions,
    /// What `records.parquet` says, condensed.
    pub recorded: Recorded,
    /// The clients' labels, where there is one client per label.
    pub client_labels: Vec<String>,
    /// SHA-256 of `card.toml`; none where a run has none.
    pub card: Option<String>,
    /// SHA-256 of the experiment without name and seed: runs that share it may be averaged.
    pub identity: String,
    /// The same experiment as dotted keys and values.
    pub settings: BTreeMap<String, String>,
}

impl Run {
    /// Reads a run folder.
    pub fn read(dir: &Path) -> Result<Self, ReportError> {
        let experiment: Experiment = schema::toml_file::read(&dir.join(run_dir::EXPERIMENT))?;
        let anonymous = Experiment { name: String::new(), seed: 0, ..experiment.clone() };
        let value = serde_json::to_value(&anonymous).expect("an experiment is plain data");
        let mut settings = BTreeMap::new();
        flatten("", &value, &mut settings);
        Ok(Self {
            summary: json(&dir.join(run_dir::SUMMARY))?,
            environment: json(&dir.join(run_dir::ENVIRONMENT))?,
            skipped: json::<Vec<Skipped>>(&dir.join(run_dir::SKIPPED))?.len(),
            predictions: columns::predictions(&dir.join(run_dir::PREDICTIONS))?,
            recorded: columns::recorded(&dir.join(run_dir::RECORDS))?,
            card: fs::read(dir.join(run_dir::CARD)).ok().map(|card| schema::sha256_hex(&card)),
            client_labels: client_labels(dir, &experiment)?,
            identity: schema::sha256_hex(value.to_string().as_bytes()),
            dir: dir.into(),
            experiment,
            settings,
        })
    }
}

/// Partitions are large: only those that have labels are read.
fn client_labels(dir: &Path, experiment: &Experiment) -> Result<Vec<String>, ReportError> {
    if experiment.partition.scheme != PartitionScheme::Natural {
        return Ok(Vec::new());
    }
    let partition: Partition = json(&dir.join(run_dir::PARTITION))?;
    Ok(partition.shards.into_iter().filter_map(|shard| shard.label).collect())
}

/// Who has which examples; none where the folder does not say.
pub fn partition(dir: &Path) -> Result<Option<Partition>, ReportError> {
    let path = dir.join(run_dir::PARTITION);
    if path.is_file() { json(&path).map(Some) } else { Ok(None) }
}

/// A text file of a run.
pub fn text(path: &Path) -> Result<String, ReportError> {
    fs::read_to_string(path).map_err(|source| ReportError::Read { path: path.into(), source })
}

/// Run folders, finished or not, sorted and each once.
#[derive(Debug, Default)]
pub struct Found {
    /// With a summary.
    pub complete: BTreeSet<PathBuf>,
    /// With an experiment but no summary.
    pub incomplete: BTreeSet<PathBuf>,
}

/// Searches folders for run folders; none at all is an error.
pub fn find(dirs: &[PathBuf]) -> Result<Found, ReportError> {
    let mut found = Found::default();
    for dir in dirs {
        let dir = fs::canonicalize(dir).map_err(|source| ReportError::Read { path: dir.clone(), source })?;
        search(&dir, &mut found)?;
    }
    if found.complete.is_empty() {
        let searched: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
        return Err(ReportError::NoRuns { searched: searched.join(", "), incomplete: found.incomplete.len() });
    }
    Ok(found)
}

/// A run folder is not searched further; links to folders are not followed, so the search ends.
fn search(dir: &Path, found: &mut Found) -> Result<(), ReportError> {
    if dir.join(run_dir::SUMMARY).is_file() {
        found.complete.insert(dir.into());
        return Ok(());
    }
    if dir.join(run_dir::EXPERIMENT).is_file() {
        found.incomplete.insert(dir.into());
        return Ok(());
    }
    let failed = |source| ReportError::Read { path: dir.into(), source };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            search(&entry.path(), found)?;
        }
    }
    Ok(())
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, ReportError> {
    let text = fs::read(path).map_err(|source| ReportError::Read { path: path.into(), source })?;
    serde_json::from_slice(&text).map_err(|source| ReportError::Json { path: path.into(), source })
}

fn flatten(prefix: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, out);
            }
        }
        Value::String(text) => drop(out.insert(prefix.into(), text.clone())),
        other => drop(out.insert(prefix.into(), other.to_string())),
    }
}
