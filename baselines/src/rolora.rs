//! RoLoRA (Chen et al., arXiv 2502.01755): rounds alternate between the two matrices of a pair. While one is trained and averaged, the
//! other is every client's, so the mean of the products is the product of the means in every round, and half the numbers travel up.
//!
//! Both come down: a client that was not in the last round, or whose update was lost, holds what the others hold. (The paper's clients
//! are in every round and could keep one matrix from the round before.)

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::options;
use federation::{ADAPTERS, Client, Round, Sets, Update};
use models::adapter::Adapters;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::Averaging;
use crate::pairs::{WithFrozen, only_a, only_b, without_a, without_b};
use crate::weights::Weights;

/// FedAvg of one matrix at a time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoLora {
    /// Which matrix is trained in the first round: `b` or `a`.
    pub first: Factor,
    /// `examples` or `uniform`.
    pub weights: Weights,
}

/// One matrix of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Factor {
    /// The one that goes down to the rank.
    A,
    /// The one that comes back up, zero at first: while it is, nothing else has a gradient.
    #[default]
    B,
}

impl RoLora {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn federation::Method>> {
        Ok(options::<Self>("rolora", given)?.averaged())
    }

    fn trains(&self, round: Round) -> Factor {
        let is_first = round.index % 2 == 1;
        if is_first == (self.first == Factor::B) { Factor::B } else { Factor::A }
    }
}

impl Averaging for RoLora {
    fn weights(&self) -> Weights {
        self.weights
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let (spec, received) = (client.spec(), received.get(ADAPTERS)?);
        let (trained, frozen) = match self.trains(client.round()) {
            Factor::A => (without_b(spec, received), only_b(spec, received)),
            Factor::B => (without_a(spec, received), only_a(spec, received)),
        };
        let fit = client.fit(&trained, &mut WithFrozen(frozen))?;
        Ok(client.update(fit.work).with(ADAPTERS, fit.adapters))
    }

    fn next(&mut self, mean: Adapters, global: &Adapters) -> Result<Adapters> {
        Ok(global.with(&mean))
    }
}
