//! BLEU of a corpus (Papineni et al., ACL 2002), with the closest reference's length; and ROUGE-L of a text (Lin, 2004).

use std::collections::BTreeMap;

use crate::words::words;

/// Runs of words that are counted, at most.
const LONGEST: usize = 4;
/// How much more recall weighs than precision in ROUGE-L, as in COCO's evaluation.
const BETA: f64 = 1.2;

fn runs(words: &[String], length: usize) -> BTreeMap<&[String], usize> {
    let mut counts = BTreeMap::new();
    words.windows(length).for_each(|run| *counts.entry(run).or_default() += 1);
    counts
}

/// BLEU-1 to BLEU-4 of texts with their references, from 0 to 1. There is no such number of one text: what is counted is summed over
/// all, and a corpus without any right run of four words has a BLEU-4 of 0. Nothing is smoothed.
pub fn bleu<'a>(texts: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>) -> [f64; LONGEST] {
    let (mut right, mut all) = ([0usize; LONGEST], [0usize; LONGEST]);
    let (mut said, mut wanted) = (0, 0);
    for (text, references) in texts {
        let text = words(text);
        let references: Vec<Vec<String>> = references.into_iter().map(words).collect();
        said += text.len();
        // Of equally close ones, the shortest.
        wanted += references.iter().map(Vec::len).min_by_key(|&length| (length.abs_diff(text.len()), length)).unwrap_or_default();
        for length in 1..=LONGEST {
            let of_references: Vec<_> = references.iter().map(|reference| runs(reference, length)).collect();
            for (run, count) in runs(&text, length) {
                let most = of_references.iter().filter_map(|counts| counts.get(run)).max().copied().unwrap_or_default();
                right[length - 1] += count.min(most);
                all[length - 1] += count;
            }
        }
    }
    let brevity = if said == 0 { 0.0 } else { (1.0 - wanted as f64 / said as f64).min(0.0).exp() };
    let mut product = 1.0;
    std::array::from_fn(|n| {
        product *= if all[n] == 0 { 0.0 } else { right[n] as f64 / all[n] as f64 };
        brevity * product.powf(1.0 / (n + 1) as f64)
    })
}

/// ROUGE-L of a text, from 0 to 1: the longest common subsequence of words, by the reference with most precision and the one with most
/// recall.
pub fn rouge_l<'a>(text: &str, references: impl IntoIterator<Item = &'a str>) -> f64 {
    let text = words(text);
    let (precision, recall) = references.into_iter().fold((0.0f64, 0.0f64), |(precision, recall), reference| {
        let reference = words(reference);
        let common = common(&text, &reference) as f64;
        let share = |of: usize| if of == 0 { 0.0 } else { common / of as f64 };
        (precision.max(share(text.len())), recall.max(share(reference.len())))
    });
    f_measure(precision, recall, BETA)
}

/// The harmonic mean of precision and recall, recall weighing `beta` times as much.
fn f_measure(precision: f64, recall: f64, beta: f64) -> f64 {
    let below = recall + beta * beta * precision;
    if below == 0.0 { 0.0 } else { (1.0 + beta * beta) * precision * recall / below }
}

/// The length of the longest common subsequence.
fn common(a: &[String], b: &[String]) -> usize {
    let mut above = vec![0; b.len() + 1];
    for word in a {
        let mut before = 0;
        for (at, other) in b.iter().enumerate() {
            let here = above[at + 1];
            above[at + 1] = if word == other { before + 1 } else { here.max(above[at]) };
            before = here;
        }
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_that_is_its_reference_is_worth_all() {
        let text = "a red flag on a pole";
        assert_eq!(bleu([(text, vec!["no", text])]), [1.0; LONGEST]);
        assert!((rouge_l(text, ["no", text]) - 1.0).abs() < 1e-15);
        assert_eq!(bleu([("", vec!["a"])]), [0.0; LONGEST]);
        assert_eq!(rouge_l("", ["a"]), 0.0);
    }

    /// By hand: four of four words right, one of three pairs, no run of three; six words wanted.
    #[test]
    fn short_texts_pay_for_their_brevity() {
        let found = bleu([("the flag is red", vec!["the flag was all red is"])]);
        let brevity = (1.0f64 - 6.0 / 4.0).exp();
        assert!((found[0] - brevity).abs() < 1e-12, "{found:?}");
        assert!((found[1] - brevity * (1.0f64 / 3.0).sqrt()).abs() < 1e-12, "{found:?}");
        assert_eq!(found[2..], [0.0, 0.0]);
    }

    /// The usual F1 of one reference, as `rouge-score` has it, is the same with no more weight on recall.
    #[test]
    fn subsequences_need_not_be_adjacent() {
        let [a, b] = ["police killed the gunman", "police kill the gunman"].map(words);
        assert_eq!(common(&a, &b), 3);
        assert!((f_measure(0.75, 0.75, 1.0) - 0.75).abs() < 1e-15);
    }
}
