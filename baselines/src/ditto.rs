//! Ditto (Li et al., arXiv 2012.04221): FedAvg, and beside it each client's own adapters, held near the global ones:
//! `f_k(v) + lambda/2 ||v - w_t||^2`.

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::options;
use federation::{ADAPTERS, Client, Method, Plain, Sets, Update};
use models::adapter::Adapters;
use schema::metrics::Variant;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::{Averaging, tuned};
use crate::fedprox::Proximal;
use crate::keys;
use crate::local::OWN;
use crate::weights::Weights;

/// FedAvg with a leash.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ditto {
    /// The pull's strength.
    pub lambda: f64,
    /// `examples` or `uniform`.
    pub weights: Weights,
}

impl Default for Ditto {
    fn default() -> Self {
        Self { lambda: 0.1, weights: Weights::default() }
    }
}

impl Ditto {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("ditto", given)?;
        keys::not_negative("ditto", "lambda", method.lambda)?;
        Ok(method.averaged())
    }
}

impl Averaging for Ditto {
    fn weights(&self) -> Weights {
        self.weights
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let start = client.recall(OWN, || client.initial());
        let own = client.fit(&start, &mut Proximal { mu: self.lambda, anchor: received.get(ADAPTERS)? })?;
        client.memory.insert(OWN.into(), own.adapters);
        tuned(client, received, &mut Plain)
    }

    fn personalize(&self, client: &Client, _global: &Adapters) -> Result<Option<Adapters>> {
        Ok(Some(client.recall(OWN, || client.initial())))
    }

    fn variants(&self, _client: &Client, global: &Adapters) -> Result<Vec<(Variant, Adapters)>> {
        Ok(vec![(Variant::Shared, global.clone())])
    }
}
