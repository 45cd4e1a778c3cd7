//! Answers to test examples, in the order asked for.

use models::adapter::Adapt;
use schema::Prediction;
use schema::card::Scoring;

use crate::Result;
use crate::generation::{generate_all, generated_prediction};
use crate::judge::Judge;
use crate::likelihood::{option_scores, ranked_prediction};
use crate::lots::by_length;

/// Answers test examples, in the order asked for.
pub fn predict(judge: &Judge, adapt: &dyn Adapt, examples: &[usize], client: Option<usize>) -> Result<Vec<Prediction>> {
    let (ranked, generated): (Vec<usize>, Vec<usize>) =
        examples.iter().partition(|&&example| judge.examples[example].scoring == Scoring::OptionLikelihood);
    let mut answered: Vec<(usize, Prediction)> = Vec::with_capacity(examples.len());
    let ranked = by_length(judge, ranked);
    for (&example, scores) in ranked.iter().zip(option_scores(judge, adapt, &ranked)?) {
        answered.push((example, ranked_prediction(&judge.examples[example], scores, client)));
    }
    let generated = by_length(judge, generated);
    for (&example, text) in generated.iter().zip(generate_all(judge, adapt, &generated)?) {
        answered.push((example, generated_prediction(&judge.examples[example], text, client, &judge.split.dataset.card.metric)));
    }
    answered.sort_by_key(|(example, _)| *example);
    Ok(answered.into_iter().map(|(_, prediction)| prediction).collect())
}
