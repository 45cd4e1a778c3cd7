//! Answering by the largest class logit.

use candle_core::{DType, Result as Made, Tensor};
use models::adapter::{Adapt, Form};
use models::{Branch, Sequence};
use rayon::prelude::*;

use crate::judge::Judge;
use crate::lots::lots;
use crate::{Error, Result};

/// The class that each example is answered with, of so many that stand for something; the first of equals. All logits are finite.
pub(crate) fn largest_classes(judge: &Judge, adapt: &dyn Adapt, examples: &[usize], classes: usize) -> Result<Vec<usize>> {
    let lots = lots(judge, examples, |_| vec![std::ops::Range { start: 0, end: 0 }]);
    let of_lots: Vec<Vec<usize>> = lots
        .par_iter()
        .map(|lot| {
            let some: Vec<usize> = lot.iter().map(|part| examples[part.at]).collect();
            let rows = logits(judge, adapt, &some)?;
            some.iter().zip(rows).map(|(&example, row)| largest(judge, adapt, example, &row, classes)).collect()
        })
        .collect::<Result<_>>()?;
    Ok(of_lots.concat())
}

/// Class logits, a row for each example.
fn logits(judge: &Judge, adapt: &dyn Adapt, examples: &[usize]) -> Result<Vec<Vec<f64>>> {
    // Which class is read makes no difference: one row of logits holds all.
    let asked =
        |example: &usize| Sequence { branches: vec![Branch::answer(vec![0])], ..judge.examples[*example].sequence.clone() };
    let sequences: Vec<Sequence> = examples.iter().map(asked).collect();
    let batch = judge.batch(&sequences.iter().collect::<Vec<_>>())?;
    Ok(judge.logits(&batch, adapt)?.to_dtype(DType::F64)?.to_vec2()?)
}

fn largest(judge: &Judge, adapt: &dyn Adapt, example: usize, row: &[f64], classes: usize) -> Result<usize> {
    let row = &row[..classes.min(row.len())];
    if let Some((class, &value)) = row.iter().enumerate().find(|(_, logit)| !logit.is_finite()) {
        let alone = logits(judge, &HeadAlone(adapt), &[example])?;
        let by_adapters = alone.iter().flatten().all(|logit| logit.is_finite());
        return Err(Error::Score {
            example: judge.examples[example].id.clone(),
            what: format!("class {class}"),
            value,
            by_adapters,
        });
    }
    Ok((1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best }))
}

/// The head without the adapters beside it.
struct HeadAlone<'a>(&'a dyn Adapt);

impl Adapt for HeadAlone<'_> {
    fn delta(&self, _site: &str, _input: &Tensor) -> Made<Option<Tensor>> {
        Ok(None)
    }

    fn form(&self, _site: &str) -> Form<'_> {
        Form::Nothing
    }

    fn head(&self, name: &str) -> Made<&Tensor> {
        self.0.head(name)
    }
}
