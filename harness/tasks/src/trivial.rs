//! What one gets without looking: a uniform guess, and always the most frequent answer.

use std::collections::{BTreeMap, BTreeSet};

use crate::classes::Classes;
use crate::example::TestExample;
use crate::judge::Part;
use crate::task::{Aggregate, Answered, Given};

/// Expected accuracy of a uniform guess among options, or among the classes of whose shard it is, and accuracy of always giving these test
/// examples' most frequent option position or answer.
pub fn trivial_accuracies(part: &Part) -> (f64, f64) {
    if let Aggregate::Whole(together) = part.metric.aggregate {
        return (chance_together(part, together), most_frequent_score(part));
    }
    let n = part.examples.len().max(1) as f64;
    let right = |e: &TestExample| e.rendered.people.len().max(1) as f64;
    let of_options = |e: &&TestExample| right(e) / e.options.texts.len() as f64;
    let of_classes = |e: &&TestExample| {
        let classes = part.heads.and_then(|heads| heads.by(e.shard).ok());
        let chance = |classes: &Classes| 1.0 / classes.answers().len() as f64;
        classes.filter(|classes| classes.answers().contains(&e.rendered.gold_text)).map_or(0.0, chance)
    };
    let chance: f64 = match part.heads {
        None => part.examples.iter().filter(|e| !e.options.texts.is_empty()).map(of_options).sum(),
        Some(_) => part.examples.iter().map(of_classes).sum(),
    };
    let share = |keys: &dyn Fn(&TestExample) -> Vec<String>| {
        let mut counts = BTreeMap::<String, usize>::new();
        for key in part.examples.iter().flat_map(|example| keys(example)) {
            *counts.entry(key).or_default() += 1;
        }
        counts.into_values().max().unwrap_or(0) as f64 / n
    };
    let position = share(&positions);
    let answer = match part.metric.is_graded {
        true => most_frequent_score(part),
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

/// The same of a number of the whole corpus: the mean over guesses of which each says another option of every row, in turn. 0 without
/// options.
fn chance_together(part: &Part, together: fn(&[Answered]) -> f64) -> f64 {
    let options = |example: &TestExample| example.options.texts.len();
    let guesses = part.examples.iter().map(|example| options(example)).min().unwrap_or_default();
    let guess = |first: usize| {
        let said = |(row, example): (usize, &&TestExample)| (first + row) % options(example);
        let answers = part.examples.iter().enumerate();
        let answers = answers.map(|(row, example)| (&example.options.texts[said((row, example))], example.gold()));
        together(&answers.map(|(text, gold)| Answered { text, gold }).collect::<Vec<_>>())
    };
    // The empty sum is -0.
    (0..guesses).map(guess).sum::<f64>() / guesses.max(1) as f64 + 0.0
}

/// What always giving the test split's most frequent answer is worth, where an answer may be worth something to other rows, too.
fn most_frequent_score(part: &Part) -> f64 {
    let mut counts = BTreeMap::<&str, usize>::new();
    for example in &part.examples {
        *counts.entry(&example.rendered.gold_text).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map_or("", |(answer, _)| answer);
    let golds = part.examples.iter().map(|example| (example.task, example.gold()));
    match part.metric.aggregate.together() {
        None => {
            let scores = golds.map(|(task, gold)| {
                let given = Given { text: most, reading: (task.read)(most, &gold) };
                (part.metric.of)(&given, &gold)
            });
            scores.sum::<f64>() / part.examples.len().max(1) as f64
        }
        Some(together) => together(&golds.map(|(_, gold)| Answered { text: most, gold }).collect::<Vec<_>>()),
    }
}
