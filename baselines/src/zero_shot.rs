//! Zero-shot: nothing is trained, nothing is sent. A head is what it was before training.

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::options;
use federation::{Client, Method, Round, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};
use serde::Deserialize;
use serde_json::Value;

/// The untouched backbone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZeroShot {}

impl ZeroShot {
    /// Reads its keys, of which there are none.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        Ok(Box::new(options::<Self>("zero-shot", given)?))
    }
}

impl Method for ZeroShot {
    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        spec.head_of(&initial)
    }

    fn send(&self, _client: usize, _global: &Adapters, _round: Round) -> Result<Sets> {
        Ok(Sets::default())
    }

    fn train(&self, client: &mut Client, _received: &Sets) -> Result<Update> {
        Ok(Update { client: client.id(), ..Update::default() })
    }
}
