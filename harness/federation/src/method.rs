//! What a federated tuning algorithm is.

use std::collections::BTreeMap;

use models::adapter::{AdapterSpec, Adapters};
use schema::metrics::{Metric, Variant};

use crate::{ADAPTERS, Client, Result, Round, Sets, Update};

/// A federated tuning algorithm: its client half ([`Method::train`], [`Method::personalize`], [`Method::variants`]) and its server half
/// ([`Method::send`], [`Method::receive`], [`Method::aggregate`]). Clients may be elsewhere, so they work with a copy of it that is told
/// [`Method::start`] and nothing else: what they need of the server is sent.
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

    /// The tensor sets that a round's updates hold: the adapters, and what has a number for each of theirs. The default is the adapters
    /// alone. An update that lacks one, or holds another, never reaches [`Method::receive`].
    fn sends(&self, round: Round) -> &'static [&'static str] {
        let _ = round;
        &[ADAPTERS]
    }

    /// The server takes in one of the cohort's updates; they come in client-id order. What it keeps is its own affair: a running
    /// mean has the size of one update, however many clients there are. Some of the cohort may still have to be sent to, so nothing
    /// that [`Method::send`] answers in this round may change. The default keeps nothing.
    fn receive(&mut self, update: Update, global: &Adapters, round: Round) -> Result<()> {
        let _ = (update, global, round);
        Ok(())
    }

    /// The server's work once it has all updates of a round: the next global adapters. The default leaves them as they are.
    fn aggregate(&mut self, global: &Adapters, round: Round) -> Result<Adapters> {
        let _ = round;
        Ok(global.clone())
    }

    /// What the server noticed while it aggregated the round, for the records. The default noticed nothing.
    fn diagnostics(&mut self) -> Vec<Diagnostic> {
        Vec::new()
    }

    /// What the server has to remember between two rounds, beside the global adapters. The default remembers nothing.
    fn state(&self) -> Result<Sets> {
        Ok(Sets::default())
    }

    /// Goes on from a [`Method::state`]; [`Method::start`] has been called.
    fn resume(&mut self, state: Sets) -> Result<()> {
        state.nothing_left()
    }

    /// Whether what it does in a round depends on how many are to come: what was trained for 5 rounds is then not the beginning of 10.
    fn looks_ahead(&self) -> bool {
        false
    }

    /// The adapters a client is judged with, where they are its own; the global ones by default. The method's row has to say `personal`
    /// for clients to be asked.
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
}

/// What a method may say of its own work; whoever runs it records that. Nothing that is measured of a method is among it.
#[derive(Debug, Clone, PartialEq)]
pub enum Diagnostic {
    /// How much a client counted in the merge.
    WeightShare {
        /// The client.
        client: usize,
        /// In which tensor; in all of them without one.
        tensor: Option<String>,
        /// The mean, over its numbers, of the client's share of the weight.
        share: f64,
    },
}

impl Diagnostic {
    /// As a record has it: the client, the metric, the value.
    pub(crate) fn record(self) -> (usize, Metric, f64) {
        let Self::WeightShare { client, tensor, share } = self;
        (client, tensor.map_or(Metric::WeightShare, Metric::WeightShareOf), share)
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
