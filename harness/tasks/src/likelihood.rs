//! Ranking an example's options by their likelihood.

use candle_core::DType;
use models::adapter::{Adapt, Untouched};
use models::batch::{BRANCH_TOKENS, pieces};
use models::{Branch, Sequence};
use rayon::prelude::*;
use schema::card::OptionScore;

use crate::example::TestExample;
use crate::judge::Judge;
use crate::lots::{Part, lots};
use crate::{Error, Result};

/// Log-likelihood of every option of every example, normalised as the card says; all of them finite.
pub(crate) fn option_scores(judge: &Judge, adapt: &dyn Adapt, examples: &[usize]) -> Result<Vec<Vec<f64>>> {
    let lots = lots(judge, examples, |example| pieces(&example.options.branches, BRANCH_TOKENS));
    let of_lots: Vec<Vec<f64>> = lots.par_iter().map(|lot| part_scores(judge, adapt, examples, lot)).collect::<Result<_>>()?;
    let mut scores: Vec<Vec<f64>> = vec![Vec::new(); examples.len()];
    let parts = lots.iter().flatten().flat_map(|part| part.options.clone().map(|_| part.at));
    for (at, score) in parts.zip(of_lots.into_iter().flatten()) {
        scores[at].push(score);
    }
    for (scores, example) in scores.iter_mut().zip(examples.iter().map(|&example| &judge.examples[example])) {
        check_scores(judge, example, scores)?;
        if example.option_score != OptionScore::Sum {
            scores.iter_mut().zip(lengths(example)).for_each(|(score, length)| *score /= length);
        }
    }
    Ok(scores)
}

/// What each option's summed log-likelihood is divided by, as the card says.
pub(crate) fn lengths(example: &TestExample) -> Vec<f64> {
    let options = example.options.branches.iter().zip(&example.options.texts);
    let length = |(branch, text): (&Branch, &String)| match example.option_score {
        OptionScore::Sum => 1.0,
        OptionScore::Mean => branch.tokens.len() as f64,
        OptionScore::Byte => text.len().max(1) as f64,
    };
    options.map(length).collect()
}

/// The summed log-likelihoods of some parts' options, one after the other.
fn part_scores(judge: &Judge, adapt: &dyn Adapt, examples: &[usize], parts: &[Part]) -> Result<Vec<f64>> {
    let sequence = |part: &Part| {
        let example = &judge.examples[examples[part.at]];
        example.sequence.with_piece(&example.options.branches, part.options.clone())
    };
    let sequences: Vec<Sequence> = parts.iter().map(sequence).collect();
    let batch = judge.batch(&sequences.iter().collect::<Vec<_>>())?;
    let rows = judge.log_likelihoods(&batch, adapt)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let mut scores: Vec<Vec<f64>> = parts.iter().map(|part| vec![0.0; part.options.len()]).collect();
    for (owner, row) in batch.owners.iter().zip(rows) {
        scores[owner.sequence][owner.branch] += row;
    }
    Ok(scores.concat())
}

/// A score that is not finite is larger than none and smaller than none: it would be the first option's victory.
fn check_scores(judge: &Judge, example: &TestExample, scores: &[f64]) -> Result<()> {
    let Some((option, &value)) = scores.iter().enumerate().find(|(_, score)| !score.is_finite()) else { return Ok(()) };
    let alone = example.sequence.with_piece(&example.options.branches, option..option + 1);
    let rows = judge.log_likelihoods(&judge.batch(&[&alone])?, &Untouched)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let text = example.options.texts.get(option).map(String::as_str).unwrap_or_default();
    Err(Error::Score {
        example: example.id.clone(),
        what: format!("option {} (`{}`)", option + 1, guard::text::line(text, 80)),
        value,
        by_adapters: rows.iter().all(|row| row.is_finite()),
    })
}
