//! The schedule of a run: who takes part in which round, how many steps each takes, and after which round is judged.

use schema::experiment::{Budget, EvaluationConfig, FederationConfig};
use seed::Seed;

/// Everything that is decided before the first round, by the config and the seed alone.
#[derive(Debug, Clone)]
pub struct Schedule {
    federation: FederationConfig,
    evaluation_every: usize,
    seed: Seed,
    steps: Vec<usize>,
}

impl Schedule {
    /// For clients with so many training examples each; a step costs `compute` steps of plain tuning ([`crate::registry::MethodRow`]).
    pub fn new(
        federation: &FederationConfig,
        evaluation: &EvaluationConfig,
        seed: Seed,
        examples: impl IntoIterator<Item = usize>,
        compute: f64,
    ) -> Self {
        let step_cost = match federation.budget {
            Budget::Steps => 1.0,
            Budget::Flops => compute,
        };
        let steps = examples.into_iter().map(|examples| steps_per_round(federation, examples, step_cost)).collect();
        Self { federation: federation.clone(), evaluation_every: evaluation.every, seed, steps }
    }

    /// Rounds of the run.
    pub fn rounds(&self) -> usize {
        self.federation.rounds
    }

    /// Optimizer steps of each client in a round.
    pub fn steps(&self) -> &[usize] {
        &self.steps
    }

    /// The share of its steps that a straggler takes.
    pub fn straggler_steps(&self) -> f64 {
        self.federation.straggler_steps
    }

    /// The clients of a round: a seeded sample of `federation.cohort` of them, at least one, in id order.
    pub fn cohort(&self, round: usize, clients: usize) -> Vec<usize> {
        let wanted = ((self.federation.cohort * clients as f64).round() as usize).clamp(1, clients.max(1));
        let mut cohort = self.seed.round("cohort", round).sample(clients, wanted);
        cohort.sort_unstable();
        cohort
    }

    /// Those of a cohort whose updates never arrive: a seeded sample of `federation.dropout` of them, never all.
    pub fn dropped(&self, round: usize, cohort: &[usize]) -> Vec<usize> {
        let lost = share_of(cohort, self.federation.dropout).min(cohort.len().saturating_sub(1));
        self.some_of(cohort, lost, "dropout", round)
    }

    /// Those of a cohort that take fewer steps: a seeded sample of `federation.stragglers` of them.
    pub fn stragglers(&self, round: usize, cohort: &[usize]) -> Vec<usize> {
        self.some_of(cohort, share_of(cohort, self.federation.stragglers), "stragglers", round)
    }

    /// Whether a round ends with an evaluation.
    pub fn evaluates_after(&self, round: usize) -> bool {
        let every = self.evaluation_every;
        round == self.federation.rounds || (every > 0 && round.is_multiple_of(every))
    }

    fn some_of(&self, cohort: &[usize], count: usize, stream: &str, round: usize) -> Vec<usize> {
        self.seed.round(stream, round).sample(cohort.len(), count).into_iter().map(|i| cohort[i]).collect()
    }
}

fn share_of(cohort: &[usize], share: f64) -> usize {
    (share * cohort.len() as f64).round() as usize
}

fn steps_per_round(federation: &FederationConfig, examples: usize, step_cost: f64) -> usize {
    let per_epoch = examples.div_ceil(federation.batch_size);
    let steps = federation.local_steps.unwrap_or(per_epoch.saturating_mul(federation.local_epochs));
    if steps == 0 { 0 } else { ((steps as f64 / step_cost).round() as usize).max(1) }
}
