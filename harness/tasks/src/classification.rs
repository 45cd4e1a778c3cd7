//! Saying which of a closed set of labels a picture has.

use std::collections::BTreeMap;

use schema::metrics::{Row, Score};

use crate::multiple_choice::{is_right, read};
use crate::task::{Aggregate, Answered, Answering, Loss, Measure, Target, TaskRow};

/// The likeliest label is the answer, or the one that a generated text names. The labels are those of the card or of its training split, so
/// `choices.form` is `closed-set`.
pub const CLASSIFICATION: TaskRow = TaskRow {
    name: "classification",
    sentence: "A picture with one label of a closed set; the model ranks all labels by likelihood, or names one in a generated text.",
    source: "scikit-learn: accuracy_score, f1_score(average=\"macro\"), balanced_accuracy_score",
    target: Target::Label,
    loss: Loss::AnswerTokens,
    answering: Answering::Options,
    read,
    scores: &[
        measure(Score::Accuracy, Aggregate::Mean),
        measure(Score::MacroF1, Aggregate::Whole(|answers| Table::of(answers).macro_f1())),
        measure(Score::BalancedAccuracy, Aggregate::Whole(|answers| Table::of(answers).balanced_accuracy())),
    ],
};

const fn measure(score: Score, aggregate: Aggregate) -> Measure {
    let row: &'static Row = score.row().expect("a score is in the table");
    Measure { row, is_graded: false, of: |given, gold| if is_right(given, gold) { 1.0 } else { 0.0 }, aggregate, reach: None }
}

/// How often a label was right, was said, and was said where it was right.
#[derive(Default)]
struct Counts {
    right: usize,
    said: usize,
    both: usize,
}

/// The counts of every label that was right or said.
struct Table<'a>(BTreeMap<&'a str, Counts>);

impl<'a> Table<'a> {
    fn of(answers: &[Answered<'a>]) -> Self {
        let mut table = BTreeMap::<&str, Counts>::new();
        for answered in answers {
            let gold = answered.gold;
            table.entry(gold.text).or_default().right += 1;
            // An answer is an option's text, or a text that may name one.
            let exact = gold.options.iter().position(|option| option == answered.text);
            let said = exact.or_else(|| match read(answered.text, &gold) {
                crate::task::Reading::Option(option) => Some(option),
                _ => None,
            });
            if let Some(label) = said.and_then(|option| gold.options.get(option)) {
                let counts = table.entry(label).or_default();
                counts.said += 1;
                counts.both += usize::from(*label == gold.text);
            }
        }
        Self(table)
    }

    /// The mean of each label's F1, of labels that were right or said.
    fn macro_f1(&self) -> f64 {
        let f1 = |counts: &Counts| 2.0 * counts.both as f64 / (counts.right + counts.said) as f64;
        mean(self.0.values().map(f1))
    }

    /// The mean of each label's recall, of labels that were right.
    fn balanced_accuracy(&self) -> f64 {
        let recall = |counts: &Counts| counts.both as f64 / counts.right as f64;
        mean(self.0.values().filter(|counts| counts.right > 0).map(recall))
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use schema::card;

    use super::*;
    use crate::task::Gold;

    /// Right are a, a, a, b; said are a, b, nothing, b. By hand: F1 of a is 2 * 1 / (3 + 1), of b 2 * 1 / (1 + 2); recalls are 1/3 and 1.
    #[test]
    fn every_label_counts_once() {
        let labels = ["a", "b", "c"].map(str::to_owned);
        let answer = |text: &'static str, option: usize| Answered {
            text,
            gold: Gold {
                options: &labels,
                said_as: card::Target::Text,
                option: Some(option),
                text: &labels[option],
                people: &[],
                corners: None,
                corpus: None,
            },
        };
        let answers = [answer("a", 0), answer("b", 0), answer("dog", 0), answer("B.", 1)];
        let table = Table::of(&answers);
        assert!((table.macro_f1() - (0.5 + 2.0 / 3.0) / 2.0).abs() < 1e-15);
        assert!((table.balanced_accuracy() - (1.0 / 3.0 + 1.0) / 2.0).abs() < 1e-15);
        // One that was said and never right has an F1 of 0, and no recall.
        let table = Table::of(&[answer("a", 0), answer("c", 0)]);
        assert!((table.macro_f1() - (2.0 / 3.0) / 2.0).abs() < 1e-15);
        assert_eq!((table.balanced_accuracy(), Table::of(&[]).macro_f1()), (0.5, 0.0));
    }
}
