//! How high scores against several people's answers can get.

use std::collections::BTreeMap;

use schema::metrics::Score;

use crate::judge::Judge;
use crate::vqa::normalize;

/// What the best possible answers to a test split are worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reach {
    /// The mean of their scores.
    pub most: f64,
    /// Rows with fewer people than the metric needs for a whole point.
    pub few: usize,
    /// How many that are.
    pub needed: usize,
    /// Rows.
    pub rows: usize,
}

impl Reach {
    /// Of the examples that several people answered; none where there are none.
    pub fn of(judge: &Judge) -> Option<Self> {
        let score = Score::parse(&judge.split.dataset.card.metric)?;
        let needed = match score {
            Score::Accuracy => return None,
            Score::DirectAnswer => 3,
            Score::VqaAccuracy => 4,
        };
        let people = || judge.examples.iter().map(|example| &example.rendered.people).filter(|people| !people.is_empty());
        let rows = people().count();
        let sum: f64 = people().map(|people| best(&score, people)).sum();
        let few = people().filter(|people| people.len() < needed).count();
        (rows > 0).then(|| Self { most: sum / rows as f64, few, needed, rows })
    }
}

/// The best score that an answer can have: that of what most people said.
fn best(score: &Score, people: &[String]) -> f64 {
    let agreed = people.windows(2).all(|pair| pair[0] == pair[1]);
    let read = |said: &String| match score {
        Score::DirectAnswer => said.clone(),
        _ if agreed => said.to_lowercase(),
        _ => normalize(said).to_lowercase(),
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    people.iter().for_each(|said| *counts.entry(read(said)).or_default() += 1);
    let (most, all) = (counts.into_values().max().unwrap_or_default() as f64, people.len() as f64);
    let third = |count: f64| (count / 3.0).min(1.0);
    match score {
        Score::DirectAnswer => third(most),
        // Each of those who said it is left out once, and each of the others.
        _ => (most * third(most - 1.0) + (all - most) * third(most)) / all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            for (score, name) in [(Score::DirectAnswer, "direct-answer"), (Score::VqaAccuracy, "vqa-accuracy")] {
                let tried = people.iter().map(|said| crate::vqa::score(name, said, &people)).fold(0.0, f64::max);
                assert!((best(&score, &people) - tried).abs() < 1e-12, "{name} {list:?}");
            }
        }
        assert_eq!(best(&Score::VqaAccuracy, &["yes".to_owned()]), 0.0);
        assert_eq!(best(&Score::VqaAccuracy, &vec!["yes".to_owned(); 4]), 1.0);
    }
}
