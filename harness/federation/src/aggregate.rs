//! Aggregation rules. Each folds over updates in the order given, which is client-id order; means take one update after the other
//! and hold no more than their result.

use candle_core::{DType, Tensor};
use models::adapter::Adapters;

use super::Update;
use crate::{Error, Result};

/// A running sum of tensor sets.
#[derive(Debug, Clone, Default)]
pub struct Sum(Option<Adapters>);

impl Sum {
    /// Goes on from a sum.
    pub fn from(sum: Option<Adapters>) -> Self {
        Self(sum)
    }

    /// Adds one.
    pub fn add(&mut self, part: Adapters) -> Result<()> {
        self.0 = Some(match self.0.take() {
            Some(sum) => sum.add(&part)?,
            None => part,
        });
        Ok(())
    }

    /// The sum so far; none of nothing.
    pub fn so_far(&self) -> Option<&Adapters> {
        self.0.as_ref()
    }

    /// The sum; none of nothing.
    pub fn total(self) -> Option<Adapters> {
        self.0
    }
}

/// A running weighted mean of tensor sets, `sum_k w_k S_k / sum_k w_k` (FedAvg: McMahan et al., arXiv 1602.05629, with w_k = n_k).
/// Equal sets have themselves as their mean, to the bit.
#[derive(Debug, Clone, Default)]
pub struct Mean {
    weight: f64,
    mean: Option<Adapters>,
}

impl Mean {
    /// Adds a set.
    pub fn add(&mut self, set: &Adapters, weight: f64) -> Result<()> {
        self.weight += weight;
        let share = if self.weight > 0.0 { weight / self.weight } else { 0.0 };
        self.mean = Some(match self.mean.take() {
            Some(mean) => mean.add(&set.sub(&mean)?.scale(share)?)?,
            None => set.clone(),
        });
        Ok(())
    }

    /// The mean, and the sum of the weights it was taken with; a new one begins.
    pub fn take_weighed(&mut self) -> Result<(Adapters, f64)> {
        let Self { weight, mean } = std::mem::take(self);
        Ok((mean.ok_or_else(nothing_arrived)?, weight))
    }

    /// The mean; a new one begins.
    pub fn take(&mut self) -> Result<Adapters> {
        Ok(self.take_weighed()?.0)
    }
}

fn nothing_arrived() -> Error {
    Error::Usage("a round without updates cannot be aggregated".into())
}

/// Running Fisher merging (Matena & Raffel, arXiv 2111.09832; FedNano, arXiv 2506.14824), elementwise: `sum_k p_k F_k theta_k / sum_k
/// p_k F_k` with `p_k = w_k / sum_j w_j`, and `sum_k p_k theta_k` where the denominator is below a floor.
#[derive(Debug, Clone, Default)]
pub struct FisherMean {
    theta: Mean,
    fisher: Mean,
    product: Mean,
}

impl FisherMean {
    /// Adds adapters with their Fisher.
    pub fn add(&mut self, theta: &Adapters, fisher: &Adapters, weight: f64) -> Result<()> {
        self.product.add(&theta.zip(fisher, |theta, f| theta * f)?, weight)?;
        self.theta.add(theta, weight)?;
        self.fisher.add(fisher, weight)
    }

    /// The merged adapters; a new merge begins.
    pub fn take(&mut self, floor: f64) -> Result<Adapters> {
        let (mean, fisher) = (self.theta.take()?, self.fisher.take()?);
        let merged = self.product.take()?.zip(&fisher.map(|f| f.maximum(floor))?, |n, f| n / f)?;
        let informed = fisher.map(|f| f.ge(floor))?;
        let pairs = merged.zip(&mean, |merged, mean| Tensor::stack(&[merged, mean], 0))?;
        Ok(informed.zip(&pairs, |informed, pair| informed.where_cond(&pair.get(0)?, &pair.get(1)?))?)
    }
}

/// The mean of what is left, coordinate by coordinate, once `trim` values have been cut off at either end (Yin et al., arXiv
/// 1803.01498); unweighted. With as much cut as leaves one value or two, the median.
pub fn trimmed_mean(updates: &[Update], set: &str, trim: usize) -> Result<Adapters> {
    let sets = updates.iter().map(|update| update.set(set)).collect::<Result<Vec<_>>>()?;
    let first = *sets.first().ok_or_else(nothing_arrived)?;
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
