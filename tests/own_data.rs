//! Does a person's own data become a dataset that runs, or is it said what is in the way?

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use crate::cli::Desk;

/// A picture of one colour.
fn png(colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_pixel(24, 16, image::Rgb(colour));
    picture.write_to(&mut bytes, image::ImageFormat::Png).expect("encoded");
    bytes.into_inner()
}

fn picture(desk: &Desk, name: &str, colour: [u8; 3]) {
    let path = desk.path().join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, png(colour)).expect("written");
}

const COLOURS: [(&str, [u8; 3]); 2] = [("red", [220, 30, 30]), ("blue", [30, 30, 220])];

/// A CSV of so many rows about pictures beside it, with columns of single options.
fn csv(desk: &Desk, rows: usize) {
    let mut text = String::from("picture,question,A,B,answer,site\n");
    for row in 0..rows {
        let (name, colour) = COLOURS[row % 2];
        picture(desk, &format!("pics/{row}.png"), colour);
        let letter = if row % 2 == 0 { "A" } else { "B" };
        text.push_str(&format!("pics/{row}.png,\"Which colour, {name} or not?\",red,blue,{letter},{}\n", row % 3));
    }
    desk.write("mine.csv", &text);
}

fn experiment(dataset: &str) -> String {
    format!(
        "[data]\ndataset = {dataset:?}\n[partition]\nclients = 2\n[federation]\nrounds = 1\nlocal_steps = 1\n[method]\nname = \"fednano\"\n"
    )
}

#[test]
fn a_csv_with_pictures_runs() {
    let desk = Desk::new();
    csv(&desk, 20);
    let said = desk.expect(
        &["data", "import", "csv", "mine.csv", "--out", "data/mine"],
        0,
        &[
            "train: 16 rows",
            "test: 4 rows",
            "the options of `A`, `B` are the list `choices`",
            "by its letter",
            "dataset = \"data/mine\"",
        ],
    );
    assert!(!said.contains("cannot be read"), "{said}");
    desk.expect(&["data", "inspect", "data/mine"], 0, &["4 examples", "24 x 16", "choices   red | blue"]);
    desk.write("x.toml", &experiment("data/mine"));
    desk.expect(&["run", "x.toml", "--out", "runs"], 0, &["accuracy"]);
    desk.expect(&["report", "runs"], 0, &["fednano", "mine"]);
    // The same again, and not over something else.
    desk.expect(&["data", "import", "csv", "mine.csv", "--out", "data/mine"], 0, &["train: 16 rows"]);
    desk.expect(&["data", "import", "csv", "mine.csv", "--out", "data/mine", "--name", "other"], 2, &["not an empty folder"]);
}

#[test]
fn a_row_that_no_run_could_read_is_named_and_nothing_is_left() {
    let desk = Desk::new();
    csv(&desk, 10);
    let text = std::fs::read_to_string(desk.path().join("mine.csv")).expect("read");
    let import = ["data", "import", "csv", "mine.csv", "--out", "out"];
    let refused = |from: &str, to: &str, texts: &[&str]| {
        desk.write("mine.csv", &text.replacen(from, to, 1));
        desk.expect(&import, 1, texts);
        assert!(!desk.path().join("out").exists(), "{texts:?}: a refused import leaves nothing");
    };
    refused("pics/3.png", "pics/none.png", &["mine.csv: line 5: column `picture`: picture `pics/none.png`: there is no file"]);
    refused("pics/3.png", "../secret.png", &["line 5", "`../secret.png`"]);
    refused("red,blue,B", "red,blue,C", &["mine.csv: line 3: the answer is choice `C`, but the 2 choices are A to B"]);
    refused("\"Which colour, red or not?\",red,blue,A", ",red,blue,A", &["mine.csv: line 2: the question is empty"]);
    refused("red,blue,B,1", "red,blue,B,1,extra", &["line 3", "parted by `,`"]);
    std::fs::write(desk.path().join("pics/3.png"), &png([9, 9, 9])[..60]).expect("damaged");
    refused("nothing", "nothing", &["line 5", "`pics/3.png`", "truncated"]);
    std::fs::write(desk.path().join("pics/3.png"), "not a picture").expect("damaged");
    refused("nothing", "nothing", &["line 5", "`pics/3.png`"]);
    desk.write("mine.csv", "a,b\n1,2\n3,4\n");
    desk.expect(&import, 1, &["no column looks like the question", "`a` (string)", "fedbench init card"]);
    std::fs::write(desk.path().join("mine.csv"), b"question,answer\nCaf\xe9?,yes\n").expect("written");
    desk.expect(&import, 1, &["line 2: the byte 0xe9 is no UTF-8"]);
    desk.expect(&["data", "import", "csv", "none.csv"], 1, &["none.csv", "No such file"]);
}

#[test]
fn json_lines_and_folders_of_pictures_run() {
    let desk = Desk::new();
    let mut lines = String::new();
    for row in 0..12 {
        let (name, colour) = COLOURS[row % 2];
        picture(&desk, &format!("pics/{row}.png"), colour);
        picture(&desk, &format!("shelf/{name}/{row}.png"), colour);
        let split = if row < 8 { "train" } else { "test" };
        lines.push_str(&format!(
            "{{\"image\": \"pics/{row}.png\", \"question\": \"Which colour?\", \"choices\": [\"red\", \"crimson\", \"blue\"], \
             \"answers\": {}, \"split\": \"{split}\"}}\n",
            if name == "red" { "[\"red\", \"crimson\"]" } else { "[\"blue\"]" }
        ));
    }
    desk.write("mine.jsonl", &lines);
    desk.expect(
        &["data", "import", "jsonl", "mine.jsonl", "--out", "lines"],
        0,
        &["train: 8 rows", "test: 4 rows", "any of a list"],
    );
    desk.write("x.toml", &experiment("lines"));
    // Chance is a half: two of three options are right in every second row. Always the first option, or "red", is right there.
    desk.expect(&["validate", "x.toml"], 0, &["its run is mine-fednano"]);
    desk.expect(&["eval", "--backbone", "nano", "--dataset", "lines", "--out", "eval"], 0, &["accuracy", "on 4 examples"]);
    desk.expect(
        &["data", "import", "imagefolder", "shelf", "--out", "pictures", "--question", "Which colour is it?"],
        0,
        &["2 different answers of `label`"],
    );
    desk.expect(&["data", "inspect", "pictures"], 0, &["question  Which colour is it?", "answer    blue"]);
    desk.expect(&["eval", "--backbone", "nano", "--dataset", "pictures", "--out", "eval-2"], 0, &["accuracy"]);
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let mut writer = ArrowWriter::try_new(File::create(path).expect("a file"), batch.schema(), None).expect("parquet");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn pictures(rows: usize) -> ArrayRef {
    let all: Vec<Vec<u8>> = (0..rows).map(|row| png(COLOURS[row % 2].1)).collect();
    Arc::new(BinaryArray::from_iter_values(all))
}

fn lists(rows: &[&[&str]]) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in rows {
        row.iter().for_each(|text| lists.values().append_value(text));
        lists.append(true);
    }
    Arc::new(lists.finish())
}

/// Drafts a card, keeps it, and judges by it.
fn runs(desk: &Desk, folder: &str, guessed: &[&str]) -> String {
    desk.expect(&["data", "inspect", folder], 0, &["no card", "columns", "draft"]);
    let card = desk.expect(&["data", "card", folder], 0, guessed);
    std::fs::write(desk.path().join(folder).join("card.toml"), card).expect("kept");
    desk.expect(&["data", "inspect", folder], 0, &["examples"]);
    desk.expect(&["eval", "--backbone", "nano", "--dataset", folder, "--out", &format!("{folder}-eval")], 0, &["accuracy"])
}

#[test]
fn parquet_without_a_card_gets_one_that_runs() {
    let desk = Desk::new();
    let questions = texts(&["Is it red?"; 10]);
    // A list of strings, an index and a split in one piece; a validation split judged on; labels with a boolean.
    let choices = lists(&[&["red", "blue", "green"][..]; 10]);
    let index = |from: i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..10).map(|row| row % 3 + from))) };
    write(
        &desk.path().join("zero/all.parquet"),
        vec![("image", pictures(10)), ("question", questions.clone()), ("choices", choices.clone()), ("answer", index(0))],
    );
    runs(&desk, "zero", &["by its place, counted from 0", "every 5th row", "answer = \"index\""]);
    for split in ["train", "validation"] {
        write(
            &desk.path().join(format!("one/data/{split}-00000-of-00001.parquet")),
            vec![("image", pictures(10)), ("query", questions.clone()), ("options", choices.clone()), ("label", index(1))],
        );
    }
    runs(&desk, "one", &["counted from 1", "`validation` is judged on", "answer = \"index-from-one\""]);
    desk.expect(&["run", "none.toml"], 2, &["none.toml"]);
    // What cannot be guessed is said, with the columns.
    write(&desk.path().join("odd/x.parquet"), vec![("a", questions.clone()), ("b", questions)]);
    desk.expect(&["data", "card", "odd"], 1, &["no column looks like the answer", "`a` (string)"]);
    desk.expect(
        &["eval", "--backbone", "nano", "--dataset", "./odd", "--out", "x"],
        2,
        &["`fedbench data card ./odd > ./odd/card.toml`"],
    );
    desk.expect(&["data", "card", "empty"], 1, &["empty"]);
}

/// DAQUAR lists all things that are right in one text, NLVR2 says of two pictures whether a sentence is true.
#[test]
fn daquar_and_nlvr_run_as_they_are_published() {
    let desk = Desk::new();
    let rows = 12;
    let asked: Vec<String> = (0..rows).map(|row| format!("what is on the desk in the image{row} ?")).collect();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let said: Vec<&[&str]> = (0..rows).map(|row| if row % 3 == 0 { &["book", "pen"][..] } else { &["lamp"] }).collect();
    for split in ["train", "test"] {
        let columns = vec![("image", pictures(rows)), ("question", texts(&asked)), ("answers", lists(&said))];
        write(&desk.path().join(format!("daquar/{split}.parquet")), columns);
        let flags: ArrayRef = Arc::new(BooleanArray::from_iter((0..rows).map(|row| Some(row % 2 == 0))));
        let columns =
            vec![("left_image", pictures(rows)), ("right_image", pictures(rows)), ("sentence", texts(&asked)), ("label", flags)];
        write(&desk.path().join(format!("nlvr/{split}.parquet")), columns);
    }
    runs(&desk, "daquar", &["any of which will do", "answer = \"any-of\"", "metric = \"accuracy\""]);
    runs(&desk, "nlvr", &["`sentence` is the question", "pictures: `left_image`, `right_image`", "values = [\"no\", \"yes\"]"]);
}
