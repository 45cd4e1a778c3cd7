//! Results as lm-evaluation-harness (0.4) writes them: `results_<time>.json`, read by its `make_table` and by leaderboards, and
//! `samples_<task>_<time>.jsonl`, a line for each answer. `acc` is the card's metric, `acc_stderr` the standard error of its mean over
//! answers; scores of several runs are not put together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schema::{Prediction, run_dir};
use serde_json::{Value, json};

use super::files::{file_name, predictions, started, write as write_file};
use crate::stats::{mean, variance};
use crate::{ReportError, Run};

/// The version of its result format that this is.
const FORMAT: &str = "0.4";

/// Writes both files of a run into a folder of its own.
pub fn write(run: &Run, out: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let answers = predictions(run)?;
    let folder = out.join(&run.summary.run);
    let (task, time) = (file_name(&run.dataset), run.environment.started.replace(':', "-"));
    let mut results = serde_json::to_vec_pretty(&results(run, &answers))
        .map_err(|source| ReportError::Json { path: folder.join("results.json"), source })?;
    results.push(b'\n');
    let samples: String = answers.iter().enumerate().map(|(at, answer)| format!("{}\n", sample(at, answer))).collect();
    Ok(vec![
        write_file(folder.join(format!("results_{time}.json")), &results)?,
        write_file(folder.join(format!("samples_{task}_{time}.jsonl")), samples.as_bytes())?,
    ])
}

fn results(run: &Run, answers: &[Prediction]) -> Value {
    let (summary, task) = (&run.summary, run.dataset.as_str());
    let values: Vec<f64> = answers.iter().map(Prediction::value).collect();
    let error = if values.len() > 1 { json!((variance(&values) / values.len() as f64).sqrt()) } else { json!("N/A") };
    let accuracy = if values.is_empty() { json!("N/A") } else { json!(mean(&values)) };
    let by = |value: Value| Value::Object([(task.to_owned(), value)].into_iter().collect());
    json!({
        "results": by(json!({"alias": task, "acc,none": accuracy, "acc_stderr,none": error})),
        "group_subtasks": by(json!([])),
        "configs": by(json!({
            "task": task,
            "output_type": if answers.iter().all(|answer| answer.option_scores.is_empty()) { "generate_until" } else { "multiple_choice" },
            "num_fewshot": 0,
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": true}],
            "metadata": {"version": FORMAT, "card_sha256": run.card, "metric": metric(run)},
        })),
        "versions": by(json!(FORMAT)),
        "n-shot": by(json!(0)),
        "higher_is_better": by(json!({"acc": true})),
        "n-samples": by(json!({"original": summary.test_examples, "effective": summary.test_examples})),
        "config": {
            "model": format!("fedbench {}", summary.method),
            "model_args": model_args(run),
            "batch_size": run.experiment.evaluation.batch_size,
            "device": run.environment.device,
            "limit": run.experiment.data.test_limit,
            "bootstrap_iters": 0,
            "gen_kwargs": null,
            "random_seed": summary.seed,
        },
        "git_hash": run.environment.commit,
        "date": started(run),
        "model_name": summary.backbone,
        "model_source": "fedbench",
        "fedbench_run": summary.run,
        "fedbench_version": run.environment.version,
        "total_evaluation_time_seconds": summary.wall_seconds.to_string(),
    })
}

/// The metric that the card names; `accuracy` of a run without a card.
fn metric(run: &Run) -> String {
    run.source.toml::<schema::Card>(run_dir::CARD).map_or_else(|_| "accuracy".into(), |card| card.metric)
}

fn model_args(run: &Run) -> BTreeMap<&'static str, Value> {
    let summary = &run.summary;
    BTreeMap::from([
        ("pretrained", json!(summary.backbone)),
        ("backbone_sha256", json!(run.environment.backbone_sha256)),
        ("adapter", json!(summary.adapter)),
        ("method", json!(summary.method)),
        ("rounds", json!(summary.rounds)),
        ("clients", json!(summary.clients)),
    ])
}

fn sample(at: usize, answer: &Prediction) -> Value {
    let best = answer.option_scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let option = |score: &f64| json!([score.to_string(), if *score == best { "True" } else { "False" }]);
    let (resps, filtered): (Vec<Value>, Vec<Value>) = match answer.option_scores.is_empty() {
        true => (vec![json!([answer.prediction])], vec![json!(answer.prediction)]),
        false => answer.option_scores.iter().map(|score| (json!([option(score)]), option(score))).unzip(),
    };
    json!({
        "doc_id": at,
        "doc": {"id": answer.example, "answer": answer.gold, "client": answer.client, "shard": answer.shard},
        "target": answer.gold_option.map_or_else(|| json!(answer.gold), |option| json!(option)),
        "arguments": [],
        "resps": resps,
        "filtered_resps": filtered,
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": schema::sha256_hex(answer.example.as_bytes()),
        "target_hash": schema::sha256_hex(answer.gold.as_bytes()),
        "prediction": answer.prediction,
        "acc": answer.value(),
    })
}
