//! Is a task one file and one row? One from outside, with two scores of which one is the whole corpus's, goes the whole way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array};
use baselines::METHODS;
use fedbench::runner::{Options, run};
use fedbench::session::Session;
use federation::registry::Registry;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use reports::source::Source;
use reports::{Run, Trust};
use schema::metrics::{Direction, Metric, Row, Unit};
use schema::{Experiment, run_dir};
use tasks::TaskRow;
use tasks::task::{Aggregate, Answering, Loss, Measure, Reading, Target};

use crate::cli::Desk;
use crate::metrics::records;
use crate::support::{Test, setup};

/// The whole of it: what is right is a text, the model says one, and two scores judge that.
const NAMING: TaskRow = TaskRow {
    name: "naming",
    sentence: "Say what is asked for.",
    source: "this test",
    target: Target::Text,
    loss: Loss::AnswerTokens,
    answering: Answering::Text,
    read: |text, _| if text.is_empty() { Reading::Nothing } else { Reading::Text },
    scores: &[
        Measure {
            row: &Row {
                name: "beginning",
                per: None,
                unit: Unit::Fraction,
                direction: Direction::Higher,
                sentence: "The share of the right answer's letters up to the first that is wrong.",
                source: "this test",
            },
            is_graded: true,
            of: |given, gold| beginning(given.text, gold.text),
            aggregate: Aggregate::Mean,
            reach: None,
        },
        Measure {
            row: &Row {
                name: "letters",
                per: None,
                unit: Unit::Own,
                direction: Direction::Higher,
                sentence: "How many different letters are said, by all answers together.",
                source: "this test",
            },
            is_graded: true,
            of: |given, _| letters([given.text]),
            aggregate: Aggregate::Corpus(|answers| letters(answers.iter().map(|answered| answered.text))),
            reach: None,
        },
    ],
};

fn beginning(said: &str, right: &str) -> f64 {
    let same = said.chars().zip(right.chars()).take_while(|(a, b)| a == b).count();
    same as f64 / right.chars().count() as f64
}

fn letters<'a>(texts: impl IntoIterator<Item = &'a str>) -> f64 {
    texts.into_iter().flat_map(str::chars).collect::<BTreeSet<char>>().len() as f64
}

const CARD: &str = "name = \"names\"\ntitle = \"Names\"\ndescription = \"d\"\nsource = \"s\"\nlicense = \"MIT\"\nrevision = \"1\"\n\
    task = \"naming\"\nmetric = \"beginning\"\nscoring = \"generation\"\nanswer = \"text\"\nbreakdowns = [\"kind\"]\n\
    partition_keys = []\n[columns]\nquestion = \"question\"\nimages = []\nanswer = \"answer\"\ntags = [\"kind\"]\n[choices]\n\
    form = \"none\"\n[prompts.default]\ntemplate = \"{question}\"\ntarget = \"text\"\n[splits.train]\nfiles = [\"a.parquet\"]\n\
    [splits.test]\nfiles = [\"a.parquet\"]\n";

const ROWS: [(&str, &str, &str); 6] = [
    ("How many legs has a dog?", "four", "count"),
    ("How many days has a week?", "seven", "count"),
    ("What colour is grass?", "green", "colour"),
    ("What colour is blood?", "red", "colour"),
    ("What colour is the sky?", "blue", "colour"),
    ("How many eyes has a cat?", "two", "count"),
];

/// A folder of rows, and an experiment over it.
fn experiment(desk: &Desk, method: &str) -> Result<Experiment> {
    let folder = desk.path().join("names");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("card.toml"), CARD)?;
    let column = |of: fn(&(&'static str, &'static str, &'static str)) -> &'static str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(ROWS.iter().map(of)))
    };
    let batch = RecordBatch::try_from_iter([
        ("question", column(|row| row.0)),
        ("answer", column(|row| row.1)),
        ("kind", column(|row| row.2)),
    ])?;
    let mut writer = ArrowWriter::try_new(File::create(folder.join("a.parquet"))?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    let text = format!(
        "[data]\ndataset = {folder:?}\n[partition]\nclients = 2\n[federation]\nrounds = 1\nlocal_steps = 2\n[optimizer]\n\
         learning_rate = 0.00001\n[method]\nname = \"{method}\"\n[evaluation]\nmax_new_tokens = 4\n"
    );
    desk.write("x.toml", &text);
    Ok(toml::from_str(&text)?)
}

fn ran(desk: &Desk, method: &str) -> Result<PathBuf> {
    setup();
    let registry = Registry::new(METHODS).task(&NAMING);
    registry.check()?;
    let options = Options { quiet: true, ..Options::default() };
    let done = run(&mut Session::new(registry), &experiment(desk, method)?, &desk.path().join("runs"), options)?;
    Ok(done.folder().into())
}

/// A row of `predictions.parquet`: client, example, answer, right answer, and both scores.
type Answer = (Option<u32>, String, String, String, [f64; 2]);

fn answers(run: &Path) -> Result<Vec<Answer>> {
    let mut found = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(run.join(run_dir::PREDICTIONS))?)?.build()? {
        let batch = batch?;
        let column = |name: &str| batch.column_by_name(name).with_context(|| format!("no column {name}"));
        let text = |name: &str, row: usize| -> Result<String> { Ok(column(name)?.as_string::<i32>().value(row).into()) };
        let clients = column("client")?.as_any().downcast_ref::<UInt32Array>().context("no client")?.clone();
        for row in 0..batch.num_rows() {
            let score = |name: &str| -> Result<f64> { Ok(column(name)?.as_primitive::<Float64Type>().value(row)) };
            let client = clients.is_valid(row).then(|| clients.value(row));
            let scores = [score("score")?, score("score/letters")?];
            found.push((client, text("example", row)?, text("prediction", row)?, text("gold", row)?, scores));
        }
    }
    Ok(found)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn a_task_from_outside_goes_the_whole_way() -> Test {
    let desk = Desk::new();
    for (method, answerers) in [("fednano", 1), ("local", 2)] {
        let run = ran(&desk, method)?;
        let answers = answers(&run)?;
        assert_eq!(answers.len(), ROWS.len() * answerers, "{method}");
        let mut by_answerer = BTreeMap::<Option<u32>, Vec<&Answer>>::new();
        for answer in &answers {
            assert_eq!(answer.4, [beginning(&answer.2, &answer.3), letters([&*answer.2])], "{answer:?}");
            by_answerer.entry(answer.0).or_default().push(answer);
        }
        let recorded = |metric: &Metric| -> Result<f64> {
            let last = records(&run)?.into_iter().rfind(|record| record.metric == *metric && record.client.is_none());
            Ok(last.with_context(|| format!("no {metric:?}"))?.value)
        };
        let corpus = |of: &Vec<&Answer>| letters(of.iter().map(|answer| &*answer.2));
        let together = mean(&by_answerer.values().map(corpus).collect::<Vec<_>>());
        let one_by_one = mean(&answers.iter().map(|answer| answer.4[1]).collect::<Vec<_>>());
        assert_eq!(recorded(&Metric::ScoreOf("letters".into()))?, together, "{method}");
        assert!(together > one_by_one, "{method}: the corpus says {together}, its answers one by one {one_by_one}");
        let worth: Vec<f64> = answers.iter().map(|answer| answer.4[0]).collect();
        assert!((recorded(&Metric::Accuracy)? - mean(&worth)).abs() < 1e-12, "{method}");
        assert_eq!(recorded(&Metric::ExamplesOf("kind=colour".into()))?, 3.0);

        // As reports read it, every example has both.
        let read = Run::read(Source::Folder(run.clone()), Trust::Verified)?;
        assert_eq!(read.disagreement, None);
        let further = read.predictions.further.get("letters").context("no further score")?;
        assert_eq!((further.len(), read.predictions.further.len()), (ROWS.len(), 1));
        let sum: f64 = further.iter().map(|(_, letters)| letters).sum();
        assert!((sum / ROWS.len() as f64 - one_by_one).abs() < 1e-12, "{method}");
    }
    // Kept, they are what they were, which `keep` itself compares.
    desk.expect(&["keep", "runs", "--out", "pack"], 0, &[]);
    desk.expect(&["report", "pack", "--out", "tables", "--format", "md"], 0, &["fednano"]);
    Ok(())
}

#[test]
fn a_task_that_nobody_brought_is_refused() -> Test {
    let desk = Desk::new();
    experiment(&desk, "fednano")?;
    let unknown = "card of dataset `names`: unknown task `naming`; nearest first, there are: ";
    desk.expect(&["validate", "x.toml"], 2, &[unknown, "`short-answer`"]);
    desk.expect(&["eval", "--backbone", "nano", "--dataset", "names", "--out", "judged"], 2, &[unknown]);
    assert!(!desk.path().join("judged").exists(), "a refused evaluation leaves no folder");
    desk.expect(&["list", "tasks"], 0, &["multiple-choice", "short-answer", "vqa", "direct-answers", "source: "]);
    Ok(())
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let twice = Registry::new(METHODS).task(&NAMING).task(&NAMING).check();
    assert_eq!(twice.expect_err("two of one name").to_string(), "two tasks are called `naming`; give yours another name");
    let twice = METHODS.first().map(|row| Registry::new(METHODS).method(*row).check());
    assert!(twice.is_some_and(|checked| checked.is_err_and(|error| error.to_string().contains("two methods are called"))));
}
