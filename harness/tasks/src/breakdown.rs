//! The score by kind of example: by a tag of the card, or by what an example shows besides its question.

use std::collections::{BTreeMap, BTreeSet};

use data::{Dataset, Example, list};
use schema::Prediction;
use schema::metrics::Metric;
use schema::tag::{CONTEXT, GRADE, GRADE_BAND};

/// What answers are worth together, and how many examples are of that kind, for every tag that the card breaks down by.
pub fn breakdown(
    dataset: &Dataset,
    predictions: &[Prediction],
    worth: impl Fn(&[&Prediction]) -> Option<f64>,
) -> BTreeMap<Metric, f64> {
    let examples: BTreeMap<&str, &Example> = dataset.examples.iter().map(|example| (example.id.as_str(), example)).collect();
    let mut kinds: BTreeMap<String, (Vec<&Prediction>, BTreeSet<&str>)> = BTreeMap::new();
    for (prediction, example) in predictions.iter().filter_map(|p| Some((p, examples.get(p.example.as_str())?))) {
        for tag in &dataset.card.breakdowns {
            for value in values(example, tag) {
                let (answers, of_kind) = kinds.entry(format!("{tag}={value}")).or_default();
                answers.push(prediction);
                of_kind.insert(&example.id);
            }
        }
    }
    let recorded = kinds.into_iter().flat_map(|(kind, (answers, of_kind))| {
        let accuracy = worth(&answers).map(|worth| (Metric::AccuracyOf(kind.clone()), worth));
        accuracy.into_iter().chain([(Metric::ExamplesOf(kind), of_kind.len() as f64)])
    });
    recorded.collect()
}

/// An example's values of a tag. A list, or a text that is one as a whole (`['counting', 'geometry']`), has several; any other text
/// is one value, commas and brackets and all.
fn values(example: &Example, tag: &str) -> Vec<String> {
    if tag == CONTEXT {
        let context = [("IMG", !example.images.is_empty()), ("TXT", !example.hint.is_empty())];
        let found: Vec<String> = context.into_iter().filter(|(_, has)| *has).map(|(name, _)| name.into()).collect();
        return if found.is_empty() { vec!["NO".into()] } else { found };
    }
    if tag == GRADE_BAND {
        return grade_band(&example.label(GRADE).unwrap_or_default()).into_iter().map(Into::into).collect();
    }
    let label = example.label(tag).unwrap_or_default();
    let values = list(&label).unwrap_or_else(|| vec![label]);
    let values = values.iter().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    // One that stands there twice is one of its kind.
    values.collect::<BTreeSet<String>>().into_iter().collect()
}

/// The band of a grade; none of what is no grade from 1 to 12.
fn grade_band(grade: &str) -> Option<&'static str> {
    match grade.trim().trim_start_matches("grade").parse() {
        Ok(1..=6) => Some("grade1-6"),
        Ok(7..=12u8) => Some("grade7-12"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// A card that ships with the suite.
    fn card() -> Card {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-scripts/cards/scienceqa.toml");
        schema::toml_file::read(path.as_ref()).expect("a card")
    }

    use schema::Card;
    use schema::card::Scoring;

    use super::*;
    use data::Answer;

    fn example(hint: &str, images: &[usize], skills: &str) -> Example {
        Example {
            id: String::new(),
            question: String::new(),
            hint: hint.into(),
            choices: vec![],
            answer: Answer::Text("x".into()),
            images: images.to_vec(),
            card: Arc::new(card()),
            tags: BTreeMap::from([("skills".to_owned(), skills.to_owned())]),
            row: 0,
            raw_bytes: 0,
        }
    }

    fn prediction(example: &str, correct: bool) -> Prediction {
        Prediction {
            example: example.into(),
            client: None,
            shard: None,
            scoring: Scoring::OptionLikelihood,
            prediction: String::new(),
            gold: String::new(),
            correct,
            parsed: true,
            option_scores: vec![],
            gold_option: None,
            score: None,
            further: BTreeMap::new(),
        }
    }

    #[test]
    fn an_example_counts_for_everything_it_is() {
        let both = example("look", &[0], "['counting', 'geometry']");
        assert_eq!(values(&both, CONTEXT), ["IMG", "TXT"]);
        assert_eq!(values(&both, "skills"), ["counting", "geometry"]);
        for whole in ["Velocity, acceleration, and forces", "Art [modern]", "Scotland's rivers", "['a'] and more", "[modern] art"]
        {
            assert_eq!(values(&example("", &[], whole), "skills"), [whole]);
        }
        let twice = example("", &[], r#"["counting", "counting", "a, b", ""]"#);
        assert_eq!(values(&twice, "skills"), ["a, b", "counting"]);
        let neither = example("", &[], "");
        assert_eq!(values(&neither, CONTEXT), ["NO"]);
        assert!(values(&neither, "skills").is_empty());
        assert!(values(&neither, GRADE_BAND).is_empty());
    }

    #[test]
    fn grades_are_in_two_bands() {
        let found = ["grade1", "grade6", "grade7", " grade12 ", "8"].map(grade_band);
        assert_eq!(found.map(Option::unwrap_or_default), ["grade1-6", "grade1-6", "grade7-12", "grade7-12", "grade7-12"]);
        assert!(["", "grade", "grade0", "grade13", "prek", "kindergarten"].map(grade_band).iter().all(Option::is_none));
    }

    /// The mean of each kind is over the examples of that kind, whatever else they are.
    #[test]
    fn scores_are_means_over_their_kind() {
        let card = Card { breakdowns: vec![CONTEXT.into(), "subject".into(), GRADE_BAND.into()], ..card() };
        let tagged = |id: &str, hint: &str, images: &[usize], subject: &str, grade: &str| Example {
            id: id.into(),
            tags: BTreeMap::from([("subject".to_owned(), subject.to_owned()), (GRADE.to_owned(), grade.to_owned())]),
            ..example(hint, images, "")
        };
        let examples = vec![
            tagged("a", "look", &[0], "natural science", "grade2"),
            tagged("b", "", &[0], "social science", "grade8"),
            tagged("c", "", &[], "language science", "grade5"),
        ];
        let dataset = Dataset {
            card: Arc::new(card),
            split: "test".into(),
            examples,
            images: Vec::new(),
            origins: Vec::new(),
            skipped: Vec::new(),
            repeated: 0,
            deduplicated: Vec::new(),
            files: Vec::new(),
        };
        let predictions = [("a", true), ("b", false), ("c", true)].map(|(id, right)| prediction(id, right));
        let found = breakdown(&dataset, &predictions, |of_kind| {
            Some(of_kind.iter().map(|prediction| prediction.value()).sum::<f64>() / of_kind.len() as f64)
        });
        let expect = [
            ("context=IMG", 0.5, 2.0),
            ("context=NO", 1.0, 1.0),
            ("context=TXT", 1.0, 1.0),
            ("grade_band=grade1-6", 1.0, 2.0),
            ("grade_band=grade7-12", 0.0, 1.0),
            ("subject=language science", 1.0, 1.0),
            ("subject=natural science", 1.0, 1.0),
            ("subject=social science", 0.0, 1.0),
        ];
        for (kind, accuracy, examples) in expect {
            assert_eq!(found[&Metric::AccuracyOf(kind.into())], accuracy, "{kind}");
            assert_eq!(found[&Metric::ExamplesOf(kind.into())], examples, "{kind}");
        }
        assert_eq!(found.len(), 2 * expect.len());
    }
}
