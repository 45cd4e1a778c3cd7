//! What a cell of an image column may hold, and what becomes of it: by bytes, by path, in lists, sound and not.

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Int8Builder, ListBuilder};
use arrow_array::{Array, ArrayRef, BinaryArray, Int8Array, ListArray, StringArray, StructArray};
use arrow_schema::{DataType, Field};
use schema::Card;
use schema::card::{BadRow, PictureFiles};
use tempfile::TempDir;

use super::super::testing::{card, card_with, good_columns, images, png, strings, with, write};
use super::super::{DataError, Dataset, Preprocess};
use super::MAX_PICTURES;

type Cell<'a> = (Option<&'a [u8]>, Option<&'a str>);

/// struct<bytes, path>, none of them null.
fn structs(cells: &[Cell<'_>]) -> ArrayRef {
    let bytes: ArrayRef = Arc::new(BinaryArray::from(cells.iter().map(|cell| cell.0).collect::<Vec<_>>()));
    let paths: ArrayRef = Arc::new(StringArray::from(cells.iter().map(|cell| cell.1).collect::<Vec<_>>()));
    let fields = vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)];
    Arc::new(StructArray::new(fields.into(), vec![bytes, paths], None))
}

/// Lists of so many of the items each, in order; none is null.
fn lists_of(items: ArrayRef, lengths: &[Option<usize>]) -> ArrayRef {
    let field = Arc::new(Field::new("element", items.data_type().clone(), true));
    let mut like = ListBuilder::new(Int8Builder::new());
    for length in lengths {
        (0..length.unwrap_or(0)).for_each(|_| like.values().append_value(0));
        like.append(length.is_some());
    }
    let (_, offsets, _, nulls) = like.finish().into_parts();
    Arc::new(ListArray::new(field, offsets, items, nulls))
}

/// A folder with a photo, a link to one within, and links that lead out; its data lie in `data/`.
fn folder(columns: super::super::testing::Columns) -> TempDir {
    let dir = TempDir::new().expect("temporary folder");
    let at = |name: &str| dir.path().join("set").join(name);
    std::fs::create_dir_all(at("data/photos")).expect("folders");
    std::fs::write(at("data/photos/0.png"), png(6, 4)).expect("a photo");
    std::fs::write(at("above.png"), png(6, 4)).expect("a photo");
    std::fs::write(dir.path().join("secret.png"), png(6, 4)).expect("not the dataset's");
    std::fs::write(at("data/lfs.png"), "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n").expect("a pointer");
    std::fs::write(at("data/page.png"), "<!DOCTYPE html>\n<html>404</html>").expect("a page");
    std::os::unix::fs::symlink("photos/0.png", at("data/link.png")).expect("a link");
    std::os::unix::fs::symlink("../../secret.png", at("data/out.png")).expect("a link");
    let pipe = std::process::Command::new("mkfifo").arg(at("data/pipe.png")).status().expect("mkfifo");
    assert!(pipe.success());
    write(&at("data/train.parquet"), columns);
    dir
}

fn in_data(card: Card) -> Card {
    let mut card = card;
    card.splits.get_mut("train").expect("the split").files = vec!["data/train.parquet".into()];
    card
}

fn load(card: &Card, columns: super::super::testing::Columns) -> Result<Dataset, DataError> {
    Dataset::load(&folder(columns).path().join("set"), &in_data(card.clone()), "train", None)
}

fn skipping(card: Card) -> Card {
    Card { on_bad_row: BadRow::Skip, ..card }
}

/// The good columns with a first picture: what is said of it, as an error and where it is left out.
fn check_first(cell: Cell<'_>, says: &str) {
    let columns = || with(good_columns(), "image", structs(&[cell, (Some(&png(3, 3)), None)]));
    let error = load(&card(), columns()).expect_err("no picture").to_string();
    assert!(error.contains("train.parquet: row 0 ") && error.contains("column `image`: ") && error.contains(says), "{error}");
    let data = load(&skipping(card()), columns()).expect("the second row");
    assert_eq!((data.examples.len(), data.examples[0].id.as_str(), data.skipped.len()), (1, "train-1", 1));
    assert!(data.skipped[0].reason.contains(says), "{}", data.skipped[0].reason);
}

#[test]
fn a_picture_without_bytes_is_read_from_its_file() {
    for path in ["photos/0.png", "./photos/0.png", "link.png"] {
        for bytes in [None, Some(&[][..])] {
            let columns = with(good_columns(), "image", structs(&[(bytes, Some(path)), (Some(&png(3, 3)), Some("none.png"))]));
            let data = load(&card(), columns).expect("both pictures");
            assert_eq!((&*data.images[0], &*data.images[1]), (&png(6, 4)[..], &png(3, 3)[..]));
            assert_eq!(data.examples[0].raw_bytes - "Which is red?A picture.rosegrass".len() as u64 - 1, png(6, 4).len() as u64);
            let names: Vec<_> = data.files.iter().map(|file| file.file_name().unwrap_or_default().to_string_lossy()).collect();
            assert_eq!(names, ["train.parquet", Path::new(path).file_name().expect("a name").to_str().expect("UTF-8")]);
        }
    }
}

#[test]
fn a_picture_that_is_nowhere_is_never_taken_for_none() {
    check_first((None, None), "neither bytes nor a path");
    check_first((Some(&[]), Some("")), "neither bytes nor a path");
    check_first((Some(&[]), Some("000.png")), "no bytes, and the file `000.png` in ");
    check_first((None, Some("000.png")), "there is none");
    for outside in ["../above.png", "/etc/hostname", "photos/../../above.png", "./photos/../photos/0.png"] {
        check_first((None, Some(outside)), "goes down from the parquet file's folder");
    }
    check_first((None, Some("out.png")), "a link leads out of the dataset's folder");
    check_first((None, Some("photos")), "it is a folder; expected a regular file");
    check_first((None, Some("pipe.png")), "expected a regular file");
    check_first((None, Some("lfs.png")), "lfs.png: the image is a Git LFS pointer");
    check_first((None, Some("page.png")), "page.png: the image is an HTML page; PNG, JPEG, WebP, GIF, BMP and TIFF are read");
    check_first((Some(b"version https://git-lfs.github.com/spec/v1\n"), Some("photos/0.png")), "is a Git LFS pointer");
    check_first((None, Some(&"a/".repeat(40_000))), "characters ...]");
}

#[test]
fn bytes_alone_and_nothing_alone() {
    let empty: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&png(6, 4)[..]), Some(&[][..])]));
    let error = load(&card(), with(good_columns(), "image", empty)).expect_err("an empty cell").to_string();
    assert!(error.contains("row 1 ") && error.contains("neither bytes nor a path"), "{error}");
    let null = load(&card(), with(good_columns(), "image", images(&[None, None]))).expect("rows without pictures");
    assert!(null.examples.iter().all(|example| example.images.is_empty()) && null.images.is_empty());
}

#[test]
fn a_list_holds_all_pictures_of_a_row() {
    let (wide, small) = (png(6, 4), png(3, 3));
    let columns = |items: ArrayRef, lengths: &[Option<usize>]| with(good_columns(), "image", lists_of(items, lengths));
    let binary: ArrayRef = Arc::new(BinaryArray::from(vec![&small[..], &wide, &small]));
    let structs = |cells: &[Cell<'_>]| structs(cells);
    for items in [binary, structs(&[(Some(&small), None), (None, Some("photos/0.png")), (Some(&small), Some("x"))])] {
        let data = load(&card(), columns(items.clone(), &[Some(2), Some(1)])).expect("lists");
        let shown =
            |example: usize| -> Vec<&[u8]> { data.examples[example].images.iter().map(|&at| &*data.images[at]).collect() };
        assert_eq!((shown(0), shown(1), data.images.len()), (vec![&small[..], &wide], vec![&small[..]], 2));
        let data = load(&card(), columns(items, &[Some(3), None])).expect("a list and none");
        assert_eq!((data.examples[0].images.as_slice(), data.examples[1].images.len()), (&[0, 1, 0][..], 0));
    }
    let empty = load(&card(), columns(structs(&[(Some(&small), None)]), &[Some(0), Some(1)])).expect("an empty list");
    assert_eq!((empty.examples[0].images.len(), empty.examples[1].images.len()), (0, 1));
}

#[test]
fn a_list_with_a_bad_picture_is_a_bad_row() {
    let small = png(3, 3);
    let column = |items: ArrayRef, first: usize| lists_of(items.clone(), &[Some(first), Some(items.len() - first)]);
    let check = |array: ArrayRef, says: &str| {
        let error = load(&card(), with(good_columns(), "image", array)).expect_err("a bad row").to_string();
        assert!(error.contains("row 0 ") && error.contains(says), "{error}");
    };
    check(column(images(&[Some(&small), None, Some(&small)]), 2), "column `image`: picture 2 of 2: it is null");
    check(column(structs(&[(Some(&small), None), (Some(&[]), None)]), 2), "picture 2 of 2: the cell has neither");
    check(column(structs(&[(Some(b"<html>"), None)]), 1), "picture 1 of 1: the image is an HTML page");
    let many = vec![(Some(&small[..]), None); MAX_PICTURES + 1];
    check(column(structs(&many), MAX_PICTURES + 1), "65 pictures; a row may have 64");
    let most = load(&card(), with(good_columns(), "image", column(structs(&many), MAX_PICTURES))).expect("64 pictures");
    assert_eq!(most.examples[0].images.len(), MAX_PICTURES);
    let nested = lists_of(lists_of(structs(&[(Some(&small), None)]), &[Some(1)]), &[Some(1), Some(0)]);
    let error = load(&card(), with(good_columns(), "image", nested)).expect_err("a list of lists").to_string();
    assert!(error.contains("column `image` is list<list<") && error.contains("or a list of either"), "{error}");
}

/// The columns behind the first are the options' pictures where a card names those.
#[test]
fn an_option_is_one_picture() {
    let rest = "answer = \"index\"";
    let choices = "form = \"list\"\nimage_options = [\"The first.\", \"The second.\"]";
    let card = card_with("images = [\"image\", \"zero\", \"one\"]", "choices = \"choices\"", choices, rest);
    let small = png(3, 3);
    let columns = |zero: ArrayRef| -> super::super::testing::Columns {
        vec![
            ("image", lists_of(structs(&[(Some(&small[..]), None); 3]), &[Some(2), Some(1)])),
            ("zero", zero),
            ("one", images(&[Some(&png(4, 4)), None])),
            ("question", strings(&[Some("q"), Some("r")])),
            ("choices", super::super::testing::lists(&[Some(&["choice_0.png", "choice_1.png"]), Some(&["a", "b"])])),
            ("answer", Arc::new(Int8Array::from(vec![0, 1]))),
        ]
    };
    let one = load(&card, columns(lists_of(structs(&[(Some(&small), None)]), &[Some(1), Some(0)]))).expect("one each");
    assert_eq!((one.examples[0].images.as_slice(), one.examples[0].answer_text()), (&[0, 0, 0, 1][..], "The first."));
    let two = load(&card, columns(lists_of(structs(&[(Some(&small[..]), None); 2]), &[Some(2), Some(0)]))).expect_err("two");
    assert!(two.to_string().contains("column `zero`: an option is one picture, and the list has 2"), "{two}");
    let none = load(&card, columns(lists_of(structs(&[]), &[Some(0), Some(0)]))).expect_err("none");
    assert!(none.to_string().contains("the picture of option 0 is not in the file"), "{none}");
}

/// Sound by its header, damaged inside.
fn damaged() -> Vec<u8> {
    let mut encoded = png(40, 40);
    let middle = encoded.len() / 2;
    encoded[middle] ^= 0xff;
    encoded
}

#[test]
fn a_picture_damaged_inside_is_named_or_left_out() {
    let columns = || with(good_columns(), "image", images(&[Some(&png(3, 3)), Some(&damaged())]));
    let preprocess = Preprocess::clip(4);
    let data = load(&card(), columns()).expect("by its header it is sound");
    assert!(data.pixels(0, &preprocess).is_ok());
    let error = data.pixels(1, &preprocess).expect_err("damaged").to_string();
    for part in ["train.parquet: row 1 (counted from 0), column `image`: the image cannot be decoded", "`on_bad_row = \"skip\"`"]
    {
        assert!(error.contains(part), "{error}");
    }
    let data = load(&skipping(card()), columns()).expect("the first row");
    assert_eq!((data.examples.len(), data.images.len(), data.skipped.len(), data.skipped[0].row), (1, 1, 1, 1));
    assert!(data.skipped[0].reason.contains("column `image`: the image cannot be decoded"), "{}", data.skipped[0].reason);
    let limited = Dataset::load(&folder(columns()).path().join("set"), &in_data(skipping(card())), "train", Some(1));
    assert_eq!(limited.expect("one row").skipped.len(), 0, "a row behind the last that was asked for is not judged");
}

#[test]
fn damaged_pictures_in_files_of_their_own() {
    let mut card = in_data(card_with("", "", "form = \"none\"", "answer = \"text\""));
    card.pictures = Some(PictureFiles { key: "key".into(), id: "id".into(), image: "image".into() });
    card.splits.get_mut("train").expect("the split").pictures = vec!["data/pictures.parquet".into()];
    let dir = folder(vec![
        ("question", strings(&[Some("a"), Some("b"), Some("c"), Some("d")])),
        ("answer", strings(&[Some("a"), Some("b"), Some("c"), Some("d")])),
        ("key", strings(&[Some("bad"), Some("good"), Some("bad"), Some("file")])),
    ]);
    let (set, bad) = (dir.path().join("set"), damaged());
    let cells = structs(&[(Some(&bad), None), (Some(&png(3, 3)), None), (None, Some("photos/0.png"))]);
    let pictures = vec![("id", strings(&[Some("bad"), Some("good"), Some("file")])), ("image", cells)];
    write(&set.join("data/pictures.parquet"), pictures);
    let data = Dataset::load(&set, &card, "train", None).expect("by their headers they are sound");
    let error = data.pixels(0, &Preprocess::clip(4)).expect_err("damaged").to_string();
    assert!(error.contains("pictures.parquet: picture `bad`: the image cannot be decoded"), "{error}");
    let data = Dataset::load(&set, &skipping(card), "train", None).expect("two rows");
    let ids: Vec<&str> = data.examples.iter().map(|example| example.id.as_str()).collect();
    let rows: Vec<usize> = data.skipped.iter().map(|skipped| skipped.row).collect();
    assert_eq!((ids, rows), (vec!["train-1", "train-3"], vec![0, 2]));
    assert_eq!(data.files.len(), 3, "{:?}", data.files);
    assert_eq!(&*data.images[data.examples[1].images[0]], png(6, 4));
}

#[test]
fn a_card_may_not_allow_pictures_without_bound() {
    let card = Card { max_image_pixels: 1 << 63, ..card() };
    let error = load(&card, good_columns()).expect_err("too many").to_string();
    assert!(error.contains("`max_image_pixels` is 9223372036854775808; at most 134217728 are read"), "{error}");
}
