//! What a cell may mean: letters, booleans, indices from one, lists written as text, tags that are lists; and what is too long.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, StructArray, UInt64Array};
use arrow_schema::Field;
use schema::Card;
use schema::card::{AnswerForm, BadRow, ChoiceForm};
use tempfile::TempDir;

use super::testing::*;
use super::{DataError, Dataset};

fn load(card: &Card, columns: Columns) -> Result<Dataset, DataError> {
    let dir = TempDir::new().expect("temporary folder");
    write(&dir.path().join("train.parquet"), columns);
    Dataset::load(dir.path(), card, "train", None)
}

fn error(card: &Card, columns: Columns) -> String {
    load(card, columns).expect_err("refused").to_string()
}

fn answers(card: &Card, columns: Columns) -> Vec<String> {
    let data = load(card, columns).expect("a good dataset");
    data.examples.iter().map(|example| example.answer_text().to_string()).collect()
}

fn answered(form: AnswerForm) -> Card {
    Card { answer: form, ..card() }
}

fn answer(array: ArrayRef) -> Columns {
    with(good_columns(), "answer", array)
}

#[test]
fn letters() {
    let card = answered(AnswerForm::Letter);
    for (first, second) in [("B", "C"), ("(b)", "c."), (" B) ", "c")] {
        assert_eq!(answers(&card, answer(strings(&[Some(first), Some(second)]))), ["grass", "3"]);
    }
    let beyond = error(&card, answer(strings(&[Some("C"), Some("A")])));
    assert!(beyond.contains("row 0") && beyond.contains("the answer is choice `C`, but the 2 choices are A to B"), "{beyond}");
    let text = error(&card, answer(strings(&[Some("rose"), Some("A")])));
    assert!(text.contains("`rose` is no letter") && text.contains("`answer = \"option-text\"` texts"), "{text}");
    let numbers = error(&card, answer(Arc::new(Int64Array::from(vec![0, 1]))));
    assert!(numbers.contains("column `answer` is int64, but the answer's letter must be a string"), "{numbers}");
    // Both other forms name the way.
    for form in [AnswerForm::Index, AnswerForm::OptionText] {
        let message = error(&answered(form), answer(strings(&[Some("B"), Some("C")])));
        assert!(message.contains("`answer = \"letter\"` in the card reads letters"), "{message}");
    }
}

#[test]
fn indices_from_one_are_not_guessed() {
    let counted = || answer(Arc::new(Int64Array::from(vec![1, 3])));
    let message = error(&card(), counted());
    assert!(message.contains("the answer is choice 3, but the 3 choices are 0 to 2 (`answer = \"index-from-one\"`"), "{message}");
    assert_eq!(answers(&answered(AnswerForm::IndexFromOne), counted()), ["rose", "3"]);
    let zero = error(&answered(AnswerForm::IndexFromOne), answer(Arc::new(Int64Array::from(vec![0, 1]))));
    assert!(zero.contains("the answer is choice 0, but the 2 choices are 1 to 2"), "{zero}");
    // Left out, the row would hide that the other is one off.
    let skip = Card { on_bad_row: BadRow::Skip, ..card() };
    let message = error(&skip, counted());
    assert!(message.contains("1 of the answers are no choice by one, but 0 are the one at the other end"), "{message}");
    assert!(message.contains("row 1: the answer is choice 3"), "{message}");
    // The mirrored case, and a limit before the row that tells.
    let mirrored = Card { on_bad_row: BadRow::Skip, ..answered(AnswerForm::IndexFromOne) };
    let message = error(&mirrored, answer(Arc::new(Int64Array::from(vec![0, 2]))));
    assert!(message.contains("row 0: the answer is choice 0") && message.contains("counts them from zero"), "{message}");
    let dir = TempDir::new().expect("temporary folder");
    write(&dir.path().join("train.parquet"), counted());
    for card in [card(), skip.clone()] {
        let message = Dataset::load(dir.path(), &card, "train", Some(1)).expect_err("one off").to_string();
        assert!(message.contains("row 1: the answer is choice 3"), "{message}");
    }
    assert_eq!(answers(&skip, answer(Arc::new(Int64Array::from(vec![0, 3])))), ["rose"]);
    let large = error(&card(), answer(Arc::new(UInt64Array::from(vec![u64::MAX, 0]))));
    assert!(large.contains("18446744073709551615"), "{large}");
}

fn yes_or_no(form: AnswerForm, values: &[&str]) -> Card {
    let mut card = answered(form);
    card.columns.choices = None;
    card.choices.form = ChoiceForm::ClosedSet;
    card.choices.values = values.iter().map(ToString::to_string).collect();
    card
}

#[test]
fn booleans_say_one_of_two() {
    let flags = || answer(Arc::new(BooleanArray::from(vec![Some(true), Some(false)])));
    assert_eq!(answers(&yes_or_no(AnswerForm::Index, &["no", "yes"]), flags()), ["yes", "no"]);
    assert_eq!(answers(&yes_or_no(AnswerForm::OptionText, &["yes", "no"]), flags()), ["yes", "no"]);
    assert_eq!(answers(&yes_or_no(AnswerForm::OptionText, &["False", "unknown", "True"]), flags()), ["True", "False"]);
    let three = error(&yes_or_no(AnswerForm::Index, &["a", "b", "c"]), flags());
    assert!(three.contains("the answer is true, which says one of two choices, but there are 3"), "{three}");
    for values in [&["red", "blue"][..], &["true", "yes", "no"]] {
        let none = error(&yes_or_no(AnswerForm::OptionText, values), flags());
        assert!(none.contains("the answer is true (a boolean), so one of the choices must be `true` or `yes`"), "{none}");
    }
    for values in [["True", "False"], ["yes", "no"], ["Yes, it is.", "No."]] {
        let contrary = error(&yes_or_no(AnswerForm::Index, &values), flags());
        assert!(contrary.contains("the answer is true (a boolean), which as an index is choice 1"), "{contrary}");
        assert!(contrary.contains("`answer = \"option-text\"`"), "{contrary}");
    }
    let null = error(&yes_or_no(AnswerForm::Index, &["no", "yes"]), answer(Arc::new(BooleanArray::from(vec![None, Some(true)]))));
    assert!(null.contains("row 0") && null.contains("the answer is null"), "{null}");
    let mut text = answered(AnswerForm::Text);
    text.choices.form = ChoiceForm::None;
    text.columns.choices = None;
    let refused = error(&text, flags());
    assert!(refused.contains("column `answer` is bool, but the answer must be") && refused.contains("closed-set"), "{refused}");
    for form in [AnswerForm::Letter, AnswerForm::IndexFromOne] {
        let refused = error(&answered(form), flags());
        assert!(refused.contains("column `answer` is bool"), "{refused}");
    }
}

#[test]
fn lists_written_as_text_are_lists() {
    let python = strings(&[Some("['rose', 'grass, green']"), Some("[\"1\", \"2\", \"3\"]")]);
    let comma = Card { choices: schema::card::Choices { form: ChoiceForm::Comma, ..card().choices }, ..card() };
    for card in [card(), comma.clone()] {
        let data = load(&card, with(good_columns(), "choices", python.clone())).expect("lists");
        assert_eq!(data.examples[0].choices, ["rose", "grass, green"]);
        assert_eq!(data.examples[1].choices, ["1", "2", "3"]);
    }
    for broken in ["['rose' 'grass']", "['rose', 1]", "['rose, grass", "[1, 2]"] {
        let message = error(&comma, with(good_columns(), "choices", strings(&[Some(broken), Some("1,2")])));
        assert!(message.contains("row 0") && message.contains("are no list of quoted texts"), "{message}");
    }
    let numbers = with(good_columns(), "choices", strings(&[Some("['rose', 'grass']"), Some("[1, -2, 3.5]")]));
    assert_eq!(load(&card(), numbers).expect("numbers").examples[1].choices, ["1", "-2", "3.5"]);
    let tuples = with(good_columns(), "choices", strings(&[Some("('rose', 'grass')"), Some("\u{feff}[\"1\", \"2\"]")]));
    assert_eq!(load(&comma, tuples).expect("tuples").examples[0].choices, ["rose", "grass"]);
    for (broken, what) in
        [(r#"{"A": "rose"}"#, "a dictionary"), ("{'rose', 'grass'}", "a set"), ("[['rose']]", "a list of lists")]
    {
        for card in [card(), comma.clone()] {
            let message = error(&card, with(good_columns(), "choices", strings(&[Some(broken), Some("1,2")])));
            assert!(message.contains(&format!("(they look like {what}")), "{message}");
        }
    }
    let plain = with(good_columns(), "choices", strings(&[Some("[a] rose,[b] grass"), Some("1,2")]));
    assert_eq!(load(&comma, plain).expect("joined").examples[0].choices, ["[a] rose", "[b] grass"]);
}

#[test]
fn distractors_that_commas_may_have_cut_make_a_bad_row() {
    let mut comma = Card { choices: schema::card::Choices { form: ChoiceForm::Comma, ..card().choices }, ..card() };
    comma.answer = AnswerForm::OptionText;
    let columns = |joined: &'static str| {
        let columns = with(good_columns(), "choices", strings(&[Some(joined), Some("1,2")]));
        with(columns, "answer", strings(&[Some("1,000"), Some("2")]))
    };
    assert_eq!(load(&comma, columns("1,000,7")).expect("sure").examples[0].choices, ["1,000", "7"]);
    let message = error(&comma, columns("1,000,2,000"));
    assert!(message.contains("row 0") && message.contains("(a comma may part thousands)"), "{message}");
    assert!(message.contains("`1,000` does not settle which; write them as a list (`choices.form = \"list\"`)"), "{message}");
}

/// ARC's column: `struct<text: list<string>, label: list<string>>`, whose labels are letters or digits.
fn labelled(labels: [&[&str]; 2]) -> ArrayRef {
    let texts = lists(&[Some(&["rose", "grass"]), Some(&["1", "2", "3"])]);
    let labels = lists(&[Some(labels[0]), Some(labels[1])]);
    let field = |name: &str, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
    Arc::new(StructArray::from(vec![(field("text", &texts), texts.clone()), (field("label", &labels), labels)]))
}

#[test]
fn labelled_choices_go_by_their_labels() {
    let card = Card { answer: AnswerForm::Letter, ..card() };
    let columns = |choices: ArrayRef, first: &'static str, second: &'static str| {
        with(with(good_columns(), "choices", choices), "answer", strings(&[Some(first), Some(second)]))
    };
    let data = load(&card, columns(labelled([&["A", "B"], &["1", "2", "3"]]), "B", "3")).expect("labelled");
    assert_eq!(data.examples[0].choices, ["rose", "grass"]);
    assert_eq!(data.examples.iter().map(|example| example.answer_text()).collect::<Vec<_>>(), ["grass", "3"]);
    for (labels, answer, why) in [
        (
            [&["A", "B"][..], &["1", "2", "3"]],
            "C",
            "the answer `C` is none of the choices' labels; nearest first, there are: `A`, `B`",
        ),
        ([&["A", "A"], &["1", "2", "3"]], "A", "two choices have the label `A`"),
        ([&["A"], &["1", "2", "3"]], "A", "there are 2 choices and 1 labels"),
    ] {
        let message = error(&card, columns(labelled(labels), answer, "1"));
        assert!(message.contains("row 0") && message.contains(why), "{message}");
    }
    let text =
        load(&Card { answer: AnswerForm::OptionText, ..card }, columns(labelled([&["A", "B"], &["1", "2", "3"]]), "rose", "2"));
    assert_eq!(text.expect("by text").examples[0].answer_text(), "rose");
}

#[test]
fn an_empty_list_written_as_text_is_no_choices() {
    let open = || with(good_columns(), "choices", strings(&[Some("[]"), Some("['1', '2']")]));
    let message = error(&card(), open());
    assert!(message.contains("row 0") && message.contains("no choices; `choices.missing"), "{message}");
    let mut card = card();
    card.choices.missing = schema::card::MissingChoices::Skip;
    assert_eq!(load(&card, open()).expect("one row").skipped[0].row, 0);
    card.choices.missing = schema::card::MissingChoices::Generation;
    assert!(load(&card, open()).expect("both rows").examples[0].choices.is_empty());
}

#[test]
fn one_choice_is_none() {
    let one = with(good_columns(), "choices", lists(&[Some(&["rose"]), Some(&["1", "2"])]));
    let message = error(&card(), one);
    assert!(
        message.contains("row 0") && message.contains("there is one choice, `rose`, which would always be right"),
        "{message}"
    );
    let comma = Card { choices: schema::card::Choices { form: ChoiceForm::Comma, ..card().choices }, ..card() };
    for (text, name) in [("rose;grass", "`;`"), ("rose|grass", "`|`"), ("rose\tgrass", "a tab"), ("rose\ngrass", "a line's end")]
    {
        let message = error(&comma, with(good_columns(), "choices", strings(&[Some(text), Some("1,2")])));
        assert!(message.contains("there is one choice") && message.contains(&format!("(with {name} in it")), "{message}");
    }
    let closed = error(&yes_or_no(AnswerForm::OptionText, &["yes"]), good_columns());
    assert!(closed.contains("`choices.values` has one answer"), "{closed}");
    let spaced = error(&yes_or_no(AnswerForm::OptionText, &["yes", "yes "]), good_columns());
    assert!(spaced.contains("`choices.values` holds `yes ` with spaces around it"), "{spaced}");
}

#[test]
fn generated_answers_must_tell_choices_apart() {
    let mut generated = Card { scoring: schema::card::Scoring::Generation, ..card() };
    for (options, part) in [(["Yes", "yes."], "are the same answer"), (["a", "."], "no answer at all")] {
        let columns = with(good_columns(), "choices", lists(&[Some(&options), Some(&["1", "2"])]));
        assert!(load(&card(), columns.clone()).is_ok(), "likelihoods tell them apart");
        let message = error(&generated, columns);
        assert!(message.contains("row 0") && message.contains(part), "{message}");
    }
    generated.choices.form = ChoiceForm::ClosedSet;
    generated.columns.choices = None;
    generated.choices.values = vec!["No".into(), "no".into()];
    let message = error(&generated, good_columns());
    assert!(message.contains("`choices.values`: the choices `No` and `no` are the same answer"), "{message}");
}

#[test]
fn a_list_is_no_free_answer() {
    let mut free = answered(AnswerForm::Text);
    free.choices.form = ChoiceForm::None;
    free.columns.choices = None;
    let message = error(&free, answer(strings(&[Some("['red']"), Some("x")])));
    assert!(message.contains("the answer `['red']` is a list written as text") && message.contains("people"), "{message}");
    assert_eq!(answers(&free, answer(strings(&[Some("[1, 2]"), Some("(a)")]))), ["[1, 2]", "(a)"]);
}

#[test]
fn names_that_would_mean_something_else_are_refused() {
    let mut shadowed = card();
    shadowed.columns.tags = vec!["context".into()];
    shadowed.breakdowns = vec!["context".into()];
    let message = error(&shadowed, good_columns());
    assert!(message.contains("`breakdowns` holds `context`, which is worked out"), "{message}");
    let mut part = card();
    part.columns.tags = vec![Card::DATASET.into()];
    let message = super::join_cards(&[part]).expect_err("reserved").to_string();
    assert!(message.contains("`columns.tags` holds `dataset`"), "{message}");
    let mut ignored = yes_or_no(AnswerForm::OptionText, &["yes", "no"]);
    ignored.columns.choices = Some("choices".into());
    let message = error(&ignored, good_columns());
    assert!(message.contains("`columns.choices` names `choices`, which `choices.form` ignores"), "{message}");
}

#[test]
fn rows_do_not_count_twice() {
    let dir = TempDir::new().expect("temporary folder");
    write(&dir.path().join("t.parquet"), good_columns());
    let mut card = card();
    card.splits.get_mut("train").expect("the split").files = vec!["*.parquet".into()];
    for hidden in [".t.parquet", "_t.parquet"] {
        write(&dir.path().join(hidden), good_columns());
    }
    assert_eq!(Dataset::load(dir.path(), &card, "train", None).expect("one file").examples.len(), 2);
    let other = dir.path().join("t (1).parquet");
    std::fs::copy(dir.path().join("t.parquet"), &other).expect("copied");
    let same = Dataset::load(dir.path(), &card, "train", None).expect_err("twice").to_string();
    assert!(same.contains("t (1).parquet and ") && same.contains("have the same content"), "{same}");
    std::fs::remove_file(&other).expect("removed");
    std::fs::hard_link(dir.path().join("t.parquet"), &other).expect("linked");
    let linked = Dataset::load(dir.path(), &card, "train", None).expect_err("twice").to_string();
    assert!(linked.contains("names it twice"), "{linked}");
}

#[test]
fn tags_are_whole_and_lists_are_lists() {
    let tags = lists(&[Some(&["counting", "a, b"]), None]);
    let data = load(&card(), with(good_columns(), "topic", tags)).expect("a list of tags");
    assert_eq!(data.examples[0].tags["topic"], r#"["counting","a, b"]"#);
    assert_eq!(data.examples[1].tags["topic"], "");
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
    assert_eq!(load(&card(), with(good_columns(), "topic", flags)).expect("flags").examples[1].tags["topic"], "false");
}

#[test]
fn what_is_too_long_is_a_bad_row() {
    let long = "x".repeat(200_001);
    for column in ["question", "hint"] {
        let message = error(&card(), with(good_columns(), column, strings(&[Some(&long), Some("q")])));
        assert!(
            message.contains("row 0") && message.contains(&format!("the {column} has 200001 characters; the limit is 200000")),
            "{message}"
        );
    }
    let message = error(&card(), with(good_columns(), "topic", strings(&[Some("x"), Some(&long)])));
    assert!(message.contains("row 1") && message.contains("a tag has 200001 characters; the limit is 4096"), "{message}");
    let many: Vec<String> = (0..10_001).map(|option| option.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let message = error(&card(), with(good_columns(), "choices", lists(&[Some(&many), Some(&["1", "2"])])));
    assert!(message.contains("there are 10001 choices; the limit is 10000"), "{message}");
    let comma = Card { choices: schema::card::Choices { form: ChoiceForm::Comma, ..card().choices }, ..card() };
    let message = error(&comma, with(good_columns(), "choices", strings(&[Some(&many.join(",")), Some("1,2")])));
    assert!(message.contains("there are 10001 choices; the limit is 10000"), "{message}");
    let huge = "y".repeat(1_000_001);
    let message = error(&card(), with(good_columns(), "choices", lists(&[Some(&["a", &huge]), Some(&["1", "2"])])));
    assert!(message.contains("the choices have 1000002 characters; the limit is 1000000"), "{message}");
}

#[test]
fn messages_stay_short_whatever_names_are() {
    let long: &'static str = Box::leak("n".repeat(70_000).into_boxed_str());
    let mut columns = good_columns();
    columns.push((long, strings(&[Some("a"), Some("b")])));
    let mut other = card();
    other.columns.question = Some("questoin".repeat(10_000));
    let message = error(&other, columns.clone());
    assert!(message.len() < 4_000 && message.contains("no column `questoin"), "{}", message.len());
    let dir = TempDir::new().expect("temporary folder");
    write(&dir.path().join("train.parquet"), columns.clone());
    let mut keyed = card();
    keyed.columns.tags = vec![long.into()];
    keyed.partition_keys = vec![long.into()];
    let text = super::inspect(dir.path(), &keyed).expect("inspected").to_string();
    assert!(text.contains("nnn\u{2026}") && text.lines().all(|line| line.len() < 1_000), "a name is cut in the table");
    let data = Dataset::load(dir.path(), &keyed, "train", None).expect("good");
    let shards = [super::ShardIndices { train: vec![0, 1], test: vec![] }];
    let table = super::label_table(&shards, &data.examples, long).to_string();
    assert!(table.len() < 1_000 && table.contains("characters"), "{}", table.len());
    let answer = "z".repeat(150_000);
    let message = error(&answered(AnswerForm::OptionText), answer_of(&answer));
    assert!(message.len() < 4_000 && message.contains("is not among the choices"), "{}", message.len());
}

fn answer_of(text: &str) -> Columns {
    answer(strings(&[Some(text), Some("1")]))
}

#[test]
fn a_column_that_is_there_twice_is_ambiguous() {
    let mut columns = good_columns();
    columns.push(("hint", strings(&[Some("other"), Some("other")])));
    let dir = TempDir::new().expect("temporary folder");
    write(&dir.path().join("train.parquet"), columns);
    let error = Dataset::load(dir.path(), &card(), "train", None).expect_err("ambiguous").to_string();
    assert!(error.contains("several columns are called `hint`, which the card names as the hint"), "{error}");
}
