//! A run: rounds of training, aggregation and evaluation, from prepared examples to an outcome.

use std::collections::BTreeMap;

use rayon::prelude::*;
use schema::record::RoundTiming;
use schema::{Prediction, Record};

use super::{ADAPTERS, Client, Link, Method, Round, Scope, Sets, Update, privacy};
use crate::accounting::clock::Stopwatch;
use crate::accounting::flops::Flops;
use crate::adapter::Adapters;
use crate::metrics::breakdown::breakdown;
use crate::metrics::evaluate::{Judgement, judge_clients, judge_global};
use crate::study::Study;
use crate::{Error, Result};

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
    /// What training computed, without the images' way through the frozen tower.
    pub flops: Flops,
    /// Optimizer steps over all clients and rounds.
    pub steps: usize,
    /// The most numbers that a client uploaded in a round.
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
    let mut global = method.start(study.initial().clone(), study.adapter());
    let total = if method.scope() == Scope::Nothing { 0 } else { study.experiment().federation.rounds };

    if total == 0 {
        let evaluation = Stopwatch::start();
        outcome.evaluate(study, &*method, &clients, &global, Round { index: 0, total, clients: clients.len() })?;
        outcome.timings.push(RoundTiming { evaluate_seconds: evaluation.seconds(), ..RoundTiming::default() });
        watch.round_done(&outcome.report(0, None, &Link::default()));
    }
    for index in 1..=total {
        let round = Round { index, total, clients: clients.len() };
        let cohort = study.cohort(index, clients.len());
        let mut link = Link::default();
        let mut timing = RoundTiming::default();

        let training = Stopwatch::start();
        let mut sent = send(study, &*method, &mut link, &cohort, &global, round)?;
        let dropped = study.dropped(index, &cohort);
        sent.retain(|(client, _)| !dropped.contains(client));
        let slow = study.stragglers(index, &cohort);
        let trained = train(study, &*method, &mut clients, &sent, &slow, round, watch)?;
        timing.train_seconds = training.seconds();

        let aggregation = Stopwatch::start();
        let arrived = match method.scope() {
            Scope::Pooled => collect_rows(study, &mut link, trained, round),
            Scope::Shard | Scope::Nothing => outcome.receive(study, &mut link, &clients, &sent, trained, round)?,
        };
        let updates = outcome.sound(study, &*method, arrived, round)?;
        global = method.aggregate(&global, &updates, round)?;
        timing.aggregate_seconds = aggregation.seconds();

        let evaluation = Stopwatch::start();
        dropped.iter().for_each(|&client| outcome.push(index, Some(client), "dropped_out", 1.0));
        outcome.record_training(index, &updates, &link);
        if study.evaluates_after(index) {
            outcome.evaluate(study, &*method, &clients, &global, round)?;
        }
        timing.evaluate_seconds = evaluation.seconds();

        outcome.timings.push(timing);
        watch.round_done(&outcome.report(index, Some(&updates), &link));
    }
    clients.iter().for_each(|client| outcome.flops += client.flops());
    outcome.record_privacy(study, total);
    outcome.personal = personal(&*method, &clients, &global)?;
    outcome.global = global;
    Ok(outcome)
}

/// What each client received.
type Sent = Vec<(usize, Sets)>;

/// The server sends to the cohort; pooled training happens at the server itself.
fn send(study: &Study, method: &dyn Method, link: &mut Link, cohort: &[usize], global: &Adapters, round: Round) -> Result<Sent> {
    let receive = |&id: &usize| {
        let sets = method.send(id, global, round)?;
        match method.scope() {
            Scope::Pooled | Scope::Nothing => Ok((id, sets)),
            Scope::Shard => Ok((id, link.down(id, &sets, study.backbone().device())?)),
        }
    };
    cohort.iter().map(receive).collect()
}

/// The cohort trains. Clients share nothing, so they may train at the same time; results come back in client-id order, a
/// diverged client's as its error.
fn train(
    study: &Study,
    method: &dyn Method,
    clients: &mut [Client],
    sent: &Sent,
    slow: &[usize],
    round: Round,
    watch: &dyn Watch,
) -> Result<Trained> {
    let mut working: Vec<(&mut Client, &Sets)> = clients
        .iter_mut()
        .filter_map(|client| sent.iter().find(|(id, _)| *id == client.id()).map(|(_, received)| (client, received)))
        .collect();
    let work = |(client, received): &mut (&mut Client, &Sets)| {
        client.begin_round(round);
        if slow.contains(&client.id()) {
            client.slow_down(study.experiment().federation.straggler_steps);
        }
        let update = match method.train(client, received) {
            Err(error) if !matches!(error, Error::Diverged { .. }) => return Err(error),
            update => update,
        };
        watch.client_done(round.index, client.id());
        Ok((client.id(), update))
    };
    working.par_iter_mut().map(work).collect()
}

/// What the cohort's clients made of a round, in client-id order.
type Trained = Vec<(usize, Result<Update>)>;

/// Where data is pooled, clients hand over their raw rows once, and what was trained is at the server already.
fn collect_rows(study: &Study, link: &mut Link, trained: Trained, round: Round) -> Trained {
    if round.index == 1 {
        for client in study.clients(Scope::Shard) {
            link.raw_rows(client.id(), client.raw_bytes());
        }
    }
    trained
}

/// An update as it is, if it may be averaged.
fn check(study: &Study, method: &dyn Method, update: Update, round: Round) -> Result<Update> {
    let (client, round) = (update.client, round.index);
    if !update.sets.is_finite()? {
        return Err(Error::NotFinite { client, round });
    }
    match update.sets.get(ADAPTERS).ok().and_then(|set| study.adapter().misfit(set, method.unequal_ranks())) {
        Some(tensor) => Err(Error::Misfit { client, round, tensor }),
        None => Ok(update),
    }
}

/// The clients' own adapters, where the method has them.
fn personal(method: &dyn Method, clients: &[Client], global: &Adapters) -> Result<Vec<(usize, Adapters)>> {
    let own = clients.iter().map(|client| Ok((client.id(), method.personalize(client, global)?)));
    let own = own.collect::<Result<Vec<_>>>()?;
    Ok(own.into_iter().filter_map(|(id, adapters)| Some((id, adapters?))).collect())
}

impl Outcome {
    /// A metric's recorded values, in the order of their recording.
    pub fn recorded(&self, metric: &str) -> impl Iterator<Item = f64> {
        self.records.iter().filter(move |record| record.metric == metric).map(|record| record.value)
    }

    fn push(&mut self, round: usize, client: Option<usize>, metric: &str, value: f64) {
        self.records.push(Record { round: round as u32, client: client.map(|id| id as u32), metric: metric.into(), value });
    }

    /// The cohort's updates arrive; so do the activations that training moved. A diverged client's error stays what it is.
    fn receive(
        &mut self,
        study: &Study,
        link: &mut Link,
        clients: &[Client],
        sent: &Sent,
        trained: Trained,
        round: Round,
    ) -> Result<Trained> {
        let (wire, device) = (study.experiment().federation.uplink, study.backbone().device());
        let nothing = Sets::default();
        let received_by = |client| sent.iter().find(|(id, _)| *id == client).map_or(&nothing, |(_, received)| received);
        // Few bits may turn what is not finite into a number like others, so it is found out before.
        let find_out = |(client, update): (usize, Result<Update>)| {
            let Ok(update) = update else { return Ok((client, update)) };
            link.activations(client, clients[client].activations());
            if update.sets.is_finite()? {
                return Ok((client, Ok(update)));
            }
            link.up(update, received_by(client), wire, device)?;
            Ok((client, Err(Error::NotFinite { client, round: round.index })))
        };
        let trained = trained.into_iter().map(find_out).collect::<Result<Trained>>()?;
        // Who brings no noise may not be counted among those who share it.
        let answered = trained.iter().filter(|(_, update)| update.is_ok()).count();
        let arrive = |(client, update): (usize, Result<Update>)| {
            let Ok(update) = update else { return Ok((client, update)) };
            let received = received_by(client);
            let Some(privacy) = &study.experiment().privacy else {
                return Ok((client, Ok(link.up(update, received, wire, device)?)));
            };
            let mut noise = study.seed().client("privacy", round.index, client);
            let (update, clipped) = privacy::leaves(privacy, update, received, &mut noise)?;
            if clipped {
                self.push(round.index, Some(client), "clipped", 1.0);
            }
            let update = link.up(update, received, wire, device)?;
            Ok((client, Ok(privacy::arrives(privacy, update, answered, &mut noise)?)))
        };
        trained.into_iter().map(arrive).collect()
    }

    /// The updates that may be averaged: a client whose loss or update holds a number that is not finite, or whose update is not of
    /// the shapes that were asked for, is left out of the round and recorded; an error if that leaves none.
    fn sound(&mut self, study: &Study, method: &dyn Method, arrived: Trained, round: Round) -> Result<Vec<Update>> {
        let (mut sound, mut first_error) = (Vec::new(), None);
        for (client, update) in arrived {
            match update.and_then(|update| check(study, method, update, round)) {
                Ok(update) => sound.push(update),
                Err(error) => {
                    self.push(round.index, Some(client), "left_out", 1.0);
                    first_error = first_error.or(Some(error));
                }
            }
        }
        match first_error {
            Some(error) if sound.is_empty() => Err(Error::NothingLeft { round: round.index, first: Box::new(error) }),
            _ => Ok(sound),
        }
    }

    /// What differential privacy has cost the client with the most rounds.
    fn record_privacy(&mut self, study: &Study, round: usize) {
        let Some(privacy) = &study.experiment().privacy else { return };
        let mut rounds = BTreeMap::<u32, usize>::new();
        for record in self.records.iter().filter(|record| record.metric == "uplink_bytes" && record.value > 0.0) {
            *rounds.entry(record.client.unwrap_or_default()).or_default() += 1;
        }
        let most = rounds.into_values().max().unwrap_or(0);
        self.push(round, None, "privacy_epsilon", privacy::epsilon(privacy, most));
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
        let largest = updates.iter().map(|update| update.sets.num_parameters()).max().unwrap_or(0);
        self.uploaded_parameters = self.uploaded_parameters.max(largest);
    }

    fn evaluate(&mut self, study: &Study, method: &dyn Method, clients: &[Client], global: &Adapters, at: Round) -> Result<()> {
        let (round, last) = (at.index, at.is_last());
        let personal = personal(method, clients, global)?;
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
            for (metric, value) in breakdown(&study.test_split().dataset, &predictions) {
                self.push(round, None, &metric, value);
            }
            self.predictions = predictions;
            self.evaluate_variants(study, method, clients, global, round)?;
        }
        Ok(())
    }

    /// What else a method's clients can answer with, each on its own test shard.
    fn evaluate_variants(
        &mut self,
        study: &Study,
        method: &dyn Method,
        clients: &[Client],
        global: &Adapters,
        round: usize,
    ) -> Result<()> {
        let mut variants: BTreeMap<&str, Vec<(usize, Adapters)>> = BTreeMap::new();
        for client in clients {
            for (name, adapters) in method.variants(client, global)? {
                variants.entry(name).or_default().push((client.id(), adapters));
            }
        }
        for (name, adapters) in variants {
            if let Some(mean) = judge_clients(study, &adapters, false)?.0.client_mean() {
                self.push(round, None, &format!("{name}_client_accuracy_mean"), mean);
            }
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
