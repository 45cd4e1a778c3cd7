//! Every Eval Ever (evalevalai.com): one JSON file a run in schema 0.3.0, at `data/<dataset>/<developer>/<model>/<uuid>.json`, as the
//! community's datastore lays them out. The model is the backbone with what the run trained; the uuid follows from the run's name, so a
//! run that is exported twice is one file.

use std::path::{Path, PathBuf};

use schema::{Card, Prediction, run_dir};
use serde_json::{Value, json};

use super::files::{file_name, predictions, started, write as write_file};
use crate::stats::{mean, variance};
use crate::{ReportError, Run};

/// The schema's version.
const SCHEMA: &str = "0.3.0";

/// Who made a model that nobody is named for.
const NOBODY: &str = "unknown";

/// Writes a run's file.
pub fn write(run: &Run, out: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let answers = predictions(run)?;
    let (developer, model) = run.summary.backbone.split_once('/').unwrap_or((NOBODY, &run.summary.backbone));
    let model = format!("{model}-{}", run.summary.method);
    let place = [&run.dataset, developer, &model].map(file_name);
    let path = out.join("data").join(&place[0]).join(&place[1]).join(&place[2]).join(format!("{}.json", uuid(&run.summary.run)));
    let mut text = serde_json::to_vec_pretty(&evaluation(run, &answers, developer, &model))
        .map_err(|source| ReportError::Json { path: path.clone(), source })?;
    text.push(b'\n');
    Ok(vec![write_file(path, &text)?])
}

/// A UUID of version 8 that follows from a name.
fn uuid(name: &str) -> String {
    let hash = schema::sha256_hex(name.as_bytes());
    format!("{}-{}-8{}-a{}-{}", &hash[..8], &hash[8..12], &hash[13..16], &hash[17..20], &hash[20..32])
}

fn evaluation(run: &Run, answers: &[Prediction], developer: &str, model: &str) -> Value {
    let (summary, environment, time) = (&run.summary, &run.environment, format!("{:.0}", started(run)));
    json!({
        "schema_version": SCHEMA,
        "evaluation_id": format!("{}/{developer}_{model}/{time}", file_name(&run.dataset)),
        "evaluation_timestamp": time,
        "retrieved_timestamp": time,
        "source_metadata": {
            "source_name": "fedbench",
            "source_type": "evaluation_run",
            "source_organization_name": NOBODY,
            "evaluator_relationship": "other",
            "additional_details": {"run": summary.run, "commit": environment.commit},
        },
        "eval_library": {"name": "fedbench", "version": environment.version},
        "model_info": {
            "name": format!("{} tuned by {}", summary.backbone, summary.method),
            "id": format!("{developer}/{model}"),
            "developer": developer,
            "inference_engine": {"name": "fedbench", "version": environment.version},
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                "backbone": summary.backbone,
                "backbone_sha256": environment.backbone_sha256,
                "adapter": summary.adapter,
                "trained_parameters": summary.trainable_parameters.to_string(),
                "federated_method": summary.method,
                "clients": summary.clients.to_string(),
                "rounds": summary.rounds.to_string(),
                "seed": summary.seed.to_string(),
            },
        },
        "evaluation_results": [result(run, answers)],
    })
}

fn result(run: &Run, answers: &[Prediction]) -> Value {
    let values: Vec<f64> = answers.iter().map(Prediction::value).collect();
    let card = run.source.toml::<Card>(run_dir::CARD).ok();
    let metric = card.as_ref().map_or("accuracy", |card| &card.metric);
    let score = if values.is_empty() { run.summary.accuracy } else { mean(&values) };
    let mut uncertainty = json!({"num_samples": values.len()});
    if values.len() > 1 {
        let (deviation, count) = (variance(&values).sqrt(), values.len() as f64);
        uncertainty["standard_deviation"] = json!(deviation);
        uncertainty["standard_error"] = json!({"value": deviation / count.sqrt(), "method": "analytic"});
    }
    json!({
        "evaluation_name": run.dataset,
        "source_data": source_data(run, card.as_ref()),
        "metric_config": {
            "evaluation_description": card.as_ref().map_or("", |card| &card.description),
            "metric_name": metric,
            "metric_kind": "accuracy",
            "metric_unit": "proportion",
            "lower_is_better": false,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {"score": score, "uncertainty": uncertainty},
        "generation_config": {"generation_args": {
            "temperature": 0.0,
            "max_tokens": run.experiment.evaluation.max_new_tokens,
            "execution_command": run.environment.command.join(" "),
        }},
    })
}

fn source_data(run: &Run, card: Option<&Card>) -> Value {
    let details = json!({
        "split": run.experiment.data.test_split,
        "license": card.map_or(NOBODY, |card| &card.license),
        "revision": card.map_or(NOBODY, |card| &card.revision),
        "card_sha256": run.card.as_deref().unwrap_or(NOBODY),
    });
    match card.and_then(|card| card.hub.as_ref()) {
        Some(repo) => json!({
            "dataset_name": run.dataset, "source_type": "hf_dataset", "hf_repo": repo, "samples_number": run.summary.test_examples,
            "additional_details": details,
        }),
        None => json!({"dataset_name": run.dataset, "source_type": "other", "additional_details": details}),
    }
}
