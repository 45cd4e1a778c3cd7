//! FedDPA (Yang et al., arXiv 2403.19211): a global adapter that is averaged, and a local one that never leaves its client.
//!
//! *FedDPA-F* averages the global adapters, then each client goes on alone from the last of them. *FedDPA-T* trains both in every
//! round: the local one with the global one frozen beside it, then the global one by itself.
//!
//! Answers mix the two with one constant weight. The paper weighs them for each example by the likeness of its hidden state to a
//! few training examples'; its public code gives that weight to the other adapter of the two, and none in its batched path. Not
//! built.

use std::collections::BTreeMap;

use federation::registry::options;
use federation::{ADAPTERS, Client, Method, Objective, Plain, Round, Sets, Update};
use federation::{Error, Result};
use models::adapter::{AdapterSpec, Adapters};
use schema::limits::ROUNDS;
use schema::metrics::Variant;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::{Averaging, tuned};
use crate::keys;
use crate::weights::Weights;

/// What a client keeps its local adapters under.
const LOCAL: &str = "local";

/// Averaging first, then each client alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedDpaF {
    /// So many of the last rounds are local; at least one round is not.
    pub local_rounds: usize,
    /// `examples` or `uniform`.
    pub weights: Weights,
}

impl Default for FedDpaF {
    fn default() -> Self {
        Self { local_rounds: 1, weights: Weights::default() }
    }
}

impl FedDpaF {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("feddpa-f", given)?;
        if method.local_rounds == 0 {
            return Err(Error::Usage(
                "[method] name = \"feddpa-f\": local_rounds = 0: expected at least 1 (`fedavg` has none)".into(),
            ));
        }
        keys::count("feddpa-f", "local_rounds", method.local_rounds, ROUNDS)?;
        Ok(method.averaged())
    }

    /// How many of the last rounds a round is the first of: 1 in the first local round, 0 before.
    fn local_round(&self, round: Round) -> usize {
        let shared = round.total.saturating_sub(self.local_rounds).max(1);
        round.index.saturating_sub(shared)
    }
}

impl Averaging for FedDpaF {
    fn weights(&self) -> Weights {
        self.weights
    }

    fn send(&self, global: &Adapters, round: Round) -> Result<Sets> {
        Ok(if self.local_round(round) > 1 { Sets::default() } else { Sets::default().with(ADAPTERS, global.clone()) })
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let start = match self.local_round(client.round()) {
            0 => return tuned(client, received, &mut Plain),
            1 => received.get(ADAPTERS)?.clone(),
            _ => client.recall(LOCAL, || client.initial()),
        };
        let fit = client.fit(&start, &mut Plain)?;
        client.memory.insert(LOCAL.into(), fit.adapters);
        Ok(client.update(fit.work))
    }

    fn is_shared(&self, round: Round) -> bool {
        self.local_round(round) == 0
    }

    fn personalize(&self, client: &Client, global: &Adapters) -> Result<Option<Adapters>> {
        Ok(Some(client.recall(LOCAL, || global.clone())))
    }

    fn variants(&self, _client: &Client, global: &Adapters) -> Result<Vec<(Variant, Adapters)>> {
        Ok(vec![(Variant::Shared, global.clone())])
    }

    fn looks_ahead(&self) -> bool {
        true
    }
}

/// Both adapters in every round.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedDpaT {
    /// The local adapter's weight, in training and in answers; the global one has the rest.
    pub local_weight: f64,
    /// `examples` or `uniform`.
    pub weights: Weights,
}

impl Default for FedDpaT {
    fn default() -> Self {
        Self { local_weight: 0.5, weights: Weights::default() }
    }
}

impl FedDpaT {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("feddpa-t", given)?;
        keys::share("feddpa-t", "local_weight", method.local_weight)?;
        Ok(method.averaged())
    }

    fn mixed(&self, spec: &AdapterSpec, local: &Adapters, global: &Adapters) -> Result<Adapters> {
        Ok(spec.mix(&[(self.local_weight, local), (1.0 - self.local_weight, global)])?)
    }
}

/// The local adapters in training beside the frozen global ones.
struct Beside<'a> {
    method: &'a FedDpaT,
    global: &'a Adapters,
}

impl Objective for Beside<'_> {
    fn attach(&self, spec: &AdapterSpec, trained: &Adapters) -> Result<Adapters> {
        self.method.mixed(spec, trained, self.global)
    }
}

impl Averaging for FedDpaT {
    fn weights(&self) -> Weights {
        self.weights
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let global = received.get(ADAPTERS)?;
        let start = client.recall(LOCAL, || client.initial());
        let local = client.fit(&start, &mut Beside { method: self, global })?;
        client.memory.insert(LOCAL.into(), local.adapters);
        tuned(client, received, &mut Plain)
    }

    fn personalize(&self, client: &Client, global: &Adapters) -> Result<Option<Adapters>> {
        self.mixed(client.spec(), &client.recall(LOCAL, || client.initial()), global).map(Some)
    }

    fn variants(&self, client: &Client, global: &Adapters) -> Result<Vec<(Variant, Adapters)>> {
        Ok(vec![(Variant::Shared, global.clone()), (Variant::Local, client.recall(LOCAL, || client.initial()))])
    }
}
