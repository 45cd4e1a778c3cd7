//! What a run measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::card::Scoring;
use crate::experiment::{Experiment, MOST_SEED};
use crate::inputs::Inputs;
use crate::run_dir;

/// One measured value: a row of `records.parquet` (`round: uint32, client: uint32?, metric: string, value: float64`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The round, from 1; 0 is before the first.
    pub round: u32,
    /// The client it belongs to; none for the server or the whole federation.
    pub client: Option<u32>,
    /// The metric's name (`fedbench list metrics`), its unit a suffix.
    pub metric: String,
    /// The value.
    pub value: f64,
}

/// One judged example: a row of `predictions.parquet`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The example's id.
    pub example: String,
    /// The client whose adapters answered; none for global adapters.
    pub client: Option<u32>,
    /// The client whose test shard holds the example.
    pub shard: Option<u32>,
    /// How it was answered.
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
    /// The position of the right option among them; none for generation, and in old runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold_option: Option<u32>,
    /// The score in [0, 1], for metrics that know more than right and wrong; `correct` is then whether it is at least a half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

impl Prediction {
    /// What it adds to the card's metric.
    pub fn value(&self) -> f64 {
        self.score.unwrap_or(if self.correct { 1.0 } else { 0.0 })
    }
}

/// The flat summary of a run, `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The run folder's name.
    pub run: String,
    /// The experiment's name for people.
    pub experiment: String,
    /// The method's name.
    pub method: String,
    /// The adapter kind (`nano`, `lora`), or `none`.
    pub adapter: String,
    /// The backbone's name.
    pub backbone: String,
    /// The dataset's name.
    pub dataset: String,
    /// The seed.
    pub seed: u64,
    /// Communication rounds.
    pub rounds: u32,
    /// Clients.
    pub clients: u32,
    /// Training examples over all clients.
    pub train_examples: u64,
    /// Test examples.
    pub test_examples: u64,
    /// Optimizer steps over all clients and rounds.
    pub optimizer_steps: u64,
    /// How examples with choices were answered.
    pub scoring: Scoring,
    /// The card's metric on the whole test split, in [0, 1]; for methods whose clients end with their own adapters, the mean over
    /// clients.
    pub accuracy: f64,
    /// Mean over clients of each client's accuracy on its own test shard, in [0, 1].
    pub client_accuracy_mean: f64,
    /// How many clients that is the mean of, where some have no test example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients_judged: Option<u32>,
    /// The worst client's accuracy on its own test shard.
    pub client_accuracy_min: f64,
    /// Standard deviation (n - 1) over clients of the same.
    pub client_accuracy_std: f64,
    /// Mean over clients of the same, answered with what the clients share alone; for methods whose clients have more than that.
    #[serde(default)]
    pub shared_client_accuracy_mean: Option<f64>,
    /// Mean over clients of the same, answered with the adapters that never leave the client alone.
    #[serde(default)]
    pub local_client_accuracy_mean: Option<f64>,
    /// Expected accuracy of a uniform guess among the options.
    pub chance_accuracy: f64,
    /// Accuracy of always giving the most frequent option position or answer of the test split.
    pub majority_accuracy: f64,
    /// Share of generated answers that could not be parsed.
    pub unparsed_rate: f64,
    /// Adapter payload bytes sent by all clients in all rounds.
    pub uplink_bytes: u64,
    /// Adapter payload bytes sent to all clients in all rounds.
    pub downlink_bytes: u64,
    /// Hidden states, labels or logit gradients sent by all clients while training (split setting), or raw data sent once
    /// (centralized).
    pub activation_uplink_bytes: u64,
    /// Gradients (and logits) sent to all clients while training (split setting).
    pub activation_downlink_bytes: u64,
    /// Updates that were not averaged in: a number in them was not finite, or a tensor of a wrong name or shape.
    #[serde(default)]
    pub updates_left_out: u64,
    /// Updates that never arrived (`federation.dropout`).
    #[serde(default)]
    pub updates_lost: u64,
    /// The epsilon that differential privacy has cost the client with the most rounds, at the experiment's delta.
    #[serde(default)]
    pub privacy_epsilon: Option<f64>,
    /// Parameters a client stores, as FedNano's table counts them.
    pub client_parameters_paper: u64,
    /// Parameters a client must hold in a deployment.
    pub client_parameters_deployed: u64,
    /// Parameters of the whole model with adapters.
    pub model_parameters: u64,
    /// Trainable parameters.
    pub trainable_parameters: u64,
    /// Parameters (or equally large statistics) that a client uploads in a round.
    pub uploaded_parameters_per_round: u64,
    /// Floating-point operations of all clients' training, from shapes (`harness/src/accounting/flops.rs`); none in old runs.
    #[serde(default)]
    pub client_train_flops: Option<f64>,
    /// The same of the server's part of split training, or of pooled training.
    #[serde(default)]
    pub server_train_flops: Option<f64>,
    /// Seconds from the first round's start to the last evaluation's end.
    pub wall_seconds: f64,
    /// Peak resident memory of the process, bytes; 0 where the system does not tell.
    pub peak_memory_bytes: u64,
    /// Training examples per second of training time.
    pub train_examples_per_second: f64,
}

impl Summary {
    /// Why this is not the summary of the run that an experiment and what it read give: the name is the hash of both.
    pub fn misnamed(&self, experiment: &Experiment, inputs: &Inputs) -> Option<String> {
        let name = experiment.run_name(&self.dataset, &inputs.identity());
        (name != self.run).then(|| {
            let said = guard::text::line(&self.run, 120);
            format!("{} says `{said}`, {} and {} give `{name}`", run_dir::SUMMARY, run_dir::EXPERIMENT, run_dir::ENVIRONMENT)
        })
    }

    /// An error, in words, where a number is one that no run gives.
    pub fn check(&self) -> Result<(), String> {
        let shares = [
            ("accuracy", Some(self.accuracy)),
            ("client_accuracy_mean", Some(self.client_accuracy_mean)),
            ("client_accuracy_min", Some(self.client_accuracy_min)),
            ("client_accuracy_std", Some(self.client_accuracy_std)),
            ("shared_client_accuracy_mean", self.shared_client_accuracy_mean),
            ("local_client_accuracy_mean", self.local_client_accuracy_mean),
            ("chance_accuracy", Some(self.chance_accuracy)),
            ("majority_accuracy", Some(self.majority_accuracy)),
            ("unparsed_rate", Some(self.unparsed_rate)),
        ];
        let amounts = [
            ("privacy_epsilon", self.privacy_epsilon),
            ("client_train_flops", self.client_train_flops),
            ("server_train_flops", self.server_train_flops),
            ("wall_seconds", Some(self.wall_seconds)),
            ("train_examples_per_second", Some(self.train_examples_per_second)),
        ];
        let wrong = |name: &str, value: f64, right: &str| Err(format!("{name} = {value}: expected {right}"));
        // A mean of shares may be off by a rounding.
        if let Some((name, Some(value))) =
            shares.iter().find(|(_, value)| value.is_some_and(|v| !(0.0..=1.0 + 1e-9).contains(&v)))
        {
            return wrong(name, *value, "a number in [0, 1]");
        }
        if let Some((name, Some(value))) = amounts.iter().find(|(_, value)| value.is_some_and(|v| !(v.is_finite() && v >= 0.0))) {
            return wrong(name, *value, "a finite number, 0 or more");
        }
        match self.seed > MOST_SEED {
            true => Err(format!("seed = {}: expected at most {MOST_SEED}", self.seed)),
            false => Ok(()),
        }
    }
}

/// What produced a run, `environment.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The compiler.
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
    /// SHA-256 of the backbone's weights.
    pub backbone_sha256: String,
    /// What came from the Hub: dataset and backbone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub downloads: Vec<Download>,
    /// What was read, by content; none in old runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
}

/// Files of one repository of the Hub, as they lay in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The files.
    pub files: Vec<DownloadedFile>,
}

/// What a repository of the Hub is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepoKind {
    /// A model.
    Model,
    /// A dataset.
    Dataset,
}

/// One file of a repository, with the checksum by which the Hub names its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadedFile {
    /// Its path in the repository.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256, for files in large file storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// git's blob id, for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_blob: Option<String>,
}

/// What the clock said, `timings.json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Timings {
    /// Seconds per round: training, aggregation, evaluation.
    pub rounds: Vec<RoundTiming>,
    /// Seconds to compute and cache the frozen vision features.
    pub features_seconds: f64,
}

/// One round's seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RoundTiming {
    /// Local training of the whole cohort, by the wall clock.
    pub train_seconds: f64,
    /// Aggregation at the server.
    pub aggregate_seconds: f64,
    /// Evaluation.
    pub evaluate_seconds: f64,
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The split.
    pub split: String,
    /// The row, from 0, over the split's files in order.
    pub row: usize,
    /// Why.
    pub reason: String,
}
