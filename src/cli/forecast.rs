//! What all runs of a suite will take, before any of them is run.

use std::collections::BTreeSet;

use anyhow::Result;
use machine::clock::Stopwatch;
use schema::Experiment;

use crate::plan::Plan;
use crate::progress::{bytes, duration};
use crate::session::Session;

/// A suite's forecast.
pub(crate) struct Forecast {
    /// For a person.
    pub(crate) lines: [String; 3],
    /// Of training and evaluation.
    pub(crate) seconds: f64,
    /// Optimizer steps over all clients, rounds and runs.
    pub(crate) steps: u64,
}

impl Forecast {
    /// What all runs take together, from one timed batch of every experiment with its first seed.
    pub(crate) fn new(session: &mut Session, experiments: &[Experiment], seeds: usize) -> Result<Self> {
        let clock = Stopwatch::start();
        let mut plans = Vec::new();
        for experiment in experiments.iter().step_by(seeds) {
            let resolved = session.resolve(experiment)?;
            let study = session.sketch(&resolved)?;
            plans.push(Plan::new(&study, &resolved.row, &resolved.inputs, &mut session.pace)?);
        }
        let sum = |of: fn(&Plan) -> u64| plans.iter().map(of).sum::<u64>() * seeds as u64;
        let time: f64 = plans.iter().map(|plan| plan.training_seconds + plan.evaluation_seconds).sum::<f64>() * seeds as f64;
        let memory = plans.iter().map(|plan| plan.memory_bytes).max().unwrap_or_default();
        let methods: BTreeSet<&str> = plans.iter().map(|plan| plan.method.as_str()).collect();
        let datasets: BTreeSet<&str> = plans.iter().map(|plan| plan.dataset.as_str()).collect();
        let listed = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
        let what = format!(
            "plan: {} runs ({} experiments x {seeds} seeds) of {} on {}",
            experiments.len(),
            plans.len(),
            listed(methods),
            listed(datasets)
        );
        let costs = format!(
            "  about {} on this machine, at most about {} of memory; {} optimizer steps",
            duration(time),
            bytes(memory),
            sum(|plan| plan.steps as u64)
        );
        let traffic = format!(
            "  about {} of adapters and {} of activations up, {} and {} down (planned in {})",
            bytes(sum(|plan| plan.adapters.uplink)),
            bytes(sum(|plan| plan.activations.uplink)),
            bytes(sum(|plan| plan.adapters.downlink)),
            bytes(sum(|plan| plan.activations.downlink)),
            duration(clock.seconds())
        );
        Ok(Self { lines: [what, costs, traffic], seconds: time, steps: sum(|plan| plan.steps as u64) })
    }
}
