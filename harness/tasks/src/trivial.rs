//! What one gets without looking: a uniform guess, and always the most frequent answer.

use crate::example::TestExample;
use crate::judge::Judge;
use crate::vqa::score;

/// Expected accuracy of a uniform guess, and accuracy of always giving the test split's most frequent option position or answer.
pub fn trivial_accuracies(judge: &Judge) -> (f64, f64) {
    let n = judge.examples.len().max(1) as f64;
    let chance: f64 =
        judge.examples.iter().filter(|e| !e.options.texts.is_empty()).map(|e| 1.0 / e.options.texts.len() as f64).sum();
    let share = |key: &dyn Fn(&TestExample) -> Option<String>| {
        let mut counts = std::collections::BTreeMap::<String, usize>::new();
        for key in judge.examples.iter().filter_map(key) {
            *counts.entry(key).or_default() += 1;
        }
        counts.into_values().max().unwrap_or(0) as f64 / n
    };
    let position = share(&|e| e.rendered.gold.map(|gold| gold.to_string()));
    let answer = match judge.examples.iter().any(|e| !e.rendered.people.is_empty()) {
        true => most_frequent_score(judge),
        false => share(&|e| Some(e.rendered.gold_text.clone())),
    };
    // The empty sum is -0.
    (chance / n + 0.0, position.max(answer))
}

/// The mean score of always giving the test split's most frequent answer, where several people's answers judge.
fn most_frequent_score(judge: &Judge) -> f64 {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for example in &judge.examples {
        *counts.entry(&example.rendered.gold_text).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map_or("", |(answer, _)| answer);
    let metric = &judge.split.dataset.card.metric;
    let scores = judge.examples.iter().map(|example| score(metric, most, &example.rendered.people));
    scores.sum::<f64>() / judge.examples.len().max(1) as f64
}
