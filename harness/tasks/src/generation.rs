//! Answering by greedy generation.

use std::ops::Range;

use candle_core::{DType, Tensor};
use models::adapter::{Adapt, Untouched};
use models::{Branch, Cache, Sequence};
use rayon::prelude::*;

use crate::example::TestExample;
use crate::judge::Judge;
use crate::lots::lots;
use crate::{Error, Result};

/// What the model says to some examples, in their order.
pub(crate) fn generate_all(judge: &Judge, adapt: &dyn Adapt, examples: &[usize]) -> Result<Vec<String>> {
    generate_with(judge, adapt, examples, true)
}

/// The same, where a backbone can keep what it computed of earlier tokens or (without `keeps`) not: it says the same tokens.
pub fn generate_with(judge: &Judge, adapt: &dyn Adapt, examples: &[usize], keeps: bool) -> Result<Vec<String>> {
    let lots = lots(judge, examples, |_| vec![Range { start: 0, end: 0 }]);
    let lots: Vec<Vec<usize>> = lots.iter().map(|lot| lot.iter().map(|part| examples[part.at]).collect()).collect();
    let texts = lots.par_iter().map(|lot| Lot { judge, adapt, examples: lot }.generate(keeps));
    let texts: Vec<Vec<String>> = texts.collect::<Result<_>>()?;
    Ok(texts.into_iter().flatten().collect())
}

/// Examples that are answered together.
struct Lot<'a> {
    judge: &'a Judge,
    adapt: &'a dyn Adapt,
    examples: &'a [usize],
}

impl Lot<'_> {
    /// Greedy decoding, all examples at once, until each says its end token or the limit is reached.
    fn generate(&self, keeps: bool) -> Result<Vec<String>> {
        let text = self.judge.backbone.text();
        let mut said: Vec<Vec<u32>> = vec![Vec::new(); self.examples.len()];
        let mut open: Vec<usize> = (0..self.examples.len()).collect();
        let mut cache = None;
        for _ in 0..self.judge.evaluation.max_new_tokens {
            let logits = match &mut cache {
                Some(cache) => self.go_on(cache, &open, &said)?,
                None => self.begin(&open, &said, keeps, &mut cache)?,
            };
            for (&i, token) in open.iter().zip(self.likeliest(&logits, &open, &said)?) {
                said[i].push(token);
            }
            let places: Vec<usize> = (0..open.len()).filter(|&at| said[open[at]].last() != Some(&text.end_token())).collect();
            if places.is_empty() {
                break;
            }
            if places.len() < open.len() {
                open = places.iter().map(|&at| open[at]).collect();
                if let Some(cache) = &mut cache {
                    cache.keep(&places)?;
                }
            }
        }
        said.iter().map(|ids| Ok(text.decode(ids)?.trim().to_owned())).collect()
    }

    /// What is said so far, as a whole; `cache` becomes what goes on from there, where a backbone keeps it.
    fn begin(&self, open: &[usize], said: &[Vec<u32>], keeps: bool, cache: &mut Option<Cache>) -> Result<Tensor> {
        let judge = self.judge;
        let grown: Vec<Sequence> = open.iter().map(|&i| grown(&self.example(i).sequence, &said[i])).collect();
        let batch = judge.batch(&grown.iter().collect::<Vec<_>>())?;
        if !keeps {
            return judge.logits(&batch, self.adapt);
        }
        let embeddings = judge.split.embed(&batch, &*judge.backbone, &judge.adapter)?;
        match judge.backbone.begin(&embeddings, &batch.positions, self.adapt)? {
            Some((logits, begun)) => {
                *cache = Some(begun);
                Ok(logits)
            }
            None => Ok(judge.backbone.decode(&embeddings, self.adapt)?),
        }
    }

    /// What is behind the last token that each said.
    fn go_on(&self, cache: &mut Cache, open: &[usize], said: &[Vec<u32>]) -> Result<Tensor> {
        let tokens: Vec<u32> = open.iter().filter_map(|&i| said[i].last().copied()).collect();
        Ok(self.judge.backbone.go_on(cache, &tokens, self.adapt)?)
    }

    fn example(&self, i: usize) -> &TestExample {
        &self.judge.examples[self.examples[i]]
    }

    /// The likeliest token of every row `[rows, vocabulary]`; the rows are those of these examples, which have said so much.
    fn likeliest(&self, logits: &Tensor, open: &[usize], said: &[Vec<u32>]) -> Result<Vec<u32>> {
        let (judge, numbers) = (self.judge, logits.to_dtype(DType::F32)?.to_vec2::<f32>()?);
        for (row, &i) in numbers.iter().zip(open) {
            let Some(&value) = row.iter().find(|logit| !logit.is_finite()) else { continue };
            let example = self.example(i);
            let sequence = grown(&example.sequence, &said[i]);
            let alone = judge.logits(&judge.batch(&[&sequence])?, &Untouched)?.to_dtype(DType::F32)?.flatten_all()?;
            return Err(Error::Score {
                example: example.id.clone(),
                what: format!("token {} of its answer", said[i].len() + 1),
                value: f64::from(value),
                by_adapters: alone.to_vec1::<f32>()?.iter().all(|logit| logit.is_finite()),
            });
        }
        Ok(logits.argmax(1)?.to_vec1::<u32>()?)
    }
}

/// The prompt and what has been said so far, with one row read: where the next token is decided.
fn grown(sequence: &Sequence, said: &[u32]) -> Sequence {
    let mut tokens = said.to_vec();
    tokens.push(0);
    let branch = Branch { read_from: said.len(), tokens };
    Sequence { prefix: sequence.prefix.clone(), images: sequence.images.clone(), branches: vec![branch] }
}
