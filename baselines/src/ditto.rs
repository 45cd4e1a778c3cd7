//! Ditto (Li et al., arXiv 2012.04221): FedAvg, and beside it each client's own adapters, held near the global ones:
//! `f_k(v) + lambda/2 ||v - w_t||^2`.

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::{keys_of, options};
use federation::{ADAPTERS, Client, Method, Plain, Round, Sets, Update};
use models::adapter::Adapters;
use schema::metrics::Variant;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fedprox::Proximal;
use crate::local::OWN;
use crate::weights::Average;
use crate::{fedavg, keys};

/// FedAvg with a leash.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ditto {
    /// The pull's strength.
    pub lambda: f64,
    /// `examples` or `uniform`.
    #[serde(rename = "weights")]
    pub average: Average,
}

impl Default for Ditto {
    fn default() -> Self {
        Self { lambda: 0.1, average: Average::default() }
    }
}

impl Ditto {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("ditto", given)?;
        keys::not_negative("ditto", "lambda", method.lambda)?;
        Ok(Box::new(method))
    }
}

impl Method for Ditto {
    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let start = client.recall(OWN, || client.initial());
        let own = client.fit(&start, &mut Proximal { mu: self.lambda, anchor: received.get(ADAPTERS)? })?;
        client.memory.insert(OWN.into(), own.adapters);
        fedavg::tuned(client, received, &mut Plain)
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        self.average.add(&update)
    }

    fn aggregate(&mut self, _global: &Adapters, _round: Round) -> Result<Adapters> {
        self.average.take()
    }

    fn personalize(&self, client: &Client, _global: &Adapters) -> Result<Option<Adapters>> {
        Ok(Some(client.recall(OWN, || client.initial())))
    }

    fn variants(&self, _client: &Client, global: &Adapters) -> Result<Vec<(Variant, Adapters)>> {
        Ok(vec![(Variant::Shared, global.clone())])
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(self)
    }
}
