//! The engine of ordinary runs: all clients in this process, a few for each thread at a time.

use crate::Result;
use crate::engine::Engine;
use crate::host::Host;
use crate::order::{Order, Reply};
use crate::watch::Watch;

/// Clients in this process.
pub struct InProcess<'a> {
    host: Host<'a>,
}

/// Clients in a wave for each thread: enough to keep every thread busy though some have more to do than others.
const CLIENTS_PER_THREAD: usize = 4;

impl<'a> InProcess<'a> {
    /// Over a host of all clients.
    pub fn new(host: Host<'a>) -> Self {
        Self { host }
    }
}

impl Engine for InProcess<'_> {
    fn wave(&self) -> usize {
        CLIENTS_PER_THREAD * rayon::current_num_threads()
    }

    fn carry_out(&mut self, orders: Vec<Order>, watch: &dyn Watch) -> Result<Vec<Reply>> {
        self.host.carry_out(orders, watch)
    }
}
