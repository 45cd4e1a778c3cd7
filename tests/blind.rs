//! What is an answer worth without its picture?

use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, Float64Array, ListArray, RecordBatch, StringArray};
use image::{ImageFormat, Rgb, RgbImage};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::cli::Desk;

/// Question, shade of its picture (none for none) and answer.
pub type Row<'a> = (&'a str, Option<u8>, &'a str);

/// A PNG of one shade on the left, another on the right.
fn picture(shade: u8) -> Vec<u8> {
    let picture = RgbImage::from_fn(48, 48, |x, _| if x < 24 { Rgb([shade, 20, 200]) } else { Rgb([90, shade, 10]) });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).expect("a PNG");
    bytes.into_inner()
}

/// One split of a dataset whose answers are `red`, `green` or `blue`.
fn write(path: &Path, rows: &[Row]) {
    let pictures: Vec<Option<Vec<u8>>> = rows.iter().map(|(_, shade, _)| shade.map(picture)).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("question", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)))),
        ("image", Arc::new(pictures.iter().map(Option::as_deref).collect::<BinaryArray>())),
        ("answer", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2)))),
    ];
    let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(nullable).expect("columns");
    let mut writer = ArrowWriter::try_new(File::create(path).expect("a file"), batch.schema(), None).expect("parquet");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

/// A dataset of these splits in a folder of its name; `keys` go into its card.
pub fn dataset(desk: &Desk, name: &str, keys: &str, splits: &[(&str, &[Row])]) {
    let folder = desk.path().join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut card = format!(
        "name = \"{name}\"\ntitle = \"{name}\"\ndescription = \"d\"\nsource = \"s\"\nlicense = \"MIT\"\nrevision = \"1\"\n\
         metric = \"accuracy\"\nscoring = \"option-likelihood\"\nanswer = \"option-text\"\npartition_keys = [\"answer\"]\n{keys}\n\
         [columns]\nquestion = \"question\"\nimages = [\"image\"]\nanswer = \"answer\"\n\
         [choices]\nform = \"closed-set\"\nvalues = [\"red\", \"green\", \"blue\"]\n\
         [prompts.default]\ntemplate = \"{{question}}\"\ntarget = \"text\"\n"
    );
    for (split, rows) in splits {
        card.push_str(&format!("[splits.{split}]\nfiles = [\"{split}.parquet\"]\n"));
        write(&folder.join(format!("{split}.parquet")), rows);
    }
    std::fs::write(folder.join("card.toml"), card).expect("a card");
}

fn eval<'a>(dataset: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["eval", "--backbone", "nano", "--dataset", dataset, "--out", out], more].concat()
}

fn scores(desk: &Desk, file: &str) -> Vec<Vec<f64>> {
    let file = File::open(desk.path().join(file)).expect("predictions");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("parquet");
    let mut found = Vec::new();
    for batch in reader.build().expect("rows") {
        let batch = batch.expect("a batch");
        let lists = batch.column_by_name("option_scores").expect("scores");
        let lists = lists.as_any().downcast_ref::<ListArray>().expect("lists");
        for row in 0..lists.len() {
            let values = lists.value(row);
            found.push(values.as_any().downcast_ref::<Float64Array>().expect("numbers").values().to_vec());
        }
    }
    found
}

fn kept(desk: &Desk, folder: &str) -> Value {
    let text = std::fs::read(desk.path().join(folder).join("evaluation.json")).expect("an evaluation");
    serde_json::from_slice(&text).expect("JSON")
}

/// Which picture a row has does not matter to an answer without pictures, and does to one with them.
#[test]
fn a_blind_answer_does_not_know_its_picture() {
    let desk = Desk::new();
    let rows = |shades: [u8; 2]| [("Which colour?", Some(shades[0]), "red"), ("What is it?", Some(shades[1]), "blue")];
    dataset(&desk, "one", "", &[("test", &rows([0, 250]))]);
    dataset(&desk, "other", "", &[("test", &rows([250, 0]))]);
    for (name, out) in [("./one", "a"), ("./other", "b")] {
        desk.expect(&eval(name, out, &["--blind"]), 0, &["without pictures on 2 examples"]);
        desk.expect(&eval(name, &format!("{out}-seen"), &[]), 0, &["on 2 examples"]);
    }
    let of = |out: &str| scores(&desk, &format!("{out}/predictions.parquet"));
    assert_eq!(of("a"), of("b"));
    assert_ne!(of("a-seen"), of("b-seen"));
    assert_ne!(of("a"), of("a-seen"));
    assert_eq!((&kept(&desk, "a")["blind"], &kept(&desk, "a-seen")["blind"]), (&Value::Bool(true), &Value::Null));
    assert_ne!(kept(&desk, "a")["identity"], kept(&desk, "a-seen")["identity"]);
    desk.expect(&eval("./one", "a", &[]), 2, &["that folder holds another evaluation"]);
    desk.expect(&eval("./one", "a", &["--blind"]), 0, &[]);
}

/// The mean of one picture is that picture.
#[test]
fn where_all_rows_have_one_picture_nothing_is_taken_away() {
    let desk = Desk::new();
    dataset(&desk, "one", "", &[("test", &[("Which colour?", Some(70), "red"), ("What is it?", Some(70), "blue")])]);
    desk.expect(&eval("./one", "blind", &["--blind", "only"]), 0, &[]);
    desk.expect(&eval("./one", "seen", &[]), 0, &[]);
    assert_eq!(scores(&desk, "blind/predictions.parquet"), scores(&desk, "seen/predictions.parquet"));
}

#[test]
fn both_beside_each_other_with_their_difference() {
    let desk = Desk::new();
    let shades = [0, 40, 80, 120, 160, 200, 240, 255];
    let rows: Vec<Row> = shades.iter().map(|&shade| ("Which colour?", Some(shade), "red")).collect();
    dataset(&desk, "one", "", &[("test", &rows), ("none", &[("Which?", None, "red"), ("What?", None, "blue")])]);
    desk.expect(&eval("./one", "both", &["--blind", "beside"]), 0, &["without pictures ", "with minus without "]);
    desk.expect(&eval("./one", "blind", &["--blind"]), 0, &[]);
    desk.expect(&eval("./one", "seen", &[]), 0, &[]);
    let [both, blind, seen] = ["both", "blind", "seen"].map(|folder| kept(&desk, folder));
    assert_eq!(both["accuracy"], seen["accuracy"]);
    let without = &both["without_pictures"];
    assert_eq!(without["accuracy"], blind["accuracy"]);
    let number = |value: &Value| value.as_f64().expect("a number");
    assert_eq!(number(&without["difference"]), number(&seen["accuracy"]) - number(&blind["accuracy"]));
    let [low, high] = [0, 1].map(|end| number(&without["interval"][end]));
    assert!(low <= number(&without["difference"]) && number(&without["difference"]) <= high, "{low} {high}");
    assert_eq!(scores(&desk, "both/predictions-blind.parquet"), scores(&desk, "blind/predictions.parquet"));
    assert_eq!(scores(&desk, "both/predictions.parquet"), scores(&desk, "seen/predictions.parquet"));
    let none = ["split `none` of dataset `one` has no pictures", "nothing to judge without them"];
    desk.expect(&eval("./one", "none", &["--blind", "--split", "none"]), 2, &none);
    desk.expect(&eval("./one", "none", &["--blind", "half"]), 2, &["half", "only", "beside"]);
}

/// A card that asks one question of every row has no column of questions, and pictures.
#[test]
fn one_question_of_every_row() {
    let desk = Desk::new();
    let rows: [Row; 2] = [("not this", Some(0), "red"), ("nor this", Some(250), "blue")];
    dataset(&desk, "one", "question = \"Which colour is it?\"", &[("test", &rows)]);
    let card = desk.path().join("one/card.toml");
    let text = std::fs::read_to_string(&card).expect("a card");
    let refused = |text: &str, why: &[&str]| {
        std::fs::write(&card, text).expect("written");
        desk.expect(&eval("./one", "o", &[]), 1, why);
    };
    refused(&text, &["`question` is asked of every row, so `columns.question` may not name `question`"]);
    let fixed = text.replace("[columns]\nquestion = \"question\"\n", "[columns]\n");
    refused(&fixed.replace("images = [\"image\"]", "images = []"), &["rows have no pictures (`columns.images`)"]);
    refused(&fixed.replace("Which colour is it?", " "), &["`question` is empty"]);
    refused(&fixed.replace("question = \"Which colour is it?\"", ""), &["`columns.question` names no column"]);
    std::fs::write(&card, &fixed).expect("written");
    desk.expect(&["data", "inspect", "./one"], 0, &["question  Which colour is it?"]);
    desk.expect(&eval("./one", "o", &["--blind", "beside"]), 0, &["on 2 examples"]);
}

/// Six rows to train on and four to be judged by, and one round of `fedavg-nano` with `more` in its config.
fn experiment(desk: &Desk, more: &str) {
    let shades = [0, 50, 100, 150, 200, 250];
    let train: Vec<Row> = shades.iter().map(|&shade| ("Which colour?", Some(shade), "red")).collect();
    let test =
        [("Which colour?", Some(20), "red"), ("What?", Some(220), "blue"), ("Which?", None, "green"), ("It?", Some(90), "red")];
    dataset(desk, "one", "", &[("train", &train), ("test", &test)]);
    desk.write(
        "x.toml",
        &format!(
            "[data]\ndataset = \"./one\"\n[partition]\nclients = 2\nmin_examples = 1\n[federation]\nrounds = 1\nlocal_steps = 2\nbatch_size = 2\n\
             [optimizer]\nlearning_rate = 0.02\n[method]\nname = \"fedavg-nano\"\n[evaluation]\n{more}\n"
        ),
    );
}

/// The only run below a folder.
pub fn only_run(desk: &Desk, below: &str) -> PathBuf {
    let runs: Vec<PathBuf> =
        std::fs::read_dir(desk.path().join(below)).expect("runs").map(|entry| entry.expect("an entry").path()).collect();
    runs.into_iter().find(|path| path.is_dir()).expect("a run")
}

pub fn summary(run: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(run.join("summary.json")).expect("a summary")).expect("JSON")
}

#[test]
fn a_run_is_judged_without_pictures_too_where_it_is_asked_to() {
    let desk = Desk::new();
    experiment(&desk, "blind = true");
    desk.expect(&["run", "x.toml", "--out", "blind"], 0, &[]);
    experiment(&desk, "");
    desk.expect(&["run", "x.toml", "--out", "plain"], 0, &[]);
    let [blind, plain] = ["blind", "plain"].map(|below| only_run(&desk, below));
    assert_ne!(blind.file_name(), plain.file_name(), "another identity");
    let [of_blind, of_plain] = [&blind, &plain].map(|run| summary(run));
    assert_eq!((&of_blind["accuracy"], &of_plain["blind_accuracy"]), (&of_plain["accuracy"], &Value::Null));
    let file = |run: &Path, name: &str| std::fs::read(run.join(name)).expect("a file");
    for name in ["predictions.parquet", "adapters.safetensors"] {
        assert_eq!(file(&blind, name), file(&plain, name), "{name}");
    }
    // What `eval` says of the same adapters.
    let adapters = blind.join("adapters.safetensors").display().to_string();
    desk.expect(&eval("./one", "judged", &["--blind", "--adapters", &adapters]), 0, &[]);
    assert_eq!(kept(&desk, "judged")["accuracy"], of_blind["blind_accuracy"]);
    desk.expect(&["report", "blind", "--out", "of-blind", "--format", "md"], 0, &["Without pictures"]);
    desk.expect(&["report", "plain", "--out", "of-plain", "--format", "md"], 0, &["lookup"]);
    let says_so = |out: &str| {
        let text = std::fs::read_to_string(desk.path().join(out).join("report.md")).expect("a report");
        text.contains("with minus without")
    };
    assert_eq!(["of-blind", "of-plain"].map(says_so), [true, false]);
    // A summary that says otherwise than its records is not believed.
    let (path, changed) = (blind.join("summary.json"), Value::from(0.123));
    let mut text = of_blind.clone();
    text["blind_accuracy"] = changed;
    std::fs::write(&path, text.to_string()).expect("written");
    desk.expect(&["report", "blind", "--no-verify"], 0, &["CHANGED BY HAND", "blind_accuracy = 0.123"]);
}

#[test]
fn where_there_are_no_pictures_a_run_is_refused_before_it_trains() {
    let desk = Desk::new();
    experiment(&desk, "blind = true");
    let rows: [Row; 2] = [("Which?", None, "red"), ("What?", None, "blue")];
    dataset(&desk, "one", "", &[("train", &rows), ("test", &rows)]);
    desk.expect(&["run", "x.toml", "--out", "runs"], 2, &["split `test` of dataset `one` has no pictures"]);
    desk.expect(&["validate", "x.toml"], 2, &["has no pictures"]);
}
