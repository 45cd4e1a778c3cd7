//! A round's exchange: the server sends, clients train, their updates arrive.
//!
//! Clients go in waves, so that a round holds the tensors of a few clients and never of the whole cohort; what has arrived is handed
//! on, one update after the other, in client-id order. No number depends on how large a wave is. What replies say is not trusted: a client
//! whose update is not of its shapes, or not finite, or cannot be read at all, is left out.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::Tensor;
use guard::text::line;
use models::adapter::Adapters;
use models::flops::Flops;
use schema::Record;
use schema::experiment::PrivacyMode;
use schema::metrics::Metric;

use crate::engine::{Engine, ask};
use crate::order::{Done, Kind, Order, Reply, Trained};
use crate::parts::Federation;
use crate::watch::Watch;
use crate::{ADAPTERS, Error, Link, Method, Payload, Result, Round, Scope, Sets, Update, privacy};

/// One round's exchange, so far.
pub(crate) struct Exchange<'a> {
    federation: Federation<'a>,
    round: Round,
    cohort: Vec<usize>,
    /// The last round of which each client's reply came back.
    after: &'a mut [usize],
    /// Clients of the cohort whose updates never arrive.
    dropped: Vec<usize>,
    /// Clients of the cohort that take fewer steps.
    slow: Vec<usize>,
    /// What clients of the wave were sent, which their updates may be differences to.
    sent: BTreeMap<usize, Sets>,
    /// The adapters' names in the round's first sound update, which all others have too.
    names: Option<Vec<String>>,
    link: Link,
    flops: Flops,
    arrived: Vec<Arrived>,
    first_error: Option<Error>,
    records: Vec<Record>,
}

/// What is known of an update once its tensors have been handed on.
pub(crate) struct Arrived {
    pub(crate) client: usize,
    pub(crate) num_examples: usize,
    pub(crate) loss: f64,
    pub(crate) steps: usize,
    pub(crate) examples: usize,
    pub(crate) parameters: u64,
}

/// What an exchange leaves behind.
pub(crate) struct Exchanged {
    pub(crate) link: Link,
    pub(crate) flops: Flops,
    pub(crate) arrived: Vec<Arrived>,
    pub(crate) records: Vec<Record>,
}

impl Exchanged {
    /// The mean training loss over all examples; none where nothing arrived.
    pub(crate) fn loss(&self) -> Option<f64> {
        let examples: usize = self.arrived.iter().map(|update| update.num_examples).sum();
        let share = |update: &Arrived| update.num_examples as f64 / examples.max(1) as f64;
        (!self.arrived.is_empty()).then(|| self.arrived.iter().map(|update| update.loss * share(update)).sum())
    }
}

/// What came of an order to train.
struct Opened {
    client: usize,
    clipped: bool,
    update: Result<Update>,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(federation: Federation<'a>, round: Round, after: &'a mut [usize]) -> Self {
        let schedule = federation.schedule;
        let cohort = schedule.cohort(round.index, round.clients);
        Self {
            dropped: schedule.dropped(round.index, &cohort),
            slow: schedule.stragglers(round.index, &cohort),
            federation,
            round,
            cohort,
            after,
            sent: BTreeMap::new(),
            names: None,
            link: Link::default(),
            flops: Flops::default(),
            arrived: Vec::new(),
            first_error: None,
            records: Vec::new(),
        }
    }

    /// The cohort in waves of the engine's size. Who shares noise with the others of a round has to know how many they are, so central
    /// privacy takes all at once.
    pub(crate) fn waves(&self, engine: &dyn Engine) -> Vec<Vec<usize>> {
        let central = self.federation.experiment().privacy.as_ref().is_some_and(|privacy| privacy.mode == PrivacyMode::Central);
        let size = if central { self.cohort.len() } else { engine.wave() };
        self.cohort.chunks(size.max(1)).map(<[usize]>::to_vec).collect()
    }

    /// The server sends to the clients of a wave, and those that are not dropped train, wherever they are.
    pub(crate) fn train(
        &mut self,
        method: &dyn Method,
        engine: &mut dyn Engine,
        wave: &[usize],
        global: &Adapters,
        watch: &dyn Watch,
    ) -> Result<Vec<Reply>> {
        self.sent.clear();
        let mut orders = Vec::with_capacity(wave.len());
        for &client in wave {
            let order = self.order(method, client, global)?;
            if !self.dropped.contains(&client) {
                orders.push(order);
            }
        }
        let replies = ask(engine, orders, watch)?;
        for reply in &replies {
            if !matches!(reply.done, Done::Lost(_)) {
                self.after[reply.client] = self.round.index;
            }
            if reply.state_lost {
                self.push(reply.client, Metric::StateLost);
            }
        }
        Ok(replies)
    }

    /// An order to train. What it sends is counted, but for pooled training, which happens at the server itself.
    fn order(&mut self, method: &dyn Method, client: usize, global: &Adapters) -> Result<Order> {
        let sets = method.send(client, global, self.round)?;
        let payload = Payload::plain(&sets)?;
        if self.is_federated() {
            self.link.down(client, payload.bytes());
        }
        self.sent.insert(client, sets);
        let share_of_steps = if self.slow.contains(&client) { self.federation.schedule.straggler_steps() } else { 1.0 };
        let (round, after) = (self.round, self.after[client]);
        Ok(Order { client, round, after, kind: Kind::Train { share_of_steps }, payload })
    }

    fn is_federated(&self) -> bool {
        self.federation.row.scope == Scope::Shard
    }

    /// A wave's updates arrive, and the method receives those that may be averaged. A client whose loss or update holds a number that is
    /// not finite, or whose update is not of the shapes that were asked for, is left out of the round and recorded; one that is lost has
    /// dropped out.
    pub(crate) fn arrive(&mut self, method: &mut dyn Method, replies: Vec<Reply>, global: &Adapters) -> Result<()> {
        let sends = method.sends(self.round);
        let opened: Vec<Opened> = replies.into_iter().map(|reply| self.open(reply, sends)).collect();
        // Who brings no noise may not be counted among those who share it.
        let sound = opened.iter().filter(|opened| opened.update.is_ok()).count();
        for Opened { client, clipped, update } in opened {
            if clipped {
                self.push(client, Metric::Clipped);
            }
            match update.and_then(|update| self.blur(update, sound)) {
                Ok(update) => {
                    self.arrived.push(Arrived::of(&update));
                    method.receive(update, global, self.round)?;
                }
                Err(error) => self.leave_out(client, error)?,
            }
        }
        Ok(())
    }

    /// What is counted of a reply is counted, and its update decoded and checked.
    fn open(&mut self, reply: Reply, sends: &[&str]) -> Opened {
        let (round, checked) = (self.round.index, reply.check());
        let Reply { client, flops, done, .. } = reply;
        if let Err(what) = checked {
            return Opened { client, clipped: false, update: Err(self.refused(client, what)) };
        }
        self.flops += flops;
        let (clipped, update) = match done {
            Done::Trained(trained) => (trained.clipped && trained.finite, self.update(client, trained, sends)),
            Done::Diverged { loss } => {
                let learning_rate = self.federation.experiment().optimizer.learning_rate;
                (false, Err(Error::Diverged { client, round, loss, learning_rate }))
            }
            Done::Lost(why) => (false, Err(Error::Lost { client, round, why })),
            Done::Judged(_) | Done::Own(_) => {
                (false, Err(self.refused(client, "answers another order than the one to train".into())))
            }
        };
        Opened { client, clipped, update }
    }

    /// An update as it is, if it may be averaged.
    fn update(&mut self, client: usize, trained: Trained, sends: &[&str]) -> Result<Update> {
        match self.is_federated() {
            true => {
                self.link.activations(client, trained.activations, trained.carried);
                self.link.up(client, trained.payload.bytes());
            }
            false => self.collect_rows(),
        }
        let round = self.round.index;
        if !trained.finite {
            return Err(Error::NotFinite { client, round });
        }
        let none = Sets::default();
        let sets = trained.payload.open(self.sent.get(&client).unwrap_or(&none), self.federation.device);
        let sets = sets.map_err(|what| self.refused(client, what))?;
        if !sets.is_finite()? {
            return Err(Error::NotFinite { client, round });
        }
        self.fit_together(client, &sets, sends)?;
        Ok(trained.with(client, sets))
    }

    /// Fails unless an update's sets are those that the method sends, all with the tensors of the round's first sound update.
    fn fit_together(&mut self, client: usize, sets: &Sets, sends: &[&str]) -> Result<()> {
        if !sets.iter().map(|(name, _)| name.as_str()).eq(sends.iter().copied().collect::<BTreeSet<_>>()) {
            let held: Vec<String> = sets.iter().map(|(name, _)| quoted(name)).collect();
            let sent: Vec<String> = sends.iter().map(|name| quoted(name)).collect();
            let held = if held.is_empty() { "no set".into() } else { held.join(", ") };
            return Err(self.refused(client, format!("holds {held}; expected the sets {}", sent.join(", "))));
        }
        sets.iter().try_for_each(|(_, set)| self.fits(client, set))?;
        let Ok(adapters) = sets.get(ADAPTERS) else { return Ok(()) };
        let known = self.names.get_or_insert_with(|| names_of(adapters)).clone();
        for (name, set) in sets.iter() {
            let same_shape =
                |(name, tensor): (&String, &Tensor)| adapters.get(name).is_some_and(|own| own.dims() == tensor.dims());
            if names_of(set) != known || !set.iter().all(same_shape) {
                let of = "by name or shape, than its adapters and the round's other updates";
                return Err(self.refused(client, format!("holds the set {} with other tensors, {of}", quoted(name))));
            }
        }
        Ok(())
    }

    /// Fails unless a set is of names, shapes and types that are trained.
    fn fits(&self, client: usize, adapters: &Adapters) -> Result<()> {
        let (task, round) = (self.federation.task, self.round.index);
        if let Some(tensor) = task.adapter().misfit(adapters, self.federation.row.unequal_ranks) {
            return Err(Error::Misfit { client, round, tensor });
        }
        let Some((_, like)) = task.initial().iter().next() else { return Ok(()) };
        match adapters.iter().find(|(_, tensor)| tensor.dtype() != like.dtype()) {
            Some((name, tensor)) => {
                let (found, expected) = (tensor.dtype().as_str(), like.dtype().as_str());
                Err(self.refused(client, format!("holds `{name}` as {found}; expected {expected}")))
            }
            None => Ok(()),
        }
    }

    fn refused(&self, client: usize, what: String) -> Error {
        Error::Message { client, round: self.round.index, what }
    }

    /// Where data is pooled, clients hand over their raw rows once, and what was trained is at the server already.
    fn collect_rows(&mut self) {
        if self.round.index == 1 {
            for (client, bytes) in self.federation.raw_bytes().enumerate() {
                self.link.raw_rows(client, bytes);
            }
        }
    }

    /// An update as a trusted server sees it beside the others that share their noise, where central privacy asks for that.
    fn blur(&self, update: Update, sharing: usize) -> Result<Update> {
        let Some(privacy) = &self.federation.experiment().privacy else { return Ok(update) };
        let mut noise = self.federation.seed().client("privacy", self.round.index, update.client);
        privacy::arrives(privacy, update, sharing, &mut noise)
    }

    /// The round goes on without a client whose update may not be averaged; an error that is no update's fault ends the run.
    fn leave_out(&mut self, client: usize, error: Error) -> Result<()> {
        match error {
            Error::Diverged { .. } | Error::NotFinite { .. } | Error::Misfit { .. } | Error::Message { .. } => {
                self.push(client, Metric::LeftOut);
            }
            Error::Lost { .. } => self.dropped.push(client),
            other => return Err(other),
        }
        self.first_error.get_or_insert(error);
        Ok(())
    }

    fn push(&mut self, client: usize, metric: Metric) {
        let (round, client) = (self.round.index as u32, Some(client as u32));
        self.records.push(Record { round, client, metric, value: 1.0 });
    }

    /// What is left of it; an error if no update could be averaged.
    pub(crate) fn finish(mut self) -> Result<Exchanged> {
        if let (true, Some(first)) = (self.arrived.is_empty(), self.first_error.take()) {
            return Err(Error::NothingLeft { round: self.round.index, first: Box::new(first) });
        }
        for client in self.dropped.clone() {
            self.push(client, Metric::DroppedOut);
        }
        Ok(Exchanged { link: self.link, flops: self.flops, arrived: self.arrived, records: self.records })
    }
}

fn names_of(set: &Adapters) -> Vec<String> {
    set.iter().map(|(name, _)| name.clone()).collect()
}

fn quoted(name: &str) -> String {
    format!("`{}`", line(name, 120))
}

impl Arrived {
    fn of(update: &Update) -> Self {
        Self {
            client: update.client,
            num_examples: update.num_examples,
            loss: update.loss,
            steps: update.steps,
            examples: update.examples,
            parameters: update.sets.num_parameters(),
        }
    }
}
