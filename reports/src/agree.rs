//! Do the files of a run say the same? An accuracy that was changed by hand is not the one its predictions give.

use std::path::Path;

use schema::card::{AnswerForm, Scoring};
use schema::{Card, Experiment, Inputs, Summary, run_dir};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::columns::{Judged, Predictions, Recorded};

/// Sums are taken in the order of the run, so only a rounding may differ.
const TOLERANCE: f64 = 1e-9;

/// The first thing in which a run's files differ; none where they agree.
pub fn disagreement(
    summary: &Summary,
    experiment: &Experiment,
    predictions: &Predictions,
    recorded: &Recorded,
) -> Option<String> {
    if summary.seed != experiment.seed {
        return Some(format!("summary.json has the seed {}, experiment.toml {}", summary.seed, experiment.seed));
    }
    if summary.method != experiment.method.name {
        let [ran, asked] = [&summary.method, &experiment.method.name].map(|name| guard::text::line(name, 80));
        return Some(format!("summary.json has the method `{ran}`, experiment.toml `{asked}`"));
    }
    let judged = &predictions.judged;
    let known: Vec<f64> = judged.clients.values().copied().collect();
    let clients = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
    let last = recorded.by_round.iter().max_by_key(|(round, _)| *round).map(|(_, accuracy)| *accuracy);
    let pairs = [
        ("accuracy", summary.accuracy, "predictions.parquet gives", judged.accuracy),
        ("accuracy", summary.accuracy, "records.parquet ends with", last),
        ("client_accuracy_mean", summary.client_accuracy_mean, "predictions.parquet gives", clients),
        ("client_accuracy_min", summary.client_accuracy_min, "predictions.parquet gives", known.into_iter().reduce(f64::min)),
        ("unparsed_rate", summary.unparsed_rate, "predictions.parquet gives", judged.unparsed_rate),
    ];
    // Of a number of the whole corpus, predictions say whether they were right.
    let is_whole = summary.is_of_corpus();
    let pairs =
        pairs.into_iter().filter(|(name, _, gives, _)| !is_whole || *name == "unparsed_rate" || gives.starts_with("records"));
    let differs = |(_, said, _, found): &(&str, f64, &str, Option<f64>)| found.is_some_and(|found| !close(*said, found));
    if let Some((name, said, gives, found)) = pairs.into_iter().find(differs) {
        return Some(format!("summary.json says {name} = {said}, {gives} {}", found.unwrap_or_default()));
    }
    if is_whole {
        return None;
    }
    let of_client = |(client, said): (&u32, &f64)| Some((*client, *said, *judged.clients.get(client)?));
    let (client, said, found) = recorded.by_client.iter().filter_map(of_client).find(|(_, said, found)| !close(*said, *found))?;
    Some(format!("records.parquet says client_accuracy = {said} of client {client}, predictions.parquet gives {found}"))
}

/// A run's partition, without the ids in it.
#[derive(Deserialize)]
pub struct Shards {
    shards: Vec<Shard>,
}

#[derive(Deserialize)]
struct Shard {
    train: Vec<IgnoredAny>,
}

/// The first thing in which the files of a run that has a manifest do not give its summary: its name, its counts, and an answer of
/// everybody who was judged to every test example.
pub fn whole(
    summary: &Summary,
    experiment: &Experiment,
    inputs: Option<&Inputs>,
    card: Option<&Card>,
    shards: &Shards,
    predictions: &Predictions,
    recorded: &Recorded,
) -> Option<String> {
    if let Some(what) = inputs.and_then(|inputs| summary.misnamed(experiment, inputs)) {
        return Some(what);
    }
    if let Some(what) = misquoted(summary, experiment, card) {
        return Some(what);
    }
    if summary.privacy_epsilon.is_some() && experiment.privacy.is_none() {
        return Some("summary.json has a privacy_epsilon, experiment.toml no [privacy]".into());
    }
    let judged = &predictions.judged;
    let rounds = if summary.trains() { experiment.federation.rounds as u64 } else { 0 };
    let clients_judged = Some(judged.clients.len()).filter(|count| *count > 0 && *count < shards.shards.len());
    let counts = [
        ("rounds", u64::from(summary.rounds), "experiment.toml", rounds),
        ("clients", u64::from(summary.clients), "partition.json", shards.shards.len() as u64),
        (
            "train_examples",
            summary.train_examples,
            "partition.json",
            shards.shards.iter().map(|shard| shard.train.len() as u64).sum(),
        ),
        ("test_examples", summary.test_examples, "predictions.parquet", predictions.scores.len() as u64),
        (
            "clients_judged (0: all)",
            u64::from(summary.clients_judged.unwrap_or_default()),
            "predictions.parquet",
            clients_judged.unwrap_or_default() as u64,
        ),
    ];
    if let Some((what, said, file, found)) = counts.into_iter().find(|(_, said, _, found)| said != found) {
        return Some(format!("summary.json says {what} = {said}, {file} gives {found}"));
    }
    by_class(summary, predictions)
        .or_else(|| answers(summary, judged))
        .or_else(|| clients(summary, judged, recorded))
        .or_else(|| follows(summary, card, predictions, recorded))
}

/// All answers of a backbone that answers by class are classes, and nobody else's.
fn by_class(summary: &Summary, predictions: &Predictions) -> Option<String> {
    let (classed, others) = (predictions.by_class, predictions.option_likelihood + predictions.generation);
    let agrees = if summary.scoring == Scoring::Class { others == 0 } else { classed == 0 };
    (!agrees).then(|| {
        let all = classed + others;
        format!(
            "summary.json has the scoring `{}`, predictions.parquet gives {classed} of {all} answers by class",
            summary.scoring.name()
        )
    })
}

/// A word of the summary that the experiment or the card has otherwise.
fn misquoted(summary: &Summary, experiment: &Experiment, card: Option<&Card>) -> Option<String> {
    let differs = |what: &str, said: &str, file: &str, found: &str| {
        let [said, found] = [said, found].map(|name| guard::text::line(name, 80));
        Some(format!("summary.json has the {what} `{said}`, {file} `{found}`"))
    };
    if let Some(card) = card.filter(|card| card.name != summary.dataset) {
        return differs("dataset", &summary.dataset, run_dir::CARD, &card.name);
    }
    // A backbone that answers by class does so whatever a card says.
    if let Some(card) = card.filter(|card| summary.scoring != Scoring::Class && card.scoring != summary.scoring) {
        return differs("scoring", summary.scoring.name(), run_dir::CARD, card.scoring.name());
    }
    if !is_backbone(&summary.backbone, &experiment.backbone.name) {
        return differs("backbone", &summary.backbone, run_dir::EXPERIMENT, &experiment.backbone.name);
    }
    let metric = summary.metric.as_deref().unwrap_or_default();
    if let Some(card) = card.filter(|card| !metric.is_empty() && card.metric != metric) {
        return differs("metric", metric, run_dir::CARD, &card.metric);
    }
    let kind = experiment.adapter.kind.as_ref().filter(|kind| summary.trains() && **kind != summary.adapter);
    kind.and_then(|kind| differs("adapter", &summary.adapter, run_dir::EXPERIMENT, kind))
}

/// Whether a backbone that is called so in tables may be the one that an experiment names: by its name, its id, or its folder's name.
fn is_backbone(shown: &str, named: &str) -> bool {
    let folder = Path::new(named).file_name().map(|name| name.to_string_lossy());
    // `.` and `..` are folders of any name.
    shown == named || folder.is_none_or(|folder| folder == shown)
}

/// What follows from records, and what guessing would have reached by the answers.
fn follows(summary: &Summary, card: Option<&Card>, predictions: &Predictions, recorded: &Recorded) -> Option<String> {
    if let Some((field, said, found)) = recorded.follows.differs(summary) {
        return Some(format!("summary.json says {field} = {said}, records.parquet gives {found}"));
    }
    if summary.is_of_corpus() {
        return None;
    }
    let trivial = &predictions.trivial;
    // Of a list of right answers, predictions hold the one that was trained on.
    let lists = card.is_some_and(|card| card.each().any(|card| card.answer == AnswerForm::AnyOf));
    let at_least = |range: Option<(f64, f64)>| range.map(|(least, most)| (least, if lists { 1.0 } else { most }));
    let over_rows = predictions.judged.over_rows.filter(|_| summary.client_accuracy_over_rows.is_some());
    let ranges = [
        (
            "client_accuracy_over_rows",
            summary.client_accuracy_over_rows.unwrap_or_default(),
            over_rows.map(|share| (share, share)),
        ),
        ("chance_accuracy", summary.chance_accuracy, at_least(trivial.chance)),
        ("majority_accuracy", summary.majority_accuracy, at_least(trivial.majority)),
    ];
    let outside = |said: f64, (least, most): (f64, f64)| said < least - TOLERANCE || said > most + TOLERANCE;
    let (field, said, (least, most)) =
        ranges.into_iter().find_map(|(field, said, range)| Some((field, said, range.filter(|range| outside(said, *range))?)))?;
    let found = if close(least, most) { format!("{least}") } else { format!("{least} to {most}") };
    Some(format!("summary.json says {field} = {said}, predictions.parquet gives {found}"))
}

/// Everybody who was judged has an answer to each test example.
fn answers(summary: &Summary, judged: &Judged) -> Option<String> {
    let expected = summary.test_examples;
    let (client, count) = judged.answers.iter().find(|(_, count)| **count != expected)?;
    let whose = client.map_or("of the shared adapters".into(), |client| format!("of client {client}"));
    Some(format!("predictions.parquet has {count} answers {whose}; expected one to each of {expected} test examples"))
}

/// Records and predictions speak of the same clients, and these scatter as the summary says.
fn clients(summary: &Summary, judged: &Judged, recorded: &Recorded) -> Option<String> {
    let recorded_of: Vec<u32> = recorded.by_client.keys().copied().collect();
    let judged_of: Vec<u32> = judged.clients.keys().copied().collect();
    if recorded_of != judged_of {
        let (recorded, judged) = (recorded_of.len(), judged_of.len());
        return Some(format!(
            "records.parquet has the accuracies of {recorded} clients, predictions.parquet those of {judged}, or of others"
        ));
    }
    if summary.is_of_corpus() {
        return None;
    }
    let deviation = deviation(judged.clients.values().copied());
    (!close(summary.client_accuracy_std, deviation)).then(|| {
        format!("summary.json says client_accuracy_std = {}, predictions.parquet gives {deviation}", summary.client_accuracy_std)
    })
}

/// Over clients, n - 1; 0 of fewer than two.
fn deviation(known: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let count = known.len() as f64;
    if count < 2.0 {
        return 0.0;
    }
    let mean = known.clone().sum::<f64>() / count;
    (known.map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= TOLERANCE
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;
    use crate::fixture::Fixture;
    use crate::{Report, ReportError, Trust};

    /// Two runs, of global adapters and of a client's own, with one number of their summaries changed.
    fn changed(own: bool, key: &str, value: Value) -> TempDir {
        let root = TempDir::new().expect("a folder");
        let client = own.then_some(3);
        let run = Fixture { client, ..Fixture::new("icongen", "fednano", 1, 0.5) }.write(root.path());
        set(&run.join("summary.json"), key, value);
        root
    }

    fn set(path: &Path, key: &str, value: Value) {
        let mut summary: Value = serde_json::from_slice(&std::fs::read(path).expect("a summary")).expect("JSON");
        summary[key] = value;
        std::fs::write(path, summary.to_string()).expect("written");
    }

    fn read(root: &TempDir, trust: Trust) -> Result<Report, ReportError> {
        Report::read_with(&[root.path().into()], trust)
    }

    #[test]
    fn what_was_changed_by_hand_is_refused_or_said() {
        for (key, value, why) in [
            ("accuracy", json!(0.9), "says accuracy = 0.9, predictions.parquet gives 0.5"),
            ("accuracy", json!(0.500_001), "predictions.parquet gives 0.5"),
            ("unparsed_rate", json!(0.25), "says unparsed_rate = 0.25, predictions.parquet gives 0"),
            ("seed", json!(2), "summary.json has the seed 2, experiment.toml 1"),
            ("method", json!("fedprox"), "summary.json has the method `fedprox`, experiment.toml `fednano`"),
        ] {
            for own in [false, true] {
                let root = changed(own, key, value.clone());
                let error = read(&root, Trust::Verified).expect_err("refused").to_string();
                assert!(error.contains(why) && error.contains("fednano-7-s1-r2"), "{error}");
                let report = read(&root, Trust::AsTheyAre).expect("read as it is");
                assert_eq!((report.warnings[0].kind, report.warnings[0].concerns.len()), ("changed", 1));
                assert!(report.warnings[0].message.contains(why), "{:?}", report.warnings);
            }
        }
        assert!(read(&changed(false, "accuracy", json!(0.5 + 1e-12)), Trust::Verified).is_ok(), "a rounding");
    }

    #[test]
    fn a_clients_accuracy_is_that_of_its_own_shard() {
        for (key, given) in [("client_accuracy_mean", 0.5), ("client_accuracy_min", 0.5)] {
            let root = TempDir::new().expect("a folder");
            // Client 0 answers on its own shard, 0.
            let records = vec![(2, Some(0), "client_accuracy", 0.5)];
            let run = Fixture { client: Some(0), records, ..Fixture::new("icongen", "local", 1, 0.5) }.write(root.path());
            set(&run.join("summary.json"), "client_accuracy_min", json!(0.5));
            assert!(read(&root, Trust::Verified).is_ok());
            set(&run.join("summary.json"), key, json!(0.6));
            let error = read(&root, Trust::Verified).expect_err("refused").to_string();
            assert!(error.contains(&format!("{key} = 0.6, predictions.parquet gives {given}")), "{error}");
            // What records say of a client is held against its predictions, too.
            set(&run.join("summary.json"), key, json!(given));
            let records = vec![(2, Some(0), "client_accuracy", 0.625)];
            let fixture = Fixture { client: Some(0), records, ..Fixture::new("icongen", "local", 1, 0.5) };
            set(&fixture.write(root.path()).join("summary.json"), "client_accuracy_min", json!(0.5));
            let error = read(&root, Trust::Verified).expect_err("refused").to_string();
            assert!(error.contains("client_accuracy = 0.625 of client 0, predictions.parquet gives 0.5"), "{error}");
        }
    }

    #[test]
    fn numbers_that_no_run_gives_are_refused_in_any_case() {
        for (key, value) in [("accuracy", json!(1.5)), ("client_accuracy_min", json!(-0.1)), ("wall_seconds", json!(-1.0))] {
            for trust in [Trust::Verified, Trust::AsTheyAre] {
                let error = read(&changed(false, key, value.clone()), trust).expect_err("refused").to_string();
                assert!(error.contains("summary.json: ") && error.contains(key) && error.contains("expected"), "{error}");
            }
        }
    }

    #[test]
    fn a_backbone_is_called_by_its_name_its_id_or_its_folder() {
        for (shown, named) in [
            ("nano", "nano"),
            ("hf:a/b@main", "hf:a/b@main"),
            ("a/b", "a/b"),
            ("tiny", "models/tiny"),
            ("tiny", "./tiny/"),
            ("anything", "."),
            ("anything", "models/.."),
        ] {
            assert!(is_backbone(shown, named), "{shown}, {named}");
        }
        for (shown, named) in [("llava", "nano"), ("nano", "models/tiny"), ("b", "nano")] {
            assert!(!is_backbone(shown, named), "{shown}, {named}");
        }
    }

    #[test]
    fn a_folder_of_another_name_is_said() {
        let root = TempDir::new().expect("a folder");
        let run = Fixture::new("icongen", "fednano", 1, 0.5).write(root.path());
        std::fs::rename(&run, run.with_file_name("other")).expect("renamed");
        let report = read(&root, Trust::Verified).expect("readable");
        assert_eq!(report.warnings[0].kind, "renamed");
        assert_eq!(report.unverified, 1, "it was written before there were manifests");
    }
}
