//! What the training rows' texts alone answer: how far one gets with the question and without the picture.
//!
//! The options of a test row are ranked by how many training rows of its dataset ask the same question (the same text; hint and options
//! may differ) and have that option's text for their answer. Among equals the option's prior decides: of the training rows that offer
//! it, the share whose answer it is, (right + 1/2) / (offered + 1); then the first. A row without options is answered with the most
//! frequent training answer to its question, or to any. `reports/results/2026-11-30-epyc-2core/lookup.py` counts so, too.

use std::collections::{BTreeMap, HashMap};

use data::Example;

use crate::example::TestExample;
use crate::judge::{Judge, Part};
use crate::task::{Answered, Given, Reading};

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
    lookups(judge, train).first().copied().unwrap_or_default()
}

/// The same of each of its parts ([`Judge::parts`]).
pub fn lookups<'e>(judge: &Judge, train: impl IntoIterator<Item = &'e Example>) -> Vec<f64> {
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    for example in train {
        seen.entry(&example.card.name).or_default().take(example);
    }
    let nothing = Seen::default();
    let examples: BTreeMap<&str, &Example> = judge.split.dataset.examples.iter().map(|example| (&*example.id, example)).collect();
    let answer = |asked: &&'_ TestExample| -> Option<(String, Option<usize>)> {
        let example = examples.get(&*asked.id)?;
        let seen = seen.get(&*example.card.name).unwrap_or(&nothing);
        Some(match asked.options.texts.is_empty() {
            true => (seen.text(example).into(), None),
            false => {
                let option = seen.option(example);
                (asked.options.texts[option].clone(), Some(option))
            }
        })
    };
    let of_part = |part: &Part| {
        let answered = part.examples.iter().filter_map(|asked| Some((*asked, answer(asked)?)));
        let answered: Vec<(&TestExample, (String, Option<usize>))> = answered.collect();
        let worth = |(asked, (text, option)): &(&TestExample, (String, Option<usize>))| {
            let gold = asked.gold();
            let reading = option.map_or_else(|| (asked.task.read)(text, &gold), Reading::Option);
            (part.metric.of)(&Given { text, reading }, &gold)
        };
        let together = |answered: &[(&TestExample, (String, Option<usize>))], of: fn(&[Answered]) -> f64| {
            let answers = answered.iter().map(|(asked, (text, _))| Answered { text, gold: asked.gold() });
            of(&answers.collect::<Vec<_>>())
        };
        match part.metric.aggregate.together() {
            None => answered.iter().map(worth).sum::<f64>() / part.examples.len().max(1) as f64,
            Some(of) => together(&answered, of),
        }
    };
    judge.parts().iter().map(of_part).collect()
}
