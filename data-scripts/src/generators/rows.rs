//! Generated rows, in the Hub's schemas and in words alone.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Int8Array, RecordBatch};
use seed::Seed;

use super::boxes::{self, BoxRow};
use super::icongen::{self, IconRow};
use super::scigen::{self, SciRow};
use crate::parquet_out::{batch, images, lists, numbers, strings};

/// What a row says in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextRow {
    /// The topic, within which blanks share their answers.
    pub topic: String,
    /// The hint where there is one, then the question.
    pub question: String,
    /// The options; empty for a blank.
    pub options: Vec<String>,
    /// The right option, or what belongs in the blank.
    pub answer: String,
}

/// Rows of IconGen in the schema of `lmms-lab/ICON-QA`.
pub fn icon_rows(seed: Seed, split: &str, range: Range<usize>) -> RecordBatch {
    let rows: Vec<IconRow> = range.map(|i| icongen::row(seed, split, i)).collect();
    let choice_image =
        |i: usize| images(rows.iter().map(|row| row.choice_images.as_ref().map(|both| &both[i])), &format!("choice_{i}.png"));
    batch(vec![
        ("question_id", strings(&rows, |row| row.question_id.clone())),
        ("question", strings(&rows, |row| row.question.clone())),
        ("choices", strings(&rows, |row| row.choices.join(","))),
        ("answer", strings(&rows, |row| row.answer.clone())),
        ("query_image", images(rows.iter().map(|row| Some(&row.query_image)), "image.png")),
        ("choice_image_0", choice_image(0)),
        ("choice_image_1", choice_image(1)),
        ("ques_type", strings(&rows, |row| row.ques_type.into())),
        ("label", strings(&rows, |row| row.label.clone())),
        ("grade", strings(&rows, |row| row.grade.into())),
        ("skills", strings(&rows, |row| row.skills.into())),
    ])
}

/// Rows of SciGen in the schema of `derek-thomas/ScienceQA`.
pub fn sci_rows(seed: Seed, split: &str, range: Range<usize>) -> RecordBatch {
    let rows: Vec<SciRow> = range.map(|i| scigen::row(seed, split, i)).collect();
    let answers: Int8Array = rows.iter().map(|row| Some(row.answer)).collect();
    batch(vec![
        ("image", images(rows.iter().map(|row| row.image.as_ref()), "image.png")),
        ("question", strings(&rows, |row| row.question.clone())),
        ("choices", lists(rows.iter().map(|row| &row.choices))),
        ("answer", Arc::new(answers)),
        ("hint", strings(&rows, |row| row.hint.clone())),
        ("task", strings(&rows, |_| "closed choice".into())),
        ("grade", strings(&rows, |row| row.grade.clone())),
        ("subject", strings(&rows, |row| row.about.subject.into())),
        ("topic", strings(&rows, |row| row.about.topic.into())),
        ("category", strings(&rows, |row| row.about.category.into())),
        ("skill", strings(&rows, |row| row.about.skill.into())),
        ("lecture", strings(&rows, |row| row.about.lecture.into())),
        ("solution", strings(&rows, |row| row.solution.clone())),
    ])
}

/// Rows of IconGen's boxes.
pub fn box_rows(seed: Seed, split: &str, range: Range<usize>) -> RecordBatch {
    let rows: Vec<BoxRow> = range.map(|i| boxes::row(seed, split, i)).collect();
    batch(vec![
        ("question_id", strings(&rows, |row| row.question_id.clone())),
        ("image", images(rows.iter().map(|row| Some(&row.image)), "image.png")),
        ("question", strings(&rows, |row| row.question.clone())),
        ("bbox", numbers(rows.iter().map(|row| &row.corners[..]))),
        ("shape", strings(&rows, |row| row.shape.into())),
        ("color", strings(&rows, |row| row.colour.into())),
        ("objects", strings(&rows, |row| row.objects.to_string())),
    ])
}

/// The text of a row of IconGen's boxes.
pub fn box_text(seed: Seed, split: &str, index: usize) -> TextRow {
    let row = boxes::row(seed, split, index);
    TextRow { topic: format!("{} {}", row.colour, row.shape), answer: row.answer(), question: row.question, options: Vec::new() }
}

/// The text of a row of IconGen.
pub fn icon_text(seed: Seed, split: &str, index: usize) -> TextRow {
    let row = icongen::row(seed, split, index);
    TextRow { topic: row.skills.into(), question: row.question, options: row.choices, answer: row.answer }
}

/// The text of a row of SciGen.
pub fn sci_text(seed: Seed, split: &str, index: usize) -> TextRow {
    let row = scigen::row(seed, split, index);
    let answer = row.choices[row.answer as usize].clone();
    TextRow { topic: row.about.topic.into(), question: format!("{} {}", row.hint, row.question), options: row.choices, answer }
}
