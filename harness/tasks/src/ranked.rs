//! What the options' lengths have to do with an accuracy: the same scores ranked per byte, and how often the shortest option is taken.

use std::collections::BTreeMap;

use schema::Prediction;
use schema::card::Scoring;

use crate::example::TestExample;
use crate::judge::Judge;
use crate::likelihood::lengths;
use crate::task::{Aggregate, Given, Reading};

/// Of the rows of a judge whose options were ranked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// The card's metric with each option's log-likelihood divided by the bytes of its text, generated answers as they were; the mean over
    /// clients where they answered with adapters of their own.
    pub per_byte: f64,
    /// Of the rows whose options are not all equally long (in bytes): the share of answers that are the shortest option, the first of
    /// equals, and the share of rows whose right answer that is. None where there are no such rows.
    pub shortest: Option<[f64; 2]>,
}

/// Sums over the rows of one answerer.
#[derive(Default)]
struct Sums {
    rows: usize,
    worth: f64,
    ranked: usize,
    unequal: usize,
    chosen: usize,
    right: usize,
}

/// The first place of the largest.
fn best(scores: &[f64]) -> usize {
    (0..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best })
}

impl Sums {
    fn take(&mut self, judge: &Judge, example: &TestExample, prediction: &Prediction) {
        self.rows += 1;
        let texts = &example.options.texts;
        if prediction.scoring != Scoring::OptionLikelihood || prediction.option_scores.len() != texts.len() || texts.is_empty() {
            self.worth += prediction.value();
            return;
        }
        let sums = prediction.option_scores.iter().zip(lengths(example)).map(|(score, length)| score * length);
        let per_byte: Vec<f64> = sums.zip(texts).map(|(sum, text)| sum / text.len().max(1) as f64).collect();
        let option = best(&per_byte);
        let given = Given { text: &texts[option], reading: Reading::Option(option) };
        self.worth += (judge.metric.of)(&given, &example.gold());
        let shortest = best(&texts.iter().map(|text| -(text.len() as f64)).collect::<Vec<_>>());
        self.ranked += 1;
        if texts.iter().all(|text| text.len() == texts[0].len()) {
            return;
        }
        self.unequal += 1;
        self.chosen += usize::from(best(&prediction.option_scores) == shortest);
        self.right += usize::from(example.gold().has(shortest));
    }
}

/// What answers say; none where no options were ranked, or where answers have no worth of their own.
pub fn ranked(judge: &Judge, predictions: &[Prediction]) -> Option<Ranked> {
    if judge.is_mixed || !matches!(judge.metric.aggregate, Aggregate::Mean) {
        return None;
    }
    let examples: BTreeMap<&str, &TestExample> = judge.examples.iter().map(|example| (&*example.id, example)).collect();
    let mut of_each: BTreeMap<Option<u32>, Sums> = BTreeMap::new();
    for prediction in predictions {
        let example = examples.get(&*prediction.example)?;
        of_each.entry(prediction.client).or_default().take(judge, example, prediction);
    }
    let total = |of: fn(&Sums) -> usize| of_each.values().map(of).sum::<usize>() as f64;
    let unequal = total(|sums| sums.unequal);
    (total(|sums| sums.ranked) > 0.0).then(|| Ranked {
        per_byte: of_each.values().map(|sums| sums.worth / sums.rows as f64).sum::<f64>() / of_each.len() as f64,
        shortest: (unequal > 0.0).then(|| [total(|sums| sums.chosen) / unequal, total(|sums| sums.right) / unequal]),
    })
}
