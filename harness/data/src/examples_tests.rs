//! Every shape of column that the Hub has, and everything that can be wrong with a row or a file (several files, and several
//! people's answers: `joins_tests`).

use std::path::PathBuf;
use std::sync::Arc;

use ::image::ImageFormat;
use arrow_array::builder::{LargeListBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, DictionaryArray, Int8Array, Int16Array, Int32Array, Int64Array, LargeBinaryArray,
    LargeStringArray, NullArray, StringViewArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use tempfile::TempDir;

use super::super::testing::*;
use super::*;

pub(super) fn folder(columns: Columns) -> TempDir {
    let dir = TempDir::new().expect("temporary folder");
    write(&dir.path().join("train.parquet"), columns);
    dir
}

pub(super) fn load(card: &Card, columns: Columns) -> Result<Dataset, DataError> {
    Dataset::load(folder(columns).path(), card, "train", None)
}

pub(super) fn good(card: &Card, columns: Columns) -> Dataset {
    load(card, columns).expect("a good dataset")
}

/// The error's text, which must hold each of the parts.
pub(super) fn check_error(result: Result<Dataset, DataError>, parts: &[&str]) {
    let error = result.expect_err("bad data").to_string();
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

/// The good columns with one replaced: an error that names file and row, and one skipped row where the card says so.
pub(super) fn check_bad_row(card: &Card, columns: Columns, row: usize, reason: &str) {
    check_error(load(card, columns.clone()), &["train.parquet", &format!("row {row} "), reason]);
    let skip = Card { on_bad_row: BadRow::Skip, ..card.clone() };
    let data = good(&skip, columns);
    assert_eq!(data.skipped.len(), 1);
    assert_eq!((data.skipped[0].row, data.skipped[0].split.as_str()), (row, "train"));
    assert!(data.skipped[0].reason.contains(reason), "{}", data.skipped[0].reason);
}

fn check_bad(column: &str, array: ArrayRef, row: usize, reason: &str) {
    check_bad_row(&card(), with(good_columns(), column, array), row, reason);
}

#[test]
fn the_scienceqa_shape() {
    let data = good(&card(), good_columns());
    let [first, second] = &data.examples[..] else { panic!("two rows") };
    assert_eq!((first.id.as_str(), first.question.as_str(), first.hint.as_str()), ("train-0", "Which is red?", "A picture."));
    assert_eq!((first.answer_text(), second.answer_text()), ("rose", "2"));
    assert_eq!((first.images.as_slice(), second.images.len(), data.images.len()), (&[0][..], 0, 1));
    assert_eq!((first.label("topic").as_deref(), first.label("answer").as_deref()), (Some("plants"), Some("rose")));
    assert_eq!((first.label("colour"), data.label(second, "topic")), (None, "numbers".to_string()));
    assert_eq!(first.raw_bytes, (data.images[0].len() + "Which is red?A picture.rosegrass".len() + 1) as u64);
    assert_eq!(second.hint, "");
}

#[test]
fn every_flavour_of_a_type() {
    let expect = good(&card(), good_columns()).examples;
    let picture = png(6, 4);
    let mut large_lists = LargeListBuilder::new(StringBuilder::new());
    for options in [&["rose", "grass"][..], &["1", "2", "3"]] {
        options.iter().for_each(|option| large_lists.values().append_value(option));
        large_lists.append(true);
    }
    let bytes = vec![Some(picture.as_slice()), None];
    let questions = vec!["Which is red?", "Which is even?"];
    let topics: DictionaryArray<Int32Type> = vec!["plants", "numbers"].into_iter().collect();
    let variants: Vec<(&str, ArrayRef)> = vec![
        ("image", Arc::new(BinaryArray::from(bytes.clone()))),
        ("image", Arc::new(LargeBinaryArray::from(bytes))),
        ("choices", Arc::new(large_lists.finish())),
        ("question", Arc::new(LargeStringArray::from(questions.clone()))),
        ("question", Arc::new(StringViewArray::from(questions))),
        ("topic", Arc::new(topics)),
        ("answer", Arc::new(Int16Array::from(vec![0, 1]))),
        ("answer", Arc::new(Int32Array::from(vec![0, 1]))),
        ("answer", Arc::new(Int64Array::from(vec![0, 1]))),
        ("answer", Arc::new(UInt8Array::from(vec![0, 1]))),
        ("answer", Arc::new(UInt16Array::from(vec![0, 1]))),
        ("answer", Arc::new(UInt32Array::from(vec![0, 1]))),
        ("answer", Arc::new(UInt64Array::from(vec![0, 1]))),
        ("answer", strings(&[Some("0"), Some("1")])),
    ];
    for (column, array) in variants {
        let name = format!("{column}: {}", array.data_type());
        assert_eq!(good(&card(), with(good_columns(), column, array)).examples, expect, "{name}");
    }
}

#[test]
fn tags_may_be_integers_and_nulls() {
    let tags = with(good_columns(), "topic", Arc::new(Int64Array::from(vec![Some(7), None])));
    let data = good(&card(), tags);
    assert_eq!(data.examples.iter().map(|row| data.label(row, "topic")).collect::<Vec<_>>(), ["7", ""]);
    let nothing = good(&card(), with(good_columns(), "hint", Arc::new(NullArray::new(2))));
    assert_eq!(nothing.examples[0].hint, "");
}

#[test]
fn an_option_text_answer() {
    let card = Card { answer: AnswerForm::OptionText, ..card() };
    let data = good(&card, with(good_columns(), "answer", strings(&[Some("grass"), Some("3")])));
    assert_eq!(data.examples[0].answer, Answer::Choice(1));
    check_bad_row(
        &card,
        with(good_columns(), "answer", strings(&[Some("gras"), Some("3")])),
        0,
        "the answer `gras` is not among the choices; nearest first: `grass`, `rose`",
    );
}

#[test]
fn a_closed_set_and_free_text() {
    let closed =
        card_with("images = [\"image\"]", "", "form = \"closed-set\"\nvalues = [\"no\", \"yes\"]", "answer = \"option-text\"");
    let columns = with(good_columns(), "answer", strings(&[Some("yes"), Some("no")]));
    assert_eq!(good(&closed, columns).examples[0].choices, ["no", "yes"]);
    let free = card_with("", "", "form = \"none\"", "answer = \"text\"");
    let data = good(&free, with(good_columns(), "answer", Arc::new(Int64Array::from(vec![12, 7]))));
    assert_eq!((data.examples[0].answer.clone(), data.images.len()), (Answer::Text("12".into()), 0));
}

#[test]
fn missing_choices() {
    let columns = || with(good_columns(), "choices", lists(&[Some(&["rose", "grass"]), None]));
    check_bad_row(&card(), columns(), 1, "no choices");
    check_bad_row(&card(), with(good_columns(), "choices", lists(&[Some(&["rose", "grass"]), Some(&[])])), 1, "no choices");
    let mut card = card();
    card.choices.missing = schema::card::MissingChoices::Skip;
    let data = good(&card, columns());
    assert_eq!((data.examples.len(), data.skipped[0].row), (1, 1));
    card.choices.missing = schema::card::MissingChoices::Generation;
    let data = good(&card, columns());
    assert_eq!((data.examples[1].answer.clone(), data.examples[1].choices.len()), (Answer::Text("1".into()), 0));
}

fn icon_card() -> Card {
    card_with(
        "images = [\"query\", \"zero\", \"one\"]",
        "id = \"id\"\nchoices = \"choices\"",
        "form = \"comma\"\nimage_options = [\"The first image.\", \"The second image.\", \"The third image.\"]",
        "answer = \"option-text\"",
    )
}

fn icon_columns(choices: &str, answer: &str) -> Columns {
    let picture = png(5, 5);
    vec![
        ("id", strings(&[Some("a"), Some("b")])),
        ("query", images(&[Some(&picture), Some(&picture)])),
        ("zero", images(&[Some(&picture), None])),
        ("one", images(&[Some(&picture), None])),
        ("question", strings(&[Some("q"), Some("r")])),
        ("choices", strings(&[Some(choices), Some("yes,no")])),
        ("answer", strings(&[Some(answer), Some("no")])),
    ]
}

#[test]
fn the_icon_qa_shape() {
    let data = good(&icon_card(), icon_columns("choice_0.png,choice_1.png", "choice_1.png"));
    let first = &data.examples[0];
    assert_eq!((first.id.as_str(), first.answer_text(), first.choices.len()), ("a", "The second image.", 2));
    assert_eq!((first.images.as_slice(), data.images.len()), (&[0, 0, 0][..], 1), "one content is stored once");
}

#[test]
fn a_picture_option_that_is_not_there() {
    let three = icon_columns("choice_0.png,choice_1.png,choice_2.png", "choice_1.png");
    check_bad_row(&icon_card(), three, 0, "the picture of option 2 is not in the file (2 choice image columns)");
    let null = with(icon_columns("choice_0.png,choice_1.png", "choice_1.png"), "one", images(&[None, None]));
    check_bad_row(&icon_card(), null, 0, "the picture of option 1 is not in the file (column `one` is null)");
    let mut card = icon_card();
    card.choices.image_options.truncate(1);
    let unnamed = icon_columns("choice_0.png,choice_1.png", "choice_1.png");
    check_bad_row(&card, unnamed, 0, "option 1 is a picture, but `choices.image_options` in the card names only 1");
}

#[test]
fn ids_are_unique_and_not_empty() {
    let twice = with(icon_columns("1,2", "2"), "id", strings(&[Some("a"), Some("a")]));
    check_bad_row(&icon_card(), twice, 1, "the id `a` is already that of row 0");
    check_bad_row(&icon_card(), with(icon_columns("1,2", "2"), "id", strings(&[None, Some("a")])), 0, "the id is empty");
}

#[test]
fn bad_answers_and_choices() {
    check_bad("answer", Arc::new(Int8Array::from(vec![0, 3])), 1, "the answer is choice 3, but the 3 choices are 0 to 2");
    check_bad("answer", Arc::new(Int8Array::from(vec![-1, 0])), 0, "the answer is choice -1");
    check_bad("answer", Arc::new(Int8Array::from(vec![None, Some(0)])), 0, "the answer is null");
    check_bad("answer", strings(&[Some("0"), Some("B")]), 1, "the answer `B` is not an index");
    check_bad("choices", lists(&[Some(&["rose", "rose"]), Some(&["1", "2"])]), 0, "the choice `rose` is there twice");
    check_bad("choices", lists(&[Some(&["rose", " "]), Some(&["1", "2"])]), 0, "a choice is empty");
    check_bad("question", strings(&[Some(" "), Some("q")]), 0, "the question is empty");
    check_bad("question", strings(&[Some("q"), None]), 1, "the question is empty");
}

#[test]
fn bad_images() {
    let at_first = |bytes: &[u8]| images(&[Some(bytes), None]);
    let whole = png(40, 40);
    check_bad(
        "image",
        at_first(b"not a picture"),
        0,
        "column `image`: the image is a text; PNG, JPEG, WebP, GIF, BMP and TIFF are read",
    );
    check_bad("image", at_first(b"GIF89a\x01\0\x01\0\0\0\0"), 0, "the image's header is damaged or cut off: 13 bytes of GIF");
    check_bad("image", at_first(&whole[..whole.len() - 12]), 0, "the image is truncated");
    check_bad("image", at_first(&whole[..20]), 0, "the image's header is damaged or cut off");
    let jpeg = encode(40, 40, ImageFormat::Jpeg);
    assert_eq!(good(&card(), with(good_columns(), "image", at_first(&jpeg))).images.len(), 1);
    check_bad("image", at_first(&jpeg[..jpeg.len() - 2]), 0, "the image is truncated");
    check_bad("image", at_first(&png(300, 2)), 0, "the image is 300 x 2: one side must be at most 100 times the other");
    let small = Card { max_image_pixels: 1000, ..card() };
    let reason = "the image is 40 x 40 = 1600 pixels, more than `max_image_pixels` = 1000";
    check_bad_row(&small, with(good_columns(), "image", at_first(&whole)), 0, reason);
}

#[test]
fn a_column_that_is_missing_or_mistyped() {
    let mut other = card();
    other.columns.question = Some("questoin".into());
    let parts = ["train.parquet: no column `questoin`, which the card names as the question", "there are: `question` (string), "];
    check_error(load(&other, good_columns()), &parts);
    let parts = [
        "column `question` is int32, but the question must be a string",
        "there are: `question` (int32), ",
        "`image` (struct<bytes: binary, path: string>)",
    ];
    check_error(load(&card(), with(good_columns(), "question", Arc::new(Int32Array::from(vec![1, 2])))), &parts);
    let numbers = with(good_columns(), "choices", Arc::new(Int32Array::from(vec![1, 2])));
    check_error(load(&card(), numbers), &["column `choices` is int32, but the choices must be a list of strings", "comma"]);
    check_bad("choices", strings(&[Some("['rose', 'grass']"), Some("a,b")]), 1, "the choices `a,b` are no list of quoted texts");
    check_error(load(&card(), with(good_columns(), "image", strings(&[None, None]))), &["an image must be struct<bytes: binary"]);
}

#[test]
fn a_card_that_contradicts_itself() {
    let mut card = card();
    card.columns.choices = None;
    check_error(load(&card, good_columns()), &["card of dataset `mini`", "`columns.choices` names no column"]);
}

#[test]
fn splits_files_and_globs() {
    let dir = folder(good_columns());
    check_error(
        Dataset::load(dir.path(), &card(), "tran", None),
        &["dataset `mini` has no split `tran`; nearest first, there are: `train`"],
    );
    let mut card = card();
    let mut name = |pattern: &str| {
        card.splits.get_mut("train").expect("split").files = vec![pattern.into()];
        Dataset::load(dir.path(), &card, "train", None)
    };
    check_error(name("training.parquet"), &["no file `training.parquet`", "split `train`", "there are: `train.parquet`"]);
    check_error(name("gone/*.parquet"), &["the folder does not exist"]);
    write(&dir.path().join("trail.parquet"), with(good_columns(), "hint", strings(&[Some("Another."), None])));
    let both = name("tra*.parquet").expect("two files");
    assert_eq!(both.examples.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["train-0", "train-1", "train-2", "train-3"]);
}

#[test]
fn the_row_of_an_error_is_the_row_of_its_file() {
    let dir = folder(good_columns());
    write(&dir.path().join("x.parquet"), with(good_columns(), "question", strings(&[Some("q"), None])));
    let mut card = card();
    card.splits.get_mut("train").expect("split").files.push("x.parquet".into());
    check_error(Dataset::load(dir.path(), &card, "train", None), &["x.parquet: row 1 "]);
    card.on_bad_row = BadRow::Skip;
    assert_eq!(Dataset::load(dir.path(), &card, "train", None).expect("skips").skipped[0].row, 3);
}

#[test]
fn a_file_that_is_not_parquet_or_not_all_of_it() {
    let dir = folder(good_columns());
    let path: PathBuf = dir.path().join("train.parquet");
    let whole = std::fs::read(&path).expect("read");
    let mut damaged = whole.clone();
    let end = damaged.len();
    damaged[end - 30..end - 8].fill(0xff);
    for (bytes, part) in [
        (&b"not parquet at all"[..], "is no parquet file: it looks like text (`not parquet at all`)"),
        (b"", "is no parquet file: it is empty"),
        (b"id,question\n1,Who?\n", "it looks like CSV"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (&whole[..whole.len() / 2], "is cut off: it begins as a parquet file does"),
        (&damaged, "is a damaged parquet file"),
    ] {
        std::fs::write(&path, bytes).expect("write");
        let error = Dataset::load(dir.path(), &card(), "train", None).expect_err("no parquet").to_string();
        assert!(error.contains("train.parquet: ") && error.contains(part), "{error}");
        assert_eq!(error.contains("download"), part.contains("cut off"), "{error}");
    }
}

#[test]
fn rows_and_checksum_of_the_card() {
    let dir = folder(good_columns());
    let mut card = card();
    let sha256 = files::sha256(&[dir.path().join("train.parquet")]).expect("sha256");
    let split = |card: &mut Card, rows, sha256| {
        let split = card.splits.get_mut("train").expect("split");
        (split.rows, split.sha256) = (rows, sha256);
        Dataset::load(dir.path(), card, "train", None)
    };
    assert!(split(&mut card, Some(2), Some(sha256.to_uppercase())).is_ok());
    check_error(split(&mut card, Some(3), None), &["train.parquet: 2 rows, but the card says that split `train` has 3"]);
    check_error(split(&mut card, None, Some("abc".into())), &["train.parquet: SHA-256 ", &sha256, "the card says abc"]);
}

#[test]
fn no_rows() {
    let none: Columns = good_columns().into_iter().map(|(name, array)| (name, array.slice(0, 0))).collect();
    check_error(load(&card(), none), &["split `train` has no usable row (the files hold none)"]);
    let card = Card { on_bad_row: BadRow::Skip, ..card() };
    let bad = with(good_columns(), "question", strings(&[None, None]));
    check_error(load(&card, bad), &["no usable row (all 2 were left out; row 0: the question is empty)"]);
}

#[test]
fn a_limit_keeps_the_first_good_rows() {
    let card = Card { on_bad_row: BadRow::Skip, ..card() };
    let dir = folder(with(good_columns(), "question", strings(&[None, Some("q")])));
    let data = Dataset::load(dir.path(), &card, "train", Some(1)).expect("one good row");
    assert_eq!((data.examples[0].id.as_str(), data.examples.len()), ("train-1", 1));
}

#[test]
fn inspection_counts_and_prints() {
    let mut card = card();
    card.partition_keys = vec!["topic".into(), "answer".into()];
    let dir = folder(with(good_columns(), "answer", Arc::new(Int8Array::from(vec![0, 9]))));
    let found = super::super::inspect(dir.path(), &card).expect("inspect");
    let split = &found.splits["train"];
    assert_eq!((split.rows, split.row_groups, split.examples, split.skipped.len()), (2, 1, 1, 1));
    assert_eq!(split.labels["topic"]["plants"], 1);
    assert_eq!(split.images.as_ref().map(|images| images.median), Some((6, 4)));
    assert_eq!(split.columns.iter().map(|column| column.nulls).collect::<Vec<_>>(), [1, 0, 0, 0, 1, 0].map(Some));
    let text = found.to_string();
    for part in
        ["split train", "left out  1 rows", "row 1: the answer is choice 9", "hint      string, 1 nulls", "answer    rose"]
    {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    assert!(serde_json::to_string(&found).expect("json").contains("\"median\":[6,4]"));
}

/// The real data through the cards of the repository, where the data is on this machine: examples and rows left out.
#[test]
fn real_data_loads() {
    for (dataset, split, examples, skipped) in [
        ("scienceqa-img-resplit", "train", 1412, 0),
        ("scienceqa-img-resplit", "validation", 203, 0),
        ("scienceqa-img-resplit", "test", 402, 0),
        ("easy-vqa", "train", 6000, 0),
        ("easy-vqa", "test", 1500, 0),
        ("tabmwp", "dev1k", 1000, 0),
        ("iconqa-examples", "val", 132, 18),
        ("puzzlevqa", "train", 1407, 0),
        ("puzzlevqa", "validation", 202, 0),
        ("puzzlevqa", "test", 391, 0),
        ("openclipart", "train", 1324, 0),
        ("openclipart", "validation", 192, 0),
        ("openclipart", "test", 374, 0),
    ] {
        let cards = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data-scripts/cards");
        let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        let dir = std::env::var_os("FEDBENCH_DATA").map_or_else(beside, PathBuf::from).join(dataset);
        if !dir.is_dir() {
            eprintln!("{} is absent: not tested", dir.display());
            continue;
        }
        let card: Card = schema::toml_file::read(&cards.join(format!("{dataset}.toml"))).expect("card");
        let data = Dataset::load(&dir, &card, split, None).expect(dataset);
        assert_eq!((data.examples.len(), data.skipped.len()), (examples, skipped), "{dataset} {split}");
        assert!(data.skipped.iter().all(|row| row.reason.contains("the picture of option")), "{:?}", data.skipped);
        let partition = card.partition_keys.iter().all(|key| data.examples[0].label(key).is_some());
        assert!(partition, "{dataset}: every partition key is a label");
    }
}
