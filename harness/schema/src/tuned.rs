//! Where values of an experiment come from that a search has chosen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a search on validation data chose for an experiment, and what it took. No part of a run's identity: no number depends on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tuned {
    /// The values by key, `optimizer.learning_rate` and a method's own. An experiment that has others is refused.
    pub chosen: BTreeMap<String, serde_json::Value>,
    /// The split that the search was judged on.
    pub split: String,
    /// Its seeds.
    pub seeds: Vec<u64>,
    /// The score that decided: `accuracy`, or `client_accuracy_mean` of methods whose clients have adapters of their own.
    pub score: String,
    /// That score, the mean over seeds.
    pub value: f64,
    /// How many settings were tried.
    pub settings: usize,
    /// In how many runs.
    pub runs: usize,
    /// And optimizer steps.
    pub client_steps: u64,
    /// What all experiments of the search had alike: two that say the same were tuned alike.
    pub protocol: String,
    /// Whether the best value was the last one tried in its direction, where a better one may lie beyond.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_edge: bool,
}
