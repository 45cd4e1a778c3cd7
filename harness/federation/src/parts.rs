//! What a federation runs on, prepared by somebody else.

use candle_core::Device;
use data::ShardIndices;
use schema::{Experiment, Scope};
use seed::Seed;
use tasks::Judge;

use crate::registry::MethodRow;
use crate::{Client, Schedule, Task};

/// One experiment's parts, as the loop of rounds sees them.
#[derive(Clone, Copy)]
pub struct Federation<'a> {
    /// What is known of its method.
    pub row: &'a MethodRow,
    /// What clients train on.
    pub task: &'a dyn Task,
    /// Who says what adapters are worth.
    pub judge: &'a Judge,
    /// Who takes part when.
    pub schedule: &'a Schedule,
    /// Each client's examples.
    pub shards: &'a [ShardIndices],
    /// Where adapters are computed on.
    pub device: &'a Device,
}

impl<'a> Federation<'a> {
    /// Its configuration.
    pub fn experiment(&self) -> &'a Experiment {
        self.task.experiment()
    }

    /// The root of its randomness.
    pub fn seed(&self) -> Seed {
        Seed::new(self.experiment().seed)
    }

    /// How many clients the method's scope makes.
    pub fn num_clients(&self) -> usize {
        match self.row.scope {
            Scope::Nothing => 0,
            Scope::Shard => self.shards.len(),
            Scope::Pooled => 1,
        }
    }

    /// What sending each shard's raw rows costs.
    pub(crate) fn raw_bytes(&self) -> impl Iterator<Item = u64> {
        self.shards.iter().map(|shard| shard.train.iter().map(|&example| self.task.raw_bytes(example)).sum())
    }

    /// Clients of a scope: one per shard, or one that holds all training examples and all clients' steps.
    pub fn clients(&self, scope: Scope) -> Vec<Client<'a>> {
        let (task, steps) = (self.task, self.schedule.steps());
        match scope {
            Scope::Nothing => Vec::new(),
            Scope::Shard => {
                let shards = self.shards.iter().zip(steps).enumerate();
                shards.map(|(id, (shard, &steps))| Client::new(id, task, shard.train.clone(), steps)).collect()
            }
            Scope::Pooled => vec![Client::new(0, task, (0..task.examples()).collect(), steps.iter().sum())],
        }
    }
}
