//! FlexLoRA (Bai et al., arXiv 2402.11505): the server averages products, `W = sum_k p_k B_k A_k`, of whatever ranks, and sends
//! client k the best pair of rank r_k: by `W = U S V^T`, `B = U[:, :r_k] S[:r_k]`, `A = V^T[:r_k]`, all singular values in B as in
//! the public code.
//!
//! The scale is `alpha / adapter.rank` at every client, so that products can be averaged as they are; the public code has `alpha /
//! r_k`. The decomposition is of the stacked factors, `W = [p_k B_k] [A_k]`, by two QR and one small SVD: W itself is never made. A
//! shared head beside the pairs is averaged.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use federation::registry::{keys_of, options};
use federation::{ADAPTERS, Client, Method, Plain, Round, Sets, Update};
use federation::{Error, Result};
use models::adapter::{AdapterSpec, Adapters};
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::tuned;
use crate::pairs::{Pair, Sites, check_ranks, rank_of};
use crate::weights::Weights;

/// Averages of products, split anew.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlexLora {
    /// The clients' ranks, in turn; all have `adapter.rank` without any.
    pub ranks: Vec<usize>,
    /// `examples` or `uniform`.
    pub weights: Weights,
    /// All of the round: no running sum would do.
    #[serde(skip)]
    updates: Vec<Update>,
    #[serde(skip)]
    sites: Sites,
}

impl FlexLora {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("flexlora", given)?;
        check_ranks("flexlora", &method.ranks)?;
        Ok(Box::new(method))
    }
}

impl Method for FlexLora {
    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        self.sites = Sites::of(spec);
        initial
    }

    fn send(&self, client: usize, global: &Adapters, _round: Round) -> Result<Sets> {
        let rank = rank_of(&self.ranks, client, self.sites.spec()?);
        Ok(Sets::default().with(ADAPTERS, self.sites.map(global, |pair| pair.first(rank))?))
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        tuned(client, received, &mut Plain)
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        self.updates.push(update);
        Ok(())
    }

    fn aggregate(&mut self, _global: &Adapters, _round: Round) -> Result<Adapters> {
        let updates = std::mem::take(&mut self.updates);
        let weights = self.weights.of(&updates);
        let rank = self.sites.spec()?.rank;
        let merged = self.sites.merge(&updates, |pairs| {
            let weighted =
                pairs.iter().zip(&weights).map(|(pair, &weight)| Ok(Pair { a: pair.a.clone(), b: (&pair.b * weight)? }));
            decomposed(&Pair::stacked(&weighted.collect::<Result<Vec<_>>>()?)?, rank)
        })?;
        Ok(merged.with(&self.sites.mean_head(&updates, &weights)?))
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(self)
    }
}

/// The pair of the same product whose dimensions stand in the order of their singular values, at least `rank` of them.
fn decomposed(pair: &Pair, rank: usize) -> Result<Pair> {
    let (left, right) = (matrix(&pair.b)?.qr(), matrix(&pair.a)?.transpose().qr());
    let svd = (left.r() * right.r().transpose()).svd(true, true);
    let failed = || Error::Usage("the singular value decomposition of an update did not converge".into());
    let (u, v) = (svd.u.ok_or_else(failed)?, svd.v_t.ok_or_else(failed)?);
    let b = left.q() * u * DMatrix::from_diagonal(&svd.singular_values);
    let a = v * right.q().transpose();
    let like = |m: &DMatrix<f64>, x: &Tensor| tensor(m, x.dtype(), x.device());
    Pair { a: like(&a, &pair.a)?, b: like(&b, &pair.b)? }.padded(rank)
}

fn matrix(x: &Tensor) -> Result<DMatrix<f64>> {
    let (rows, columns) = x.dims2()?;
    Ok(DMatrix::from_row_slice(rows, columns, &x.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?))
}

fn tensor(m: &DMatrix<f64>, dtype: DType, device: &Device) -> Result<Tensor> {
    // nalgebra stores columns one after the other.
    let columns = Tensor::from_slice(m.as_slice(), (m.ncols(), m.nrows()), &Device::Cpu)?;
    Ok(columns.t()?.contiguous()?.to_dtype(dtype)?.to_device(device)?)
}
