//! What columns are for, by their names.

use super::glance::Glance;

/// Names of a question's column, the usual ones first.
const QUESTION: [&str; 9] = ["question", "questions", "query", "instruction", "prompt", "problem", "sentence", "input", "text"];
/// Of the choices'.
const CHOICES: [&str; 8] =
    ["choices", "options", "candidates", "answer_choices", "multiple_choices", "answer_options", "endings", "choice"];
/// Of the answer's.
const ANSWER: [&str; 24] = [
    "answer",
    "answers",
    "label",
    "labels",
    "correct_answer",
    "correct",
    "answer_idx",
    "answer_index",
    "answerkey",
    "answer_key",
    "gold",
    "target",
    "correct_option",
    "correct_choice_idx",
    "multiple_choice_answer",
    "direct_answers",
    "ground_truth",
    "class",
    "category",
    "output",
    "response",
    "solution",
    "caption",
    "fine_label",
];
const HINT: [&str; 4] = ["hint", "context", "passage", "story"];
const ID: [&str; 8] = ["id", "question_id", "qid", "questionid", "uid", "pid", "sample_id", "example_id"];

/// Different values of a column by which one might part the rows.
const MOST_LABELS: usize = 40;
/// Such columns of a draft.
const MOST_TAGS: usize = 8;

fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace(['-', ' ', '.'], "_")
}

/// Columns whose names are among these, in their order.
fn called<'a>(names: &[&str], all: &'a [Glance]) -> Vec<&'a Glance> {
    names.iter().flat_map(|name| all.iter().filter(move |glance| plain(&glance.name) == *name)).collect()
}

/// The question: by name, or the text column most of whose cells end with a question mark.
pub(super) fn question(all: &[Glance]) -> Option<&Glance> {
    let named = called(&QUESTION, all).into_iter().find(|glance| glance.is_text());
    named.or_else(|| all.iter().find(|glance| glance.is_text() && 2 * glance.asks > glance.rows))
}

/// The choices: a list, a struct of lists, or a text that is one.
pub(super) fn choices(all: &[Glance]) -> Option<&Glance> {
    called(&CHOICES, all).into_iter().find(|glance| !glance.is_picture())
}

/// What may be the answer, the likeliest first.
pub(super) fn answers<'a>(all: &'a [Glance], question: Option<&Glance>, choices: Option<&Glance>) -> Vec<&'a Glance> {
    let taken = |glance: &&Glance| {
        ![question, choices].into_iter().flatten().any(|other| other.name == glance.name) && !glance.is_picture()
    };
    called(&ANSWER, all).into_iter().filter(taken).filter(|glance| glance.nulls < glance.rows).collect()
}

/// A context before the question.
pub(super) fn hint<'a>(all: &'a [Glance], question: Option<&Glance>) -> Option<&'a Glance> {
    let other = |glance: &&Glance| question.is_none_or(|question| question.name != glance.name);
    called(&HINT, all).into_iter().filter(other).find(|glance| glance.is_text() && glance.nulls < glance.rows)
}

/// Unique names of the rows.
pub(super) fn id(all: &[Glance]) -> Option<&Glance> {
    let fits = |glance: &&Glance| glance.is_unique && glance.nulls == 0 && (glance.is_text() || glance.data_type.is_integer());
    called(&ID, all).into_iter().find(fits)
}

/// Columns of few values, by which clients or break-downs may go.
pub(super) fn tags<'a>(all: &'a [Glance], taken: &[&str]) -> Vec<&'a Glance> {
    let kind = |glance: &Glance| {
        glance.is_text() || glance.data_type.is_integer() || glance.data_type == arrow_schema::DataType::Boolean
    };
    let few =
        |glance: &Glance| glance.values.is_some_and(|values| (2..=MOST_LABELS).contains(&values) && 2 * values <= glance.rows);
    let free =
        |glance: &Glance| !taken.contains(&glance.name.as_str()) && glance.name != "answer" && plain(&glance.name) != "split";
    all.iter().filter(|glance| kind(glance) && few(glance) && free(glance)).take(MOST_TAGS).collect()
}
