//! What do the training rows' texts alone answer, and what of test rows that stand in them?

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use data::Dataset;
use models::Backbone;
use models::adapter::AdapterSpec;
use schema::Card;
use schema::experiment::{Dedup, EvaluationConfig};
use serde_json::Value;
use tasks::lookup::lookup_accuracy;
use tasks::prepare::Asking;
use tasks::{Judge, Split};

use crate::blind::{Row, dataset, only_run, summary};
use crate::cli::Desk;
use crate::tiny;

/// A judge of a split that sees nothing.
fn judge(test: Dataset) -> Result<Judge> {
    let backbone: Arc<dyn Backbone> = tiny::shared_backbone();
    let asking = Asking { backbone: &*backbone, prompt: "default", max_prompt_tokens: 512, virtual_tokens: 0 };
    let split = Arc::new(Split::new(test, &*backbone)?);
    let all = vec![(0..split.dataset.examples.len()).collect()];
    Ok(Judge::new(backbone.clone(), &asking, AdapterSpec::none(), split, all, &EvaluationConfig::default())?)
}

#[test]
fn the_most_frequent_answer_to_the_same_question_then_what_is_right_most_often() -> Result<()> {
    let desk = Desk::new();
    let train: [Row; 6] = [
        ("Which?", None, "red"),
        ("Which?", None, "blue"),
        ("Which?", None, "blue"),
        ("What?", None, "green"),
        ("Where?", None, "red"),
        ("Whence?", None, "red"),
    ];
    // Blue by its question; red by its prior, of three in six; green by its question against the prior.
    let test: [Row; 4] = [("Which?", None, "blue"), ("New?", None, "red"), ("What?", None, "green"), ("Which?", None, "red")];
    dataset(&desk, "one", "", &[("train", &train), ("test", &test)]);
    let card: Card = schema::toml_file::read(&desk.path().join("one/card.toml"))?;
    let [train, test] = ["train", "test"].map(|split| Dataset::load(&desk.path().join("one"), &card, split, None));
    let (train, judge) = (train?, judge(test?)?);
    assert_eq!(lookup_accuracy(&judge, &train.examples), 0.75);
    // Of no training rows, the first option.
    assert_eq!(lookup_accuracy(&judge, &[]), 0.5);
    // Only the first row: `Which?` is red, as everything else.
    assert_eq!(lookup_accuracy(&judge, &train.examples[..1]), 0.5);
    Ok(())
}

/// The numbers of `lookup.py` in reports/results/2026-11-30-epyc-2core, where the data are on this machine.
#[test]
fn real_data_by_their_texts_alone() -> Result<()> {
    for (name, right, rows) in
        [("scienceqa-img-resplit", 223.0, 402.0), ("easy-vqa", 1020.0, 1500.0), ("puzzlevqa", 100.0, 391.0)]
    {
        let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
        let folder = std::env::var_os("FEDBENCH_DATA").map_or_else(beside, PathBuf::from).join(name);
        if !folder.is_dir() {
            eprintln!("{} is absent: not tested", folder.display());
            continue;
        }
        let card = data_scripts::cards::card(name).map_err(anyhow::Error::msg)?;
        let [train, test] = ["train", "test"].map(|split| Dataset::load(&folder, &card, split, None));
        assert_eq!(lookup_accuracy(&judge(test?)?, &train?.examples), right / rows, "{name}");
    }
    Ok(())
}

/// Every run says it, also one that trains nothing, and a report shows it beside chance and majority.
#[test]
fn a_run_says_what_its_training_rows_answer() {
    let desk = Desk::new();
    let train: [Row; 4] = [("Which?", None, "blue"), ("What?", None, "green"), ("Who?", None, "red"), ("Whom?", None, "red")];
    let test: [Row; 4] = [("Which?", None, "blue"), ("What?", None, "green"), ("Why?", None, "red"), ("Which?", None, "red")];
    dataset(&desk, "one", "", &[("train", &train), ("test", &test)]);
    desk.write("x.toml", "[data]\ndataset = \"./one\"\n[partition]\nclients = 2\n[method]\nname = \"zero-shot\"\n");
    desk.expect(&["run", "x.toml", "--out", "runs"], 0, &[]);
    assert_eq!(summary(&only_run(&desk, "runs"))["lookup_accuracy"], 0.75);
    let said = desk.expect(&["report", "runs", "--format", "csv", "--out", "report"], 0, &[]);
    let table = std::fs::read_to_string(desk.path().join("report/report.csv")).expect("a table");
    assert!(table.contains("lookup_accuracy,fraction,none,0.75"), "{said}{table}");
}

/// Two clients, one round; what else the config says of its data.
fn experiment(desk: &Desk, name: &str, data: &str, rest: &str) {
    desk.write(
        "x.toml",
        &format!(
            "[data]\ndataset = \"{name}\"\n{data}\n[partition]\nclients = 2\nmin_examples = 1\n{rest}\n[federation]\nrounds = 1\n\
             local_steps = 1\nbatch_size = 2\n[method]\nname = \"fedavg-nano\"\n"
        ),
    );
}

/// A run's rows left out, as `split row`, and how many rows it judged.
fn left_out(run: &Path) -> (Vec<String>, Value) {
    let skipped: Vec<Value> = serde_json::from_slice(&std::fs::read(run.join("skipped.json")).expect("a list")).expect("JSON");
    let named = |row: &Value| format!("{} {}", row["split"].as_str().expect("a split"), row["row"]);
    (skipped.iter().map(named).collect(), summary(run)["test_examples"].clone())
}

const TRAIN: [Row; 4] =
    [("Which?", Some(0), "red"), ("What?", Some(60), "green"), ("Who?", Some(120), "red"), ("Whom?", Some(180), "blue")];
const TEST: [Row; 4] =
    [("Which?", Some(0), "red"), ("What?", Some(250), "green"), ("Why?", Some(120), "red"), ("Where?", Some(200), "blue")];

#[test]
fn rows_that_stand_in_training_are_left_out_where_it_is_asked() {
    let desk = Desk::new();
    dataset(&desk, "one", "", &[("train", &TRAIN), ("test", &TEST), ("twin", &TRAIN)]);
    for (key, rows, judged) in [("question", ["test 0", "test 1"], 2), ("picture", ["test 0", "test 2"], 2)] {
        experiment(&desk, "./one", &format!("dedup = \"{key}\""), "");
        let said = desk.expect(&["run", "x.toml", "--out", key], 0, &[]);
        let run = only_run(&desk, key);
        assert_eq!(left_out(&run), (rows.map(String::from).to_vec(), Value::from(judged)), "{said}");
        let reason = format!("(`data.dedup = \\\"{key}\\\"`): training row 0 (`train-0`)");
        assert!(std::fs::read_to_string(run.join("skipped.json")).expect("a list").contains(&reason), "{reason}");
        desk.expect(&["report", key], 0, &["2 of 4 rows of split `test` stand in training, too, and are not judged"]);
        desk.expect(&["run", "x.toml", "--out", key], 0, &[]);
    }
    // Without the key, all rows; and another name.
    experiment(&desk, "./one", "", "");
    desk.expect(&["run", "x.toml", "--out", "all"], 0, &[]);
    assert_eq!(left_out(&only_run(&desk, "all")), (Vec::new(), Value::from(4)));
    let names = ["question", "picture", "all"].map(|below| only_run(&desk, below).file_name().map(|name| name.to_owned()));
    assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2]);
    for key in ["question", "picture"] {
        experiment(&desk, "./one", &format!("dedup = \"{key}\"\ntest_split = \"twin\""), "");
        let none = ["dataset `one`: no row of split `twin` is left", "leave the key out"];
        desk.expect(&["run", "x.toml", "--out", "none"], 1, &none);
    }
    experiment(&desk, "./one", "dedup = \"all\"", "");
    desk.expect(&["validate", "x.toml"], 2, &["dedup", "`question`", "`picture`"]);
}

/// With a partition that was saved of the whole split, with sites, and with several datasets.
#[test]
fn however_the_rows_are_split() {
    let desk = Desk::new();
    dataset(&desk, "one", "", &[("train", &TRAIN), ("test", &TEST)]);
    // The same questions are others in another dataset; the same pictures are the same.
    let other: [Row; 4] =
        [("Which?", Some(10), "red"), ("Whence?", Some(20), "green"), ("How?", Some(60), "red"), ("Whither?", Some(40), "blue")];
    let other_train: [Row; 3] = [("Wherefore?", Some(30), "red"), ("Whence?", Some(31), "green"), ("Whose?", Some(32), "blue")];
    dataset(&desk, "two", "", &[("train", &other_train), ("test", &other)]);
    experiment(&desk, "./one", "", "");
    desk.expect(&["run", "x.toml", "--out", "whole"], 0, &[]);
    let saved = only_run(&desk, "whole").join("partition.json").display().to_string();
    experiment(&desk, "./one", "dedup = \"question\"", &format!("file = \"{saved}\""));
    desk.expect(&["run", "x.toml", "--out", "saved"], 0, &[]);
    assert_eq!(left_out(&only_run(&desk, "saved")).1, 2);
    experiment(&desk, "./one", "dedup = \"question\"", "scheme = \"natural\"\nkey = \"answer\"");
    desk.expect(&["run", "x.toml", "--out", "sites"], 0, &[]);
    assert_eq!(left_out(&only_run(&desk, "sites")).1, 2);
    for (key, rows) in [
        ("question", vec!["one/test 0", "one/test 1", "two/test 1"]),
        ("picture", vec!["one/test 0", "one/test 2", "two/test 2"]),
    ] {
        experiment(&desk, "./one+./two", &format!("dedup = \"{key}\""), "");
        desk.expect(&["run", "x.toml", "--out", key], 0, &[]);
        let rows: Vec<String> = rows.into_iter().map(String::from).collect();
        assert_eq!(left_out(&only_run(&desk, key)), (rows, Value::from(5)), "{key}");
    }
}

/// Counts of an outside audit, where the data are on this machine.
#[test]
fn real_rows_that_stand_in_training() -> Result<()> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("FEDBENCH_DATA").map_or_else(beside, PathBuf::from).join("scienceqa-img-resplit");
    if !folder.is_dir() {
        eprintln!("{} is absent: not tested", folder.display());
        return Ok(());
    }
    let card = data_scripts::cards::card("scienceqa-img-resplit").map_err(anyhow::Error::msg)?;
    let train = Dataset::load(&folder, &card, "train", None)?;
    let test = Dataset::load(&folder, &card, "test", None)?;
    for (dedup, left_out) in [(Dedup::Question, 91), (Dedup::Picture, 63)] {
        let kept = test.without(&train, dedup)?;
        assert_eq!((kept.deduplicated.len(), kept.skipped.len(), kept.examples.len()), (left_out, left_out, 402 - left_out));
    }
    Ok(())
}
