//! Zero-shot: nothing is trained, nothing is sent.

use harness::Result;
use harness::adapter::Adapters;
use harness::federation::{Client, Method, Scope, Update};

/// The untouched backbone.
pub struct ZeroShot;

impl Method for ZeroShot {
    fn start(&self, _initial: Adapters) -> Adapters {
        Adapters::default()
    }

    fn train(&self, client: &mut Client, _global: &Adapters) -> Result<Update> {
        Ok(Update { client: client.id(), ..Update::default() })
    }

    fn aggregate(&mut self, global: &Adapters, _updates: &[Update]) -> Result<Adapters> {
        Ok(global.clone())
    }

    fn scope(&self) -> Scope {
        Scope::Nothing
    }
}
