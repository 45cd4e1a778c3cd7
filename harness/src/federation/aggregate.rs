//! Aggregation rules. Each folds over updates in the order given, which is client-id order.

use super::Update;
use crate::adapter::Adapters;
use crate::{Error, Result};

/// Shares p_k of the clients' training examples; they sum to 1.
pub fn data_weights(updates: &[Update]) -> Vec<f64> {
    let total: usize = updates.iter().map(|update| update.num_examples).sum();
    updates.iter().map(|update| update.num_examples as f64 / total.max(1) as f64).collect()
}

/// `sum_k w_k S_k` over the tensor sets of one name (FedAvg: McMahan et al., arXiv 1602.05629, with w_k = n_k / n).
pub fn weighted_mean(updates: &[Update], set: &str, weights: &[f64]) -> Result<Adapters> {
    let mut sum: Option<Adapters> = None;
    for (update, &weight) in updates.iter().zip(weights) {
        let part = update.set(set)?.scale(weight)?;
        sum = Some(match sum {
            Some(sum) => sum.add(&part)?,
            None => part,
        });
    }
    sum.ok_or_else(|| Error::Usage("a round without updates cannot be aggregated".into()))
}

/// Fisher merging (Matena & Raffel, arXiv 2111.09832; FedNano, arXiv 2506.14824), elementwise over the sets `adapters` and
/// `fisher`: `sum_k w_k F_k theta_k / sum_k w_k F_k`, and `sum_k w_k theta_k` where the denominator is below `floor`.
pub fn fisher_merge(updates: &[Update], weights: &[f64], floor: f64) -> Result<Adapters> {
    let mean = weighted_mean(updates, "adapters", weights)?;
    let fisher = weighted_mean(updates, "fisher", weights)?;
    let mut numerator: Option<Adapters> = None;
    for (update, &weight) in updates.iter().zip(weights) {
        let part = update.set("adapters")?.zip(&update.set("fisher")?.scale(weight)?, |theta, f| theta * f)?;
        numerator = Some(match numerator {
            Some(sum) => sum.add(&part)?,
            None => part,
        });
    }
    let numerator = numerator.unwrap_or_default();
    let merged = numerator.zip(&fisher.map(|f| f.maximum(floor))?, |n, f| n / f)?;
    let informed = fisher.map(|f| f.ge(floor))?;
    let pairs = merged.zip(&mean, |merged, mean| candle_core::Tensor::stack(&[merged, mean], 0))?;
    Ok(informed.zip(&pairs, |informed, pair| informed.where_cond(&pair.get(0)?, &pair.get(1)?))?)
}
