//! A round's exchange: the server sends, clients train, their updates arrive.
//!
//! Clients go in waves, so that a round holds the tensors of a few clients and never of the whole cohort; what has arrived is handed
//! on, one update after the other, in client-id order. No number depends on how large a wave is.

use models::adapter::Adapters;
use rayon::prelude::*;
use schema::Record;
use schema::experiment::PrivacyMode;
use schema::metrics::Metric;

use crate::parts::Federation;
use crate::watch::Watch;
use crate::{ADAPTERS, Client, Error, Link, Method, Result, Round, Scope, Sets, Update, privacy};

/// One round's exchange, so far.
pub(crate) struct Exchange<'a> {
    federation: Federation<'a>,
    round: Round,
    cohort: Vec<usize>,
    /// Clients of the cohort whose updates never arrive.
    dropped: Vec<usize>,
    /// Clients of the cohort that take fewer steps.
    slow: Vec<usize>,
    link: Link,
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
    pub(crate) arrived: Vec<Arrived>,
    pub(crate) records: Vec<Record>,
}

/// What a client received and what it made of it; if it diverged, its error.
pub(crate) struct Trained {
    client: usize,
    received: Sets,
    update: Result<Update>,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(federation: Federation<'a>, round: Round) -> Self {
        let schedule = federation.schedule;
        let cohort = schedule.cohort(round.index, round.clients);
        Self {
            dropped: schedule.dropped(round.index, &cohort),
            slow: schedule.stragglers(round.index, &cohort),
            federation,
            round,
            cohort,
            link: Link::default(),
            arrived: Vec::new(),
            first_error: None,
            records: Vec::new(),
        }
    }

    /// The cohort in waves: enough clients to keep every thread busy though some have more to do than others. Who shares noise with
    /// the others of a round has to know how many they are, so central privacy takes all at once.
    pub(crate) fn waves(&self) -> Vec<Vec<usize>> {
        let central = self.federation.experiment().privacy.as_ref().is_some_and(|privacy| privacy.mode == PrivacyMode::Central);
        let size = if central { self.cohort.len() } else { CLIENTS_PER_THREAD * rayon::current_num_threads() };
        self.cohort.chunks(size.max(1)).map(<[usize]>::to_vec).collect()
    }

    /// The server sends to the clients of a wave, and those that are not dropped train. Clients share nothing, so they may train at
    /// the same time; a diverged client's result is its error.
    pub(crate) fn train(
        &mut self,
        method: &dyn Method,
        clients: &mut [Client],
        wave: &[usize],
        global: &Adapters,
        watch: &dyn Watch,
    ) -> Result<Vec<Trained>> {
        let mut working = Vec::with_capacity(wave.len());
        for client in clients.iter_mut().filter(|client| wave.contains(&client.id())) {
            let received = self.send(method, client.id(), global)?;
            if !self.dropped.contains(&client.id()) {
                working.push((client, received));
            }
        }
        let (schedule, round, slow) = (self.federation.schedule, self.round, &self.slow);
        let work = |(client, received): (&mut Client, Sets)| {
            client.begin_round(round);
            if slow.contains(&client.id()) {
                client.slow_down(schedule.straggler_steps());
            }
            let update = match method.train(client, &received) {
                Err(error) if !matches!(error, Error::Diverged { .. }) => return Err(error),
                update => update,
            };
            watch.client_done(round.index, client.id());
            Ok(Trained { client: client.id(), received, update })
        };
        working.into_par_iter().map(work).collect()
    }

    /// What a client receives; pooled training happens at the server itself.
    fn send(&mut self, method: &dyn Method, client: usize, global: &Adapters) -> Result<Sets> {
        let sets = method.send(client, global, self.round)?;
        match self.federation.row.scope {
            Scope::Pooled | Scope::Nothing => Ok(sets),
            Scope::Shard => self.link.down(client, &sets, self.federation.device),
        }
    }

    /// A wave's updates arrive, and with them the activations that training moved. The method receives those that may be averaged; a
    /// client whose loss or update holds a number that is not finite, or whose update is not of the shapes that were asked for, is
    /// left out of the round and recorded.
    pub(crate) fn arrive(
        &mut self,
        method: &mut dyn Method,
        clients: &[Client],
        trained: Vec<Trained>,
        global: &Adapters,
    ) -> Result<()> {
        let pooled = self.federation.row.scope == Scope::Pooled;
        let trained = match pooled {
            true => trained,
            false => trained.into_iter().map(|trained| self.find_out(clients, trained)).collect::<Result<_>>()?,
        };
        // Who brings no noise may not be counted among those who share it.
        let answered = trained.iter().filter(|trained| trained.update.is_ok()).count();
        for trained in trained {
            let client = trained.client;
            let update = match trained.update {
                Ok(update) if pooled => Ok(self.collect_rows(update)),
                Ok(update) => Ok(self.upload(update, &trained.received, answered)?),
                Err(error) => Err(error),
            };
            match update.and_then(|update| self.check(update)) {
                Ok(update) => {
                    self.arrived.push(Arrived::of(&update));
                    method.receive(update, global, self.round)?;
                }
                Err(error) => {
                    self.push(client, Metric::LeftOut);
                    self.first_error.get_or_insert(error);
                }
            }
        }
        Ok(())
    }

    /// What training moved besides is counted. Few bits may turn what is not finite into a number like others, so it is found out
    /// before it crosses the link.
    fn find_out(&mut self, clients: &[Client], trained: Trained) -> Result<Trained> {
        let Trained { client, received, update: Ok(update) } = trained else { return Ok(trained) };
        self.link.activations(client, clients[client].activations());
        if update.sets.is_finite()? {
            return Ok(Trained { client, received, update: Ok(update) });
        }
        self.upload_as_it_is(update, &received)?;
        Ok(Trained { client, received, update: Err(Error::NotFinite { client, round: self.round.index }) })
    }

    /// Where data is pooled, clients hand over their raw rows once, and what was trained is at the server already.
    fn collect_rows(&mut self, update: Update) -> Update {
        if self.round.index == 1 {
            for client in self.federation.clients(Scope::Shard) {
                self.link.raw_rows(client.id(), client.raw_bytes());
            }
        }
        update
    }

    /// An update as the server gets it, clipped and blurred where privacy asks for it.
    fn upload(&mut self, update: Update, received: &Sets, answered: usize) -> Result<Update> {
        let Some(privacy) = &self.federation.experiment().privacy else { return self.upload_as_it_is(update, received) };
        let client = update.client;
        let mut noise = self.federation.seed().client("privacy", self.round.index, client);
        let (update, clipped) = privacy::leaves(privacy, update, received, &mut noise)?;
        if clipped {
            self.push(client, Metric::Clipped);
        }
        let update = self.upload_as_it_is(update, received)?;
        privacy::arrives(privacy, update, answered, &mut noise)
    }

    fn upload_as_it_is(&mut self, update: Update, received: &Sets) -> Result<Update> {
        let wire = self.federation.experiment().federation.uplink;
        self.link.up(update, received, wire, self.federation.device)
    }

    /// An update as it is, if it may be averaged.
    fn check(&self, update: Update) -> Result<Update> {
        let (client, round) = (update.client, self.round.index);
        if !update.sets.is_finite()? {
            return Err(Error::NotFinite { client, round });
        }
        let (spec, unequal_ranks) = (self.federation.task.adapter(), self.federation.row.unequal_ranks);
        match update.sets.get(ADAPTERS).ok().and_then(|set| spec.misfit(set, unequal_ranks)) {
            Some(tensor) => Err(Error::Misfit { client, round, tensor }),
            None => Ok(update),
        }
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
        Ok(Exchanged { link: self.link, arrived: self.arrived, records: self.records })
    }
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

/// Clients in a wave for each thread.
const CLIENTS_PER_THREAD: usize = 4;
