//! FedSA-LoRA (Guo et al., arXiv 2410.01463): A and B are trained, A is averaged, B never leaves its client. There is no global
//! model; client k answers with the mean A and its own B.

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::options;
use federation::{ADAPTERS, Client, Method, Plain, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::Averaging;
use crate::pairs::{only_b, without_b};
use crate::weights::Weights;

/// FedAvg of A.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedSaLora {
    /// `examples` or `uniform`.
    pub weights: Weights,
}

impl FedSaLora {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        Ok(options::<Self>("fedsa-lora", given)?.averaged())
    }
}

/// What a client keeps its B under.
const B: &str = "B";

fn own_b(client: &Client) -> Adapters {
    client.recall(B, || only_b(client.spec(), &client.initial()))
}

impl Averaging for FedSaLora {
    fn weights(&self) -> Weights {
        self.weights
    }

    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        without_b(spec, &initial)
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let fit = client.fit(&received.get(ADAPTERS)?.with(&own_b(client)), &mut Plain)?;
        client.memory.insert(B.into(), only_b(client.spec(), &fit.adapters));
        Ok(client.update(fit.work).with(ADAPTERS, without_b(client.spec(), &fit.adapters)))
    }

    fn personalize(&self, client: &Client, global: &Adapters) -> Result<Option<Adapters>> {
        Ok(Some(global.with(&own_b(client))))
    }
}
