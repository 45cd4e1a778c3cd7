//! FedProx (Li et al., arXiv 1812.06127): FedAvg whose clients are held near what they received, `f_k(w) + mu/2 ||w - w_t||^2`.
//!
//! The norm is over what is trained, on LoRA over A and B by themselves (as in OpenFedLLM), not over their product.

use std::collections::BTreeMap;

use candle_core::Tensor;
use federation::Result;
use federation::registry::options;
use federation::{ADAPTERS, Client, Method, Objective, Sets, Update};
use models::adapter::Adapters;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::{Averaging, tuned};
use crate::keys;
use crate::weights::Weights;

/// The weighted mean of clients that were held near the last mean.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedProx {
    /// The pull's strength mu.
    pub mu: f64,
    /// `examples` or `uniform`.
    pub weights: Weights,
}

impl Default for FedProx {
    fn default() -> Self {
        Self { mu: 0.01, weights: Weights::default() }
    }
}

impl FedProx {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("fedprox", given)?;
        keys::not_negative("fedprox", "mu", method.mu)?;
        Ok(method.averaged())
    }
}

/// The loss plus `mu/2 ||w - anchor||^2`.
pub(crate) struct Proximal<'a> {
    pub mu: f64,
    pub anchor: &'a Adapters,
}

impl Objective for Proximal<'_> {
    fn loss(&mut self, loss: Tensor, trained: &Adapters) -> Result<Tensor> {
        let away = trained.sub(self.anchor)?;
        Ok((loss + (away.dot(&away)? * (self.mu / 2.0))?)?)
    }
}

impl Averaging for FedProx {
    fn weights(&self) -> Weights {
        self.weights
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        tuned(client, received, &mut Proximal { mu: self.mu, anchor: received.get(ADAPTERS)? })
    }
}
