//! Named tensor sets, as they cross the link in both directions.

use std::collections::BTreeMap;

use models::adapter::Adapters;

use crate::round::Work;
use crate::{Error, Result};

/// The name of the tensor set that every averaging method sends.
pub const ADAPTERS: &str = "adapters";

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
        self.0.get(name).ok_or_else(|| Error::Usage(format!("no tensor set `{name}` was sent, only: {}", names())))
    }

    /// With another set, where there is one.
    pub fn with_some(self, name: &str, set: Option<&Adapters>) -> Self {
        set.into_iter().fold(self, |sets, set| sets.with(name, set.clone()))
    }

    /// Takes a set out.
    pub fn take(&mut self, name: &str) -> Option<Adapters> {
        self.0.remove(name)
    }

    /// An error if there is one yet: whoever remembers something has taken it.
    pub fn nothing_left(&self) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::Usage(format!("this method does not remember any set `{name}`, which was kept of it"))),
        }
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
    pub fn new(client: usize, num_examples: usize, work: Work) -> Self {
        Self { client, num_examples, loss: work.loss, steps: work.steps, examples: work.examples, sets: Sets::default() }
    }

    /// Adds a named tensor set.
    pub fn with(mut self, name: &str, set: Adapters) -> Self {
        self.sets = self.sets.with(name, set);
        self
    }

    /// A named tensor set, which the method itself put there.
    pub fn set(&self, name: &str) -> Result<&Adapters> {
        self.sets.get(name).map_err(|error| Error::Usage(format!("the update of client {}: {error}", self.client)))
    }
}
