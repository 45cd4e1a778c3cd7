//! Answers to test examples, in the order asked for.

use models::adapter::Adapt;
use schema::Prediction;
use schema::card::Scoring;

use crate::Result;
use crate::generation::generate_all;
use crate::judge::Judge;
use crate::likelihood::option_scores;
use crate::lots::by_length;
use crate::prediction::Judged;

/// Answers test examples, in the order asked for.
pub fn predict(judge: &Judge, adapt: &dyn Adapt, examples: &[usize], client: Option<usize>) -> Result<Vec<Prediction>> {
    let (ranked, generated): (Vec<usize>, Vec<usize>) =
        examples.iter().partition(|&&example| judge.examples[example].scoring == Scoring::OptionLikelihood);
    let judged = Judged { client, metric: judge.metric.row.name };
    let mut answered: Vec<(usize, Prediction)> = Vec::with_capacity(examples.len());
    let ranked = by_length(judge, ranked);
    for (&example, scores) in ranked.iter().zip(option_scores(judge, adapt, &ranked)?) {
        answered.push((example, judged.ranked(&judge.examples[example], scores)?));
    }
    let generated = by_length(judge, generated);
    for (&example, text) in generated.iter().zip(generate_all(judge, adapt, &generated)?) {
        answered.push((example, judged.generated(&judge.examples[example], text)?));
    }
    answered.sort_by_key(|(example, _)| *example);
    Ok(answered.into_iter().map(|(_, prediction)| prediction).collect())
}
