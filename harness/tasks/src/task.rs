//! What a task is: what is right, what training descends, how a model answers, and what answers are worth.

use data::Corners;
use schema::card::{AnswerForm, ChoiceForm, Scoring};
use schema::metrics::Row;
use schema::{Card, card};

use crate::cider::Corpus;

/// A row of `fedbench list tasks`. All that asks, trains and judges goes by it; nobody but its file knows it by name.
///
/// Whether a model answers in words or by class is the model's affair ([`models::Spec::encoder`]): a class stands for an answer in words
/// ([`crate::classes`]), so the measures are the same, and [`Loss`] and [`Answering`] are of models that speak. A card's `metric` stays a
/// share, as it is recorded as `accuracy`.
#[derive(Debug, Clone, Copy)]
pub struct TaskRow {
    /// The name that a card's `task` uses.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub sentence: &'static str,
    /// Who asks and judges so.
    pub source: &'static str,
    /// What is right.
    pub target: Target,
    /// What training descends.
    pub loss: Loss,
    /// How a model answers.
    pub answering: Answering,
    /// What a generated text says.
    pub read: fn(&str, &Gold) -> Reading,
    /// What an answer is worth, by name. A card's `metric` is one of them; the others are kept beside it.
    pub scores: &'static [Measure],
}

/// What is right of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// One of its options; a card's prompt says whether it is said as a letter or as a text.
    Choice,
    /// One of the options that all rows have.
    Label,
    /// One text.
    Text,
    /// What several people said; most of them are trained on.
    People,
    /// One text or several, each of them right.
    Texts,
    /// A part of the picture.
    Box,
}

/// What training descends, of a model that speaks. Each variant is one more thing that batches of training examples are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The mean negative log-likelihood of the right answer's tokens.
    AnswerTokens,
}

/// How a model answers that speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    /// It ranks the example's options by likelihood, unless its card says that it generates; it does where there are none.
    Options,
    /// It generates a text.
    Text,
}

impl Answering {
    /// How an example is answered, by its card and by whether it has options.
    pub fn of(self, card: &Card, has_options: bool) -> Scoring {
        match self {
            Self::Options if has_options => card.scoring,
            Self::Options | Self::Text => Scoring::Generation,
        }
    }
}

/// What is right of one example, for whoever reads and judges answers to it.
#[derive(Debug, Clone, Copy)]
pub struct Gold<'a> {
    /// Its options as the model is to say them; none for free text.
    pub options: &'a [String],
    /// How they are said.
    pub said_as: card::Target,
    /// Which of them is right.
    pub option: Option<usize>,
    /// The right answer as the model is to say it.
    pub text: &'a str,
    /// What several people answered, or all that is right as the model is to say it (`answer = "any-of"`); empty where there is one right
    /// answer.
    pub people: &'a [String],
    /// The right part of the picture.
    pub corners: Option<Corners>,
    /// What all test rows' references say together; none where a task has no references.
    pub corpus: Option<&'a Corpus>,
}

impl Gold<'_> {
    /// Whether an option is right.
    pub fn has(&self, option: usize) -> bool {
        self.option == Some(option) || self.options.get(option).is_some_and(|text| self.people.contains(text))
    }
}

/// What a generated text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Nothing that is an answer.
    Nothing,
    /// This option.
    Option(usize),
    /// An answer in words.
    Text,
}

/// An answer to an example.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Its words: an option's, or what was generated.
    pub text: &'a str,
    /// What they say.
    pub reading: Reading,
}

/// What an answer is worth, and what many are worth together.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Its name, unit, direction, definition and source.
    pub row: &'static Row,
    /// Whether it knows more than right (1) and wrong (0).
    pub is_graded: bool,
    /// Of one answer. Of a card's metric it is from 0 to the most of its unit ([`schema::metrics::Unit::most`]); an answer counts as right
    /// from a half on. Of a number of the whole corpus it is whether the answer is right.
    pub of: fn(&Given, &Gold) -> f64,
    /// Of many.
    pub aggregate: Aggregate,
    /// The most that the data let anyone reach, where that may be less than everything.
    pub reach: Option<Best>,
}

/// How answers to many examples become one number.
#[derive(Debug, Clone, Copy)]
pub enum Aggregate {
    /// The mean of what each is worth.
    Mean,
    /// From all of them at once, which words weigh how much for one (CIDEr) among them.
    Corpus(fn(&[Answered]) -> f64),
    /// The same of what single answers have no such number of (BLEU, macro-F1): nothing is recorded of them.
    Whole(fn(&[Answered]) -> f64),
}

/// An example's answer, for a score of the whole corpus.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// What was answered.
    pub text: &'a str,
    /// What is right.
    pub gold: Gold<'a>,
}

/// The best that an answer to an example can be worth.
#[derive(Debug, Clone, Copy)]
pub struct Best {
    /// Of an example.
    pub of: fn(&Gold) -> f64,
    /// With fewer people's answers than these, no answer is worth everything.
    pub people: usize,
    /// With fewer than these, whether people agree cannot be told: such a row is refused.
    pub fewest: usize,
    /// What is to be said and done where every answer to every row is worth nothing; `{rows}` is their number.
    pub if_nothing: &'static str,
}

impl Target {
    /// What is right of a card's rows.
    pub fn of(card: &Card) -> Self {
        match (card.answer, card.choices.form) {
            (AnswerForm::People, _) => Self::People,
            (AnswerForm::Box, _) => Self::Box,
            (_, ChoiceForm::None) => Self::Text,
            (AnswerForm::AnyOf, ChoiceForm::ClosedSet) => Self::Choice,
            (_, ChoiceForm::ClosedSet) => Self::Label,
            _ => Self::Choice,
        }
    }

    /// Whether a task that asks for this takes a card's rows.
    pub fn takes(self, rows: Self) -> bool {
        self == rows || matches!((self, rows), (Self::Texts, Self::Text | Self::People) | (Self::Choice, Self::Label))
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Choice => "options",
            Self::Label => "labels of a closed set",
            Self::Text => "single texts",
            Self::People => "several people's answers",
            Self::Texts => "one or several texts",
            Self::Box => "boxes",
        }
    }
}

impl Aggregate {
    /// What makes one number of all answers; none of a mean.
    pub fn together(self) -> Option<fn(&[Answered]) -> f64> {
        match self {
            Self::Mean => None,
            Self::Corpus(together) | Self::Whole(together) => Some(together),
        }
    }
}

impl TaskRow {
    /// The score of this name.
    pub fn score(&self, name: &str) -> Option<&'static Measure> {
        self.scores.iter().find(|measure| measure.row.name == name)
    }
}
