//! One dataset's numbers in a run of several metrics.

use serde::{Deserialize, Serialize};

/// A dataset's numbers in a run of several metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OfDataset {
    /// What they are of, where that is none of VQA's scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Its test examples.
    pub test_examples: u64,
    /// Its metric on all of them; the mean over clients where they end with adapters of their own.
    pub accuracy: f64,
    /// Of a uniform guess among the options.
    pub chance_accuracy: f64,
    /// Of always giving the most frequent option position or answer.
    pub majority_accuracy: f64,
    /// Of the question's text and the training rows alone.
    pub lookup_accuracy: f64,
}
