//! Answers to test examples, in the order asked for.

use models::adapter::Adapt;
use schema::Prediction;
use schema::card::Scoring;

use crate::by_class::largest_classes;
use crate::generation::generate_all;
use crate::judge::Judge;
use crate::likelihood::option_scores;
use crate::lots::by_length;
use crate::prediction::Judged;
use crate::{Error, Result};

/// Batches of each thread between two looks of a watcher.
const WATCHED: usize = 4;

/// The same as [`predict`], to the bit, and says of how many examples it is done with as it goes.
pub fn predict_watched(
    judge: &Judge,
    adapt: &dyn Adapt,
    examples: &[usize],
    done: &mut dyn FnMut(usize),
) -> Result<Vec<Prediction>> {
    let of = |scoring: Scoring| examples.iter().copied().filter(|&example| judge.examples[example].scoring == scoring).collect();
    let kinds: [Vec<usize>; 3] = [Scoring::OptionLikelihood, Scoring::Generation, Scoring::Class].map(of);
    // Whole batches, of the same examples as in one go.
    let some = judge.evaluation.batch_size.max(1).saturating_mul(WATCHED * rayon::current_num_threads());
    let mut answered: Vec<(usize, Prediction)> = Vec::with_capacity(examples.len());
    for order in kinds.map(|examples| by_length(judge, examples)) {
        for part in order.chunks(some) {
            let mut sorted = part.to_vec();
            sorted.sort_unstable();
            answered.extend(sorted.iter().copied().zip(predict(judge, adapt, part, None)?));
            done(part.len());
        }
    }
    answered.sort_by_key(|(example, _)| *example);
    Ok(answered.into_iter().map(|(_, prediction)| prediction).collect())
}

/// Answers test examples, in the order asked for.
pub fn predict(judge: &Judge, adapt: &dyn Adapt, examples: &[usize], client: Option<usize>) -> Result<Vec<Prediction>> {
    let of = |scoring: Scoring| examples.iter().copied().filter(|&example| judge.examples[example].scoring == scoring).collect();
    let [ranked, generated, classed]: [Vec<usize>; 3] = [Scoring::OptionLikelihood, Scoring::Generation, Scoring::Class].map(of);
    let judged = Judged { client };
    let mut answered: Vec<(usize, Prediction)> = Vec::with_capacity(examples.len());
    let ranked = by_length(judge, ranked);
    for (&example, scores) in ranked.iter().zip(option_scores(judge, adapt, &ranked)?) {
        answered.push((example, judged.ranked(&judge.examples[example], scores)?));
    }
    let generated = by_length(judge, generated);
    for (&example, text) in generated.iter().zip(generate_all(judge, adapt, &generated)?) {
        answered.push((example, judged.generated(&judge.examples[example], text)?));
    }
    if !classed.is_empty() {
        let classed = by_length(judge, classed);
        let heads = judge.heads.as_ref().ok_or_else(|| {
            Error::Usage(
                "this backbone answers by class, and what its classes stand for is known in the run alone that trains its head: judge it \
                 there"
                    .into(),
            )
        })?;
        let answers = heads.by(client)?.answers();
        for (&example, class) in classed.iter().zip(largest_classes(judge, adapt, &classed, answers.len())?) {
            let answer = answers.get(class).cloned().unwrap_or_default();
            answered.push((example, judged.classed(&judge.examples[example], answer)?));
        }
    }
    answered.sort_by_key(|(example, _)| *example);
    Ok(answered.into_iter().map(|(_, prediction)| prediction).collect())
}
