//! What a run will do, before it does it.

use std::collections::BTreeMap;

use anyhow::Result;
use federation::link::Traffic;
use federation::registry::MethodRow;
use federation::{Placement, Scope, Task};
use machine::clock::Stopwatch;
use models::adapter::AdapterSpec;
use schema::Inputs;
use schema::experiment::{Checkpoint, Wire};
use schema::inputs::judged_on_training_rows;
use serde::Serialize;
use study::Study;
use study::parameters::client_parameters;
use tasks::largest_batch;
use tasks::predict::predict;

use crate::progress::{bytes, duration};

/// A forecast of work, storage, bytes and time.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The method.
    pub method: String,
    /// The dataset.
    pub dataset: String,
    /// Clients.
    pub clients: usize,
    /// Training and test examples.
    pub examples: (usize, usize),
    /// Rounds.
    pub rounds: usize,
    /// Optimizer steps over all clients and rounds.
    pub steps: usize,
    /// Trainable parameters.
    pub trainable_parameters: u64,
    /// The adapters' kind, and their rank if they have one.
    pub adapter: String,
    /// Parameters of the frozen model.
    pub model_parameters: u64,
    /// Where the model's parts live.
    pub placement: Placement,
    /// A client's parameters, paper and deployed ledger.
    pub client_parameters: (u64, u64),
    /// Adapter bytes over the whole run, without the encoding's headers.
    pub adapters: Traffic,
    /// Activation bytes over the whole run, without the Fisher pass; for pooled data, its raw rows.
    pub activations: Traffic,
    /// Bytes of weights, cached features and one batch, roughly.
    pub memory_bytes: u64,
    /// Seconds of training, from one timed batch.
    pub training_seconds: f64,
    /// Seconds of judging the global adapters, from one timed batch.
    pub evaluation_seconds: f64,
    /// Prompts that will lose their beginning.
    pub prompts_cut: usize,
    /// What is as asked for, and may not be meant.
    pub remarks: Vec<String>,
}

/// What was timed so far: experiments that differ in method, partition or seed alone take the same time for a batch.
#[derive(Debug, Default)]
pub struct Pace {
    steps: BTreeMap<String, (f64, Traffic)>,
    evaluations: BTreeMap<String, f64>,
}

impl Pace {
    /// Seconds and split traffic of a step; of one thread, or of all for pooled training.
    fn step(&mut self, study: &Study, inputs: &Inputs, pooled: bool) -> Result<(f64, Traffic)> {
        let key = format!("{pooled} {}", same_work(study, inputs));
        if let Some(known) = self.steps.get(&key) {
            return Ok(*known);
        }
        let timed = if pooled {
            warm(|| timed_step(study))?
        } else {
            machine::threads::pool(1)?.install(|| warm(|| timed_step(study)))?
        };
        self.steps.insert(key, timed);
        Ok(timed)
    }

    /// Seconds in which one thread judges an example.
    fn evaluation(&mut self, study: &Study, inputs: &Inputs) -> Result<f64> {
        let key = same_work(study, inputs);
        if let Some(known) = self.evaluations.get(&key) {
            return Ok(*known);
        }
        let (timed, ()) = machine::threads::pool(1)?.install(|| warm(|| Ok((timed_evaluation(study)?, ()))))?;
        self.evaluations.insert(key, timed);
        Ok(timed)
    }
}

/// All that a batch's time depends on.
fn same_work(study: &Study, inputs: &Inputs) -> String {
    let of = study.experiment().without_names();
    let federation = (of.federation.batch_size, of.federation.loss_at, of.federation.activations);
    let decoder = &study.experiment().federation.decoder;
    let local = (decoder, study.experiment().backbone.checkpoint);
    let parts = (inputs.identity(), &of.backbone, &of.data, &of.adapter, federation, local, &of.evaluation);
    serde_json::to_string(&parts).expect("an experiment is plain data")
}

impl Plan {
    /// Forecasts a study of these inputs; trains one throw-away batch to time it, unless one like it has been.
    pub fn new(study: &Study, row: &MethodRow, inputs: &Inputs, pace: &mut Pace) -> Result<Self> {
        let (federation, spec) = (&study.experiment().federation, study.backbone().spec());
        let trains = row.scope != Scope::Nothing;
        let rounds = if trains { federation.rounds } else { 0 };
        let clients = study.shards().len();
        let steps = steps(study, row, rounds);
        let placement = row.placement(study.adapter().is_split());
        let stored = client_parameters(spec, study.adapter(), placement);
        let transfers = study.schedule().cohort(1, clients).len().saturating_mul(rounds) as u64;
        let [up, down] = (row.traffic)(study.adapter(), clients)
            .map(|numbers| numbers.saturating_mul(transfers).saturating_mul(spec.bytes_per_number as u64));
        // Clients and evaluation batches run at the same time, a thread each; pooled training has one client with all threads.
        let threads = rayon::current_num_threads();
        let pooled = row.scope == Scope::Pooled;
        let at_once = if pooled { 1 } else { threads.min(clients) } as f64;
        let (seconds_per_step, per_step) = if trains { pace.step(study, inputs, pooled)? } else { (0.0, Traffic::default()) };
        let features = study.train_split().features_in_memory() + study.test_split().features_in_memory();
        Ok(Self {
            method: row.name.into(),
            dataset: study.card().name.clone(),
            clients,
            examples: (study.train().len(), study.judge().examples.len()),
            rounds,
            steps,
            trainable_parameters: if trains { study.adapter().parameters() } else { 0 },
            adapter: if trains { said(study.adapter()) } else { "none".into() },
            model_parameters: spec.parameters.total(),
            placement,
            client_parameters: (stored.paper, stored.deployed),
            adapters: Traffic { uplink: encoded(up, federation.uplink), downlink: down },
            activations: activations(study, placement, trains, steps, per_step),
            memory_bytes: (spec.parameters.total() + features as u64) * spec.bytes_per_number as u64
                + training_bytes(study, trains, at_once).max(judging_bytes(study)),
            training_seconds: seconds_per_step * row.compute * steps as f64 / at_once,
            evaluation_seconds: {
                let evaluations = if trains { evaluations(study.experiment().evaluation.every, rounds) } else { 1 };
                pace.evaluation(study, inputs)? * evaluations as f64 * study.judge().examples.len() as f64 / threads as f64
            },
            prompts_cut: study.prompts_cut(),
            remarks: if trains { remarks(study, inputs) } else { study.doubts() },
        })
    }

    /// The plan as lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                "  {} clients, {} training and {} test examples; {} rounds, {} optimizer steps",
                self.clients, self.examples.0, self.examples.1, self.rounds, self.steps
            ),
            format!(
                "  {} of {} parameters trained ({}); a client stores {} (paper ledger) or {} (deployed)",
                self.trainable_parameters,
                self.model_parameters,
                self.adapter,
                self.client_parameters.0,
                self.client_parameters.1
            ),
            format!(
                "  adapters about {} up, {} down; activations about {} up, {} down",
                bytes(self.adapters.uplink),
                bytes(self.adapters.downlink),
                bytes(self.activations.uplink),
                bytes(self.activations.downlink)
            ),
            format!(
                "  about {} of memory, {} of training and {} of evaluation",
                bytes(self.memory_bytes),
                duration(self.training_seconds),
                duration(self.evaluation_seconds)
            ),
        ];
        if self.prompts_cut > 0 {
            lines.push(format!("  {} prompts are longer than data.max_prompt_tokens and lose their beginning", self.prompts_cut));
        }
        lines.extend(self.remarks.iter().map(|remark| format!("  {remark}")));
        lines
    }
}

/// Adapters as a plan names them.
fn said(adapter: &AdapterSpec) -> String {
    let rank = adapter.kind.has_rank().then(|| format!(", rank {}", adapter.rank));
    format!("{}{}", adapter.kind.name, rank.unwrap_or_default())
}

/// What a person who asked for this may not have meant.
fn remarks(study: &Study, inputs: &Inputs) -> Vec<String> {
    let (experiment, federation) = (study.experiment(), &study.experiment().federation);
    let same = judged_on_training_rows(experiment, Some(inputs), Some(study.card()));
    let same = same.then(|| "judged on the rows that it is trained on".into());
    let mut remarks: Vec<String> = same.into_iter().chain(study.doubts()).chain(spares_nothing(study)).collect();
    let cohort = study.schedule().cohort(1, study.shards().len());
    let shares = [
        ("dropout", federation.dropout, study.schedule().dropped(1, &cohort).len()),
        ("stragglers", federation.stragglers, study.schedule().stragglers(1, &cohort).len()),
    ];
    for (key, share, _) in shares.into_iter().filter(|(_, share, count)| *share > 0.0 && *count == 0) {
        remarks.push(format!("federation.{key} = {share} of a round's {} clients is nobody", cohort.len()));
    }
    remarks
}

/// Where blocks are composed of operations, each keeps what it needs: a key to the contrary does nothing.
fn spares_nothing(study: &Study) -> Option<String> {
    let (backbone, adapter) = (&study.experiment().backbone, study.adapter());
    let composed = backbone.device != "cpu" || !adapter.kind.has_rank() && adapter.sites.iter().any(|site| !site.before_decoder);
    let asked = backbone.checkpoint != Checkpoint::None;
    (asked && composed).then(|| {
        format!(
            "backbone.checkpoint spares no memory with adapters `{}` on {}: it is for pairs of matrices, tokens in front, and the CPU",
            adapter.kind.name, backbone.device
        )
    })
}

/// Cohorts that are drawn one by one for a forecast; more of them are taken to be as large as the clients' mean.
const DRAWN: usize = 1_000_000;

/// Bytes of an upload in four-byte numbers, as its encoding has them.
fn encoded(bytes: u64, wire: Wire) -> u64 {
    match wire {
        Wire::F32 => bytes,
        Wire::F16 => bytes / 2,
        Wire::Int8 => bytes / 4,
        Wire::Int4 => bytes / 8,
    }
}

/// What training moves besides adapters.
fn activations(study: &Study, placement: Placement, trains: bool, steps: usize, per_step: Traffic) -> Traffic {
    match placement {
        Placement::Split => Traffic {
            uplink: per_step.uplink.saturating_mul(steps as u64),
            downlink: per_step.downlink.saturating_mul(steps as u64),
        },
        Placement::Server if trains => {
            Traffic { uplink: study.train().iter().map(|example| example.raw_bytes).sum(), downlink: 0 }
        }
        _ => Traffic::default(),
    }
}

/// Optimizer steps over all clients and rounds.
fn steps(study: &Study, row: &MethodRow, rounds: usize) -> usize {
    let clients = study.shards().len();
    let of_all: usize = (0..clients).map(|client| study.schedule().steps()[client]).sum();
    let cohort = study.schedule().cohort(1, clients).len();
    if row.scope == Scope::Pooled || cohort == clients {
        return rounds.saturating_mul(of_all);
    }
    if rounds.saturating_mul(clients) <= DRAWN {
        return (1..=rounds)
            .flat_map(|round| study.schedule().cohort(round, clients))
            .map(|client| study.schedule().steps()[client])
            .sum();
    }
    (rounds as f64 * cohort as f64 * of_all as f64 / clients as f64).round() as usize
}

/// How often a run is judged: after every so many rounds, and after the last.
fn evaluations(every: usize, rounds: usize) -> usize {
    match rounds.checked_div(every) {
        None => 1,
        Some(times) => times + usize::from(!rounds.is_multiple_of(every)),
    }
}

/// Bytes that training takes, roughly: a step of each client that trains at the same time.
fn training_bytes(study: &Study, trains: bool, at_once: f64) -> u64 {
    if trains { study.step_bytes().saturating_mul(at_once as u64) } else { 0 }
}

/// Bytes that judging takes, roughly: on every thread the mask of a batch, and its hidden states a few times.
fn judging_bytes(study: &Study) -> u64 {
    let (numbers, tokens) = largest_batch(study.judge());
    4 * rayon::current_num_threads() as u64 * (numbers as u64 + 16 * tokens as u64 * study.backbone().spec().d_model as u64)
}

/// A batch that took longer than this, in seconds, is not timed again.
const LONG: f64 = 5.0;

/// The first of its kind finds nothing warm, memory least of all: a short one is timed again.
fn warm<T>(mut timed: impl FnMut() -> Result<(f64, T)>) -> Result<(f64, T)> {
    let first = timed()?;
    if first.0 > LONG { Ok(first) } else { timed() }
}

/// Seconds and split traffic of one training batch, forward and backward.
fn timed_step(study: &Study) -> Result<(f64, Traffic)> {
    let size = study.experiment().federation.batch_size.min(study.train().len());
    // Every n-th example, so that the batch is as long as batches are.
    let stride = (study.train().len() / size.max(1)).max(1);
    let examples: Vec<usize> = (0..study.train().len()).step_by(stride).take(size).collect();
    let vars = study.initial().with(&study.head()).to_vars()?;
    let adapters = models::adapter::Adapters::from_vars(&vars);
    let clock = Stopwatch::start();
    let answers = study.answers(&examples, &adapters)?;
    answers.loss()?.backward()?;
    let mut moved = Traffic::default();
    answers.passes.into_iter().for_each(|pass| moved += pass);
    Ok((clock.seconds(), moved))
}

/// Seconds to judge a test example, from one batch.
fn timed_evaluation(study: &Study) -> Result<f64> {
    let size = study.experiment().evaluation.batch_size.min(study.judge().examples.len());
    let stride = (study.judge().examples.len() / size.max(1)).max(1);
    let examples: Vec<usize> = (0..study.judge().examples.len()).step_by(stride).take(size).collect();
    let clock = Stopwatch::start();
    let adapters = study.adapter().attach(&study.initial().with(&study.head()))?;
    // With a private head it is somebody who answers.
    let client = study.adapter().private_head().map(|_| 0);
    predict(study.judge(), &adapters, &examples, client)?;
    Ok(clock.seconds() / examples.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluations_are_counted_without_walking_the_rounds() {
        for (every, rounds) in [(0, 1), (0, 7), (1, 7), (2, 7), (3, 9), (10, 7)] {
            let walked =
                (1..=rounds).filter(|round: &usize| *round == rounds || (every > 0 && round.is_multiple_of(every))).count();
            assert_eq!(evaluations(every, rounds), walked, "every {every} of {rounds}");
        }
        assert_eq!(evaluations(1, 1_000_000_000), 1_000_000_000);
    }
}
