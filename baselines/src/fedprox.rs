//! FedProx (Li et al., arXiv 1812.06127): FedAvg whose clients are held near what they received, `f_k(w) + mu/2 ||w - w_t||^2`.
//!
//! The norm is over what is trained, on LoRA over A and B by themselves (as in OpenFedLLM), not over their product. With `layers` it is
//! over those of the decoder alone, as FedMLLM has it (Xu et al., arXiv 2411.14717; its code: layers 4 to 23).

use std::collections::BTreeMap;

use candle_core::Tensor;
use federation::registry::options;
use federation::{ADAPTERS, Client, Method, Objective, Sets, Update};
use federation::{Error, Result};
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
    /// The first and the last of the decoder's layers whose adapters are held, from 0; all adapters are without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<[usize; 2]>,
    /// `examples` or `uniform`.
    pub weights: Weights,
}

impl Default for FedProx {
    fn default() -> Self {
        Self { mu: 0.01, layers: None, weights: Weights::default() }
    }
}

impl FedProx {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("fedprox", given)?;
        keys::not_negative("fedprox", "mu", method.mu)?;
        if let Some(layers @ [first, last]) = method.layers
            && first > last
        {
            return Err(Error::Usage(format!("{}: expected the first and the last layer", of_layers(layers))));
        }
        Ok(method.averaged())
    }
}

fn of_layers(layers: [usize; 2]) -> String {
    format!("[method] name = \"fedprox\": layers = {layers:?}")
}

/// Whether an adapter's tensor is in one of these layers of the decoder.
fn is_within([first, last]: [usize; 2], name: &str) -> bool {
    let layer = name.strip_prefix("layers.").and_then(|rest| rest.split('.').next()?.parse().ok());
    layer.is_some_and(|layer: usize| (first..=last).contains(&layer))
}

/// The loss plus `mu/2 ||w - anchor||^2`, over the tensors that the anchor has.
pub(crate) struct Proximal<'a> {
    pub mu: f64,
    pub anchor: &'a Adapters,
}

impl Objective for Proximal<'_> {
    fn loss(&mut self, loss: Tensor, trained: &Adapters) -> Result<Tensor> {
        let away = trained.filter(|name| self.anchor.get(name).is_some()).sub(self.anchor)?;
        Ok((loss + (away.dot(&away)? * (self.mu / 2.0))?)?)
    }
}

impl Averaging for FedProx {
    fn weights(&self) -> Weights {
        self.weights
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let mut anchor = received.get(ADAPTERS)?.clone();
        if let Some(layers) = self.layers {
            anchor = anchor.filter(|name| is_within(layers, name));
            if anchor.is_empty() {
                return Err(Error::Usage(format!("{}: no adapter is in these layers of the decoder", of_layers(layers))));
            }
        }
        tuned(client, received, &mut Proximal { mu: self.mu, anchor: &anchor })
    }
}
