//! How far one gets without looking: always the most frequent answer, and models that read the question only.
//!
//! A generated benchmark is worth tuning on only if these stay near chance.

use std::collections::{BTreeMap, BTreeSet};

use seed::Seed;
use serde::{Deserialize, Serialize};

use super::{Generator, TextRow};

/// Accuracies in percent, on the test split, of ways to answer that never see a picture; all learn from the train split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shortcuts {
    /// The dataset's name.
    pub dataset: String,
    /// How many test rows were answered.
    pub rows: usize,
    /// Guessing: one in the number of options, or in the number of answers that a topic's blanks have.
    pub chance: f64,
    /// Always the position that is most often right (of the rows with options).
    pub most_frequent_position: f64,
    /// Always the option that is most often right.
    pub most_frequent_answer: f64,
    /// Multinomial naive Bayes over the words of hint and question, restricted to the options.
    pub naive_bayes: f64,
    /// What was most often right for the very same question, restricted to the options.
    pub same_question: f64,
}

impl Shortcuts {
    /// The better of the two models that read the question.
    pub fn text_only(&self) -> f64 {
        self.naive_bayes.max(self.same_question)
    }
}

/// Measures a generated dataset of these sizes (train, test; none: its own) without writing it.
pub fn measure(generator: &Generator, sizes: Option<(usize, usize)>, seed: u64) -> Shortcuts {
    let (train, test) = sizes.unwrap_or((generator.splits[0].1, generator.splits[1].1));
    let rows = |split: &str, count: usize| (0..count).map(|i| (generator.text)(Seed::new(seed), split, i)).collect::<Vec<_>>();
    judge(generator.name, &rows(generator.splits[0].0, train), &rows(generator.splits[1].0, test))
}

/// Measures any dataset of which the texts are at hand.
pub fn judge(dataset: &str, train: &[TextRow], test: &[TextRow]) -> Shortcuts {
    let counts = Counts::of(train);
    let share = |score: &dyn Fn(&TextRow) -> f64| 100.0 * test.iter().map(score).sum::<f64>() / test.len().max(1) as f64;
    let best = |score: &dyn Fn(&TextRow, &str) -> f64| share(&|row| f64::from(u8::from(counts.best(row, score) == row.answer)));
    Shortcuts {
        dataset: dataset.into(),
        rows: test.len(),
        chance: share(&|row| 1.0 / counts.candidates(row).len().max(1) as f64),
        most_frequent_position: position(train, test),
        most_frequent_answer: best(&|_, answer| counts.right_when_offered(answer)),
        naive_bayes: best(&|row, answer| counts.bayes(row, answer)),
        same_question: best(&|row, answer| counts.same(row, answer)),
    }
}

fn position(train: &[TextRow], test: &[TextRow]) -> f64 {
    let place = |row: &TextRow| row.options.iter().position(|option| *option == row.answer);
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    train.iter().filter_map(place).for_each(|place| *counts.entry(place).or_default() += 1);
    let most = counts.iter().max_by_key(|(_, count)| **count).map(|(place, _)| *place);
    let asked: Vec<Option<usize>> = test.iter().filter(|row| !row.options.is_empty()).map(place).collect();
    100.0 * asked.iter().filter(|place| **place == most).count() as f64 / asked.len().max(1) as f64
}

/// Everything that is counted in the train split.
#[derive(Default)]
struct Counts {
    right: BTreeMap<String, f64>,
    offered: BTreeMap<String, f64>,
    words: BTreeMap<(String, String), f64>,
    words_of: BTreeMap<String, f64>,
    vocabulary: BTreeSet<String>,
    questions: BTreeMap<(String, String), f64>,
    blanks: BTreeMap<String, BTreeSet<String>>,
}

impl Counts {
    fn of(train: &[TextRow]) -> Self {
        let mut counts = Self::default();
        for row in train.iter().filter(|row| row.options.is_empty()) {
            counts.blanks.entry(row.topic.clone()).or_default().insert(row.answer.clone());
        }
        for row in train {
            counts.add(row);
        }
        counts
    }

    fn add(&mut self, row: &TextRow) {
        for candidate in self.candidates(row) {
            *self.offered.entry(candidate).or_default() += 1.0;
        }
        *self.right.entry(row.answer.clone()).or_default() += 1.0;
        *self.questions.entry((row.question.clone(), row.answer.clone())).or_default() += 1.0;
        for word in words(&row.question) {
            *self.words.entry((row.answer.clone(), word.clone())).or_default() += 1.0;
            *self.words_of.entry(row.answer.clone()).or_default() += 1.0;
            self.vocabulary.insert(word);
        }
    }

    /// The options, or what the topic's blanks have been filled with.
    fn candidates(&self, row: &TextRow) -> Vec<String> {
        if !row.options.is_empty() {
            return row.options.clone();
        }
        self.blanks.get(&row.topic).map(|answers| answers.iter().cloned().collect()).unwrap_or_default()
    }

    fn best(&self, row: &TextRow, score: &dyn Fn(&TextRow, &str) -> f64) -> String {
        let candidates = self.candidates(row);
        let best = candidates.iter().max_by(|a, b| score(row, a).total_cmp(&score(row, b)));
        best.cloned().unwrap_or_default()
    }

    fn right_when_offered(&self, answer: &str) -> f64 {
        (get(&self.right, answer) + 1.0) / (get(&self.offered, answer) + 3.0)
    }

    fn bayes(&self, row: &TextRow, answer: &str) -> f64 {
        let total = get(&self.words_of, answer) + self.vocabulary.len() as f64;
        let word = |word: String| (self.words.get(&(answer.to_owned(), word)).copied().unwrap_or(0.0) + 1.0) / total;
        (get(&self.right, answer) + 1.0).ln() + words(&row.question).map(|text| word(text).ln()).sum::<f64>()
    }

    fn same(&self, row: &TextRow, answer: &str) -> f64 {
        let seen = self.questions.get(&(row.question.clone(), answer.to_owned())).copied().unwrap_or(0.0);
        seen + self.right_when_offered(answer)
    }
}

fn get(counts: &BTreeMap<String, f64>, key: &str) -> f64 {
    counts.get(key).copied().unwrap_or(0.0)
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}
