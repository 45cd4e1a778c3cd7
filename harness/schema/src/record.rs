//! What a run measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::card::Scoring;
use crate::experiment::{Experiment, MOST_SEED};
use crate::inputs::Inputs;
use crate::metrics::{Beside, Metric, Optional, Reported, Score, Summary, Unit, Value};
use crate::run_dir;

/// One measured value: a row of `records.parquet` (`round: uint32, client: uint32?, metric: string, value: float64`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Record {
    /// The round, from 1; 0 is before the first.
    pub round: u32,
    /// The client it belongs to; none for the server or the whole federation.
    pub client: Option<u32>,
    /// What was measured; by its name on disk (`fedbench list metrics`).
    #[schemars(with = "String")]
    pub metric: Metric,
    /// The value, in the unit of its metric.
    pub value: f64,
}

impl Record {
    fn value(&self) -> Value {
        (self.round, self.client, self.value)
    }
}

/// One judged example: a row of `predictions.parquet`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Prediction {
    /// The example's id.
    pub example: String,
    /// The client whose adapters answered; none for global adapters.
    pub client: Option<u32>,
    /// The client whose test shard holds the example.
    pub shard: Option<u32>,
    /// How it was answered: as its card says, or `class` by a backbone that answers by class.
    pub scoring: Scoring,
    /// The answer given: an option's text, or generated text.
    pub prediction: String,
    /// The right answer.
    pub gold: String,
    /// Whether it was right.
    pub correct: bool,
    /// Whether generated text could be parsed as an answer; always true for option likelihood.
    pub parsed: bool,
    /// The log-likelihood of each option (nats, normalised as the card says); empty for generation.
    pub option_scores: Vec<f64>,
    /// The position of the right option among them; none for generation, where several are right, and in old runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold_option: Option<u32>,
    /// The score in [0, 1], for metrics that know more than right and wrong; `correct` is then whether it is at least a half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Further scores by name, where its task has more than the one that its card names; each in its own unit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub further: BTreeMap<String, f64>,
}

impl Prediction {
    /// What stands before a further score's name in the name of its column.
    pub const FURTHER: &str = "score/";

    /// What it adds to the card's metric.
    pub fn value(&self) -> f64 {
        self.score.unwrap_or(if self.correct { 1.0 } else { 0.0 })
    }
}

impl Summary {
    /// What stands for the adapter kind of a run that trained nothing.
    pub const NO_ADAPTER: &str = "none";

    /// Whether anything was trained.
    pub fn trains(&self) -> bool {
        self.adapter != Self::NO_ADAPTER
    }

    /// Of a finished run: what it gives, and what follows from its records.
    pub fn new(beside: Beside, records: &[Record]) -> Self {
        let of = |metric: &Metric| records.iter().filter(|record| record.metric == *metric).map(Record::value).collect();
        Self::of(beside, of).with_parts_alone()
    }

    /// What a run of several metrics has of one alone becomes no number.
    pub fn with_parts_alone(mut self) -> Self {
        if self.is_mixed() {
            let means = [&mut self.accuracy, &mut self.client_accuracy_mean, &mut self.client_accuracy_min];
            let more = [&mut self.client_accuracy_std, &mut self.chance_accuracy, &mut self.majority_accuracy];
            means.into_iter().chain(more).for_each(|value| *value = f64::NAN);
        }
        self
    }

    /// Whether it says what another one says; a number that neither has is the same.
    pub fn says(&self, other: &Self) -> bool {
        let words = |summary: &Self| serde_json::to_string(summary).unwrap_or_default();
        words(self) == words(other)
    }

    /// Whether its accuracies are no means of what answers are worth: one number of all answers, or none over several metrics.
    pub fn is_of_corpus(&self) -> bool {
        self.is_mixed() || self.metric.as_deref().and_then(Score::parse).is_some_and(|score| score.is_of_corpus())
    }

    /// Whether its datasets are judged by several metrics.
    pub fn is_mixed(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Why this is not the summary of the run that an experiment and what it read give: the name is the hash of both.
    pub fn misnamed(&self, experiment: &Experiment, inputs: &Inputs) -> Option<String> {
        let name = experiment.run_name(&self.dataset, &inputs.identity());
        (name != self.run).then(|| {
            let said = guard::text::line(&self.run, 120);
            format!("{} says `{said}`, {} and {} give `{name}`", run_dir::SUMMARY, run_dir::EXPERIMENT, run_dir::ENVIRONMENT)
        })
    }

    /// What its accuracies are of, where that is none of VQA's scores: `CIDEr-D`.
    pub fn metric_title(&self) -> Option<&'static str> {
        self.metric.as_deref().and_then(Score::parse).and_then(|score| score.title())
    }

    /// What stands behind a hundredfold of its accuracies: a share's is in percent, others' is nothing but that.
    pub fn sign(&self) -> &'static str {
        if self.most() > 1.0 { "x 100" } else { "%" }
    }

    /// The most that its card's metric can be.
    pub fn most(&self) -> f64 {
        let most = |metric: Option<&str>| metric.and_then(Score::parse).and_then(|score| score.row()?.unit.most()).unwrap_or(1.0);
        self.parts.values().map(|part| most(part.metric.as_deref())).fold(most(self.metric.as_deref()), f64::max)
    }

    /// An error, in words, where a number is one that no run gives.
    pub fn check(&self) -> Result<(), String> {
        let always = Reported::ALL.iter().map(|number| number.row()).filter(|row| row.is_held);
        let always = always.map(|row| (row.name, row.unit, Some((row.of)(self))));
        let sometimes = Optional::ALL.iter().map(|number| number.row()).filter(|row| row.is_held);
        let sometimes = sometimes.map(|row| (row.name, row.unit, (row.of)(self)));
        let most = self.most();
        for (name, unit, value) in always.chain(sometimes) {
            let Some(value) = value else { continue };
            if self.is_mixed() && value.is_nan() && name.contains("accuracy") {
                continue;
            }
            // A mean of shares may be off by a rounding.
            let (is_right, right) = match unit {
                // Their unit is the card's metric's.
                Unit::Fraction if most > 1.0 && name.contains("accuracy") => {
                    ((0.0..=most + 1e-9).contains(&value), "a number in [0, 10]")
                }
                Unit::Fraction => ((0.0..=1.0 + 1e-9).contains(&value), "a number in [0, 1]"),
                _ => (value.is_finite() && value >= 0.0, "a finite number, 0 or more"),
            };
            if !is_right {
                return Err(format!("{name} = {value}: expected {right}"));
            }
        }
        for (name, part) in &self.parts {
            let values = [part.accuracy, part.chance_accuracy, part.majority_accuracy, part.lookup_accuracy];
            if let Some(value) = values.iter().find(|value| !(0.0..=most + 1e-9).contains(*value)) {
                return Err(format!("parts.{}: {value}: expected a number in [0, {most}]", guard::text::line(name, 80)));
            }
        }
        match self.seed > MOST_SEED {
            true => Err(format!("seed = {}: expected at most {MOST_SEED}", self.seed)),
            false => Ok(()),
        }
    }
}

/// What produced a run, `environment.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Environment {
    /// The run folder's format ([`crate::manifest::FORMAT`]); 0, or nothing, of runs that have no manifest.
    #[serde(default)]
    pub format: u32,
    /// fedbench's version.
    pub version: String,
    /// The commit it was built from, or `unknown`.
    pub commit: String,
    /// Whether the tree had uncommitted changes when it was built.
    pub dirty: bool,
    /// The command line.
    pub command: Vec<String>,
    /// When the run started, UTC, RFC 3339.
    pub started: String,
    /// The round after which this process went on, where another had begun the run: what came before is as that one left it, its seconds
    /// too, and peak memory is this one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_after: Option<u32>,
    /// SHA-256 of the program's file; none of old runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The compiler's version.
    pub rustc: String,
    /// Versions of the libraries that compute.
    pub libraries: BTreeMap<String, String>,
    /// Operating system and architecture.
    pub platform: String,
    /// The CPU's name.
    pub cpu: String,
    /// The device that computed.
    pub device: String,
    /// Worker threads.
    pub threads: usize,
    /// What multiplied on the CPU, by what was multiplied (`bf16 weights`); nothing of old runs, and of those on a GPU.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kernels: BTreeMap<String, String>,
    /// SHA-256 of the backbone's weights.
    pub backbone_sha256: String,
    /// What came from the Hub: dataset and backbone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub downloads: Vec<Download>,
    /// What the data make doubtful, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
    /// What was read, by content; none in old runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
    /// The processes that had the clients, where these were not in this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostFacts>,
}

/// A process that has some of a run's clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HostFacts {
    /// Which.
    pub clients: Vec<usize>,
    /// fedbench's version there.
    pub version: String,
    /// The commit it was built from, or `unknown`.
    pub commit: String,
    /// Its processor.
    pub cpu: String,
    /// Its worker threads.
    pub threads: usize,
    /// What multiplies there ([`Environment::kernels`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kernels: BTreeMap<String, String>,
}

/// Files of one repository of the Hub, as they lay in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Download {
    /// Model or dataset.
    pub kind: RepoKind,
    /// `owner/name`.
    pub id: String,
    /// The revision that was asked for.
    pub revision: String,
    /// The commit that it was.
    pub commit: String,
    /// Scheme, host and port of who listed the files and their checksums; none where another program fetched them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The files that came, with their checksums.
    pub files: Vec<DownloadedFile>,
}

/// What a repository of the Hub is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RepoKind {
    /// A model.
    Model,
    /// A dataset.
    Dataset,
}

/// One file of a repository, with the checksum by which the Hub names its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DownloadedFile {
    /// Its path in the repository.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256, for files in large file storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// git's blob id, for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_blob: Option<String>,
}

/// What the clock said, `timings.json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Timings {
    /// Seconds per round: training, aggregation, evaluation.
    pub rounds: Vec<RoundTiming>,
    /// Seconds to compute and cache the frozen vision features.
    pub features_seconds: f64,
}

/// One round's seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RoundTiming {
    /// Local training of the whole cohort, by the wall clock.
    pub train_seconds: f64,
    /// Aggregation at the server.
    pub aggregate_seconds: f64,
    /// Judging after the round; next to 0 where nobody was judged.
    pub evaluate_seconds: f64,
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Skipped {
    /// The split that it is a row of.
    pub split: String,
    /// The row, from 0, over the split's files in order.
    pub row: usize,
    /// Why, as a message says it.
    pub reason: String,
}
