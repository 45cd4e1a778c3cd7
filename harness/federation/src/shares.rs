//! How much each client counts in an elementwise merge: what no single weight says.

use candle_core::{DType, Tensor};
use models::adapter::Adapters;

use crate::Result;
use crate::method::Diagnostic;

/// Numbers of a tensor that are looked at, at even distances; of one that has no more, all.
const LOOKED_AT: usize = 4096;

/// The clients' shares of the weight in one round's merge by Fisher ([`crate::aggregate::FisherMean`]): at each number, `p_k F_k / sum_j
/// p_j F_j`, or `p_k` where that sum is below the floor and the plain average is taken. Of each client at most 4,096 numbers of a tensor
/// are kept until all have arrived.
#[derive(Debug, Clone, Default)]
pub struct Shares {
    clients: Vec<Counted>,
}

/// What is kept of one client.
#[derive(Debug, Clone)]
struct Counted {
    client: usize,
    weight: f64,
    /// By tensor: how many numbers it has, and its Fisher at those that are looked at.
    fisher: Vec<(String, usize, Vec<f64>)>,
}

impl Shares {
    /// Adds a client's Fisher and the weight, not yet a share, of its data.
    pub fn add(&mut self, client: usize, fisher: &Adapters, weight: f64) -> Result<()> {
        let kept = |(name, tensor): (&String, &Tensor)| Ok((name.clone(), tensor.elem_count(), looked_at(tensor)?));
        let fisher = fisher.iter().map(kept).collect::<Result<_>>()?;
        self.clients.push(Counted { client, weight, fisher });
        Ok(())
    }

    /// Every client's share: the mean over all numbers, then that over each tensor's; a new round begins.
    pub fn take(&mut self, floor: f64) -> Vec<Diagnostic> {
        let clients = std::mem::take(&mut self.clients);
        let total: f64 = clients.iter().map(|counted| counted.weight).sum();
        let data: Vec<f64> = clients.iter().map(|counted| counted.weight / total).collect();
        let tensors = clients.first().map_or(0, |counted| counted.fisher.len());
        let by_tensor: Vec<Vec<f64>> = (0..tensors).map(|tensor| of_tensor(&clients, &data, tensor, floor)).collect();
        let mut shares = Vec::new();
        for (place, counted) in clients.iter().enumerate() {
            let numbers: usize = counted.fisher.iter().map(|(_, numbers, _)| numbers).sum();
            let parts = counted.fisher.iter().zip(&by_tensor);
            let all = parts.map(|((_, of_all, _), shares)| shares[place] * *of_all as f64).sum::<f64>() / numbers.max(1) as f64;
            shares.push(Diagnostic::WeightShare { client: counted.client, tensor: None, share: all });
            shares.extend(counted.fisher.iter().zip(&by_tensor).map(|((name, ..), shares)| Diagnostic::WeightShare {
                client: counted.client,
                tensor: Some(name.clone()),
                share: shares[place],
            }));
        }
        shares
    }
}

/// Each client's mean share over the numbers of a tensor that are looked at.
fn of_tensor(clients: &[Counted], data: &[f64], tensor: usize, floor: f64) -> Vec<f64> {
    let looked = clients.iter().map(|counted| counted.fisher[tensor].2.len()).min().unwrap_or(0);
    let mut sums = vec![0.0; clients.len()];
    for number in 0..looked {
        let weights: Vec<f64> = clients.iter().zip(data).map(|(counted, p)| p * counted.fisher[tensor].2[number]).collect();
        let all: f64 = weights.iter().sum();
        for (place, sum) in sums.iter_mut().enumerate() {
            *sum += if all >= floor { weights[place] / all } else { data[place] };
        }
    }
    sums.into_iter().map(|sum| sum / looked.max(1) as f64).collect()
}

fn looked_at(tensor: &Tensor) -> Result<Vec<f64>> {
    let stride = tensor.elem_count().div_ceil(LOOKED_AT).max(1);
    let all = tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    Ok(all.into_iter().step_by(stride).collect())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn set(tensors: &[(&str, &[f64])]) -> Adapters {
        let tensor = |numbers: &[f64]| Tensor::new(numbers, &Device::Cpu).expect("a tensor");
        tensors.iter().map(|(name, numbers)| ((*name).to_owned(), tensor(numbers))).collect()
    }

    fn of(shares: &[Diagnostic], who: usize, what: Option<&str>) -> f64 {
        let is_it = |found: &&Diagnostic| matches!(found, Diagnostic::WeightShare { client, tensor, .. } if *client == who && tensor.as_deref() == what);
        let Some(Diagnostic::WeightShare { share, .. }) = shares.iter().find(is_it) else { panic!("no share of {who}") };
        *share
    }

    /// By hand: of `a`, 1 * 3 / (1 * 3 + 3 * 1) and 1 * 1 / (1 * 1 + 3 * 5); of `b`, nothing but data, for it is below the floor.
    #[test]
    fn shares_are_those_of_the_merge() {
        let mut shares = Shares::default();
        shares.add(2, &set(&[("a", &[3.0, 1.0]), ("b", &[1e-20])]), 1.0).expect("added");
        shares.add(7, &set(&[("a", &[1.0, 5.0]), ("b", &[3e-20])]), 3.0).expect("added");
        let found = shares.take(1e-12);
        let a = (0.5 + 1.0 / 16.0) / 2.0;
        for (what, wanted) in [(Some("a"), a), (Some("b"), 0.25), (None, (2.0 * a + 0.25) / 3.0)] {
            assert!((of(&found, 2, what) - wanted).abs() < 1e-12, "{what:?}: {found:?}");
            assert!((of(&found, 2, what) + of(&found, 7, what) - 1.0).abs() < 1e-12, "{what:?}");
        }
        assert!(shares.take(1e-12).is_empty());
    }

    #[test]
    fn large_tensors_are_looked_at_at_even_distances() {
        let numbers: Vec<f64> = (0..10_000).map(f64::from).collect();
        let found = looked_at(&Tensor::new(numbers.as_slice(), &Device::Cpu).expect("a tensor")).expect("numbers");
        assert_eq!((found.len(), found[1], found.last()), (3334, 3.0, Some(&9999.0)));
    }
}
