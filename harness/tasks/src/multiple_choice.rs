//! Questions with options, one of which is right.

use data::prompt::parse_choice;
use schema::metrics::Score;

use crate::short_answer;
use crate::task::{Aggregate, Answering, Given, Gold, Loss, Measure, Reading, Target, TaskRow};

/// The likeliest option is the answer, or the one that a generated text names, as the card's `scoring` says. A row without options
/// (`choices.missing = "generation"`) is a short answer.
pub const MULTIPLE_CHOICE: TaskRow = TaskRow {
    name: "multiple-choice",
    sentence: "A question with options, one of them right; the model ranks them by likelihood, or names one in a generated text.",
    source: "ScienceQA tools/evaluate_acc.py; IconQA tools/sub_acc.py; LLaVA eval_science_qa.py",
    target: Target::Choice,
    loss: Loss::AnswerTokens,
    answering: Answering::Options,
    read,
    scores: &[Measure {
        row: Score::Accuracy.row().expect("a score is in the table"),
        is_graded: false,
        of: |given, gold| f64::from(u8::from(is_right(given, gold))),
        aggregate: Aggregate::Mean,
        reach: None,
    }],
};

pub(crate) fn read(text: &str, gold: &Gold) -> Reading {
    match gold.options.is_empty() {
        true => short_answer::read(text, gold),
        false => parse_choice(text, gold.options, gold.said_as).map_or(Reading::Nothing, Reading::Option),
    }
}

pub(crate) fn is_right(given: &Given, gold: &Gold) -> bool {
    match given.reading {
        _ if gold.options.is_empty() => short_answer::is_right(given, gold),
        Reading::Option(option) => gold.has(option),
        Reading::Nothing | Reading::Text => false,
    }
}
