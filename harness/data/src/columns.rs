//! The columns a card names, found in a parquet file and read row by row.
//!
//! The reader ignores the Arrow schema that a writer may have embedded and goes by parquet's own types. Every flavour of a type
//! (large strings and lists, views, dictionaries) then arrives as the plain one, and this file meets few types.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema};
use schema::card::{AnswerForm, Card, ChoiceForm, PictureFiles};

use super::boxes::BoxCell;
use super::error::{DataError, brief, listed};
use super::list_text;
use super::people::PeopleCell;
use super::picture_cell::{self, ImageCell};

/// Columns that a message describes.
const DESCRIBED: usize = 20;

/// The field of a struct that holds an answer (VQAv2).
const ANSWER: &str = "answer";
/// The fields of a struct that hold the choices, and what each is called (ARC).
const LABELLED: [&str; 2] = ["text", "label"];

/// What a column is for, hence which types it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// What a box is called: a text, or several.
    Expressions,
    TextOrInteger,
    /// An id, a tag, a picture's name.
    Name,
    /// A tag: a name, or several.
    Tag,
    /// An answer that picks a choice, which a boolean does, too.
    Pick,
    Image,
    /// A list of texts, one written as a text, or a struct of lists: texts and their labels.
    List,
    People,
    Box,
    Flag,
}

impl Kind {
    fn wanted(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Expressions => "a string, or a list of strings",
            Self::TextOrInteger => {
                "a string or an integer (a boolean is read as one of two choices: `choices.form = \"closed-set\"` with `values = \
                 [\"no\", \"yes\"]`, and `answer = \"index\"`)"
            }
            Self::Name => "a string, an integer or a boolean",
            Self::Tag => "a string, an integer, a boolean or a list of strings",
            Self::Pick => "a string, an integer or a boolean",
            Self::Image => "struct<bytes: binary, path: string>, binary, or a list of either",
            Self::Box => "a list of four numbers, or one written as a string",
            Self::People => "a list of strings, a list of struct<answer: string>, or a list written as a string",
            Self::Flag => "a boolean",
            Self::List => {
                "a list of strings, such a list written as a string, or struct<text: list<string>, label: list<string>> \
                 (`choices.form = \"comma\"` reads one joined by commas)"
            }
        }
    }

    fn accepts(self, found: &DataType) -> bool {
        let text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::Null);
        match (self, found) {
            (_, DataType::Null)
            | (
                Self::Text | Self::Expressions | Self::TextOrInteger | Self::Name | Self::Tag | Self::Pick | Self::List,
                DataType::Utf8,
            ) => true,
            (Self::Tag | Self::Expressions, DataType::List(field)) => text(field.data_type()),
            (Self::TextOrInteger, kind) => kind.is_integer(),
            (Self::Name | Self::Tag | Self::Pick, kind) => kind.is_integer() || *kind == DataType::Boolean,
            (Self::Image, kind) => picture_cell::accepts(kind),
            (Self::Box, DataType::Utf8) => true,
            (Self::Box, DataType::List(field)) => field.data_type().is_numeric(),
            (Self::List, DataType::List(field)) => text(field.data_type()),
            (Self::List, DataType::Struct(fields)) => LABELLED.iter().all(|name| {
                let list = |kind: &DataType| matches!(kind, DataType::List(item) if text(item.data_type()));
                fields.iter().any(|field| field.name() == name && list(field.data_type()))
            }),
            (Self::People, DataType::Utf8) | (Self::Flag, DataType::Boolean) => true,
            (Self::People, DataType::List(field)) => match field.data_type() {
                DataType::Struct(fields) => fields.iter().any(|field| field.name() == ANSWER && text(field.data_type())),
                kind => text(kind),
            },
            (Self::People, DataType::Struct(fields)) => fields.iter().any(|field| {
                field.name() == ANSWER && matches!(field.data_type(), DataType::List(item) if text(item.data_type()))
            }),
            _ => false,
        }
    }
}

/// The columns that a card names, each with what it is for.
fn wanted(card: &Card) -> Vec<(&str, &'static str, Kind)> {
    let columns = &card.columns;
    let question = if card.answer == AnswerForm::Box { Kind::Expressions } else { Kind::Text };
    let mut wanted: Vec<_> = columns.question.iter().map(|name| (name.as_str(), "the question", question)).collect();
    wanted.extend(columns.images.iter().map(|name| (name.as_str(), "an image", Kind::Image)));
    match (card.choices.form, &columns.choices) {
        (ChoiceForm::List, Some(name)) => wanted.push((name, "the choices", Kind::List)),
        (ChoiceForm::Comma, Some(name)) => wanted.push((name, "the choices", Kind::Text)),
        _ => {}
    }
    match card.answer {
        AnswerForm::People => wanted.push((&columns.answer, "people's answers", Kind::People)),
        AnswerForm::AnyOf => wanted.push((&columns.answer, "the right answers", Kind::People)),
        AnswerForm::Box => wanted.push((&columns.answer, "the box", Kind::Box)),
        AnswerForm::Index | AnswerForm::OptionText => wanted.push((&columns.answer, "the answer", Kind::Pick)),
        AnswerForm::Letter => wanted.push((&columns.answer, "the answer's letter", Kind::Text)),
        AnswerForm::IndexFromOne | AnswerForm::Text => wanted.push((&columns.answer, "the answer", Kind::TextOrInteger)),
    }
    wanted.extend(columns.skip.iter().map(|name| (name.as_str(), "what is left out", Kind::Flag)));
    wanted.extend(card.pictures.iter().map(|pictures| (pictures.key.as_str(), "the picture's name", Kind::Name)));
    wanted.extend(columns.hint.iter().map(|name| (name.as_str(), "the hint", Kind::Text)));
    wanted.extend(columns.id.iter().map(|name| (name.as_str(), "the id", Kind::Name)));
    wanted.extend(columns.tags.iter().map(|name| (name.as_str(), "a tag", Kind::Tag)));
    wanted
}

/// The indices of the top-level columns that the card names; an error where one is missing or of a type that cannot serve.
pub(super) fn project(path: &Path, card: &Card, found: &Schema) -> Result<Vec<usize>, DataError> {
    project_all(path, wanted(card), found)
}

/// The same of the answer alone, and of what is left out.
pub(super) fn project_label(path: &Path, card: &Card, found: &Schema) -> Result<Vec<usize>, DataError> {
    let wanted =
        wanted(card).into_iter().filter(|(name, ..)| *name == card.columns.answer || card.columns.skip.as_deref() == Some(*name));
    project_all(path, wanted.collect(), found)
}

/// A row's label; none of one that is null or left out.
pub(super) fn label(batch: &RecordBatch, card: &Card, row: usize) -> Option<String> {
    let is_left_out =
        card.columns.skip.as_ref().and_then(|name| batch.column_by_name(name)).is_some_and(|array| flag(array, row));
    let label = || text_or_integer(batch.column_by_name(&card.columns.answer)?, row);
    label().filter(|_| !is_left_out).map(|label| label.trim().to_owned())
}

/// The same for the files with pictures.
pub(super) fn project_pictures(path: &Path, pictures: &PictureFiles, found: &Schema) -> Result<Vec<usize>, DataError> {
    let wanted =
        vec![(pictures.id.as_str(), "the pictures' names", Kind::Name), (pictures.image.as_str(), "the pictures", Kind::Image)];
    project_all(path, wanted, found)
}

fn project_all(path: &Path, wanted: Vec<(&str, &'static str, Kind)>, found: &Schema) -> Result<Vec<usize>, DataError> {
    let all: Vec<(String, String)> =
        found.fields().iter().map(|field| (field.name().clone(), brief(&type_name(field.data_type())))).collect();
    let bad = |message: String, wanted: &str| DataError::Column {
        path: path.into(),
        message: format!("{message}; nearest first, there are: {}", described(wanted, &all)),
    };
    let mut indices = Vec::new();
    for (column, role, kind) in wanted {
        let mut named = all.iter().enumerate().filter(|(_, (name, _))| name == column).map(|(index, _)| index);
        let Some(index) = named.next() else {
            return Err(bad(format!("no column `{}`, which the card names as {role}", brief(column)), column));
        };
        if named.next().is_some() {
            return Err(bad(format!("several columns are called `{}`, which the card names as {role}", brief(column)), column));
        }
        if !kind.accepts(found.field(index).data_type()) {
            let fraction = match found.field(index).data_type() {
                kind if kind.is_floating() || kind.is_decimal() => " (cast whole numbers to an integer)",
                _ => "",
            };
            let message =
                format!("column `{}` is {}, but {role} must be {}{fraction}", brief(column), all[index].1, kind.wanted());
            return Err(bad(message, column));
        }
        indices.push(index);
    }
    Ok(indices)
}

/// The columns that exist, nearest to `wanted` first, with their types.
fn described(wanted: &str, all: &[(String, String)]) -> String {
    let names = schema::nearest(wanted, all.iter().map(|(name, _)| name.as_str()));
    let kind = |name: &str| all.iter().find(|(other, _)| other == name).map_or("", |(_, kind)| kind.as_str());
    let shown: Vec<String> = names.iter().take(DESCRIBED).map(|name| format!("`{}` ({})", brief(name), kind(name))).collect();
    match names.len() {
        0 => listed("", []),
        count if count > DESCRIBED => format!("{} and {} more", shown.join(", "), count - DESCRIBED),
        _ => shown.join(", "),
    }
}

/// A type as a dataset's page on the Hub names it.
pub(super) fn type_name(kind: &DataType) -> String {
    match kind {
        DataType::Utf8 => "string".into(),
        DataType::Boolean => "bool".into(),
        DataType::List(field) => format!("list<{}>", type_name(field.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{}: {}", field.name(), type_name(field.data_type()))).collect();
            format!("struct<{}>", fields.join(", "))
        }
        other => other.to_string().to_lowercase(),
    }
}

/// One row's cells, as the file has them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cells<'a> {
    pub id: Option<String>,
    pub question: &'a str,
    pub hint: &'a str,
    /// The pictures in the card's order.
    pub images: Vec<ImageCell<'a>>,
    pub choices: ChoiceCell<'a>,
    pub answer: AnswerCell<'a>,
    pub people: PeopleCell<'a>,
    pub boxed: BoxCell<'a>,
    /// Whether the card's column of rows to leave out is true.
    pub skip: bool,
    /// The name of the picture in files of their own.
    pub picture: Option<String>,
    /// In the card's order; null is "", a list is written as one (JSON).
    pub tags: Vec<String>,
}

/// A cell of the choices column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ChoiceCell<'a> {
    Missing,
    List(Vec<Option<&'a str>>),
    /// The choices, and what each is called: `A`, `1`.
    Labelled(Vec<Option<&'a str>>, Vec<Option<&'a str>>),
    Text(&'a str),
}

/// A cell of the answer column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum AnswerCell<'a> {
    Missing,
    Integer(i128),
    Flag(bool),
    Text(&'a str),
}

/// The cells of one row of a batch that holds the card's columns.
pub(super) fn cells<'a>(batch: &'a RecordBatch, card: &'a Card, row: usize) -> Cells<'a> {
    let columns = &card.columns;
    let column = |name: &str| batch.column_by_name(name).expect("`project` found every column of the card");
    let optional = |name: &Option<String>| name.as_ref().map(|name| column(name));
    Cells {
        id: optional(&columns.id).and_then(|array| text_or_integer(array, row)),
        question: match &card.question {
            Some(asked) => asked,
            None => optional(&columns.question).and_then(|array| expression(array, row)).unwrap_or_default(),
        },
        hint: optional(&columns.hint).and_then(|array| text(array, row)).unwrap_or_default(),
        images: columns.images.iter().map(|name| picture_cell::read(column(name), row)).collect(),
        choices: match card.choices.form {
            ChoiceForm::List | ChoiceForm::Comma => {
                optional(&columns.choices).map_or(ChoiceCell::Missing, |array| choices(array, row))
            }
            ChoiceForm::ClosedSet | ChoiceForm::None => ChoiceCell::Missing,
        },
        answer: match card.answer {
            AnswerForm::People | AnswerForm::AnyOf | AnswerForm::Box => AnswerCell::Missing,
            _ => answer(column(&columns.answer), row),
        },
        people: match card.answer {
            AnswerForm::People | AnswerForm::AnyOf => people(column(&columns.answer), row),
            _ => PeopleCell::Missing,
        },
        boxed: match card.answer {
            AnswerForm::Box => boxed(column(&columns.answer), row),
            _ => BoxCell::Missing,
        },
        skip: optional(&columns.skip).is_some_and(|array| flag(array, row)),
        picture: card.pictures.as_ref().and_then(|pictures| text_or_integer(column(&pictures.key), row)),
        tags: columns.tags.iter().map(|name| tag(column(name), row)).collect(),
    }
}

fn text(array: &ArrayRef, row: usize) -> Option<&str> {
    let strings = array.as_string_opt::<i32>()?;
    strings.is_valid(row).then(|| strings.value(row))
}

fn choices(array: &ArrayRef, row: usize) -> ChoiceCell<'_> {
    if let Some(joined) = text(array, row) {
        return if joined.trim().is_empty() { ChoiceCell::Missing } else { ChoiceCell::Text(joined) };
    }
    if let Some(group) = array.as_struct_opt() {
        let [options, labels] =
            LABELLED.map(|name| group.is_valid(row).then(|| texts(group.column_by_name(name)?, row)).flatten());
        return options.map_or(ChoiceCell::Missing, |options| ChoiceCell::Labelled(options, labels.unwrap_or_default()));
    }
    texts(array, row).map_or(ChoiceCell::Missing, ChoiceCell::List)
}

/// The texts of a list; none where it is null or empty.
fn texts(array: &ArrayRef, row: usize) -> Option<Vec<Option<&str>>> {
    let lists = array.as_list_opt::<i32>().filter(|lists| lists.is_valid(row))?;
    let (start, end) = (lists.value_offsets()[row] as usize, lists.value_offsets()[row + 1] as usize);
    (start < end).then(|| (start..end).map(|item| text(lists.values(), item)).collect())
}

/// A tag's text; of a list, its texts as a list written as text ([`super::list_text::list`] reads it back).
fn tag(array: &ArrayRef, row: usize) -> String {
    match choices(array, row) {
        ChoiceCell::List(texts) => {
            let texts: Vec<&str> = texts.into_iter().flatten().collect();
            serde_json::Value::from(texts).to_string()
        }
        _ => text_or_integer(array, row).unwrap_or_default(),
    }
}

/// Items of a cell that is a list, or a text that is one; none of another cell.
pub(super) fn items(array: &ArrayRef, row: usize) -> Option<usize> {
    match (people(array, row), choices(array, row)) {
        (PeopleCell::List(texts), _) | (_, ChoiceCell::Labelled(texts, _)) => Some(texts.len()),
        (PeopleCell::Text(text), _) => {
            list_text::sequence(text).or_else(|| list_text::numbers(text)).map(|texts| texts.len()).filter(|&count| count > 0)
        }
        (PeopleCell::Missing, _) => None,
    }
}

/// A cell as a person is shown it; none of a type that has no text.
pub(super) fn shown(array: &ArrayRef, row: usize) -> Option<String> {
    if let (PeopleCell::List(texts), _) | (_, ChoiceCell::Labelled(texts, _)) = (people(array, row), choices(array, row)) {
        let texts: Vec<&str> = texts.into_iter().flatten().collect();
        return (!texts.is_empty()).then(|| serde_json::Value::from(texts).to_string());
    }
    let float = || array.as_primitive_opt::<Float64Type>().map(|numbers| numbers.value(row).to_string());
    text_or_integer(array, row).or_else(float)
}

fn answer(array: &ArrayRef, row: usize) -> AnswerCell<'_> {
    if let Some(flags) = array.as_boolean_opt().filter(|flags| flags.is_valid(row)) {
        return AnswerCell::Flag(flags.value(row));
    }
    match (text(array, row), integer(array, row)) {
        (Some(text), _) => AnswerCell::Text(text),
        (_, Some(number)) => AnswerCell::Integer(number),
        _ => AnswerCell::Missing,
    }
}

/// A row of a file with pictures: its name and its cell; none where the name is null.
pub(super) fn picture<'a>(batch: &'a RecordBatch, pictures: &PictureFiles, row: usize) -> Option<(String, ImageCell<'a>)> {
    let cell = picture_cell::read(batch.column_by_name(&pictures.image)?, row);
    let id = text_or_integer(batch.column_by_name(&pictures.id)?, row)?;
    Some((id, cell))
}

/// A text, or the first of several that call one thing.
fn expression(array: &ArrayRef, row: usize) -> Option<&str> {
    text(array, row).or_else(|| texts(array, row)?.into_iter().flatten().find(|text| !text.trim().is_empty()))
}

/// The numbers of a list, of whatever type.
fn boxed(array: &ArrayRef, row: usize) -> BoxCell<'_> {
    if let Some(text) = text(array, row) {
        return BoxCell::Text(text);
    }
    let Some(lists) = array.as_list_opt::<i32>().filter(|lists| lists.is_valid(row)) else { return BoxCell::Missing };
    let (start, end) = (lists.value_offsets()[row] as usize, lists.value_offsets()[row + 1] as usize);
    // A longer list is no box, however long it is.
    BoxCell::Numbers((start..end.min(start + 64)).map(|item| number(lists.values(), item)).collect())
}

fn number(array: &ArrayRef, row: usize) -> Option<f64> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Float32 => Some(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Some(array.as_primitive::<Float64Type>().value(row)),
        DataType::Float16 => Some(array.as_primitive::<Float16Type>().value(row).into()),
        _ => integer(array, row).map(|number| number as f64),
    }
}

fn flag(array: &ArrayRef, row: usize) -> bool {
    array.as_boolean_opt().is_some_and(|flags| flags.is_valid(row) && flags.value(row))
}

/// Texts, structs with a text, or (as old versions of `datasets` write them) a struct of a list of texts.
fn people(array: &ArrayRef, row: usize) -> PeopleCell<'_> {
    if let Some(text) = text(array, row) {
        return PeopleCell::Text(text);
    }
    let array = match array.as_struct_opt() {
        Some(group) if group.is_valid(row) => group.column_by_name(ANSWER),
        Some(_) => None,
        None => Some(array),
    };
    let Some(lists) = array.and_then(|array| array.as_list_opt::<i32>()).filter(|lists| lists.is_valid(row)) else {
        return PeopleCell::Missing;
    };
    let texts = lists.values().as_struct_opt().and_then(|group| group.column_by_name(ANSWER)).unwrap_or(lists.values());
    let (start, end) = (lists.value_offsets()[row] as usize, lists.value_offsets()[row + 1] as usize);
    PeopleCell::List((start..end).map(|item| text(texts, item)).collect())
}

fn text_or_integer(array: &ArrayRef, row: usize) -> Option<String> {
    if let Some(flags) = array.as_boolean_opt().filter(|flags| flags.is_valid(row)) {
        return Some(flags.value(row).to_string());
    }
    text(array, row).map(str::to_string).or_else(|| integer(array, row).map(|number| number.to_string()))
}

fn integer(array: &ArrayRef, row: usize) -> Option<i128> {
    if array.is_null(row) {
        return None;
    }
    macro_rules! value {
        ($kind:ty) => {
            Some(i128::from(array.as_primitive::<$kind>().value(row)))
        };
    }
    match array.data_type() {
        DataType::Int8 => value!(Int8Type),
        DataType::Int16 => value!(Int16Type),
        DataType::Int32 => value!(Int32Type),
        DataType::Int64 => value!(Int64Type),
        DataType::UInt8 => value!(UInt8Type),
        DataType::UInt16 => value!(UInt16Type),
        DataType::UInt32 => value!(UInt32Type),
        DataType::UInt64 => value!(UInt64Type),
        _ => None,
    }
}
