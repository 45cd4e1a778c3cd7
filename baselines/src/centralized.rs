//! Centralized tuning: all shards pooled at the server, with as many steps as all clients take together.

use harness::Result;
use harness::adapter::Adapters;
use harness::federation::{ADAPTERS, Client, Method, Plain, Round, Scope, Sets, Update};

use crate::fedavg;

/// One trainer over all shards.
pub struct Centralized;

impl Method for Centralized {
    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        fedavg::tuned(client, received, &mut Plain)
    }

    fn aggregate(&mut self, _global: &Adapters, updates: &[Update], _round: Round) -> Result<Adapters> {
        match updates {
            [pooled] => Ok(pooled.set(ADAPTERS)?.clone()),
            _ => Err(harness::Error::Usage(format!("centralized tuning has one trainer, not {}", updates.len()))),
        }
    }

    fn scope(&self) -> Scope {
        Scope::Pooled
    }
}
