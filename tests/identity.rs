//! What a number was computed on: the same bytes under any name are the same run, other bytes never are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, StructArray};
use parquet::arrow::ArrowWriter;
use serde_json::Value;

use crate::cli::Desk;

const CARD: &str = r#"
name = "NAME"
title = "Made up"
description = "Made up."
source = "made up"
license = "MIT"
revision = "1"
metric = "accuracy"
scoring = "option-likelihood"
answer = "index"
[columns]
question = "question"
choices = "choices"
answer = "answer"
[choices]
form = "list"
[prompts.default]
template = "{question}"
target = "text"
[splits.train]
files = ["FILE.parquet"]
[splits.test]
files = ["FILE.parquet"]
"#;

/// A card of this name over one file.
fn card(name: &str, file: &str) -> String {
    CARD.replace("NAME", name).replace("FILE", file)
}

/// Questions without pictures, and their right answers, to a file.
fn rows(path: &Path, answers: &[i64]) {
    let texts = |word: &str| StringArray::from_iter_values((0..answers.len()).map(|row| format!("{word} {row}?")));
    let choices = answers.iter().map(|_| Some(["red", "blue", "green", "yellow"].map(Some)));
    let mut list = ListBuilder::new(StringBuilder::new());
    choices.for_each(|row| list.append_option(row));
    let columns: [(&str, ArrayRef); 3] = [
        ("question", Arc::new(texts("What colour is thing"))),
        ("choices", Arc::new(list.finish())),
        ("answer", Arc::new(Int64Array::from(answers.to_vec()))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).expect("a file"), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("written");
}

const ANSWERS: [i64; 8] = [0, 1, 2, 3, 0, 1, 2, 3];

/// A folder with a card and rows.
fn dataset(desk: &Desk, folder: &str, answers: &[i64]) {
    rows(&desk.path().join(folder).join("rows.parquet"), answers);
    desk.write(&format!("{folder}/card.toml"), &card("made-up", "rows"));
}

/// A zero-shot experiment on a dataset, and the run that comes of it.
fn experiment(desk: &Desk, file: &str, dataset: &str, extra: &str) {
    let text = format!("[data]\ndataset = \"{dataset}\"\n[partition]\nclients = 2\n{extra}\n[method]\nname = \"zero-shot\"\n");
    desk.write(file, &text);
}

/// The folder that `fedbench run` named.
fn run(desk: &Desk, file: &str, out: &str, expect: &str) -> PathBuf {
    let said = desk.expect(&["run", file, "--out", out, "--quiet"], 0, &[expect]);
    let path = said.trim().rsplit_once(": ").map(|(_, path)| path.to_owned()).expect("a folder is named");
    desk.path().join(path)
}

fn name(run: &Path) -> String {
    run.file_name().expect("a name").to_string_lossy().into_owned()
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON")
}

fn gold(run: &Path) -> Vec<String> {
    let file = std::fs::File::open(run.join("predictions.parquet")).expect("predictions");
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).expect("parquet");
    let batches = reader.build().expect("rows").map(|batch| batch.expect("a batch"));
    batches
        .flat_map(|batch| {
            let column = batch.column_by_name("gold").expect("gold").clone();
            let texts = column.as_any().downcast_ref::<StringArray>().expect("text").clone();
            texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

/// Three cards in one folder: each of a suite's runs reads what its own card says.
#[test]
fn a_suite_reads_each_of_the_cards_in_one_folder() {
    let desk = Desk::new();
    rows(&desk.path().join("data/easy.parquet"), &ANSWERS);
    rows(&desk.path().join("data/hard.parquet"), &[3; 14]);
    desk.write("data/easy.toml", &card("easy", "easy")).write("data/hard.toml", &card("hard", "hard"));
    let letters = card("letters", "easy")
        .replace("{question}", "{question}\\n{options}")
        .replace("target = \"text\"", "target = \"letter\"");
    desk.write("data/letters.toml", &letters);
    let axis = |name: &str| format!("[[axes.data]]\ndata = {{ dataset = \"data/{name}.toml\" }}\n");
    let base = "name = \"three\"\nseeds = [1]\n[base.partition]\nclients = 2\n[base.method]\nname = \"zero-shot\"\n";
    desk.write("suite.toml", &format!("{base}{}{}{}", axis("easy"), axis("hard"), axis("letters")));
    desk.expect(&["suite", "suite.toml", "--out", "r", "--quiet"], 0, &["3 runs, 3 of them now"]);
    for (name, examples) in [("easy", 8), ("hard", 14), ("letters", 8)] {
        let found = std::fs::read_dir(desk.path().join("r")).expect("runs").map(|entry| entry.expect("readable").path());
        let run = found.into_iter().find(|path| self::name(path).starts_with(&format!("{name}-zero-shot-s1-"))).expect("a run");
        let summary = json(run.join("summary.json"));
        assert_eq!((summary["dataset"].as_str(), summary["test_examples"].as_u64()), (Some(name), Some(examples)));
        let evaluated = format!("e-{name}");
        let card = format!("data/{name}.toml");
        desk.expect(&["eval", "--backbone", "nano", "--dataset", &card, "--out", &evaluated], 0, &[]);
        assert_eq!(summary["accuracy"], json(desk.path().join(evaluated).join("evaluation.json"))["accuracy"], "{name}");
    }
}

/// Corrected labels are another run; a comment in the card is not. Report and gate keep the two apart and say why.
#[test]
fn corrected_rows_are_another_run() {
    let desk = Desk::new();
    dataset(&desk, "data", &ANSWERS);
    experiment(&desk, "x.toml", "data", "");
    let before = run(&desk, "x.toml", "r", "accuracy");
    assert_eq!(run(&desk, "x.toml", "r", "complete already"), before);
    desk.write("data/card.toml", &format!("# a comment\n{}", card("made-up", "rows")));
    assert_eq!(run(&desk, "x.toml", "r", "complete already"), before);
    dataset(&desk, "data", &ANSWERS.map(|answer| (answer + 2) % 4));
    let after = run(&desk, "x.toml", "r", "accuracy");
    assert_ne!(name(&before), name(&after));
    assert_eq!((&gold(&before)[0][..], &gold(&after)[0][..]), ("red", "green"));
    let [first, second] = [&before, &after].map(|run| json(run.join("environment.json"))["inputs"]["splits"]["test"].clone());
    assert!(first.is_string() && first != second);

    let [before, after] = [&before, &after].map(|run| run.to_str().expect("UTF-8").to_owned());
    let text = "datasets of one name with different rows";
    let said = desk.expect(&["report", &before, &after], 0, &[text, "made-up [rows ", "2 runs, 2 configurations"]);
    assert!(!said.contains("repeat an experiment"), "{said}");
    let why = ["only with other keys: data.sha256.test (", "rows.parquet differs"];
    desk.expect(&["gate", "--baseline", &before, "--runs", &after, "--allow-dirty"], 1, &why);
    desk.expect(&["compare", &before, &after], 0, &["data.sha256.test"]);
}

/// A file rewritten between two seeds of a suite: two configurations, not one mean.
#[test]
fn rows_that_change_between_seeds_are_not_averaged() {
    let desk = Desk::new();
    dataset(&desk, "data", &ANSWERS);
    experiment(&desk, "x.toml", "data", "");
    desk.expect(&["run", "x.toml", "--seed", "1", "--out", "r", "--quiet"], 0, &[]);
    dataset(&desk, "data", &[3; 8]);
    desk.expect(&["run", "x.toml", "--seed", "2", "--out", "r", "--quiet"], 0, &[]);
    desk.expect(&["report", "r"], 0, &["2 runs, 2 configurations", "different rows"]);
}

/// The same card and bytes in other folders, and every spelling of one path, are one run; its folder is named after the dataset.
#[test]
fn places_are_no_part_of_a_run() {
    let desk = Desk::new();
    for folder in ["my vqa (v2)", "ci/work/Prüfung-数据"] {
        dataset(&desk, folder, &ANSWERS);
    }
    let mut runs = Vec::new();
    for (i, path) in
        ["my vqa (v2)", "my vqa (v2)/", "./my vqa (v2)/.", "my vqa (v2)/card.toml", "ci/work/Prüfung-数据/"].iter().enumerate()
    {
        experiment(&desk, "x.toml", path, "");
        runs.push(run(&desk, "x.toml", &format!("r{i}"), "accuracy"));
    }
    let names: Vec<String> = runs.iter().map(|run| name(run)).collect();
    assert!(names[0].starts_with("made-up-zero-shot-s1-"), "{names:?}");
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
    let [first, last] = [&runs[0], &runs[4]].map(|run| run.to_str().expect("UTF-8").to_owned());
    desk.expect(&["gate", "--baseline", &first, "--runs", &last, "--allow-dirty"], 0, &["+0.0"]);
    desk.expect(&["report", &first, &last], 0, &["1 configuration"]);
    let said = desk.expect(&["compare", &first, &last], 0, &["+0.0", "one seed: no verdict"]);
    assert!(!said.contains("also differs in") && !said.contains("Only in"), "{said}");
}

/// A folder of a model is known by its files: the same ones elsewhere are the same backbone, one byte more is another.
#[test]
fn a_backbone_is_its_files() {
    let desk = Desk::new();
    dataset(&desk, "data", &ANSWERS);
    for copy in ["here/model", "there/a copy"] {
        let (from, to) =
            (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/folders/llava-tied"), desk.path().join(copy));
        std::fs::create_dir_all(&to).expect("a folder");
        for name in ["config.json", "tokenizer.json", "model.safetensors", "preprocessor_config.json"] {
            std::fs::copy(from.join(name), to.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    let with = |folder: &str| format!("[backbone]\nname = \"{folder}\"");
    let name_with = |folder: &str, out: &str| {
        experiment(&desk, "x.toml", "data", &with(folder));
        run(&desk, "x.toml", out, "accuracy")
    };
    let [here, there] = [name_with("here/model", "a"), name_with("there/a copy/", "b")];
    assert_eq!(name(&here), name(&there));
    let [a, b] = [&here, &there].map(|run| run.to_str().expect("UTF-8").to_owned());
    desk.expect(&["gate", "--baseline", &a, "--runs", &b, "--allow-dirty"], 0, &["+0.0"]);
    desk.expect(&["report", &a, &b], 0, &["1 configuration"]);
    std::fs::rename(desk.path().join("there/a copy"), desk.path().join("there/model")).expect("renamed");
    for file in ["tokenizer.json", "config.json"] {
        let path = desk.path().join("there/model").join(file);
        let text = std::fs::read_to_string(&path).expect("text");
        std::fs::write(&path, format!("{text}\n")).expect("written");
        let other = name_with("there/model", file);
        assert_ne!(name(&other), name(&here), "{file}");
        let why = format!("{file} differs");
        let gate = ["gate", "--baseline", &a, "--runs", other.to_str().expect("UTF-8"), "--allow-dirty"];
        desk.expect(&gate, 1, &["only with other keys: backbone.sha256 (", &why]);
        desk.expect(&["report", &a, other.to_str().expect("UTF-8")], 0, &["backbones of one name", "model ["]);
        std::fs::write(&path, text).expect("written");
    }
    // The same bytes under another name say something else: here, nothing.
    let [own, shared] =
        ["preprocessor_config.json", "processor_config.json"].map(|name| desk.path().join("there/model").join(name));
    std::fs::rename(own, shared).expect("renamed");
    experiment(&desk, "x.toml", "data", &with("there/model"));
    desk.expect(&["run", "x.toml", "--out", "shared", "--quiet"], 1, &["holds neither a processor_config.json with a table"]);
}

/// A partition's file whose content changed is another partition; the same one elsewhere is the same.
#[test]
fn a_partition_is_its_content() {
    let desk = Desk::new();
    dataset(&desk, "data", &ANSWERS);
    experiment(&desk, "x.toml", "data", "");
    let drawn = run(&desk, "x.toml", "drawn", "accuracy");
    let text = std::fs::read_to_string(drawn.join("partition.json")).expect("a partition");
    desk.write("p.json", &text).write("q.json", &text);
    experiment(&desk, "x.toml", "data", "file = \"p.json\"");
    let first = run(&desk, "x.toml", "r", "accuracy");
    experiment(&desk, "x.toml", "data", "file = \"q.json\"");
    assert_eq!(run(&desk, "x.toml", "r", "complete already"), first);
    let mut other: schema::partition::Partition = serde_json::from_str(&text).expect("a partition");
    other.shards.reverse();
    other.hash = schema::partition::Partition::hash_of(&other.shards);
    desk.write("q.json", &serde_json::to_string(&other).expect("JSON"));
    let second = run(&desk, "x.toml", "r", "accuracy");
    assert_ne!(name(&first), name(&second));
    let [a, b] = [&first, &second].map(|run| run.to_str().expect("UTF-8"));
    desk.expect(&["gate", "--baseline", a, "--runs", b, "--allow-dirty"], 1, &["partition.sha256 (", ".json differs"]);
}

/// An evaluation overwrites itself, and nothing else.
#[test]
fn an_evaluation_overwrites_no_run() {
    let desk = Desk::new();
    dataset(&desk, "data", &ANSWERS);
    experiment(&desk, "x.toml", "data", "");
    let run = run(&desk, "x.toml", "r", "accuracy");
    let kept = std::fs::read(run.join("predictions.parquet")).expect("predictions");
    let into = run.to_str().expect("UTF-8").to_owned();
    let eval = |out: &str, extra: &[&str], code: i32, texts: &[&str]| {
        let mut arguments = vec!["eval", "--backbone", "nano", "--dataset", "data", "--out", out];
        arguments.extend(extra);
        desk.expect(&arguments, code, texts)
    };
    eval(&into, &[], 2, &["--out ", "a run's own folder"]);
    assert_eq!(std::fs::read(run.join("predictions.parquet")).expect("predictions"), kept);
    eval("e", &[], 0, &["accuracy"]);
    eval("e", &["--batch-size", "3"], 0, &["accuracy"]);
    eval("e", &["--limit", "2"], 2, &["--out e", "another evaluation"]);
    std::fs::create_dir(desk.path().join("mine")).expect("a folder");
    desk.write("mine/notes.txt", "mine");
    eval("mine", &[], 2, &["--out mine", "notes.txt"]);
    desk.expect(&["run", "x.toml", "--out", &into], 2, &["a run's own"]);
}

/// A path that leads nowhere is said to be one.
#[test]
fn paths_that_lead_nowhere_are_said_to() {
    let desk = Desk::new();
    dataset(&desk, "data", &ANSWERS);
    let eval = |backbone: &str, dataset: &str, extra: &[&str], texts: &[&str]| {
        let mut arguments = vec!["eval", "--backbone", backbone, "--dataset", dataset, "--out", "e"];
        arguments.extend(extra);
        desk.expect(&arguments, 2, texts);
    };
    eval("./models/mine", "data", &[], &["backbone: there is no file or folder `./models/mine`"]);
    eval("my/models/mine", "data", &[], &["backbone: there is no file or folder `my/models/mine`"]);
    eval("nano", "my/data", &[], &["dataset: there is no file or folder `my/data`"]);
    eval("nano", "data", &["--adapters", "r/adapters.safetensors"], &["--adapters: there is no file or folder `r/adapters"]);
    eval("owner/name", "data", &[], &["not at hand", "no folder of this name either"]);
}

/// Pictures that rows name by their paths are inputs, too: the same rows beside other pictures are another run.
#[test]
fn pictures_beside_the_rows_are_inputs() {
    let desk = Desk::new();
    let paint = |folder: &str, colour: [u8; 3]| {
        let picture = image::RgbImage::from_pixel(16, 16, image::Rgb(colour));
        picture.save(desk.path().join(folder).join("a.png")).expect("a picture");
    };
    for folder in ["red", "copy"] {
        rows_with_picture(&desk.path().join(folder).join("rows.parquet"));
        desk.write(
            &format!("{folder}/card.toml"),
            &card("pictures", "rows").replace("[columns]", "[columns]\nimages = [\"image\"]"),
        );
        paint(folder, [200, 0, 0]);
    }
    experiment(&desk, "x.toml", "red", "");
    let red = run(&desk, "x.toml", "r", "accuracy");
    assert_eq!(run(&desk, "x.toml", "r", "complete already"), red);
    experiment(&desk, "x.toml", "copy", "");
    assert_eq!(run(&desk, "x.toml", "r", "complete already"), red, "the same pictures in another folder");
    paint("copy", [0, 0, 200]);
    let blue = run(&desk, "x.toml", "r", "accuracy");
    assert_ne!(name(&red), name(&blue));
    let files = json(blue.join("environment.json"))["inputs"]["files"].clone();
    assert!(files.as_array().expect("files").iter().any(|file| file["path"] == "a.png"), "{files}");
    let [red, blue] = [&red, &blue].map(|run| run.to_str().expect("UTF-8"));
    desk.expect(&["gate", "--baseline", red, "--runs", blue, "--allow-dirty"], 1, &["data.sha256.test (", "a.png differs"]);
}

/// Four questions about one picture that lies beside the parquet file.
fn rows_with_picture(path: &Path) {
    rows(path, &ANSWERS[..4]);
    let file = std::fs::File::open(path).expect("rows");
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).expect("parquet");
    let batch = reader.build().expect("rows").next().expect("a batch").expect("readable");
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter(std::iter::repeat_n(None::<&[u8]>, 4)));
    let paths: ArrayRef = Arc::new(StringArray::from_iter_values(["a.png"; 4]));
    let image: ArrayRef = Arc::new(StructArray::try_from(vec![("bytes", bytes), ("path", paths)]).expect("cells"));
    let names = ["question", "choices", "answer"].map(|name| (name, batch.column_by_name(name).expect("a column").clone()));
    let batch = RecordBatch::try_from_iter(names.into_iter().chain([("image", image)])).expect("columns of one length");
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).expect("a file"), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("written");
}
