//! FFA-LoRA (Sun et al., arXiv 2403.12313): A stays as it was drawn, the same at every client; B is trained and averaged. Then the
//! mean of the products is the product of the means, and half the numbers travel.

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::options;
use federation::{ADAPTERS, Client, Method, Round, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::{Averaging, tuned};
use crate::pairs::{Sites, WithFrozen, only_a, without_a};
use crate::weights::Weights;

/// FedAvg of B.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FfaLora {
    /// `examples` or `uniform`.
    pub weights: Weights,
    #[serde(skip)]
    sites: Sites,
}

impl FfaLora {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        Ok(options::<Self>("ffa-lora", given)?.averaged())
    }
}

impl Averaging for FfaLora {
    fn weights(&self) -> Weights {
        self.weights
    }

    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        self.sites = Sites::of(spec);
        initial
    }

    fn send(&self, global: &Adapters, _round: Round) -> Result<Sets> {
        Ok(Sets::default().with(ADAPTERS, without_a(self.sites.spec()?, global)))
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let mut frozen = WithFrozen(only_a(client.spec(), &client.initial()));
        tuned(client, received, &mut frozen)
    }

    fn next(&mut self, mean: Adapters, global: &Adapters) -> Result<Adapters> {
        Ok(global.with(&mean))
    }
}
