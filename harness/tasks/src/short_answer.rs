//! Questions with one right answer in words.

use data::prompt::normalize;
use schema::metrics::Score;

use crate::task::{Aggregate, Answering, Given, Gold, Loss, Measure, Reading, Target, TaskRow};

/// A generated text is right where it is the answer, whatever its case and spaces.
pub const SHORT_ANSWER: TaskRow = TaskRow {
    name: "short-answer",
    sentence: "A question with one right answer in words; the model generates, and says the same words or not.",
    source: "ScienceQA tools/evaluate_acc.py; IconQA tools/sub_acc.py",
    target: Target::Text,
    loss: Loss::AnswerTokens,
    answering: Answering::Text,
    read,
    scores: &[Measure {
        row: Score::Accuracy.row().expect("a score is in the table"),
        is_graded: false,
        of: |given, gold| f64::from(u8::from(is_right(given, gold))),
        aggregate: Aggregate::Mean,
        reach: None,
    }],
};

/// Any word is an answer.
pub(crate) fn read(text: &str, _: &Gold) -> Reading {
    if normalize(text).is_empty() { Reading::Nothing } else { Reading::Text }
}

/// Whether a free answer is the right one, or one of those.
pub(crate) fn is_right(given: &Given, gold: &Gold) -> bool {
    let text = normalize(given.text);
    match gold.people {
        [] => text == normalize(gold.text),
        all => all.iter().any(|right| text == normalize(right)),
    }
}
