//! Answering by greedy generation.

use std::ops::Range;

use candle_core::{DType, Tensor};
use models::adapter::{Adapt, Untouched};
use models::{Branch, Sequence};
use rayon::prelude::*;

use crate::example::TestExample;
use crate::judge::Judge;
use crate::lots::lots;
use crate::{Error, Result};

/// What the model says to some examples, in their order.
pub(crate) fn generate_all(judge: &Judge, adapt: &dyn Adapt, examples: &[usize]) -> Result<Vec<String>> {
    let lots = lots(judge, examples, |_| vec![Range { start: 0, end: 0 }]);
    let lots: Vec<Vec<usize>> = lots.iter().map(|lot| lot.iter().map(|part| examples[part.at]).collect()).collect();
    let texts: Vec<Vec<String>> = lots.par_iter().map(|lot| generate(judge, adapt, lot)).collect::<Result<_>>()?;
    Ok(texts.into_iter().flatten().collect())
}

/// Greedy decoding, all examples of the batch at once, until each says its end token or the limit is reached.
fn generate(judge: &Judge, adapt: &dyn Adapt, examples: &[usize]) -> Result<Vec<String>> {
    let text = judge.backbone.text();
    let mut said: Vec<Vec<u32>> = vec![Vec::new(); examples.len()];
    let mut open: Vec<usize> = (0..examples.len()).collect();
    for step in 0..judge.evaluation.max_new_tokens {
        let asked: Vec<&TestExample> = open.iter().map(|&i| &judge.examples[examples[i]]).collect();
        let grown: Vec<Sequence> = open.iter().zip(&asked).map(|(&i, example)| grown(&example.sequence, &said[i])).collect();
        let grown: Vec<&Sequence> = grown.iter().collect();
        let logits = judge.logits(&judge.batch(&grown)?, adapt)?;
        let next = likeliest(judge, &logits, &grown, &asked, step)?;
        for (&i, token) in open.iter().zip(next) {
            said[i].push(token);
        }
        open.retain(|&i| said[i].last() != Some(&text.end_token()));
        if open.is_empty() {
            break;
        }
    }
    said.iter().map(|ids| Ok(text.decode(ids)?.trim().to_owned())).collect()
}

/// The prompt and what has been said so far, with one row read: where the next token is decided.
fn grown(sequence: &Sequence, said: &[u32]) -> Sequence {
    let mut tokens = said.to_vec();
    tokens.push(0);
    let branch = Branch { read_from: said.len(), tokens };
    Sequence { prefix: sequence.prefix.clone(), images: sequence.images.clone(), branches: vec![branch] }
}

/// The likeliest token of every row `[rows, vocabulary]`; the rows are those of these examples, which have said so many tokens.
fn likeliest(judge: &Judge, logits: &Tensor, batch: &[&Sequence], examples: &[&TestExample], said: usize) -> Result<Vec<u32>> {
    let numbers = logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
    for ((row, sequence), example) in numbers.iter().zip(batch).zip(examples) {
        let Some(&value) = row.iter().find(|logit| !logit.is_finite()) else { continue };
        let alone = judge.logits(&judge.batch(&[sequence])?, &Untouched)?.to_dtype(DType::F32)?.flatten_all()?;
        return Err(Error::Score {
            example: example.id.clone(),
            what: format!("token {} of its answer", said + 1),
            value: f64::from(value),
            by_adapters: alone.to_vec1::<f32>()?.iter().all(|logit| logit.is_finite()),
        });
    }
    Ok(logits.argmax(1)?.to_vec1::<u32>()?)
}
