//! Where a run stands, and what a round of local training took.

use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// Where a step stands in a client's round.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// From 0.
    pub index: usize,
    /// Steps of this round.
    pub total: usize,
    /// Whether it belongs to the last pass over the shard.
    pub in_last_epoch: bool,
}

/// What a round of local training took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Mean training loss over the steps.
    pub loss: f64,
    /// Optimizer steps that every tensor in training took.
    pub steps: usize,
    /// Examples in these steps' batches, repeats counted.
    pub examples: usize,
}
