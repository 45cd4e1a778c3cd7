//! Zero-shot: nothing is trained, nothing is sent.

use federation::Result;
use federation::{Client, Method, Round, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};

/// The untouched backbone.
pub struct ZeroShot;

impl Method for ZeroShot {
    fn start(&mut self, _initial: Adapters, _spec: &AdapterSpec) -> Adapters {
        Adapters::default()
    }

    fn send(&self, _client: usize, _global: &Adapters, _round: Round) -> Result<Sets> {
        Ok(Sets::default())
    }

    fn train(&self, client: &mut Client, _received: &Sets) -> Result<Update> {
        Ok(Update { client: client.id(), ..Update::default() })
    }
}
