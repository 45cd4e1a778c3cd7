//! Centralized tuning: all shards pooled at the server, with as many steps as all clients take together.

use federation::Result;
use federation::aggregate::Mean;
use federation::{ADAPTERS, Client, Method, Plain, Round, Sets, Update};
use models::adapter::Adapters;

use crate::fedavg;

/// One trainer over all shards.
#[derive(Debug, Default)]
pub struct Centralized {
    /// Of one update.
    tuned: Mean,
}

impl Method for Centralized {
    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        fedavg::tuned(client, received, &mut Plain)
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        self.tuned.add(update.set(ADAPTERS)?, 1.0)
    }

    fn aggregate(&mut self, _global: &Adapters, _round: Round) -> Result<Adapters> {
        self.tuned.take()
    }
}
