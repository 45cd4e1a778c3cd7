//! Runs of several metrics, one dataset and metric at a time: as many runs as there are datasets, of which each is compared and averaged
//! with its like alone.

use schema::Card;

use crate::error::ReportError;
use crate::{Run, Trust, agree, columns};

/// All runs, those of several metrics as their parts.
pub fn apart(runs: Vec<Run>, trust: Trust) -> Result<Vec<Run>, ReportError> {
    let mut found = Vec::with_capacity(runs.len());
    for run in runs {
        match run.summary.is_mixed() {
            false => found.push(run),
            true => {
                for name in run.summary.parts.keys() {
                    found.push(part(&run, name, trust)?);
                }
            }
        }
    }
    Ok(found)
}

/// What a run says of one of its datasets: its test examples, and the clients that have them.
fn part(whole: &Run, name: &str, trust: Trust) -> Result<Run, ReportError> {
    let mut run = whole.clone();
    let known = whole.summary.parts[name].clone();
    let (summary, recorded) = (&mut run.summary, &mut run.recorded);
    summary.parts.clear();
    summary.dataset = format!("{name} (1 of {})", whole.summary.parts.len());
    (summary.metric, summary.test_examples) = (known.metric, known.test_examples);
    summary.accuracy = known.accuracy;
    (summary.chance_accuracy, summary.majority_accuracy) = (known.chance_accuracy, known.majority_accuracy);
    summary.lookup_accuracy = Some(known.lookup_accuracy);
    let rows = whole.source.rows(schema::run_dir::PREDICTIONS)?;
    run.predictions = columns::predictions(&rows, whole.environment.format > 0, summary.most(), Some(name))?;
    let judged = &run.predictions.judged;
    summary.unparsed_rate = judged.unparsed_rate.unwrap_or_default();
    recorded.by_client.retain(|client, _| judged.clients.contains_key(client));
    let last = recorded.by_kind.get(&format!("{}={name}", Card::DATASET)).map(|value| (summary.rounds, *value));
    recorded.by_round = last.into_iter().collect();
    recorded.by_kind.clear();
    recorded.examples_of_kind.clear();
    run.client_labels.clear();
    let known: Vec<f64> = recorded.by_client.values().copied().collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    summary.client_accuracy_mean = mean;
    summary.client_accuracy_min = known.iter().copied().reduce(f64::min).unwrap_or_default();
    let squares = known.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    summary.client_accuracy_std = if known.len() > 1 { (squares / (known.len() - 1) as f64).sqrt() } else { 0.0 };
    let has_mean = !summary.is_of_corpus();
    summary.client_accuracy_over_rows = judged.over_rows.filter(|_| has_mean);
    summary.others_accuracy_mean = judged.others.filter(|_| has_mean);
    (summary.shared_client_accuracy_mean, summary.local_client_accuracy_mean) = (None, None);
    run.identity = schema::sha256_hex(format!("{}\n{name}", whole.identity).as_bytes());
    run.part = Some(name.into());
    let differs = agree::disagreement(&run.summary, &run.experiment, &run.predictions, &run.recorded);
    run.disagreement = run.disagreement.or(differs.map(|what| format!("of {name}: {what}")));
    match &run.disagreement {
        Some(what) if trust == Trust::Verified => Err(ReportError::Disagrees { dir: run.dir, what: what.clone() }),
        _ => Ok(run),
    }
}
