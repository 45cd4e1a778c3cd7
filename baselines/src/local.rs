//! Local tuning (LocFT): each client on its own shard, from round to round, without communication.

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::options;
use federation::{Client, Method, Plain, Round, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};
use serde::Deserialize;
use serde_json::Value;

/// Adapters that never leave their client.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {}

impl Local {
    /// Reads its keys, of which there are none.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        Ok(Box::new(options::<Self>("local", given)?))
    }
}

/// What a client keeps its own adapters under.
pub(crate) const OWN: &str = "own";

impl Method for Local {
    fn start(&mut self, _initial: Adapters, _spec: &AdapterSpec) -> Adapters {
        Adapters::default()
    }

    fn send(&self, _client: usize, _global: &Adapters, _round: Round) -> Result<Sets> {
        Ok(Sets::default())
    }

    fn train(&self, client: &mut Client, _received: &Sets) -> Result<Update> {
        let start = client.recall(OWN, || client.initial());
        let fit = client.fit(&start, &mut Plain)?;
        let update = client.update(fit.work);
        client.memory.insert(OWN.into(), fit.adapters);
        Ok(update)
    }

    fn sends(&self, _round: Round) -> &'static [&'static str] {
        &[]
    }

    fn personalize(&self, client: &Client, _global: &Adapters) -> Result<Option<Adapters>> {
        Ok(Some(client.recall(OWN, || client.initial())))
    }
}
