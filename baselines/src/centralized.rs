//! Centralized tuning: all shards pooled at the server, with as many steps as all clients take together.

use harness::Result;
use harness::adapter::Adapters;
use harness::federation::{Client, Method, Plain, Scope, Update};

/// One trainer over all shards.
pub struct Centralized;

impl Method for Centralized {
    fn train(&self, client: &mut Client, global: &Adapters) -> Result<Update> {
        let fit = client.fit(global, &mut Plain)?;
        Ok(Update::new(client, &fit).with("adapters", fit.adapters))
    }

    fn aggregate(&mut self, _global: &Adapters, updates: &[Update]) -> Result<Adapters> {
        match updates {
            [pooled] => Ok(pooled.set("adapters")?.clone()),
            _ => Err(harness::Error::Usage(format!("centralized tuning has one trainer, not {}", updates.len()))),
        }
    }

    fn scope(&self) -> Scope {
        Scope::Pooled
    }
}
