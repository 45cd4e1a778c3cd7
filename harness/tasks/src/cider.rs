//! CIDEr-D (arXiv 1411.5726): how much a caption says that people say of this picture and not of all.

use std::collections::{BTreeMap, BTreeSet};

use crate::words::words;

/// Runs of words that are counted, at most.
const LONGEST: usize = 4;
/// How much longer or shorter than a reference a caption may be.
const SIGMA: f64 = 6.0;

/// How often each run of one to four words stands in a text, by its number of words.
type Counts = [BTreeMap<String, f64>; LONGEST];

fn counts(words: &[String]) -> Counts {
    let mut counts = Counts::default();
    for (length, of_length) in (1..).zip(&mut counts) {
        for run in words.windows(length) {
            *of_length.entry(run.join(" ")).or_default() += 1.0;
        }
    }
    counts
}

/// In how many examples' references each run of words stands: what everybody says weighs nothing.
///
/// It is that of all test rows of a dataset that are judged, for a client's rows, too: a caption then is worth the same whoever
/// has it, and the score of some rows is the mean of theirs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Corpus {
    examples: usize,
    found_in: BTreeMap<String, usize>,
}

/// A text's runs of words by their weights, the weights' norms, and its length.
struct Vector {
    weights: Counts,
    norms: [f64; LONGEST],
    length: f64,
}

impl Corpus {
    /// Counts the references of all examples.
    pub fn new<'a, R: IntoIterator<Item = &'a str>>(examples: impl IntoIterator<Item = R>) -> Self {
        let mut corpus = Self::default();
        for references in examples {
            corpus.examples += 1;
            let runs =
                references.into_iter().flat_map(|reference| counts(&words(reference)).into_iter().flat_map(BTreeMap::into_keys));
            for run in runs.collect::<BTreeSet<String>>() {
                *corpus.found_in.entry(run).or_default() += 1;
            }
        }
        corpus
    }

    /// How many examples were counted.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// What a caption is worth, from 0 to 10.
    pub fn cider<'a>(&self, caption: &str, references: impl IntoIterator<Item = &'a str>) -> f64 {
        let said = self.vector(caption);
        let (sum, number) = references
            .into_iter()
            .fold((0.0, 0usize), |(sum, number), reference| (sum + similarity(&said, &self.vector(reference)), number + 1));
        // Of the same words the quotient of norms may be beyond 1 by a rounding.
        if number == 0 { 0.0 } else { (10.0 * sum / number as f64).min(10.0) }
    }

    fn vector(&self, text: &str) -> Vector {
        let all = (self.examples.max(1) as f64).ln();
        let mut weights = counts(&words(text));
        // As published code has it: a length is counted in pairs of words.
        let length = weights[1].values().sum();
        let mut norms = [0.0; LONGEST];
        for (of_length, norm) in weights.iter_mut().zip(&mut norms) {
            for (run, weight) in of_length.iter_mut() {
                *weight *= all - (self.found_in.get(run).copied().unwrap_or_default().max(1) as f64).ln();
                *norm += *weight * *weight;
            }
            *norm = norm.sqrt();
        }
        Vector { weights, norms, length }
    }
}

/// The mean over lengths of runs, from 0 to 1: a cosine in which no run counts more often than the reference has it, less where the lengths
/// differ.
fn similarity(said: &Vector, reference: &Vector) -> f64 {
    let penalty = (-(said.length - reference.length).powi(2) / (2.0 * SIGMA * SIGMA)).exp();
    let of_length = |n: usize| {
        let of = |(run, weight): (&String, &f64)| reference.weights[n].get(run).map_or(0.0, |other| weight.min(*other) * other);
        let product: f64 = said.weights[n].iter().map(of).sum();
        let norms = said.norms[n] * reference.norms[n];
        if norms == 0.0 { 0.0 } else { product / norms }
    };
    (0..LONGEST).map(of_length).sum::<f64>() * penalty / LONGEST as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_says_is_worth_nothing() {
        let corpus = Corpus::new([["a red flag"], ["a blue flag"]]);
        assert_eq!(corpus.examples(), 2);
        assert_eq!(corpus.cider("a flag", ["a red flag"]), 0.0);
        assert!(corpus.cider("a red flag", ["a red flag"]) > 5.0);
        assert_eq!(corpus.cider("", ["a red flag"]), 0.0);
        assert_eq!(Corpus::new([["a red flag"]]).cider("a red flag", ["a red flag"]), 0.0, "one example has no weights");
    }
}
