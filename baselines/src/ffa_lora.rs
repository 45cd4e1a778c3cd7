//! FFA-LoRA (Sun et al., arXiv 2403.12313): A stays as it was drawn, the same at every client; B is trained and averaged. Then the
//! mean of the products is the product of the means, and half the numbers travel.

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::{keys_of, options};
use federation::{ADAPTERS, Client, Method, Objective, Round, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::weights::Average;
use crate::{fedavg, pairs};

/// FedAvg of B.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FfaLora {
    /// `examples` or `uniform`.
    #[serde(rename = "weights")]
    pub average: Average,
}

impl FfaLora {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        Ok(Box::new(options::<Self>("ffa-lora", given)?))
    }
}

/// What is trained stands beside what is not.
struct WithFrozen(Adapters);

impl Objective for WithFrozen {
    fn attach(&self, _spec: &AdapterSpec, trained: &Adapters) -> Result<Adapters> {
        Ok(self.0.with(trained))
    }
}

impl Method for FfaLora {
    fn send(&self, _client: usize, global: &Adapters, _round: Round) -> Result<Sets> {
        Ok(Sets::default().with(ADAPTERS, global.filter(pairs::is_b)))
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let mut frozen = WithFrozen(client.initial().filter(pairs::is_a));
        fedavg::tuned(client, received, &mut frozen)
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        self.average.add(&update)
    }

    fn aggregate(&mut self, global: &Adapters, _round: Round) -> Result<Adapters> {
        Ok(global.filter(pairs::is_a).with(&self.average.take()?))
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(self)
    }
}
