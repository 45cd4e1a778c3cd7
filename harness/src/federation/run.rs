//! A run: rounds of training, aggregation and evaluation, from prepared examples to an outcome.

use rayon::prelude::*;
use schema::record::RoundTiming;
use schema::{Prediction, Record};

use super::{Client, Link, Method, Scope, Update};
use crate::Result;
use crate::accounting::clock::Stopwatch;
use crate::adapter::Adapters;
use crate::metrics::evaluate::{Judgement, judge_clients, judge_global};
use crate::study::Study;

/// What a run gave.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One row per measured value.
    pub records: Vec<Record>,
    /// One row per judged example, from the last evaluation.
    pub predictions: Vec<Prediction>,
    /// The last evaluation.
    pub judgement: Judgement,
    /// The global adapters after the last round.
    pub global: Adapters,
    /// The clients' own adapters, where the method has them: (client, adapters).
    pub personal: Vec<(usize, Adapters)>,
    /// Seconds per round.
    pub timings: Vec<RoundTiming>,
    /// All adapter traffic.
    pub adapters: super::link::Traffic,
    /// All activation traffic.
    pub activations: super::link::Traffic,
    /// Optimizer steps over all clients and rounds.
    pub steps: usize,
    /// Numbers that a client uploaded in the last round.
    pub uploaded_parameters: u64,
    /// Training examples seen, repeats counted.
    pub examples_seen: usize,
}

/// What is known after a round.
#[derive(Debug, Clone, Copy)]
pub struct RoundReport {
    /// From 1; 0 is the evaluation before training.
    pub round: usize,
    /// Mean training loss over clients, weighted by their examples.
    pub loss: Option<f64>,
    /// Accuracy on the whole test split, where it was judged.
    pub accuracy: Option<f64>,
    /// Mean over clients on their own test shards, where it was judged.
    pub client_accuracy: Option<f64>,
    /// Adapter bytes up and down in this round.
    pub adapters: super::link::Traffic,
    /// Activation bytes up and down in this round.
    pub activations: super::link::Traffic,
}

/// Who watches a run: progress for people, nothing that could change a number.
pub trait Watch: Sync {
    /// A client finished its work of a round.
    fn client_done(&self, round: usize, client: usize) {
        let _ = (round, client);
    }

    /// A round is over.
    fn round_done(&self, report: &RoundReport) {
        let _ = report;
    }
}

/// Nobody watches.
pub struct Unwatched;

impl Watch for Unwatched {}

/// Runs the study's experiment with a method.
pub fn run(study: &Study, method: &mut dyn Method, watch: &dyn Watch) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut clients = study.clients(method.scope());
    let mut global = method.start(study.initial().clone());
    let rounds = if method.scope() == Scope::Nothing { 0 } else { study.experiment().federation.rounds };

    if rounds == 0 {
        let evaluation = Stopwatch::start();
        outcome.evaluate(study, &*method, &clients, &global, 0, true)?;
        outcome.timings.push(RoundTiming { evaluate_seconds: evaluation.seconds(), ..RoundTiming::default() });
        watch.round_done(&outcome.report(0, None, &Link::default()));
    }
    for round in 1..=rounds {
        let cohort = study.cohort(round, clients.len());
        let mut link = Link::default();
        let mut timing = RoundTiming::default();

        let training = Stopwatch::start();
        let sent = send(study, &*method, &mut link, &cohort, &global)?;
        let trained = train(&*method, &mut clients, &sent, round, watch)?;
        timing.train_seconds = training.seconds();

        let aggregation = Stopwatch::start();
        let updates = receive(study, &*method, &mut link, &clients, trained, round)?;
        global = method.aggregate(&global, &updates)?;
        timing.aggregate_seconds = aggregation.seconds();

        let evaluation = Stopwatch::start();
        outcome.record_training(round, &updates, &link);
        if study.evaluates_after(round) {
            outcome.evaluate(study, &*method, &clients, &global, round, round == rounds)?;
        }
        timing.evaluate_seconds = evaluation.seconds();

        outcome.timings.push(timing);
        watch.round_done(&outcome.report(round, Some(&updates), &link));
    }
    outcome.personal = clients.iter().filter_map(|client| Some((client.id(), method.personalize(client)?))).collect();
    outcome.global = global;
    Ok(outcome)
}

/// The server sends the global adapters to the cohort; pooled training happens at the server itself.
fn send(
    study: &Study,
    method: &dyn Method,
    link: &mut Link,
    cohort: &[usize],
    global: &Adapters,
) -> Result<Vec<(usize, Adapters)>> {
    let receive = |&id: &usize| match method.scope() {
        Scope::Pooled | Scope::Nothing => Ok((id, global.clone())),
        Scope::Shard => Ok((id, link.down(id, global, study.backbone().device())?)),
    };
    cohort.iter().map(receive).collect()
}

/// The cohort trains. Clients share nothing, so they may train at the same time; results come back in client-id order.
fn train(
    method: &dyn Method,
    clients: &mut [Client],
    sent: &[(usize, Adapters)],
    round: usize,
    watch: &dyn Watch,
) -> Result<Vec<Update>> {
    let mut working: Vec<(&mut Client, &Adapters)> = clients
        .iter_mut()
        .filter_map(|client| sent.iter().find(|(id, _)| *id == client.id()).map(|(_, received)| (client, received)))
        .collect();
    let work = |(client, received): &mut (&mut Client, &Adapters)| {
        client.begin_round(round);
        let update = method.train(client, received)?;
        watch.client_done(round, client.id());
        Ok(update)
    };
    working.par_iter_mut().map(work).collect()
}

/// The cohort's updates arrive; so do the activations that training moved, and raw rows where data is pooled.
fn receive(
    study: &Study,
    method: &dyn Method,
    link: &mut Link,
    clients: &[Client],
    updates: Vec<Update>,
    round: usize,
) -> Result<Vec<Update>> {
    if method.scope() == Scope::Pooled {
        if round == 1 {
            for client in study.clients(Scope::Shard) {
                link.raw_rows(client.id(), client.raw_bytes());
            }
        }
        return Ok(updates);
    }
    for update in &updates {
        link.activations(update.client, clients[update.client].activations());
    }
    updates.into_iter().map(|update| link.up(update, study.backbone().device())).collect()
}

impl Outcome {
    fn push(&mut self, round: usize, client: Option<usize>, metric: &str, value: f64) {
        self.records.push(Record { round: round as u32, client: client.map(|id| id as u32), metric: metric.into(), value });
    }

    fn record_training(&mut self, round: usize, updates: &[Update], link: &Link) {
        for update in updates {
            self.push(round, Some(update.client), "train_loss", update.loss);
            self.push(round, Some(update.client), "optimizer_steps", update.steps as f64);
            self.steps += update.steps;
            self.examples_seen += update.examples;
        }
        for client in link.per_client() {
            self.push(round, Some(client.client), "uplink_bytes", client.adapters.uplink as f64);
            self.push(round, Some(client.client), "downlink_bytes", client.adapters.downlink as f64);
            self.push(round, Some(client.client), "activation_uplink_bytes", client.activations.uplink as f64);
            self.push(round, Some(client.client), "activation_downlink_bytes", client.activations.downlink as f64);
        }
        let (adapters, activations) = link.totals();
        self.adapters += adapters;
        self.activations += activations;
        self.uploaded_parameters = updates.iter().map(Update::num_parameters).max().unwrap_or(0);
    }

    fn evaluate(
        &mut self,
        study: &Study,
        method: &dyn Method,
        clients: &[Client],
        global: &Adapters,
        round: usize,
        last: bool,
    ) -> Result<()> {
        let personal: Vec<(usize, Adapters)> =
            clients.iter().filter_map(|client| Some((client.id(), method.personalize(client)?))).collect();
        let (judgement, predictions) =
            if personal.is_empty() { judge_global(study, global)? } else { judge_clients(study, &personal, last)? };
        for (metric, value) in [("accuracy", judgement.accuracy), ("client_accuracy_mean", judgement.client_mean())] {
            if let Some(value) = value {
                self.push(round, None, metric, value);
            }
        }
        for (client, accuracy) in judgement.clients.iter().enumerate() {
            if let Some(accuracy) = accuracy {
                self.push(round, Some(client), "client_accuracy", *accuracy);
            }
        }
        self.judgement = judgement;
        if last {
            self.predictions = predictions;
        }
        Ok(())
    }

    fn report(&self, round: usize, updates: Option<&[Update]>, link: &Link) -> RoundReport {
        let judged = |metric: &str| {
            self.records
                .iter()
                .rev()
                .take_while(|record| record.round == round as u32)
                .find(|record| record.metric == metric)
                .map(|record| record.value)
        };
        let (adapters, activations) = link.totals();
        let loss = updates.map(|updates| {
            let weights = super::aggregate::data_weights(updates);
            updates.iter().zip(weights).map(|(update, weight)| update.loss * weight).sum()
        });
        RoundReport {
            round,
            loss,
            accuracy: judged("accuracy"),
            client_accuracy: judged("client_accuracy_mean"),
            adapters,
            activations,
        }
    }
}
