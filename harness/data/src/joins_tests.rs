//! Answers of several people, pictures in files of their own, files cut into splits, and datasets that are one.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, StringArray, StructArray};
use arrow_schema::Field;

use super::super::testing::*;
use super::tests::{check_error, folder, good, load};
use super::*;

/// VQAv2's column: `list<struct<answer, answer_confidence, answer_id>>`.
fn said(rows: &[&[&str]]) -> ArrayRef {
    let answers: Vec<&str> = rows.concat();
    let count = answers.len();
    let fields = vec![
        ("answer", Arc::new(StringArray::from(answers)) as ArrayRef),
        ("answer_confidence", Arc::new(StringArray::from(vec!["yes"; count])) as ArrayRef),
        ("answer_id", Arc::new(Int64Array::from_iter_values(1..=count as i64)) as ArrayRef),
    ];
    let answers = Arc::new(StructArray::try_from(fields).expect("fields of one length"));
    let flat = lists(&rows.iter().map(|row| Some(*row)).collect::<Vec<_>>());
    let offsets = flat.as_list::<i32>().offsets().clone();
    Arc::new(ListArray::new(Arc::new(Field::new("item", answers.data_type().clone(), true)), offsets, answers, None))
}

fn people_card() -> Card {
    let card = card_with("", "skip = \"hard\"", "form = \"none\"", "answer = \"people\"");
    Card { metric: "vqa-accuracy".into(), ..card }
}

fn people_columns(answers: ArrayRef) -> Columns {
    vec![
        ("question", strings(&[Some("Who?"), Some("Why?"), Some("When?")])),
        ("answer", answers),
        ("hard", Arc::new(BooleanArray::from(vec![Some(false), Some(true), None]))),
    ]
}

#[test]
fn several_peoples_answers_in_every_shape() {
    let structs = said(&[&["me", "you", "you"], &["because"], &["now"]]);
    let list = lists(&[Some(&["me", "you", "you"]), Some(&["because"]), Some(&["now"])]);
    let text = strings(&[Some("['me', 'you', \"you\"]"), Some("['because']"), Some("['now']")]);
    for answers in [structs, list, text] {
        let data = good(&people_card(), people_columns(answers));
        let [first, second] = &data.examples[..] else { panic!("two rows") };
        let Answer::People { gold, all } = &first.answer else { panic!("people's answers") };
        assert_eq!((gold.as_str(), all.join(" ").as_str(), second.answer_text()), ("you", "me you you", "now"));
        assert_eq!((data.skipped.len(), data.skipped[0].row), (1, 1));
        assert!(data.skipped[0].reason.contains("column `hard` is true"), "{}", data.skipped[0].reason);
    }
    let broken = strings(&[Some("me"), Some("['x']"), Some("['x']")]);
    check_error(load(&people_card(), people_columns(broken)), &["train.parquet", "row 0 ", "no list of quoted texts"]);
    let escaped = strings(&[Some(r#"["a\nb"]"#), Some("['x']"), Some("['\\xe9']")]);
    let data = good(&people_card(), people_columns(escaped));
    assert_eq!(data.examples.iter().map(Example::answer_text).collect::<Vec<_>>(), ["a\nb", "\u{e9}"]);
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    check_error(load(&people_card(), people_columns(numbers)), &["column `answer` is int32", "list of struct<answer: string>"]);
}

#[test]
fn metrics_and_answers_go_together() {
    let wrong = Card { metric: "vqa-acuracy".into(), ..people_card() };
    check_error(load(&wrong, good_columns()), &["unknown metric `vqa-acuracy`", "there are: `vqa-accuracy`"]);
    let wrong = Card { metric: "accuracy".into(), ..people_card() };
    check_error(load(&wrong, good_columns()), &["metric `accuracy` and `answer` do not go together"]);
    let wrong = Card { breakdowns: vec!["topc".into()], ..card() };
    check_error(load(&wrong, good_columns()), &["`breakdowns` holds `topc`", "`context`"]);
    let wrong = Card { breakdowns: vec!["grade_band".into()], ..card() };
    check_error(load(&wrong, good_columns()), &["`breakdowns` holds `grade_band`", "needs a tag `grade`"]);
}

/// GQA's two configurations: questions name their picture, which lies in another file.
#[test]
fn pictures_in_files_of_their_own() {
    let mut card = card_with("", "", "form = \"none\"", "answer = \"text\"");
    card.pictures = Some(PictureFiles { key: "imageId".into(), id: "id".into(), image: "image".into() });
    card.splits.get_mut("train").expect("the split").pictures = vec!["pictures-*.parquet".into()];
    let questions = |keys: &[Option<&str>]| -> Columns {
        vec![
            ("question", strings(&[Some("Who?"), Some("Why?"), Some("When?")])),
            ("answer", strings(&[Some("me"), Some("so"), Some("now")])),
            ("imageId", strings(keys)),
        ]
    };
    let (small, wide) = (png(3, 3), png(5, 3));
    let join = |keys: &[Option<&str>]| {
        let dir = folder(questions(keys));
        let pictures: Columns = vec![
            ("id", strings(&[Some("p2"), Some("p9"), Some("p1")])),
            ("image", images(&[Some(&wide), Some(&png(7, 7)), Some(&small)])),
        ];
        write(&dir.path().join("pictures-0.parquet"), pictures);
        Dataset::load(dir.path(), &card, "train", None)
    };
    let data = join(&[Some("p1"), Some("p2"), Some("p1")]).expect("a good dataset");
    let shown: Vec<&[u8]> = data.examples.iter().map(|example| &*data.images[example.images[0]]).collect();
    assert_eq!(shown, [&small[..], &wide, &small]);
    assert_eq!((data.images.len(), data.examples[1].raw_bytes), (2, wide.len() as u64 + 6));
    check_error(join(&[Some("p1"), Some("p5"), Some("p4")]), &["column `id` has no `p4`", "example `train-2`", "1 more"]);
    check_error(join(&[Some("p1"), None, Some("p1")]), &["row 1 ", "the picture's name is null"]);
    let dir = folder(questions(&[Some("p1"), Some("p1"), Some("p1")]));
    check_error(Dataset::load(dir.path(), &card, "train", None), &["pictures-*.parquet"]);
}

#[test]
fn folds_cut_one_file_into_splits_that_cover_it() {
    let dir = folder(good_columns());
    let mut card = card();
    let whole = card.splits["train"].clone();
    for fold in 0..2 {
        let fold_of = Fold { of: 2, keep: vec![fold] };
        card.splits.insert(format!("fold-{fold}"), schema::card::Split { fold: Some(fold_of), ..whole.clone() });
    }
    let ids = |split: &str| -> Vec<String> {
        let data = Dataset::load(dir.path(), &card, split, None).expect("a good dataset");
        data.examples.into_iter().map(|example| example.question).collect()
    };
    assert_eq!([ids("fold-0"), ids("fold-1")].concat(), ids("train"));
    let beyond = schema::card::Split { fold: Some(Fold { of: 2, keep: vec![2] }), ..whole };
    card.splits.insert("beyond".into(), beyond);
    check_error(Dataset::load(dir.path(), &card, "train", None), &["`fold` of split `beyond`", "from 0 to `of` - 1"]);
}

#[test]
fn datasets_join_without_mixing() {
    let (plants, mut animals) = (good(&card(), good_columns()), card());
    animals.name = "animals".into();
    let other = good(&animals, good_columns());
    let joined = Dataset::join(vec![plants.clone(), other]).expect("two datasets");
    assert_eq!((joined.card.name.as_str(), joined.card.parts.len()), ("mini+animals", 2));
    let ids: Vec<&str> = joined.examples.iter().map(|example| example.id.as_str()).collect();
    assert_eq!(ids, ["mini/train-0", "mini/train-1", "animals/train-0", "animals/train-1"]);
    assert_eq!((joined.examples[2].images.as_slice(), joined.images.len()), (&[1][..], 2));
    assert_eq!(joined.examples[3].label("dataset").as_deref(), Some("animals"));
    check_error(Dataset::join(vec![plants.clone(), plants.clone()]), &["`mini`", "twice"]);
    let measured = Card { name: "other".into(), metric: "vqa-accuracy".into(), ..(*plants.card).clone() };
    let other = Dataset { card: Arc::new(measured), ..plants.clone() };
    let mixed = Dataset::join(vec![plants, other]).expect("each is judged by its own metric");
    assert!(mixed.card.is_mixed() && mixed.card.metric == "accuracy + vqa-accuracy", "{}", mixed.card.metric);
}
