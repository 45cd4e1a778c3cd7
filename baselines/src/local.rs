//! Local tuning (LocFT): each client on its own shard, from round to round, without communication.

use harness::Result;
use harness::adapter::Adapters;
use harness::federation::{Client, Method, Plain, Update};

/// Adapters that never leave their client.
pub struct Local;

const OWN: &str = "own";

impl Method for Local {
    fn start(&self, _initial: Adapters) -> Adapters {
        Adapters::default()
    }

    fn train(&self, client: &mut Client, _global: &Adapters) -> Result<Update> {
        let start = client.memory.get(OWN).cloned().unwrap_or_else(|| client.initial());
        let fit = client.fit(&start, &mut Plain)?;
        let update = Update::new(client, &fit);
        client.memory.insert(OWN.into(), fit.adapters);
        Ok(update)
    }

    fn aggregate(&mut self, global: &Adapters, _updates: &[Update]) -> Result<Adapters> {
        Ok(global.clone())
    }

    fn personalize(&self, client: &Client) -> Option<Adapters> {
        Some(client.memory.get(OWN).cloned().unwrap_or_else(|| client.initial()))
    }
}
