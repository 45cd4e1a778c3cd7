//! Aggregation rules. Each folds over updates in the order given, which is client-id order.

use candle_core::{DType, Tensor};

use super::Update;
use crate::adapter::Adapters;
use crate::{Error, Result};

/// A running sum of tensor sets.
#[derive(Debug, Clone, Default)]
pub struct Sum(Option<Adapters>);

impl Sum {
    /// Adds one.
    pub fn add(&mut self, part: Adapters) -> Result<()> {
        self.0 = Some(match self.0.take() {
            Some(sum) => sum.add(&part)?,
            None => part,
        });
        Ok(())
    }

    /// The sum; none of nothing.
    pub fn total(self) -> Option<Adapters> {
        self.0
    }

    /// The sum over a round's updates, of which there is at least one.
    fn of_updates(self) -> Result<Adapters> {
        self.0.ok_or_else(|| Error::Usage("a round without updates cannot be aggregated".into()))
    }
}

/// Shares p_k of the clients' training examples; they sum to 1.
pub fn data_weights(updates: &[Update]) -> Vec<f64> {
    let total: usize = updates.iter().map(|update| update.num_examples).sum();
    updates.iter().map(|update| update.num_examples as f64 / total.max(1) as f64).collect()
}

/// `1 / n` each.
pub fn uniform_weights(updates: &[Update]) -> Vec<f64> {
    vec![1.0 / updates.len().max(1) as f64; updates.len()]
}

/// `sum_k w_k S_k` over the tensor sets of one name (FedAvg: McMahan et al., arXiv 1602.05629, with w_k = n_k / n).
pub fn weighted_mean(updates: &[Update], set: &str, weights: &[f64]) -> Result<Adapters> {
    let mut sum = Sum::default();
    for (update, &weight) in updates.iter().zip(weights) {
        sum.add(update.set(set)?.scale(weight)?)?;
    }
    sum.of_updates()
}

/// Fisher merging (Matena & Raffel, arXiv 2111.09832; FedNano, arXiv 2506.14824), elementwise over the sets `adapters` and
/// `fisher`: `sum_k w_k F_k theta_k / sum_k w_k F_k`, and `sum_k w_k theta_k` where the denominator is below `floor`.
pub fn fisher_merge(updates: &[Update], weights: &[f64], floor: f64) -> Result<Adapters> {
    let mean = weighted_mean(updates, "adapters", weights)?;
    let fisher = weighted_mean(updates, "fisher", weights)?;
    let mut numerator = Sum::default();
    for (update, &weight) in updates.iter().zip(weights) {
        numerator.add(update.set("adapters")?.zip(&update.set("fisher")?.scale(weight)?, |theta, f| theta * f)?)?;
    }
    let merged = numerator.of_updates()?.zip(&fisher.map(|f| f.maximum(floor))?, |n, f| n / f)?;
    let informed = fisher.map(|f| f.ge(floor))?;
    let pairs = merged.zip(&mean, |merged, mean| Tensor::stack(&[merged, mean], 0))?;
    Ok(informed.zip(&pairs, |informed, pair| informed.where_cond(&pair.get(0)?, &pair.get(1)?))?)
}

/// The mean of what is left, coordinate by coordinate, once `trim` values have been cut off at either end (Yin et al., arXiv
/// 1803.01498); unweighted. With as much cut as leaves one value or two, the median.
pub fn trimmed_mean(updates: &[Update], set: &str, trim: usize) -> Result<Adapters> {
    let sets = updates.iter().map(|update| update.set(set)).collect::<Result<Vec<_>>>()?;
    let first = *sets.first().ok_or_else(|| Error::Usage("a round without updates cannot be aggregated".into()))?;
    let kept = trim..sets.len().saturating_sub(trim);
    if kept.is_empty() {
        return Err(Error::Usage(format!("{trim} values cut off at either end leave none of {} updates", sets.len())));
    }
    let merge = |(name, like): (&String, &Tensor)| -> Result<(String, Tensor)> {
        let columns = sets.iter().map(|set| column(set, name, like)).collect::<Result<Vec<_>>>()?;
        let middle = |i: usize| {
            let mut values: Vec<f64> = columns.iter().map(|column| column[i]).collect();
            values.sort_by(f64::total_cmp);
            values[kept.clone()].iter().sum::<f64>() / kept.len() as f64
        };
        let merged: Vec<f64> = (0..like.elem_count()).map(middle).collect();
        Ok((name.clone(), Tensor::from_vec(merged, like.shape(), like.device())?.to_dtype(like.dtype())?))
    };
    first.iter().map(merge).collect()
}

/// How much [`trimmed_mean`] must cut off so that the median is left.
pub fn median_trim(updates: usize) -> usize {
    updates.saturating_sub(1) / 2
}

fn column(set: &Adapters, name: &str, like: &Tensor) -> Result<Vec<f64>> {
    match set.get(name).filter(|tensor| tensor.shape() == like.shape()) {
        Some(tensor) => Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?),
        None => Err(Error::Usage(format!("updates differ: not all hold `{name}` in the shape {:?}", like.dims()))),
    }
}
