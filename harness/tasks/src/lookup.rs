//! What the training rows' texts alone answer: how far one gets with the question and without the picture.
//!
//! The options of a test row are ranked by how many training rows of its dataset ask the same question (the same text; hint and options
//! may differ) and have that option's text for their answer. Among equals the option's prior decides: of the training rows that offer
//! it, the share whose answer it is, (right + 1/2) / (offered + 1); then the first. A row without options is answered with the most
//! frequent training answer to its question, or to any. `reports/results/2026-11-30-epyc-2core/lookup.py` counts so, too.

use std::collections::{BTreeMap, HashMap};

use data::Example;

use crate::example::TestExample;
use crate::judge::Judge;
use crate::task::{Aggregate, Answered, Given, Reading};

/// How often each answer was right.
type Counts<'a> = BTreeMap<&'a str, usize>;

/// The training rows of one dataset, by their texts.
#[derive(Default)]
struct Seen<'a> {
    by_question: HashMap<&'a str, Counts<'a>>,
    right: Counts<'a>,
    offered: HashMap<&'a str, usize>,
}

impl<'a> Seen<'a> {
    fn take(&mut self, example: &'a Example) {
        let answer = example.answer_text();
        *self.by_question.entry(&example.question).or_default().entry(answer).or_default() += 1;
        *self.right.entry(answer).or_default() += 1;
        example.choices.iter().for_each(|choice| *self.offered.entry(choice).or_default() += 1);
    }

    /// The place of the option that a test row is answered with.
    fn option(&self, example: &Example) -> usize {
        let same = self.by_question.get(&*example.question);
        let rank = |choice: &String| {
            let of = |counts: &Counts| counts.get(&**choice).copied().unwrap_or_default();
            let offered = self.offered.get(&**choice).copied().unwrap_or_default();
            (same.map_or(0, of), (of(&self.right) as f64 + 0.5) / (offered as f64 + 1.0))
        };
        let ranks: Vec<(usize, f64)> = example.choices.iter().map(rank).collect();
        (1..ranks.len()).fold(0, |best, i| if ranks[i] > ranks[best] { i } else { best })
    }

    /// What a test row without options is answered with.
    fn text(&self, example: &Example) -> &'a str {
        let counts = self.by_question.get(&*example.question).unwrap_or(&self.right);
        // The first of equals, by the alphabet.
        counts.iter().fold(("", 0), |best, (answer, &count)| if count > best.1 { (*answer, count) } else { best }).0
    }
}

/// What a judge's examples are worth if answered so, by its metric.
pub fn lookup_accuracy<'e>(judge: &Judge, train: impl IntoIterator<Item = &'e Example>) -> f64 {
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    for example in train {
        seen.entry(&example.card.name).or_default().take(example);
    }
    let nothing = Seen::default();
    let answers = judge.split.dataset.examples.iter().zip(&judge.examples).map(|(example, asked)| {
        let seen = seen.get(&*example.card.name).unwrap_or(&nothing);
        match asked.options.texts.is_empty() {
            true => (asked, seen.text(example), None),
            false => {
                let option = seen.option(example);
                (asked, asked.options.texts[option].as_str(), Some(option))
            }
        }
    });
    let worth = |(asked, text, option): (&TestExample, &str, Option<usize>)| {
        let gold = asked.gold();
        let reading = option.map_or_else(|| (asked.task.read)(text, &gold), Reading::Option);
        (judge.metric.of)(&Given { text, reading }, &gold)
    };
    match judge.metric.aggregate {
        Aggregate::Mean => answers.map(worth).sum::<f64>() / judge.examples.len().max(1) as f64,
        Aggregate::Corpus(together) => {
            together(&answers.map(|(asked, text, _)| Answered { text, gold: asked.gold() }).collect::<Vec<_>>())
        }
    }
}
