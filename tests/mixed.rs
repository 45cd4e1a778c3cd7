//! A federation of several tasks, one a client: is each judged by its own metric, and is nothing averaged over unlike units?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use baselines::METHODS;
use fedbench::runner::{Options, run};
use fedbench::session::Session;
use federation::registry::Registry;
use reports::{Report, Trust};
use schema::metrics::Metric;
use schema::{Experiment, Summary, run_dir};

use crate::captions::{CAPTIONS, LABELS, ROWS, folder};
use crate::cli::Desk;
use crate::metrics::records;
use crate::support::{Test, setup};

/// Captions and labels of the same rows, and captions judged otherwise.
fn folders(desk: &Desk) -> Result<[PathBuf; 3]> {
    Ok([
        folder(desk, "said", &format!("task = \"captioning\"\nmetric = \"cider\"\n{CAPTIONS}"), &ROWS)?,
        folder(desk, "labels", &format!("task = \"classification\"\nmetric = \"macro-f1\"\n{LABELS}"), &ROWS)?,
        folder(desk, "chosen", &format!("metric = \"accuracy\"\n{LABELS}"), &ROWS)?,
    ])
}

fn experiment(folders: &[PathBuf], method: &str, partition: &str, seed: u64) -> Result<String> {
    let names: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Ok(format!(
        "seed = {seed}\n[data]\ndataset = {:?}\n[partition]\n{partition}\n[federation]\nrounds = 1\nlocal_steps = 2\n[method]\n\
         name = \"{method}\"\n[evaluation]\nmax_new_tokens = 6\n",
        names.join("+")
    ))
}

const BY_DATASET: &str = "scheme = \"natural\"\nkey = \"dataset\"";

fn ran(desk: &Desk, text: &str) -> Result<PathBuf> {
    setup();
    let experiment: Experiment = toml::from_str(text)?;
    let options = Options { quiet: true, unverified: false, force: false };
    let session = &mut Session::new(Registry::new(METHODS));
    Ok(run(session, &experiment, &desk.path().join("runs"), options)?.folder().into())
}

fn summary(run: &Path) -> Result<Summary> {
    Ok(serde_json::from_slice(&std::fs::read(run.join(run_dir::SUMMARY))?)?)
}

#[test]
fn every_client_is_judged_by_its_own_metric() -> Test {
    let desk = Desk::new();
    let folders = folders(&desk)?;
    for method in ["fednano", "local", "zero-shot"] {
        let run = ran(&desk, &experiment(&folders, method, BY_DATASET, 1)?)?;
        let summary = summary(&run)?;
        let metrics: BTreeMap<&str, Option<&str>> =
            summary.parts.iter().map(|(name, part)| (name.as_str(), part.metric.as_deref())).collect();
        let expect = [("chosen", None), ("labels", Some("macro-f1")), ("said", Some("cider"))];
        assert_eq!(metrics.into_iter().collect::<Vec<_>>(), expect, "{method}");
        let text = std::fs::read_to_string(run.join(run_dir::SUMMARY))?;
        for none in ["\"accuracy\": 0,", "\"client_accuracy_mean\"", "\"lookup_accuracy\": null", "NaN", "null,\n  \"rounds\""] {
            assert!(!text.contains(none), "{method} has {none} in {text}");
        }
        assert!(summary.accuracy.is_nan() && summary.lookup_accuracy.is_none());
        let recorded = records(&run)?;
        let over_all = [Metric::Accuracy, Metric::ClientAccuracyMean];
        assert!(recorded.iter().all(|record| !over_all.contains(&record.metric)), "{method}: no mean over metrics");
        for (name, part) in &summary.parts {
            let kind = Metric::AccuracyOf(format!("dataset={name}"));
            let found = recorded.iter().rfind(|record| record.metric == kind).map(|record| record.value);
            assert_eq!(found, Some(part.accuracy), "{method} {name}");
            assert_eq!(part.test_examples, ROWS.len() as u64);
        }
    }
    Ok(())
}

/// Three seeds of three methods: every dataset has its own column, unit and comparison, and personal adapters are worth something to
/// others' rows, too.
#[test]
fn a_report_keeps_unlike_units_apart() -> Test {
    let desk = Desk::new();
    let folders = folders(&desk)?;
    for method in ["fedavg", "fednano", "local"] {
        for seed in [1, 2] {
            ran(&desk, &experiment(&folders, method, BY_DATASET, seed)?)?;
        }
    }
    desk.expect(&["report", "runs", "--out", "tables", "--format", "md,csv,html"], 0, &["\n6 runs, 9 configurations"]);
    // Brackets are escaped in Markdown.
    let text = std::fs::read_to_string(desk.path().join("tables/report.md"))?.replace('\\', "");
    for title in ["said (1 of 3) [CIDEr-D] (x 100 ↑)", "labels (1 of 3) [macro-F1] (% ↑)", "chosen (1 of 3) (% ↑)"] {
        assert!(text.contains(title), "{title}: {text}");
    }
    assert!(!text.contains("NaN") && text.contains("others: own adapters on other clients' rows (% or x 100 ↑)"), "{text}");
    let report = Report::read_with(&[desk.path().join("runs")], Trust::Verified)?;
    assert_eq!(report.runs.len(), 18, "each run is there once for each metric");
    for run in &report.runs {
        let own = run.predictions.judged.clients.len();
        assert_eq!((own, run.predictions.scores.len()), (1, ROWS.len()), "{}", run.summary.dataset);
        let is_personal = run.summary.method == "local" && !run.is_of_corpus();
        assert_eq!(run.summary.others_accuracy_mean.is_some(), is_personal, "{} {}", run.summary.method, run.summary.dataset);
    }
    desk.expect(&["keep", "runs", "--out", "pack"], 0, &[]);
    desk.expect(
        &["gate", "--baseline", "pack", "--runs", "runs", "--allow-dirty"],
        0,
        &["| CIDEr-D (x 100) |", "The gate is open"],
    );
    Ok(())
}

#[test]
fn what_cannot_be_judged_together_is_refused() -> Test {
    let desk = Desk::new();
    let folders = folders(&desk)?;
    desk.write("x.toml", &experiment(&folders, "fedavg", "scheme = \"iid\"\nclients = 2", 1)?);
    let why = "of which there is no mean; a federation of several metrics has its datasets at different clients";
    desk.expect(&["run", "x.toml", "--out", "runs"], 2, &[why, "`partition.key = \"dataset\"`"]);
    let names: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let why = "are judged by several metrics (cider + macro-f1 + accuracy), of which there is no mean";
    desk.expect(&["eval", "--backbone", "nano", "--dataset", &names.join("+"), "--out", "judged"], 2, &[why]);
    Ok(())
}
