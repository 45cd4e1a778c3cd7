//! How much each client's update counts.

use federation::Update;
use serde::{Deserialize, Serialize};

/// The weights p_k of an average over clients.
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
    /// An update's weight, not yet divided by the sum of all.
    pub fn of_one(self, update: &Update) -> f64 {
        match self {
            Self::Examples => update.num_examples as f64,
            Self::Uniform => 1.0,
        }
    }

    /// The weights of all updates; they sum to 1.
    pub fn of(self, updates: &[Update]) -> Vec<f64> {
        let total: f64 = updates.iter().map(|update| self.of_one(update)).sum();
        updates.iter().map(|update| self.of_one(update) / total.max(1.0)).collect()
    }
}
