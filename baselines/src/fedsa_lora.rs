//! FedSA-LoRA (Guo et al., arXiv 2410.01463): A and B are trained, A is averaged, B never leaves its client. There is no global
//! model; client k answers with the mean A and its own B.

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::{keys_of, options};
use federation::{ADAPTERS, Client, Method, Plain, Round, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pairs;
use crate::weights::Average;

/// FedAvg of A.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedSaLora {
    /// `examples` or `uniform`.
    #[serde(rename = "weights")]
    pub average: Average,
}

impl FedSaLora {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        Ok(Box::new(options::<Self>("fedsa-lora", given)?))
    }
}

/// What a client keeps its B under.
const B: &str = "B";

fn own_b(client: &Client) -> Adapters {
    client.recall(B, || client.initial().filter(pairs::is_b))
}

impl Method for FedSaLora {
    fn start(&mut self, initial: Adapters, _spec: &AdapterSpec) -> Adapters {
        initial.filter(pairs::is_a)
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let fit = client.fit(&received.get(ADAPTERS)?.with(&own_b(client)), &mut Plain)?;
        client.memory.insert(B.into(), fit.adapters.filter(pairs::is_b));
        Ok(client.update(fit.work).with(ADAPTERS, fit.adapters.filter(pairs::is_a)))
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        self.average.add(&update)
    }

    fn aggregate(&mut self, _global: &Adapters, _round: Round) -> Result<Adapters> {
        self.average.take()
    }

    fn personalize(&self, client: &Client, global: &Adapters) -> Result<Option<Adapters>> {
        Ok(Some(global.with(&own_b(client))))
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(self)
    }
}
