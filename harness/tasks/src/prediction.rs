//! An answer, judged by its example's task: a row of `predictions.parquet`.

use schema::Prediction;
use schema::card::Scoring;

use crate::classes::reading;
use crate::example::TestExample;
use crate::task::{Aggregate, Given, Reading};
use crate::{Error, Result};

/// Who answers.
#[derive(Clone, Copy)]
pub(crate) struct Judged {
    /// The client whose adapters answer.
    pub(crate) client: Option<usize>,
}

impl Judged {
    /// An example's options have these scores; the best is the answer, the first of equals.
    pub(crate) fn ranked(self, example: &TestExample, scores: Vec<f64>) -> Result<Prediction> {
        let best = scores.iter().enumerate().fold(0, |best, (i, &score)| if score > scores[best] { i } else { best });
        let text = example.options.texts.get(best).cloned().unwrap_or_default();
        let prediction = self.prediction(example, text, Reading::Option(best), Scoring::OptionLikelihood)?;
        // Of several right options none is the right one.
        let gold_option = example.rendered.gold.filter(|_| example.rendered.people.len() < 2).map(|option| option as u32);
        Ok(Prediction { option_scores: scores, gold_option, ..prediction })
    }

    /// A text is the answer.
    pub(crate) fn generated(self, example: &TestExample, text: String) -> Result<Prediction> {
        let reading = (example.task.read)(&text, &example.gold());
        self.prediction(example, text, reading, Scoring::Generation)
    }

    /// A class's answer is the answer; it says something if it is one of the example's options, where there are some.
    pub(crate) fn classed(self, example: &TestExample, answer: String) -> Result<Prediction> {
        let reading = reading(&answer, &example.gold(), example.task.read);
        self.prediction(example, answer, reading, Scoring::Class)
    }

    fn prediction(self, example: &TestExample, text: String, reading: Reading, scoring: Scoring) -> Result<Prediction> {
        let mut prediction = Prediction {
            example: example.id.clone(),
            client: self.client.map(|id| id as u32),
            shard: example.shard.map(|id| id as u32),
            scoring,
            prediction: text,
            gold: example.rendered.gold_text.clone(),
            correct: false,
            parsed: reading != Reading::Nothing,
            option_scores: Vec::new(),
            gold_option: None,
            score: None,
            further: Default::default(),
        };
        let given = Given { text: &prediction.prediction, reading };
        for measure in example.task.scores {
            let (name, value) = (measure.row.name, (measure.of)(&given, &example.gold()));
            let most = measure.row.unit.most().filter(|_| name == example.metric.row.name);
            if !value.is_finite() || most.is_some_and(|most| !(0.0..=most + 1e-9).contains(&value)) {
                return Err(Error::Worth { example: example.id.clone(), task: example.task.name, score: name, value });
            }
            match (most.is_some(), measure.aggregate) {
                (true, _) => (prediction.correct, prediction.score) = (value >= 0.5, measure.is_graded.then_some(value)),
                (false, Aggregate::Whole(_)) => {}
                (false, _) => drop(prediction.further.insert(name.into(), value)),
            }
        }
        Ok(prediction)
    }
}
