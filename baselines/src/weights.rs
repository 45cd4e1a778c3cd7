//! How much each client's update counts.

use harness::Result;
use harness::adapter::Adapters;
use harness::federation::{ADAPTERS, Update, aggregate};
use serde::{Deserialize, Serialize};

/// The weights p_k of an average over clients; they sum to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weights {
    /// A client's share of the training examples.
    #[default]
    Examples,
    /// The same for each client of the cohort.
    Uniform,
}

impl Weights {
    /// One per update.
    pub fn of(self, updates: &[Update]) -> Vec<f64> {
        match self {
            Self::Examples => aggregate::data_weights(updates),
            Self::Uniform => aggregate::uniform_weights(updates),
        }
    }

    /// The mean of the updates' adapters.
    pub fn mean(self, updates: &[Update]) -> Result<Adapters> {
        aggregate::weighted_mean(updates, ADAPTERS, &self.of(updates))
    }
}
