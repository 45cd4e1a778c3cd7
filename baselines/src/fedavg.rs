//! FedAvg (McMahan et al., arXiv 1602.05629) on adapters: `theta = sum_k p_k theta_k`, every tensor by itself.
//!
//! On LoRA this is FedIT (Zhang et al., arXiv 2305.05644): A and B are averaged separately, so the product is not the average of
//! the products; that inexactness belongs to the method.

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::{keys_of, options};
use federation::{ADAPTERS, Client, Method, Objective, Plain, Round, Sets, Update};
use models::adapter::Adapters;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::weights::Average;

/// The weighted mean of the clients' adapters.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedAvg {
    /// `examples` or `uniform`.
    #[serde(rename = "weights")]
    pub average: Average,
}

impl FedAvg {
    /// Reads its keys, for the row of this name.
    pub fn build(name: &str, given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        Ok(Box::new(options::<Self>(name, given)?))
    }
}

impl Method for FedAvg {
    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        tuned(client, received, &mut Plain)
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        self.average.add(&update)
    }

    fn aggregate(&mut self, _global: &Adapters, _round: Round) -> Result<Adapters> {
        self.average.take()
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(self)
    }
}

/// The received adapters, tuned and sent back.
pub(crate) fn tuned(client: &mut Client, received: &Sets, objective: &mut dyn Objective) -> Result<Update> {
    let fit = client.fit(received.get(ADAPTERS)?, objective)?;
    Ok(client.update(fit.work).with(ADAPTERS, fit.adapters))
}
