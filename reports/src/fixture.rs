//! Small run folders, made here, for the tests.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, ListArray, RecordBatch, StringArray, UInt32Array};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

/// A row of the records: round, client, metric, value.
pub(crate) type Row = (u32, Option<u32>, &'static str, f64);

/// A run to be written: what the tests vary, and defaults.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) dataset: &'static str,
    pub(crate) method: &'static str,
    pub(crate) seed: u64,
    pub(crate) accuracy: f64,
    pub(crate) steps: u64,
    pub(crate) scoring: Vec<&'static str>,
    pub(crate) correct: Vec<bool>,
    /// How likely the right one of two options is, in each row; nothing of a run that does not say which one it is.
    pub(crate) likely: Option<Vec<f64>>,
    pub(crate) test_examples: u32,
    pub(crate) card: &'static str,
    pub(crate) data_keys: &'static str,
    /// What its experiment says besides.
    pub(crate) tuned: &'static str,
    pub(crate) answer: &'static str,
    pub(crate) rounds: u32,
    pub(crate) dirty: bool,
    /// Whose own adapters answered.
    pub(crate) client: Option<u32>,
    pub(crate) skipped: Value,
    /// What it read, as checksums: rows, backbone; nothing of an old run.
    pub(crate) inputs: Option<[&'static str; 2]>,
    /// What multiplied with its bf16 weights; nothing of an old run.
    pub(crate) kernel: Option<&'static str>,
    /// Keys that its summary has besides, or otherwise.
    pub(crate) says: Value,
    /// Records beside those that every run has.
    pub(crate) records: Vec<Row>,
}

impl Fixture {
    pub(crate) fn new(dataset: &'static str, method: &'static str, seed: u64, accuracy: f64) -> Self {
        let correct = (0..10).map(|example| f64::from(example) < 10.0 * accuracy - 0.5).collect();
        Self {
            dataset,
            method,
            seed,
            accuracy,
            steps: 30,
            scoring: vec!["option-likelihood"; 10],
            correct,
            likely: None,
            test_examples: 10,
            card: "card",
            data_keys: "",
            tuned: "",
            answer: "a",
            rounds: 2,
            dirty: false,
            client: None,
            skipped: json!([]),
            inputs: None,
            kernel: None,
            says: json!({}),
            records: Vec::new(),
        }
    }

    pub(crate) fn write(&self, root: &Path) -> PathBuf {
        let dir = root.join(format!("{}-{}-s{}-r{}", self.method.replace('/', "_"), self.dataset.len(), self.seed, self.rounds));
        fs::create_dir_all(&dir).unwrap();
        let text = |name: &str, text: String| fs::write(dir.join(name), text).unwrap();
        text("experiment.toml", self.experiment());
        text("partition.json", self.partition().to_string());
        text("card.toml", self.card.into());
        text("environment.json", self.environment().to_string());
        text("skipped.json", self.skipped.to_string());
        self.write_records(&dir.join("records.parquet"));
        self.write_predictions(&dir.join("predictions.parquet"));
        let mut summary = self.summary();
        for (key, value) in self.says.as_object().unwrap() {
            summary[key] = value.clone();
        }
        summary["run"] = dir.file_name().unwrap().to_str().unwrap().into();
        text("summary.json", summary.to_string());
        dir
    }

    /// The accuracy after the last round.
    fn judged(&self) -> f64 {
        let last = self.records.iter().rfind(|row| row.1.is_none() && row.2 == "accuracy");
        last.map_or(self.accuracy, |row| row.3)
    }

    fn experiment(&self) -> String {
        let quoted = |text: &str| json!(text).to_string();
        format!(
            "seed = {}\n[data]\ndataset = {}\n{}\n[method]\nname = {}\n[federation]\nrounds = {}\n{}",
            self.seed,
            quoted(self.dataset),
            self.data_keys,
            quoted(self.method),
            self.rounds,
            self.tuned
        )
    }

    fn partition(&self) -> Value {
        let shard = |train: Value| json!({ "train": train, "test": [] });
        json!({
            "dataset": self.dataset, "seed": self.seed, "config": {}, "hash": "00",
            "shards": [shard(json!(["t0", "t1"])), shard(json!(["t2"]))],
        })
    }

    fn environment(&self) -> Value {
        let inputs = self.inputs.map(|[rows, backbone]| {
            json!({
                "card_sha256": "c0", "splits": { "train": "7a", "test": rows }, "backbone_sha256": backbone,
                "files": [
                    { "part": "split test", "path": "test.parquet", "bytes": 1, "sha256": rows },
                    { "part": "backbone", "path": "tokenizer.json", "bytes": 1, "sha256": backbone },
                ],
            })
        });
        let kernels: Value = self.kernel.map(|kernel| ("bf16 weights", kernel)).into_iter().collect();
        json!({
            "version": "0.1.0", "commit": "abc1234", "kernels": kernels, "inputs": inputs, "dirty": self.dirty, "command": ["fedbench", "run", "a b.toml"],
            "started": format!("2026-11-2{}T00:00:00Z", self.seed), "rustc": "1.95.0", "libraries": { "candle-core": "0.11.1" },
            "platform": "linux x86_64", "cpu": "TestCPU", "device": "cpu", "threads": 2, "backbone_sha256": "00ff",
        })
    }

    fn summary(&self) -> Value {
        let adapter = if self.method == "zero-shot" { "none" } else { "nano" };
        let held = if self.method.starts_with("centralized") { 0 } else { 456_607_744 };
        let sent = if self.method == "local" { 0 } else { 1_048_576 };
        json!({
            "run": "", "experiment": "", "method": self.method,
            "adapter": adapter, "backbone": "nano", "dataset": self.dataset, "seed": self.seed, "rounds": self.rounds, "clients": 2,
            "train_examples": 160, "test_examples": self.test_examples, "optimizer_steps": self.steps, "scoring": "option-likelihood",
            "accuracy": self.judged(), "client_accuracy_mean": self.accuracy, "client_accuracy_min": (self.accuracy - 0.1).max(0.0),
            "client_accuracy_std": 0.05, "chance_accuracy": 0.25, "majority_accuracy": 0.3,
            "unparsed_rate": f64::from(u8::from(self.scoring.contains(&"generation"))),
            "uplink_bytes": 2_097_152, "downlink_bytes": 1_048_576, "activation_uplink_bytes": 1024,
            "activation_downlink_bytes": 512, "client_parameters_paper": 304_556_032, "client_parameters_deployed": held,
            "model_parameters": 7_063_427_072u64, "trainable_parameters": 1_048_576, "uploaded_parameters_per_round": sent,
            "wall_seconds": 12.5, "peak_memory_bytes": 1_073_741_824, "train_examples_per_second": 80.0,
        })
    }

    fn write_records(&self, path: &Path) {
        let mut rows: Vec<Row> = vec![
            (1, None, "accuracy", self.accuracy / 2.0),
            (1, Some(0), "accuracy", 0.9),
            (2, None, "accuracy", self.accuracy),
            (2, None, "loss", 3.0),
            (2, Some(0), "client_accuracy", 0.75),
            (2, Some(1), "client_accuracy", 0.5),
        ];
        rows.extend(&self.records);
        let columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("round", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.0))), false),
            ("client", Arc::new(UInt32Array::from_iter(rows.iter().map(|row| row.1))), true),
            ("metric", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))), false),
            ("value", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.3))), false),
        ];
        write_parquet(path, columns);
    }

    fn write_predictions(&self, path: &Path) {
        let n = self.correct.len();
        let ids: Vec<String> = (0..n).map(|i| format!("e{i}")).collect();
        let scores = |row: usize| match &self.likely {
            Some(likely) => vec![Some((1.0 - likely[row]).ln() - 3.0), Some(likely[row].ln() - 3.0)],
            None => vec![Some(-1.0)],
        };
        let mut columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("example", Arc::new(StringArray::from(ids)), false),
            ("client", Arc::new(UInt32Array::from(vec![self.client; n])), true),
            // Nobody's shard, unless clients have adapters of their own: their accuracies are made up.
            ("shard", Arc::new(UInt32Array::from(vec![self.client.map(|_| 0); n])), true),
            ("scoring", Arc::new(StringArray::from(self.scoring.clone())), false),
            ("prediction", Arc::new(StringArray::from(vec![self.answer; n])), false),
            ("gold", Arc::new(StringArray::from(vec!["a"; n])), false),
            ("correct", Arc::new(BooleanArray::from(self.correct.clone())), false),
            ("parsed", Arc::new(BooleanArray::from(self.scoring.iter().map(|s| *s != "generation").collect::<Vec<_>>())), false),
            (
                "option_scores",
                Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>((0..n).map(|row| Some(scores(row))))),
                true,
            ),
        ];
        let right = self.correct.iter().filter(|right| **right).count() as f64 / n as f64;
        if (right - self.judged()).abs() > 1e-9 {
            columns.push(("score", Arc::new(Float64Array::from(vec![self.judged(); n])), true));
        }
        if self.likely.is_some() {
            columns.push(("gold_option", Arc::new(UInt32Array::from(vec![Some(1); n])), true));
        }
        write_parquet(path, columns);
    }
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef, bool)>) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}
