//! What one gets without looking: a uniform guess, and always the most frequent answer.

use std::collections::{BTreeMap, BTreeSet};

use crate::classes::Classes;
use crate::example::TestExample;
use crate::judge::Judge;
use crate::task::{Aggregate, Answered, Given};

/// Expected accuracy of a uniform guess among options, or among the classes of whose shard it is, and accuracy of always giving the test
/// split's most frequent option position or answer.
pub fn trivial_accuracies(judge: &Judge) -> (f64, f64) {
    let n = judge.examples.len().max(1) as f64;
    let right = |e: &TestExample| e.rendered.people.len().max(1) as f64;
    let of_options = |e: &TestExample| right(e) / e.options.texts.len() as f64;
    let of_classes = |e: &TestExample| {
        let classes = judge.heads.as_ref().and_then(|heads| heads.by(e.shard).ok());
        let chance = |classes: &Classes| 1.0 / classes.answers().len() as f64;
        classes.filter(|classes| classes.answers().contains(&e.rendered.gold_text)).map_or(0.0, chance)
    };
    let chance: f64 = match judge.heads {
        None => judge.examples.iter().filter(|e| !e.options.texts.is_empty()).map(of_options).sum(),
        Some(_) => judge.examples.iter().map(of_classes).sum(),
    };
    let share = |keys: &dyn Fn(&TestExample) -> Vec<String>| {
        let mut counts = BTreeMap::<String, usize>::new();
        for key in judge.examples.iter().flat_map(keys) {
            *counts.entry(key).or_default() += 1;
        }
        counts.into_values().max().unwrap_or(0) as f64 / n
    };
    let position = share(&positions);
    let answer = match judge.metric.is_graded {
        true => most_frequent_score(judge),
        false => share(&texts),
    };
    // The empty sum is -0.
    (chance / n + 0.0, position.max(answer))
}

/// The places of the options that are right.
fn positions(example: &TestExample) -> Vec<String> {
    let gold = example.gold();
    if gold.options.is_empty() {
        return gold.option.iter().map(ToString::to_string).collect();
    }
    (0..gold.options.len()).filter(|&option| gold.has(option)).map(|option| option.to_string()).collect()
}

/// The texts that are right, each once.
fn texts(example: &TestExample) -> Vec<String> {
    match &example.rendered.people[..] {
        [] => vec![example.rendered.gold_text.clone()],
        all => all.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect(),
    }
}

/// What always giving the test split's most frequent answer is worth, where an answer may be worth something to other rows, too.
fn most_frequent_score(judge: &Judge) -> f64 {
    let mut counts = BTreeMap::<&str, usize>::new();
    for example in &judge.examples {
        *counts.entry(&example.rendered.gold_text).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map_or("", |(answer, _)| answer);
    let golds = judge.examples.iter().map(|example| (example.task, example.gold()));
    match judge.metric.aggregate {
        Aggregate::Mean => {
            let scores = golds.map(|(task, gold)| {
                let given = Given { text: most, reading: (task.read)(most, &gold) };
                (judge.metric.of)(&given, &gold)
            });
            scores.sum::<f64>() / judge.examples.len().max(1) as f64
        }
        Aggregate::Corpus(together) => together(&golds.map(|(_, gold)| Answered { text: most, gold }).collect::<Vec<_>>()),
    }
}
