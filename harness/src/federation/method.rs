//! What a federated tuning algorithm is.

use std::collections::BTreeMap;

use schema::metrics::Variant;

use super::Client;
use crate::Result;
use crate::adapter::{AdapterSpec, Adapters};

/// The name of the tensor set that every averaging method sends.
pub const ADAPTERS: &str = "adapters";

/// A federated tuning algorithm: its client half ([`Method::train`]) and its server half ([`Method::send`],
/// [`Method::receive`], [`Method::aggregate`]).
///
/// A method opens no file, prints nothing, reads no clock, draws no unseeded number, counts no byte and never sees a test
/// example: nothing it is handed offers that.
pub trait Method: Send + Sync {
    /// The global adapters before the first round, given freshly initialised ones. The default is these.
    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        let _ = spec;
        initial
    }

    /// What the server sends a client at the start of a round. The default is the global adapters.
    fn send(&self, client: usize, global: &Adapters, round: Round) -> Result<Sets> {
        let _ = (client, round);
        Ok(Sets::default().with(ADAPTERS, global.clone()))
    }

    /// A client's work in a round, from what it received.
    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update>;

    /// The server takes in one of the cohort's updates; they come in client-id order. What it keeps is its own affair: a running
    /// mean has the size of one update, however many clients there are. Some of the cohort may still have to be sent to and to
    /// train, so nothing that [`Method::send`] and [`Method::train`] answer in this round may change. The default keeps nothing.
    fn receive(&mut self, update: Update, global: &Adapters, round: Round) -> Result<()> {
        let _ = (update, global, round);
        Ok(())
    }

    /// The server's work once it has all updates of a round: the next global adapters. The default leaves them as they are.
    fn aggregate(&mut self, global: &Adapters, round: Round) -> Result<Adapters> {
        let _ = round;
        Ok(global.clone())
    }

    /// The adapters a client is judged with, where they are its own; the global ones by default.
    fn personalize(&self, client: &Client, global: &Adapters) -> Result<Option<Adapters>> {
        let _ = (client, global);
        Ok(None)
    }

    /// Other adapters that a client is also judged with, on its own test shard after the last round.
    fn variants(&self, client: &Client, global: &Adapters) -> Result<Vec<(Variant, Adapters)>> {
        let _ = (client, global);
        Ok(Vec::new())
    }

    /// Its own keys with their values, defaults included: what a run folder keeps.
    fn config(&self) -> BTreeMap<String, serde_json::Value> {
        BTreeMap::new()
    }

    /// Whether updates may be of other ranks than the experiment's.
    fn unequal_ranks(&self) -> bool {
        false
    }

    /// Whose examples a client of this method trains on.
    fn scope(&self) -> Scope {
        Scope::Shard
    }
}

/// The server's half of a round by itself: the next global adapters from these updates, which are in client-id order.
pub fn merge(
    method: &mut dyn Method,
    global: &Adapters,
    updates: impl IntoIterator<Item = Update>,
    round: Round,
) -> Result<Adapters> {
    updates.into_iter().try_for_each(|update| method.receive(update, global, round))?;
    method.aggregate(global, round)
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// From 1.
    pub index: usize,
    /// Rounds of the run.
    pub total: usize,
    /// Clients of the run, sampled in this round or not.
    pub clients: usize,
}

impl Round {
    /// Whether no round follows.
    pub fn is_last(&self) -> bool {
        self.index == self.total
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

/// Named tensor sets, as they cross the link: `adapters`, `fisher`, ...
#[derive(Debug, Clone, Default)]
pub struct Sets(BTreeMap<String, Adapters>);

impl Sets {
    /// With another set.
    pub fn with(mut self, name: &str, set: Adapters) -> Self {
        self.0.insert(name.into(), set);
        self
    }

    /// The set of this name, which the method itself put there.
    pub fn get(&self, name: &str) -> Result<&Adapters> {
        let names = || self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        self.0.get(name).ok_or_else(|| crate::Error::Usage(format!("no tensor set `{name}` was sent, only: {}", names())))
    }

    /// Names and sets, in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Adapters)> {
        self.0.iter()
    }

    /// Numbers in all sets.
    pub fn num_parameters(&self) -> u64 {
        self.0.values().map(Adapters::num_parameters).sum()
    }

    /// Whether every number of every set is finite.
    pub fn is_finite(&self) -> Result<bool> {
        self.0.values().try_fold(true, |finite, set| Ok(finite && set.is_finite()?))
    }
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
    /// Optimizer steps that every tensor in training took.
    pub steps: usize,
    /// Examples in these steps' batches, repeats counted.
    pub examples: usize,
    /// The tensors.
    pub sets: Sets,
}

impl Update {
    /// An update that sends nothing yet.
    pub fn new(client: &Client, work: super::Work) -> Self {
        Self {
            client: client.id(),
            num_examples: client.num_examples(),
            loss: work.loss,
            steps: work.steps,
            examples: work.examples,
            sets: Sets::default(),
        }
    }

    /// Adds a named tensor set.
    pub fn with(mut self, name: &str, set: Adapters) -> Self {
        self.sets = self.sets.with(name, set);
        self
    }

    /// A named tensor set, which the method itself put there.
    pub fn set(&self, name: &str) -> Result<&Adapters> {
        self.sets.get(name).map_err(|error| crate::Error::Usage(format!("the update of client {}: {error}", self.client)))
    }
}
