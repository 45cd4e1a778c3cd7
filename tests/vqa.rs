//! VQA's soft accuracy against the official script's own normalisation (`fixtures/vqa.py`).

use serde::Deserialize;
use tasks::vqa;

use crate::support::Test;

#[derive(Deserialize)]
struct Fixture {
    normalized: Vec<(String, String)>,
    scores: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    answer: String,
    people: Vec<String>,
    score: f64,
}

fn fixture() -> anyhow::Result<Fixture> {
    Ok(serde_json::from_str(include_str!("fixtures/vqa.json"))?)
}

#[test]
fn texts_are_normalised_as_the_official_script_does() -> Test {
    for (text, expect) in fixture()?.normalized {
        assert_eq!(vqa::normalize(text.trim()), expect, "{text:?}");
    }
    Ok(())
}

#[test]
fn scores_are_those_of_the_official_evaluation() -> Test {
    for case in fixture()?.scores {
        let score = vqa::soft_accuracy(&case.answer, &case.people);
        assert!(
            (score - case.score).abs() < 1e-12,
            "{:?} for {:?} in {:?}: {score}, not {}",
            case.answer,
            case.answer,
            case.people,
            case.score
        );
    }
    Ok(())
}
