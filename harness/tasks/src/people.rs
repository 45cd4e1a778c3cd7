//! Questions that several people answered, who need not agree.

use std::collections::BTreeMap;

use schema::metrics::{Row, Score};

use crate::task::{Aggregate, Answering, Best, Gold, Loss, Measure, Reading, Target, TaskRow};
use crate::vqa::{direct_answer, normalize, soft_accuracy};

/// Both scores count to three: of fewer answers, what is right would be worth a third or nothing.
const FEWEST: usize = 3;

/// VQA's soft accuracy ([`soft_accuracy`]).
pub const VQA: TaskRow = task(
    "vqa",
    "A question that several people answered; the model generates, and is right as far as they agree with it and with each other.",
    "visualqa.org/evaluation; vqaEval.py",
    &[Measure {
        row: row(Score::VqaAccuracy),
        is_graded: true,
        of: |given, gold| soft_accuracy(given.text, gold.people),
        aggregate: Aggregate::Mean,
        reach: Some(Best {
            of: best_soft_accuracy,
            people: 4,
            fewest: FEWEST,
            if_nothing: "nobody answered any of the {rows} test rows",
        }),
    }],
);

/// A-OKVQA's direct answers ([`direct_answer`]).
pub const DIRECT_ANSWERS: TaskRow = task(
    "direct-answers",
    "A question that several people answered; the model generates, and is right as far as they said exactly this.",
    "allenai/aokvqa evaluation/eval_predictions.py",
    &[Measure {
        row: row(Score::DirectAnswer),
        is_graded: true,
        of: |given, gold| direct_answer(given.text, gold.people),
        aggregate: Aggregate::Mean,
        reach: Some(Best {
            of: best_direct_answer,
            people: 3,
            fewest: FEWEST,
            if_nothing: "nobody answered any of the {rows} test rows",
        }),
    }],
);

const fn task(name: &'static str, sentence: &'static str, source: &'static str, scores: &'static [Measure]) -> TaskRow {
    let (target, loss, answering) = (Target::People, Loss::AnswerTokens, Answering::Text);
    TaskRow { name, sentence, source, target, loss, answering, read, scores }
}

const fn row(score: Score) -> &'static Row {
    score.row().expect("a score is in the table")
}

fn read(text: &str, _: &Gold) -> Reading {
    if text.trim().is_empty() { Reading::Nothing } else { Reading::Text }
}

/// How many people said what most of them said, once it is read.
fn most(people: &[String], read: impl Fn(&str) -> String) -> f64 {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    people.iter().for_each(|said| *counts.entry(read(said)).or_default() += 1);
    counts.into_values().max().unwrap_or_default() as f64
}

fn third(count: f64) -> f64 {
    (count / 3.0).min(1.0)
}

/// That of what most people said: each of those who said it is left out once, and each of the others.
fn best_soft_accuracy(gold: &Gold) -> f64 {
    let people = gold.people;
    let agreed = people.windows(2).all(|pair| pair[0] == pair[1]);
    let most = most(people, |said| if agreed { said.to_lowercase() } else { normalize(said).to_lowercase() });
    let all = people.len() as f64;
    (most * third(most - 1.0) + (all - most) * third(most)) / all
}

/// That of what most people said.
fn best_direct_answer(gold: &Gold) -> f64 {
    third(most(gold.people, str::to_owned))
}

#[cfg(test)]
mod tests {
    use schema::card;

    use super::*;
    use crate::task::Given;

    fn gold(people: &[String]) -> Gold<'_> {
        Gold { options: &[], said_as: card::Target::Text, option: None, text: &people[0], people, corners: None, corpus: None }
    }

    #[test]
    fn the_best_answer_is_what_most_people_said() {
        let lists: [&[&str]; 8] = [
            &["yes"],
            &["yes", "no"],
            &["yes", "yes"],
            &["Yes.", "yes", "no"],
            &["a", "a", "a", "a"],
            &["The dog", "dog", "cat", "cow", "dog"],
            &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"],
            &["surf", "surf", "Surf"],
        ];
        for list in lists {
            let people: Vec<String> = list.iter().map(ToString::to_string).collect();
            for task in [VQA, DIRECT_ANSWERS] {
                let measure = task.scores[0];
                let worth = |said: &String| (measure.of)(&Given { text: said, reading: Reading::Text }, &gold(&people));
                let tried = people.iter().map(worth).fold(0.0, f64::max);
                let best = measure.reach.map(|best| (best.of)(&gold(&people))).expect("a bound");
                assert!((best - tried).abs() < 1e-12, "{} {list:?}", task.name);
            }
        }
        assert_eq!(best_soft_accuracy(&gold(&["yes".to_owned()])), 0.0);
        assert_eq!(best_soft_accuracy(&gold(&vec!["yes".to_owned(); 4])), 1.0);
    }
}
