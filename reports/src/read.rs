//! Folders and packs to runs: what is complete, what is not, and what each one holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schema::experiment::PartitionScheme;
use schema::inputs::judged_on_training_rows;
use schema::manifest::{Mismatch, Standing};
use schema::partition::Partition;
use schema::record::Skipped;
use schema::{Card, Environment, Experiment, Family, Summary, pack as packs, run_dir};

use crate::agree;
use crate::columns::{self, Predictions, Recorded};
use crate::error::ReportError;
use crate::families;
use crate::identity::Identity;
use crate::pack::{self, Pack};
use crate::source::{MOST_BYTES, Source};

/// A finished run, without its tensors.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its folder; of a packed run, the folder that it would be in the pack's.
    pub dir: PathBuf,
    /// Its files.
    pub source: Source,
    /// `summary.json`.
    pub summary: Summary,
    /// What kind of method it has.
    pub family: Family,
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
    /// Of a run of several metrics, the dataset that this is the part of.
    pub part: Option<String>,
    /// The dataset's name; in `summary` it has a mark where it stands for other rows in other runs.
    pub dataset: String,
    /// SHA-256 of the experiment without name and seed, and of what it read: runs that share it may be averaged.
    pub identity: String,
    /// The same experiment as dotted keys and values.
    pub settings: BTreeMap<String, String>,
    /// What its manifest says; none where nobody asked.
    pub standing: Option<Standing>,
    /// Whether it was judged on the rows that it was trained on.
    pub overfit: bool,
    /// In what its files differ from each other; nothing of a run that was verified.
    pub disagreement: Option<String>,
}

/// How far run folders are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Every file is as the manifest says, and they agree with each other; anything else is an error.
    Verified,
    /// As they are, with a warning where they do not agree.
    AsTheyAre,
}

impl Run {
    /// Reads a run.
    pub fn read(source: Source, trust: Trust) -> Result<Self, ReportError> {
        let standing = match trust {
            Trust::Verified => Some(source.standing()?),
            Trust::AsTheyAre => None,
        };
        let run = Self::unchecked(source, standing)?;
        match &run.disagreement {
            Some(what) if trust == Trust::Verified => Err(ReportError::Disagrees { dir: run.dir, what: what.clone() }),
            _ => Ok(run),
        }
    }

    /// Whether its folder has the name that the run was written under.
    pub fn has_its_name(&self) -> bool {
        self.dir.file_name().is_some_and(|name| *name == *self.summary.run)
    }

    /// Whether its card's metric is one number of all answers, which single ones have none of.
    pub fn is_of_corpus(&self) -> bool {
        self.summary.is_of_corpus()
    }

    /// Whether its updates were clipped under no noise: their privacy has no finite epsilon.
    pub fn is_bare(&self) -> bool {
        self.summary.privacy_epsilon.is_none()
            && self.experiment.privacy.as_ref().is_some_and(|privacy| privacy.noise_multiplier == 0.0)
    }

    fn unchecked(source: Source, standing: Option<Standing>) -> Result<Self, ReportError> {
        let experiment: Experiment = source.toml(run_dir::EXPERIMENT)?;
        let environment: Environment = source.json(run_dir::ENVIRONMENT, MOST_BYTES)?;
        let identity = Identity::of(&experiment, environment.inputs.as_ref());
        let mut summary = summary(&source)?;
        let is_new = environment.format > 0;
        let predictions = columns::predictions(&source.rows(run_dir::PREDICTIONS)?, is_new, summary.most(), None)?;
        let recorded = columns::recorded(&source.rows(run_dir::RECORDS)?, summary.most())?;
        let card_here: Option<Card> = source.toml(run_dir::CARD).ok();
        let mut disagreement = agree::disagreement(&summary, &experiment, &predictions, &recorded);
        if is_new && disagreement.is_none() {
            let shards = source.json(run_dir::PARTITION, MOST_BYTES)?;
            let inputs = environment.inputs.as_ref();
            disagreement = agree::whole(&summary, &experiment, inputs, card_here.as_ref(), &shards, &predictions, &recorded);
        }
        // Older runs do not say it, and their predictions do.
        summary.client_accuracy_over_rows =
            summary.client_accuracy_over_rows.or(predictions.judged.over_rows.filter(|_| !summary.is_of_corpus()));
        summary.others_accuracy_mean = predictions.judged.others.filter(|_| !summary.is_of_corpus());
        let overfit = summary.trains() && judged_on_training_rows(&experiment, environment.inputs.as_ref(), card_here.as_ref());
        Ok(Self {
            disagreement,
            overfit,
            part: None,
            environment,
            dataset: summary.dataset.clone(),
            skipped: source.json::<Vec<Skipped>>(run_dir::SKIPPED, MOST_BYTES)?.len(),
            card: source.optional(run_dir::CARD, MOST_BYTES)?.map(|card| schema::sha256_hex(&card)),
            client_labels: client_labels(&source, &experiment)?,
            identity: identity.sha256,
            dir: source.dir(),
            source,
            family: families::shown_by(&summary),
            summary,
            predictions,
            recorded,
            experiment,
            settings: identity.settings,
            standing,
        })
    }
}

fn summary(source: &Source) -> Result<Summary, ReportError> {
    let summary: Summary = source.json(run_dir::SUMMARY, run_dir::MOST_SUMMARY)?;
    summary.check().map_err(|what| Mismatch { path: source.path(run_dir::SUMMARY), what })?;
    Ok(summary)
}

/// Partitions are large: only those that have labels are read.
fn client_labels(source: &Source, experiment: &Experiment) -> Result<Vec<String>, ReportError> {
    if experiment.partition.scheme != PartitionScheme::Natural {
        return Ok(Vec::new());
    }
    let partition: Partition = source.json(run_dir::PARTITION, MOST_BYTES)?;
    Ok(partition.shards.into_iter().filter_map(|shard| shard.label).collect())
}

/// Who has which examples; none where the run does not say.
pub fn partition(run: &Run) -> Result<Option<Partition>, ReportError> {
    run.source.optional_json(run_dir::PARTITION, MOST_BYTES)
}

/// Run folders, finished or not, and packs, sorted and each once.
#[derive(Debug, Default)]
pub struct Found {
    /// With a summary, or a manifest.
    pub complete: BTreeSet<PathBuf>,
    /// Folders of packs.
    pub packs: BTreeSet<PathBuf>,
    /// With an experiment but no summary.
    pub incomplete: BTreeSet<PathBuf>,
    /// How many links to folders were not followed.
    pub links: usize,
}

impl Found {
    /// Reads all runs; of a pack that holds one experiment with one seed twice, an error.
    pub fn read(&self, trust: Trust) -> Result<Vec<Run>, ReportError> {
        let read = |dir: &PathBuf| Run::read(Source::Folder(dir.clone()), trust);
        let mut runs = self.complete.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        for folder in &self.packs {
            runs.extend(packed(folder, trust)?);
        }
        Ok(runs)
    }
}

/// The runs of a pack.
fn packed(folder: &Path, trust: Trust) -> Result<Vec<Run>, ReportError> {
    let pack = Arc::new(match trust {
        Trust::Verified => Pack::verified(folder)?,
        Trust::AsTheyAre => Pack::open(folder)?,
    });
    let read = |run| Run::read(Source::Packed(pack.clone(), run), trust);
    let runs = (0..pack.entered().len()).map(read).collect::<Result<Vec<_>, _>>()?;
    let identities: Vec<_> = runs.iter().map(|run| (run.identity.clone(), run.summary.seed)).collect();
    pack::check_once(&pack, &identities)?;
    Ok(runs)
}

/// Searches folders for run folders and packs; none at all is an error.
pub fn find(dirs: &[PathBuf]) -> Result<Found, ReportError> {
    let mut found = Found::default();
    for dir in dirs {
        if !dir.is_dir() {
            return Err(ReportError::NoFolder { path: dir.clone(), is_there: dir.exists() });
        }
        let dir = fs::canonicalize(dir).map_err(|source| ReportError::Read { path: dir.clone(), source })?;
        search(&dir, &mut found)?;
    }
    if found.complete.is_empty() && found.packs.is_empty() {
        let searched: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
        let (searched, incomplete) = (searched.join(", "), found.incomplete.len());
        return Err(ReportError::NoRuns { searched, incomplete, links: found.links });
    }
    Ok(found)
}

/// A run folder or a pack is not searched further; links to folders are not followed, so the search ends.
fn search(dir: &Path, found: &mut Found) -> Result<(), ReportError> {
    if packs::is_there(dir) {
        found.packs.insert(dir.into());
        return Ok(());
    }
    if is_there(&dir.join(run_dir::SUMMARY)) || is_there(&dir.join(run_dir::MANIFEST)) {
        found.complete.insert(dir.into());
        return Ok(());
    }
    if is_there(&dir.join(run_dir::EXPERIMENT)) {
        found.incomplete.insert(dir.into());
        return Ok(());
    }
    let failed = |source| ReportError::Read { path: dir.into(), source };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            search(&entry.path(), found)?;
        } else {
            found.links += usize::from(entry.path().is_dir());
        }
    }
    Ok(())
}

/// Whether anything has this name: what it is, is asked where it is opened.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
