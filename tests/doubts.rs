//! Is it said, or refused, where the data make a number mean less than it seems?

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, ListArray, RecordBatch, StringArray,
    builder::{ListBuilder, StringBuilder},
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::cli::Desk;

const CARD: &str =
    "name = \"mini\"\ntitle = \"Mini\"\ndescription = \"d\"\nsource = \"s\"\nlicense = \"MIT\"\nrevision = \"1\"\n";

/// A card of questions without pictures, and what else it says.
fn card(desk: &Desk, name: &str, rest: &str, template: &str) {
    let folder = desk.path().join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let text = format!(
        "{CARD}{rest}\n[prompts.default]\ntemplate = {template:?}\ntarget = \"text\"\n[splits.train]\nfiles = [\"*.parquet\"]\n\
         [splits.test]\nfiles = [\"*.parquet\"]\n"
    );
    std::fs::write(folder.join("card.toml"), text).expect("a card");
}

const PEOPLE: &str = "scoring = \"generation\"\nanswer = \"people\"\npartition_keys = []\n[columns]\nquestion = \"question\"\nimages = []\n\
    answer = \"answer\"\n[choices]\nform = \"none\"";
const CHOICES: &str = "metric = \"accuracy\"\nscoring = \"option-likelihood\"\nanswer = \"option-text\"\npartition_keys = []\n[columns]\n\
    question = \"question\"\nimages = []\nanswer = \"answer\"\n[choices]\nform = \"closed-set\"\nvalues = [\"yes\", \"no\"]";

fn write(path: &Path, questions: &[&str], answer: ArrayRef, compression: Compression) {
    let questions: ArrayRef = Arc::new(StringArray::from(questions.to_vec()));
    let batch = RecordBatch::try_from_iter([("question", questions), ("answer", answer)]).expect("columns");
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).expect("a file"), batch.schema(), Some(properties)).expect("parquet");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

/// Answers of so many people to each question.
fn people(counts: &[usize]) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for count in counts {
        (0..*count).for_each(|_| lists.values().append_value("yes"));
        lists.append(true);
    }
    let lists: ListArray = lists.finish();
    Arc::new(lists)
}

fn eval<'a>(dataset: &'a str, out: &'a str) -> [&'a str; 7] {
    ["eval", "--backbone", "nano", "--dataset", dataset, "--out", out]
}

const QUESTIONS: [&str; 4] = ["Is it red?", "Is it blue?", "Is it big?", "Is it far?"];

#[test]
fn a_score_that_nobody_can_reach_is_refused_and_a_bound_is_said() {
    let desk = Desk::new();
    let metric = |metric: &str| format!("metric = \"{metric}\"\n{PEOPLE}");
    card(&desk, "one", &metric("vqa-accuracy"), "{question}");
    write(&desk.path().join("one/a.parquet"), &QUESTIONS, people(&[1; 4]), Compression::SNAPPY);
    for name in ["vqa-accuracy", "direct-answer"] {
        card(&desk, "one", &metric(name), "{question}");
        let why = [
            name,
            "at least 3 for each row: example `test-0` has 1 (4 of 4",
            "`answer = \"any-of\"` and `metric = \"accuracy\"`",
        ];
        desk.expect(&eval("./one", "out"), 2, &why);
    }
    assert!(!desk.path().join("out").exists(), "a failed evaluation leaves no folder");

    card(&desk, "some", &metric("vqa-accuracy"), "{question}");
    write(&desk.path().join("some/a.parquet"), &QUESTIONS, people(&[3, 3, 10, 10]), Compression::SNAPPY);
    let said = "at most 83.3% can be reached: 2 of 4 test rows have answers of fewer than 4 people, which `vqa-accuracy` needs";
    desk.expect(&eval("./some", "some-out"), 0, &[said]);
    let run = "[data]\ndataset = \"./some\"\n[partition]\nclients = 1\n[federation]\nrounds = 1\n[method]\nname = \"fednano\"\n";
    desk.write("x.toml", run);
    desk.expect(&["validate", "x.toml"], 0, &[said]);
    desk.expect(&["run", "x.toml", "--out", "runs"], 0, &[said]);
    desk.expect(&["report", "runs"], 0, &["said of the data when they were read: mini (at most 83.3% can be reached"]);

    // Ten people who disagree are what the metric is made for.
    write(&desk.path().join("some/a.parquet"), &QUESTIONS, people(&[10; 4]), Compression::SNAPPY);
    assert!(!desk.expect(&eval("./some", "whole-out"), 0, &["accuracy"]).contains("can be reached"));
}

#[test]
fn rows_of_two_files_and_marks_in_texts_are_counted() {
    let desk = Desk::new();
    let answers = || -> ArrayRef { Arc::new(StringArray::from(vec!["yes", "no", "yes", "no"])) };
    let questions = ["Is it <image>?", "Is </s> red?", "Is it big?", "Is it big?"];
    card(&desk, "twice", CHOICES, "{question}");
    write(&desk.path().join("twice/a.parquet"), &questions, answers(), Compression::SNAPPY);
    let marked = "2 rows of split `test` hold text such as `<image>`, which is a special token of this backbone";
    let alone = desk.expect(&eval("./twice", "alone"), 0, &["on 4 examples", marked]);
    assert!(!alone.contains("in two of its files"), "within a file, rows may be the same: {alone}");
    write(&desk.path().join("twice/b.parquet"), &questions, answers(), Compression::ZSTD(ZstdLevel::default()));
    let twice = "4 rows of split `test` are in two of its files";
    desk.expect(&eval("./twice", "out"), 0, &["on 8 examples", twice]);
    desk.expect(&["data", "inspect", "./twice"], 0, &["  repeated  4 rows that another of these files has, too"]);
    let copy = std::fs::read(desk.path().join("twice/a.parquet")).expect("read");
    std::fs::write(desk.path().join("twice/c.parquet"), copy).expect("copied");
    desk.expect(&eval("./twice", "same"), 1, &["have the same content"]);
}

#[test]
fn a_template_holds_no_mark_of_the_models_own() {
    let desk = Desk::new();
    let answers: ArrayRef = Arc::new(StringArray::from(vec!["yes", "no", "yes", "no"]));
    for (template, code, why) in [
        ("<image>\n{question}", 1, ["prompt `default`: `template` holds `<image>`", "chat format: leave it out"]),
        ("USER: {question}</s>", 2, ["`template` holds `</s>`, a special token of this backbone", "chat format: leave it out"]),
        ("USER: {question} ASSISTANT:", 0, ["accuracy", "on 4 examples"]),
    ] {
        card(&desk, "mini", CHOICES, template);
        write(&desk.path().join("mini/a.parquet"), &QUESTIONS, answers.clone(), Compression::SNAPPY);
        desk.expect(&eval("./mini", "out"), code, &why);
    }
}
