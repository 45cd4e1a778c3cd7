//! LoRA-FAIR (Bian et al., arXiv 2411.14961): the server averages A and B, and corrects the mean B so that the product comes nearer in
//! direction to the mean of the products: `dB = argmin [1 - cos(sum_k p_k B_k A_k, (B + dB) A)] + lambda ||dB||`. A and B + dB are sent,
//! and clients start from them.
//!
//! The authors' code is not public. The norm is Frobenius', not squared, and the minimum is sought by proximal gradient descent from
//! dB = 0, with steps and rate as keys: a step down the cosine's gradient, then so much shorter as the norm wants it, so that dB stays 0
//! where the mean product has the right direction already. Products are never made: cosine and gradient need but
//! `sum_k p_k B_k A_k A^T` and `A A^T`.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use federation::Result;
use federation::registry::options;
use federation::{Method, Round, Update};
use models::adapter::{AdapterSpec, Adapters};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::Averaging;
use crate::keys;
use crate::pairs::{Pair, Sites};
use crate::weights::Weights;

/// FedAvg, and a correction of B.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraFair {
    /// How much the correction's length counts.
    pub lambda: f64,
    /// Steps of descent at the server.
    pub steps: usize,
    /// Their rate.
    pub rate: f64,
    /// `examples` or `uniform`.
    pub weights: Weights,
    /// All of the round: no running sum would do.
    #[serde(skip)]
    updates: Vec<Update>,
    #[serde(skip)]
    sites: Sites,
}

impl Default for LoraFair {
    fn default() -> Self {
        let (updates, sites) = Default::default();
        Self { lambda: 0.01, steps: 100, rate: 0.01, weights: Weights::default(), updates, sites }
    }
}

/// So many steps at most.
const STEPS: usize = 1_000_000;

impl LoraFair {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("lora-fair", given)?;
        keys::not_negative("lora-fair", "lambda", method.lambda)?;
        keys::positive("lora-fair", "rate", method.rate)?;
        keys::count("lora-fair", "steps", method.steps, STEPS)?;
        Ok(method.averaged())
    }

    /// The pair of the means of A and of B, the latter corrected.
    fn corrected(&self, pairs: &[&Pair], weights: &[f64]) -> Result<Pair> {
        let problem = Problem::of(pairs, weights)?;
        let mut change = problem.b.zeros_like()?;
        for _ in 0..self.steps {
            let Some(descent) = problem.gradient(&change)? else { break };
            change = (change - (descent * self.rate)?)?;
            let length = norm(&change)?;
            let kept = if length > 0.0 { (1.0 - self.rate * self.lambda / length).max(0.0) } else { 0.0 };
            change = (change * kept)?;
        }
        let like = |x: Tensor, other: &Tensor| Ok::<_, federation::Error>(x.to_dtype(other.dtype())?);
        Ok(Pair { a: like(problem.a.clone(), &pairs[0].a)?, b: like((&problem.b + change)?, &pairs[0].b)? })
    }
}

/// What is minimised at one site, in f64.
struct Problem {
    /// The mean A and the mean B.
    a: Tensor,
    b: Tensor,
    /// `sum_k p_k B_k A_k A^T`, `A A^T`, and the length of `sum_k p_k B_k A_k`.
    onto: Tensor,
    gram: Tensor,
    length: f64,
}

impl Problem {
    fn of(pairs: &[&Pair], weights: &[f64]) -> Result<Self> {
        let wide = |x: &Tensor| x.to_dtype(DType::F64);
        let shares =
            pairs.iter().zip(weights).map(|(pair, &weight)| Ok(Pair { a: wide(&pair.a)?, b: (wide(&pair.b)? * weight)? }));
        let shares: Vec<Pair> = shares.collect::<Result<_>>()?;
        let (mut a, mut b) = (shares[0].a.zeros_like()?, shares[0].b.zeros_like()?);
        for (share, &weight) in shares.iter().zip(weights) {
            a = (a + (&share.a * weight)?)?;
            b = (b + &share.b)?;
        }
        let product = Pair::stacked(&shares)?;
        let onto = product.b.matmul(&product.a.matmul(&a.t()?)?)?;
        let square = (product.b.t()?.matmul(&product.b)? * product.a.matmul(&product.a.t()?)?)?;
        let length = square.sum_all()?.to_scalar::<f64>()?.max(0.0).sqrt();
        Ok(Self { gram: a.matmul(&a.t()?)?, a, b, onto, length })
    }

    /// The gradient of `1 - cos`, for so changed a B; none where one side has no direction.
    fn gradient(&self, change: &Tensor) -> Result<Option<Tensor>> {
        let b = (&self.b + change)?;
        let onto_itself = b.matmul(&self.gram)?;
        let own = (&onto_itself * &b)?.sum_all()?.to_scalar::<f64>()?.max(0.0).sqrt();
        if self.length == 0.0 || own == 0.0 {
            return Ok(None);
        }
        let along = (&self.onto * &b)?.sum_all()?.to_scalar::<f64>()?;
        let toward = (&self.onto * (-1.0 / (self.length * own)))?;
        Ok(Some((toward + (onto_itself * (along / (self.length * own.powi(3))))?)?))
    }
}

fn norm(x: &Tensor) -> Result<f64> {
    Ok(x.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt())
}

impl Averaging for LoraFair {
    fn weights(&self) -> Weights {
        self.weights
    }

    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        self.sites = Sites::of(spec);
        initial
    }

    fn notice(&mut self, update: &Update, _global: &Adapters, _round: Round) -> Result<()> {
        self.updates.push(update.clone());
        Ok(())
    }

    fn next(&mut self, mean: Adapters, _global: &Adapters) -> Result<Adapters> {
        let updates = std::mem::take(&mut self.updates);
        let weights = self.weights.of(&updates);
        Ok(mean.with(&self.sites.merge(&updates, |pairs| self.corrected(pairs, &weights))?))
    }
}
