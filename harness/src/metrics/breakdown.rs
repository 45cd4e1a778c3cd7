//! The score by kind of example: by a tag of the card, or by what an example shows besides its question.

use std::collections::{BTreeMap, BTreeSet};

use schema::Prediction;

use crate::data::{Dataset, Example};

/// A break-down that every dataset has: `IMG` (a picture), `TXT` (a hint), both at once, or `NO` (neither), as ScienceQA's
/// evaluation has it.
pub const CONTEXT: &str = "context";

/// Mean scores as `accuracy/<tag>=<value>` and how many examples are of that kind as `examples/<tag>=<value>`, for every tag that the
/// card breaks down by.
pub fn breakdown(dataset: &Dataset, predictions: &[Prediction]) -> BTreeMap<String, f64> {
    let examples: BTreeMap<&str, &Example> = dataset.examples.iter().map(|example| (example.id.as_str(), example)).collect();
    let mut kinds: BTreeMap<String, (f64, usize, BTreeSet<&str>)> = BTreeMap::new();
    for (prediction, example) in predictions.iter().filter_map(|p| Some((p, examples.get(p.example.as_str())?))) {
        for tag in &dataset.card.breakdowns {
            for value in values(example, tag) {
                let (sum, answers, of_kind) = kinds.entry(format!("{tag}={value}")).or_default();
                *sum += prediction.value();
                *answers += 1;
                of_kind.insert(&example.id);
            }
        }
    }
    let recorded = kinds.into_iter().flat_map(|(kind, (sum, answers, of_kind))| {
        [(format!("accuracy/{kind}"), sum / answers as f64), (format!("examples/{kind}"), of_kind.len() as f64)]
    });
    recorded.collect()
}

/// An example's values of a tag. A list written as text (`['counting', 'geometry']`, `counting, geometry`) has several.
fn values(example: &Example, tag: &str) -> Vec<String> {
    if tag == CONTEXT {
        let context = [("IMG", !example.images.is_empty()), ("TXT", !example.hint.is_empty())];
        let found: Vec<String> = context.into_iter().filter(|(_, has)| *has).map(|(name, _)| name.into()).collect();
        return if found.is_empty() { vec!["NO".into()] } else { found };
    }
    let label = example.label(tag).unwrap_or_default();
    let parts = label.split(',').map(|part| part.trim_matches(|c: char| c.is_whitespace() || "[]'\"".contains(c)).to_owned());
    parts.filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::data::Answer;

    fn example(hint: &str, images: &[usize], skills: &str) -> Example {
        Example {
            id: String::new(),
            question: String::new(),
            hint: hint.into(),
            choices: vec![],
            answer: Answer::Text("x".into()),
            images: images.to_vec(),
            card: Arc::new(crate::data::testing::card()),
            tags: BTreeMap::from([("skills".to_owned(), skills.to_owned())]),
            raw_bytes: 0,
        }
    }

    #[test]
    fn an_example_counts_for_everything_it_is() {
        let both = example("look", &[0], "['counting', 'geometry']");
        assert_eq!(values(&both, CONTEXT), ["IMG", "TXT"]);
        assert_eq!(values(&both, "skills"), ["counting", "geometry"]);
        let neither = example("", &[], "");
        assert_eq!(values(&neither, CONTEXT), ["NO"]);
        assert!(values(&neither, "skills").is_empty());
    }
}
