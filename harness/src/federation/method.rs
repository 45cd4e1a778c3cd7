//! What a federated tuning algorithm is.

use std::collections::BTreeMap;

use super::Client;
use crate::Result;
use crate::adapter::Adapters;

/// A federated tuning algorithm: its client half ([`Method::train`]) and its server half ([`Method::aggregate`]).
///
/// A method opens no file, prints nothing, reads no clock, draws no unseeded number, counts no byte and never sees a test
/// example: nothing it is handed offers that.
pub trait Method: Send + Sync {
    /// The server's state before the first round, given freshly initialised adapters. The default is these adapters.
    fn start(&self, initial: Adapters) -> Adapters {
        initial
    }

    /// A client's work in a round, from the adapters it received.
    fn train(&self, client: &mut Client, global: &Adapters) -> Result<Update>;

    /// The server's work: the next global adapters, from the cohort's updates in client-id order.
    fn aggregate(&mut self, global: &Adapters, updates: &[Update]) -> Result<Adapters>;

    /// The adapters a client is judged with, where they are its own; the global ones by default.
    fn personalize(&self, client: &Client) -> Option<Adapters> {
        let _ = client;
        None
    }

    /// Its own keys with their values, defaults included: what a run folder keeps.
    fn config(&self) -> BTreeMap<String, serde_json::Value> {
        BTreeMap::new()
    }

    /// Whose examples a client of this method trains on.
    fn scope(&self) -> Scope {
        Scope::Shard
    }
}

/// Whose examples a client trains on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Its own shard.
    Shard,
    /// All shards, pooled at the server: one trainer with every client's budget.
    Pooled,
    /// Nothing is trained.
    Nothing,
}

/// Where the parts of the model live, which decides what a client stores and what crosses the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Everything is at the server; clients hold no model.
    Server,
    /// Clients hold encoder, connector, token embedding and adapters; the LLM stays at the server (FedNano's NanoEdge).
    Split,
    /// Clients hold the whole model.
    Client,
}

/// What a client sends.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// The client.
    pub client: usize,
    /// Its training examples.
    pub num_examples: usize,
    /// Mean training loss of the round.
    pub loss: f64,
    /// Optimizer steps it took.
    pub steps: usize,
    /// Examples in these steps' batches, repeats counted.
    pub examples: usize,
    /// Named tensor sets: `adapters`, `fisher`, ...
    pub sets: BTreeMap<String, Adapters>,
}

impl Update {
    /// An update that sends these adapters.
    pub fn new(client: &Client, fit: &super::Fit) -> Self {
        Self {
            client: client.id(),
            num_examples: client.num_examples(),
            loss: fit.loss,
            steps: fit.steps,
            examples: fit.examples,
            sets: BTreeMap::new(),
        }
    }

    /// Adds a named tensor set.
    pub fn with(mut self, name: &str, set: Adapters) -> Self {
        self.sets.insert(name.into(), set);
        self
    }

    /// A named tensor set, which the method itself put there.
    pub fn set(&self, name: &str) -> Result<&Adapters> {
        let missing = || crate::Error::Usage(format!("the update of client {} holds no `{name}`", self.client));
        self.sets.get(name).ok_or_else(missing)
    }

    /// Numbers in all sets.
    pub fn num_parameters(&self) -> u64 {
        self.sets.values().map(Adapters::num_parameters).sum()
    }
}
