//! A run: rounds of training, aggregation and evaluation, from prepared examples to an outcome.

use std::collections::BTreeMap;

use machine::clock::Stopwatch;
use models::adapter::Adapters;
use schema::metrics::Metric;
use schema::record::RoundTiming;
use schema::{Prediction, Record};
use tasks::judgement::{Judgement, check_finite, judge_global};

use crate::checkpoint::{Checkpoint, Checkpoints, Measured};
use crate::engine::Engine;
use crate::exchange::{Exchange, Exchanged};
use crate::judging::Everyone;
use crate::link::Carried;
use crate::parts::Federation;
use crate::watch::{RoundReport, Watch};
use crate::{Diagnostic, Error, Link, Method, Result, Round, Scope, privacy};

/// What a run gave.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was measured, round by round.
    pub measured: Measured,
    /// One row per judged example, from the last evaluation.
    pub predictions: Vec<Prediction>,
    /// The last evaluation.
    pub judgement: Judgement,
    /// The global adapters after the last round.
    pub global: Adapters,
    /// The clients' own adapters, where the method has them: (client, adapters).
    pub personal: Vec<(usize, Adapters)>,
}

/// Runs an experiment with a method, whose clients an engine has.
pub fn run(federation: Federation, method: &mut dyn Method, engine: &mut dyn Engine, watch: &dyn Watch) -> Result<Outcome> {
    run_from(federation, method, engine, watch, &mut ())
}

/// The same from the last checkpoint that somebody keeps, of whom one is left after every round.
pub fn run_from(
    federation: Federation,
    method: &mut dyn Method,
    engine: &mut dyn Engine,
    watch: &dyn Watch,
    checkpoints: &mut dyn Checkpoints,
) -> Result<Outcome> {
    let (mut outcome, clients) = (Outcome::default(), federation.num_clients());
    let total = if federation.row.scope == Scope::Nothing { 0 } else { federation.schedule.rounds() };
    let mut round = Round { index: 0, total, clients };
    let mut after = vec![0; clients];
    let mut global = method.start(federation.task.initial().clone(), federation.task.adapter());
    if let Some(last) = checkpoints.last()? {
        global = last.restore(method, round, federation)?;
        (round.index, after, outcome.measured) = (last.round.index, last.after, last.measured);
    }
    if total == 0 {
        outcome.measured.timings.push(RoundTiming::default());
    }
    if total == 0 || round.index > 0 {
        outcome.judge(&mut Everyone::new(federation, engine, &global, round, &after))?;
        watch.round_done(&outcome.report(round.index, None, &Link::default()));
    }
    for index in round.index + 1..=total {
        round.index = index;
        let mut exchange = Exchange::new(federation, round, &mut after);
        let mut timing = RoundTiming::default();

        for wave in exchange.waves(engine) {
            let training = Stopwatch::start();
            let replies = exchange.train(&*method, engine, &wave, &global, watch)?;
            timing.train_seconds += training.seconds();

            let aggregation = Stopwatch::start();
            exchange.arrive(method, replies, &global)?;
            timing.aggregate_seconds += aggregation.seconds();
        }
        let exchanged = exchange.finish()?;
        let aggregation = Stopwatch::start();
        global = method.aggregate(&global, round)?;
        check_finite(&global, || format!("round {index}, the server's aggregate"))?;
        timing.aggregate_seconds += aggregation.seconds();

        outcome.record_exchange(index, &exchanged);
        outcome.record_diagnostics(index, method.diagnostics())?;
        outcome.measured.timings.push(timing);
        checkpoints.keep(&Checkpoint::new(round, &after, &global, method, &outcome.measured)?)?;
        outcome.judge(&mut Everyone::new(federation, engine, &global, round, &after))?;
        watch.round_done(&outcome.report(index, exchanged.loss(), &exchanged.link));
    }
    outcome.record_privacy(federation, total);
    outcome.collect_own(&mut Everyone::new(federation, engine, &global, round, &after))?;
    outcome.global = global;
    Ok(outcome)
}

impl Outcome {
    /// A metric's recorded values, in the order of their recording.
    pub fn recorded(&self, metric: Metric) -> impl Iterator<Item = f64> {
        self.measured.records.iter().filter(move |record| record.metric == metric).map(|record| record.value)
    }

    fn push(&mut self, round: usize, client: Option<usize>, metric: Metric, value: f64) {
        self.measured.records.push(Record { round: round as u32, client: client.map(|id| id as u32), metric, value });
    }

    /// What differential privacy has cost the client with the most rounds.
    fn record_privacy(&mut self, federation: Federation, round: usize) {
        let Some(privacy) = &federation.experiment().privacy else { return };
        let mut rounds = BTreeMap::<u32, usize>::new();
        for record in self.measured.records.iter().filter(|record| record.metric == Metric::UplinkBytes && record.value > 0.0) {
            *rounds.entry(record.client.unwrap_or_default()).or_default() += 1;
        }
        let most = rounds.into_values().max().unwrap_or(0);
        self.push(round, None, Metric::PrivacyEpsilon, privacy::epsilon(privacy, most));
    }

    fn record_exchange(&mut self, round: usize, exchanged: &Exchanged) {
        self.measured.records.extend(exchanged.records.iter().cloned());
        self.measured.flops += exchanged.flops;
        for update in &exchanged.arrived {
            self.push(round, Some(update.client), Metric::TrainLoss, update.loss);
            self.push(round, Some(update.client), Metric::OptimizerSteps, update.steps as f64);
            self.measured.steps += update.steps;
            self.measured.examples_seen += update.examples;
            self.measured.uploaded_parameters = self.measured.uploaded_parameters.max(update.parameters);
        }
        for client in exchanged.link.per_client() {
            self.push(round, Some(client.client), Metric::UplinkBytes, client.adapters.uplink as f64);
            self.push(round, Some(client.client), Metric::DownlinkBytes, client.adapters.downlink as f64);
            self.push(round, Some(client.client), Metric::ActivationUplinkBytes, client.activations.uplink as f64);
            self.push(round, Some(client.client), Metric::ActivationDownlinkBytes, client.activations.downlink as f64);
            if let Some(Carried { payload, socket }) = client.carried {
                self.push(round, Some(client.client), Metric::ActivationUplinkPayloadBytes, payload.uplink as f64);
                self.push(round, Some(client.client), Metric::ActivationDownlinkPayloadBytes, payload.downlink as f64);
                self.push(round, Some(client.client), Metric::ActivationUplinkSocketBytes, socket.uplink as f64);
                self.push(round, Some(client.client), Metric::ActivationDownlinkSocketBytes, socket.downlink as f64);
            }
        }
        let (adapters, activations) = exchanged.link.totals();
        self.measured.adapters += adapters;
        self.measured.activations += activations;
    }

    /// What the method says of its own work, if it is numbers.
    fn record_diagnostics(&mut self, round: usize, diagnostics: Vec<Diagnostic>) -> Result<()> {
        for (client, metric, value) in diagnostics.into_iter().map(Diagnostic::record) {
            if !value.is_finite() {
                let name = metric.name();
                return Err(Error::Usage(format!(
                    "round {round}: the method says {name} = {value} of client {client}; expected a number"
                )));
            }
            self.push(round, Some(client), metric, value);
        }
        Ok(())
    }

    /// Judges the round, if the schedule says so, which takes its time.
    fn judge(&mut self, everyone: &mut Everyone) -> Result<()> {
        let evaluation = Stopwatch::start();
        if everyone.federation.schedule.evaluates_after(everyone.round.index) || everyone.round.total == 0 {
            self.evaluate(everyone)?;
        }
        if let Some(timing) = self.measured.timings.last_mut() {
            timing.evaluate_seconds = evaluation.seconds();
        }
        Ok(())
    }

    /// Judges the global adapters, or where clients have their own, these: after the last round with all that a run folder keeps.
    fn evaluate(&mut self, everyone: &mut Everyone) -> Result<()> {
        let (judge, round, last) = (everyone.federation.judge, everyone.round.index, everyone.round.is_last());
        let (own, variants) = everyone.judged(last)?;
        everyone.lost.iter().for_each(|&client| self.push(round, Some(client), Metric::NotJudged, 1.0));
        let is_global = own.is_empty();
        let (judgement, predictions) = match is_global {
            true => judge_global(judge, everyone.global)?,
            false => {
                let judgement = Judgement::of_clients(judge, &own, last);
                (judgement, own.into_iter().flat_map(|(_, answers)| answers).collect())
            }
        };
        for (metric, value) in [(Metric::Accuracy, judgement.accuracy), (Metric::ClientAccuracyMean, judgement.client_mean())] {
            if let Some(value) = value {
                self.push(round, None, metric, value);
            }
        }
        for (client, accuracy) in judgement.clients.iter().enumerate() {
            if let Some(accuracy) = accuracy {
                self.push(round, Some(client), Metric::ClientAccuracy, *accuracy);
            }
        }
        self.judgement = judgement;
        if last {
            if is_global && everyone.federation.experiment().evaluation.blind {
                let (blind, _) = judge_global(&judge.blind()?, everyone.global)?;
                blind.accuracy.into_iter().for_each(|value| self.push(round, None, Metric::BlindAccuracy, value));
            }
            for (metric, value) in judge.breakdown(&predictions) {
                self.push(round, None, metric, value);
            }
            self.predictions = predictions;
            for (variant, answers) in variants {
                let judgement = Judgement::of_clients(judge, &answers, false);
                if let Some(mean) = judgement.client_mean() {
                    self.push(round, None, Metric::client_accuracy_mean_of(variant), mean);
                }
            }
        }
        Ok(())
    }

    /// The clients' own adapters; one that does not give them may be recorded already as not judged.
    fn collect_own(&mut self, everyone: &mut Everyone) -> Result<()> {
        self.personal = everyone.own()?;
        for &client in &everyone.lost {
            let (round, id) = (everyone.round.index, Some(client as u32));
            let is_it = |record: &Record| (record.round, record.client, &record.metric) == (round as u32, id, &Metric::NotJudged);
            if !self.measured.records.iter().any(is_it) {
                self.push(round, Some(client), Metric::NotJudged, 1.0);
            }
        }
        Ok(())
    }

    fn report(&self, round: usize, loss: Option<f64>, link: &Link) -> RoundReport {
        let judged = |metric: Metric| {
            let of_round = self.measured.records.iter().rev().take_while(|record| record.round == round as u32);
            of_round.filter(|record| record.metric == metric).map(|record| record.value).next()
        };
        let (adapters, activations) = link.totals();
        let (accuracy, client_accuracy) = (judged(Metric::Accuracy), judged(Metric::ClientAccuracyMean));
        RoundReport { round, loss, accuracy, client_accuracy, adapters, activations }
    }
}
