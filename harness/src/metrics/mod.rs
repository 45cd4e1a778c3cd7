//! Judging: what answers are worth, over whom, and by kind of example. The metrics themselves are rows of [`schema::metrics`].

pub mod breakdown;
pub mod evaluate;
pub mod vqa;

use schema::metrics::Score;

/// The score of an answer against several people's, by the card's metric.
pub fn score(metric: &str, answer: &str, people: &[String]) -> f64 {
    match Score::parse(metric) {
        Some(Score::DirectAnswer) => vqa::direct_answer(answer, people),
        _ => vqa::soft_accuracy(answer, people),
    }
}
