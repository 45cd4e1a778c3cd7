//! One question with its pictures, choices and answer, and why a row is none.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use schema::Card;

/// One question with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Unique in its split: the card's id column, or `<split>-<row>`.
    pub id: String,
    /// The question.
    pub question: String,
    /// A context shown before the question; may be empty.
    pub hint: String,
    /// The options as a prompt shows them; empty for free text.
    pub choices: Vec<String>,
    /// The right answer.
    pub answer: Answer,
    /// Its pictures, as indices into [`crate::Dataset::images`].
    pub images: Vec<usize>,
    /// How its dataset is asked and answered.
    pub card: Arc<Card>,
    /// The card's tag columns by name; null is "".
    pub tags: BTreeMap<String, String>,
    /// Its row among its split's files, from 0.
    pub row: usize,
    /// Bytes of its encoded pictures and its text: what sending the raw row would cost.
    pub raw_bytes: u64,
}

impl Example {
    /// What a partition splits by: the tag `key`, or for `answer` the right answer's text; none for an unknown key.
    pub fn label(&self, key: &str) -> Option<String> {
        match self.tags.get(key) {
            Some(tag) => Some(tag.clone()),
            None => (key == "answer").then(|| self.answer_text().to_string()),
        }
    }

    /// The text of the right choice, or the free-text answer.
    pub fn answer_text(&self) -> &str {
        match &self.answer {
            Answer::Choice(index) | Answer::AnyOf { gold: index, .. } => &self.choices[*index],
            Answer::Text(text) | Answer::People { gold: text, .. } | Answer::Box { text, .. } => text,
        }
    }
}

/// Where a picture stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The parquet file.
    pub file: Arc<Path>,
    /// Row and column, or the picture's name.
    pub place: String,
}

/// The corners of a box: left, top, right and bottom, as shares of the picture's width and height; each is finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corners(pub [f64; 4]);

impl Eq for Corners {}

impl Hash for Corners {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // 0 and -0 are equal.
        self.0.map(|number| (number + 0.0).to_bits()).hash(state);
    }
}

/// The right answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The index of the right choice.
    Choice(usize),
    /// Free text.
    Text(String),
    /// Several right choices.
    AnyOf {
        /// The index of the one that is trained on.
        gold: usize,
        /// All of them, ascending.
        all: Vec<usize>,
    },
    /// What several people said, or texts any of which is right, in their order, and the answer that most of them gave (of equally frequent
    /// ones, the first).
    People {
        /// The most frequent answer.
        gold: String,
        /// All answers.
        all: Vec<String>,
    },
    /// A part of the picture.
    Box {
        /// As it is said: `[0.10, 0.20, 0.50, 0.75]`.
        text: String,
        /// The same, not rounded.
        corners: Corners,
    },
}

/// Why a row gives no example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rejection {
    /// It cannot be read; the card says what happens then.
    Bad(String),
    /// The same, because its answer is the choice just before the first or just behind the last: as if choices were counted from
    /// another number than the card says.
    Beyond(String),
    /// The card leaves such rows out.
    Skip(String),
}

impl Rejection {
    /// A row that cannot be read.
    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::Bad(reason.into())
    }
}
