//! FedEx-LoRA (Singhal et al., arXiv 2410.09432): FedAvg on A and B, and what that leaves out of the mean of the products, `R =
//! sum_k p_k B_k A_k - B A`, is merged into the frozen weights, so that the average is exact.
//!
//! R travels as factors, `sum_k p_k (B_k - B)(A_k - A)`, which is the same. Frozen weights that change are kept beside the frozen
//! ones, in full. The public code weighs clients alike; the default here is their share of the examples, as for everybody.

use std::collections::BTreeMap;

use candle_core::Tensor;
use federation::Result;
use federation::registry::options;
use federation::{ADAPTERS, Client, Method, Round, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::Averaging;
use crate::flora::BASE;
use crate::pairs::{Pair, Sites, WithFrozen};
use crate::weights::Weights;

/// FedAvg and its residual.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedExLora {
    /// `examples` or `uniform`.
    pub weights: Weights,
    /// All of the round: no running sum would do.
    #[serde(skip)]
    updates: Vec<Update>,
    #[serde(skip)]
    sites: Sites,
    #[serde(skip)]
    residual: Option<Adapters>,
}

/// The tensor set of the residual's factors.
const RESIDUAL: &str = "residual";

impl FedExLora {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        Ok(options::<Self>("fedex-lora", given)?.averaged())
    }
}

impl Averaging for FedExLora {
    fn weights(&self) -> Weights {
        self.weights
    }

    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        self.sites = Sites::of(spec);
        initial
    }

    fn send(&self, global: &Adapters, _round: Round) -> Result<Sets> {
        let sets = Sets::default().with(ADAPTERS, self.sites.map(global, |pair| Ok(pair.clone()))?);
        Ok(self.residual.iter().fold(sets, |sets, residual| sets.with(RESIDUAL, residual.clone())))
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let mut base = client.recall(BASE, Adapters::default);
        if let Ok(residual) = received.get(RESIDUAL) {
            base = self.sites.merged_into_base(&base, residual)?;
        }
        // Before it trains: what the others hold by now it holds, too, even if its own round is left out.
        client.memory.insert(BASE.into(), base.clone());
        let fit = client.fit(received.get(ADAPTERS)?, &mut WithFrozen(base))?;
        Ok(client.update(fit.work).with(ADAPTERS, fit.adapters))
    }

    fn notice(&mut self, update: &Update, _global: &Adapters, _round: Round) -> Result<()> {
        self.updates.push(update.clone());
        Ok(())
    }

    fn next(&mut self, mean: Adapters, global: &Adapters) -> Result<Adapters> {
        let updates = std::mem::take(&mut self.updates);
        let weights = self.weights.of(&updates);
        let residual = self.sites.merge(&updates, |pairs| {
            let weighted = |part: fn(&Pair) -> &Tensor| -> Result<Tensor> {
                let parts = pairs.iter().zip(&weights).map(|(pair, &weight)| part(pair) * weight);
                Ok(Tensor::stack(&parts.collect::<candle_core::Result<Vec<_>>>()?, 0)?.sum(0)?)
            };
            let (a, b) = (weighted(|pair| &pair.a)?, weighted(|pair| &pair.b)?);
            let apart =
                pairs.iter().zip(&weights).map(|(pair, &weight)| Ok(Pair { a: (&pair.a - &a)?, b: ((&pair.b - &b)? * weight)? }));
            Pair::stacked(&apart.collect::<Result<Vec<_>>>()?)
        })?;
        let base = self.sites.merged_into_base(global, &residual)?;
        self.residual = Some(residual);
        Ok(base.with(&mean))
    }

    fn state(&self) -> Result<Sets> {
        Ok(Sets::default().with_some(RESIDUAL, self.residual.as_ref()))
    }

    fn resume(&mut self, mut state: Sets) -> Result<()> {
        self.residual = state.take(RESIDUAL);
        state.nothing_left()
    }
}
