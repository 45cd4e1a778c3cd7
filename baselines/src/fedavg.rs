//! FedAvg (McMahan et al., arXiv 1602.05629) on adapters: `theta = sum_k p_k theta_k`, every tensor by itself.
//!
//! On LoRA this is FedIT (Zhang et al., arXiv 2305.05644): A and B are averaged separately, so the product is not the average of
//! the products; that inexactness belongs to the method.

use std::collections::BTreeMap;

use federation::registry::options;
use federation::{Method, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::Averaging;
use crate::weights::Weights;

/// The weighted mean of the clients' adapters.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedAvg {
    /// `examples` or `uniform`.
    pub weights: Weights,
}

impl FedAvg {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        Ok(options::<Self>("fedavg", given)?.averaged())
    }
}

impl Averaging for FedAvg {
    fn weights(&self) -> Weights {
        self.weights
    }
}
