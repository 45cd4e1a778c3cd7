//! A client host: it turns an order into a reply.
//!
//! It has what clients have: prepared data, the model, what each remembers, and a copy of the method of its own. Whatever the server is
//! not to see happens here: an update is clipped and blurred, and clients judge themselves.

use std::collections::BTreeMap;

use models::adapter::{Adapters, Head};
use models::flops::Flops;
use rayon::prelude::*;
use schema::experiment::Wire;
use tasks::judgement::answers_of;

use crate::memory::{Memories, Memory, from_bytes, to_bytes};
use crate::order::{Done, Judged, Kind, Order, Reply, Trained};
use crate::parts::Federation;
use crate::watch::Watch;
use crate::{ADAPTERS, Client, Error, Method, Payload, Result, Round, Scope, Sets, Update, privacy};

/// Some clients, and what they work with.
pub struct Host<'a> {
    desk: Desk<'a>,
    clients: Vec<Client<'a>>,
}

/// What its clients share.
struct Desk<'a> {
    federation: Federation<'a>,
    method: Box<dyn Method>,
    memories: Option<Box<dyn Memories + 'a>>,
}

impl<'a> Host<'a> {
    /// Of all clients; the method is a copy of the server's, about to begin.
    pub fn new(federation: Federation<'a>, mut method: Box<dyn Method>) -> Self {
        method.start(federation.task.initial().clone(), federation.task.adapter());
        Self { clients: federation.clients(federation.row.scope), desk: Desk { federation, method, memories: None } }
    }

    /// With a place for what its clients remember: it may begin where another has ended, and its replies may be lost.
    pub fn remembering(mut self, memories: impl Memories + 'a) -> Self {
        self.desk.memories = Some(Box::new(memories));
        self
    }

    /// Its clients remember nothing any more: another run of theirs begins.
    pub fn forget(&mut self) -> Result<()> {
        let before = Round { index: 0, total: 0, clients: 0 };
        self.clients.iter_mut().try_for_each(|client| client.resume(before, Memory::new()))
    }

    /// Of these clients alone.
    pub fn of(mut self, clients: &[usize]) -> Self {
        self.clients.retain(|client| clients.contains(&client.id()));
        self
    }

    /// Carries out orders to different clients: those that train do so at the same time, for they share nothing; those that judge, one
    /// after the other, since each spreads its examples over all threads. An order to a client that is not here is lost.
    pub fn carry_out(&mut self, orders: Vec<Order>, watch: &dyn Watch) -> Result<Vec<Reply>> {
        let (desk, mut training, mut replies) = (&self.desk, Vec::new(), Vec::new());
        let mut orders: BTreeMap<usize, Order> = orders.into_iter().map(|order| (order.client, order)).collect();
        for client in &mut self.clients {
            match orders.remove(&client.id()) {
                Some(order) if matches!(order.kind, Kind::Train { .. }) => training.push((client, order)),
                Some(order) => replies.push(desk.reply(client, order, watch)?),
                None => {}
            }
        }
        let trained = training.into_par_iter().map(|(client, order)| desk.reply(client, order, watch));
        replies.extend(trained.collect::<Result<Vec<_>>>()?);
        replies.extend(orders.values().map(|order| Reply::lost(order, "its host does not have it")));
        Ok(replies)
    }
}

impl Desk<'_> {
    fn reply(&self, client: &mut Client, order: Order, watch: &dyn Watch) -> Result<Reply> {
        let state_lost = self.rewind(client, &order)?;
        if state_lost && !matches!(order.kind, Kind::Train { .. }) {
            // What it has trained nobody knows, so nobody judges it; it begins anew when it trains again.
            client.resume(Round { index: 0, ..order.round }, Memory::new())?;
            return Ok(Reply::lost(&order, "its host no longer knows what it remembered"));
        }
        let Order { client: id, round, after, kind, payload } = order;
        let opened = payload.open(&Sets::default(), self.federation.device);
        let received = opened.map_err(|what| Error::Message { client: id, round: round.index, what })?;
        drop(payload);
        let mut flops = Flops::default();
        let done = match kind {
            Kind::Train { share_of_steps } => {
                client.begin_round(round)?;
                client.slow_down(share_of_steps);
                let trained = self.train(client, &received)?;
                let is_left_out = match &trained {
                    Done::Trained(trained) => !trained.finite,
                    _ => true,
                };
                if is_left_out {
                    client.forget_round();
                }
                if let Some(memories) = &self.memories {
                    memories.keep(id, round.index, after, &to_bytes(id, round.index, &client.memory)?)?;
                }
                flops = client.flops();
                watch.client_done(round.index, id);
                trained
            }
            Kind::Judge { everywhere } => Done::Judged(self.judge(client, received.get(ADAPTERS)?, everywhere)?),
            Kind::Own => {
                let own =
                    self.method.personalize(client, received.get(ADAPTERS)?)?.map(|own| Sets::default().with(ADAPTERS, own));
                client.resume(Round { index: 0, ..round }, Memory::new())?;
                own.iter().try_for_each(|own| self.check_head(own))?;
                Done::Own(own.as_ref().map(Payload::plain).transpose()?)
            }
        };
        Ok(Reply { client: id, round: round.index, state_lost, flops, done })
    }

    /// The client as it was when the server last heard of it; whether nobody knows how that was, so that it begins anew.
    fn rewind(&self, client: &mut Client, order: &Order) -> Result<bool> {
        let after = Round { index: order.after, ..order.round };
        if client.round().index == after.index {
            return Ok(false);
        }
        let kept = match &self.memories {
            Some(memories) if after.index > 0 => memories.recall(client.id(), after.index)?,
            _ => None,
        };
        let memory = kept.and_then(|bytes| from_bytes(&bytes, client.id(), after.index, self.federation.device));
        let state_lost = memory.is_none() && after.index > 0;
        client.resume(after, memory.unwrap_or_default())?;
        Ok(state_lost)
    }

    /// A client's work in a round; an error that is no divergence is nobody's to leave out.
    fn train(&self, client: &mut Client, received: &Sets) -> Result<Done> {
        match self.method.train(client, received) {
            Ok(update) => {
                self.check_row(client, received)?;
                Ok(Done::Trained(self.leave(client, update, received)?))
            }
            Err(Error::Diverged { loss, .. }) => Ok(Done::Diverged { loss }),
            Err(error) => Err(error),
        }
    }

    /// An update as it leaves its client: clipped, and in local mode blurred, where privacy asks for it; then encoded. Where data is
    /// pooled, client and server are one, and nothing is done to it.
    fn leave(&self, client: &Client, update: Update, received: &Sets) -> Result<Trained> {
        self.check_head(&update.sets)?;
        let (finite, config) = (update.sets.is_finite()?, self.federation.experiment());
        let federated = self.federation.row.scope == Scope::Shard;
        let (update, clipped) = match &config.privacy {
            Some(privacy) if finite && federated => {
                let mut noise = self.federation.seed().client("privacy", client.round().index, client.id());
                privacy::leaves(privacy, update, received, &mut noise)?
            }
            _ => (update, false),
        };
        let wire = if federated { config.federation.uplink } else { Wire::F32 };
        let payload = Payload::new(&update.sets, received, wire)?;
        // Fewer bits may not hold what more do; the server would refuse it.
        let arrives = |payload: &Payload| payload.open(received, self.federation.device).ok();
        let finite = finite && (wire == Wire::F32 || arrives(&payload).map_or(Ok(false), |sets| sets.is_finite())?);
        Ok(Trained { carried: client.carried(), ..Trained::new(&update, client.activations(), clipped, finite, payload) })
    }

    /// A client's answers with adapters of its own, or with the global ones and a head of its own.
    fn judge(&self, client: &Client, global: &Adapters, everywhere: bool) -> Result<Judged> {
        let (judge, head) = (self.federation.judge, client.head());
        let answers = |adapters: &Adapters, everywhere| answers_of(judge, client.id(), &adapters.with(&head), everywhere);
        let own = self.method.personalize(client, global)?.or_else(|| (!head.is_empty()).then(|| global.clone()));
        let own = own.map(|own| answers(&own, everywhere)).transpose()?;
        let variants = if everywhere { self.method.variants(client, global)? } else { Vec::new() };
        let variants = variants.into_iter().map(|(variant, adapters)| Ok((variant, answers(&adapters, false)?)));
        Ok(Judged { own, variants: variants.collect::<Result<_>>()? })
    }

    /// A private head stays with its client, whatever a method makes of a client's memory.
    fn check_head(&self, sets: &Sets) -> Result<()> {
        if self.federation.task.adapter().private_head().is_none() {
            return Ok(());
        }
        let mut tensors = sets.iter().flat_map(|(set, tensors)| tensors.iter().map(move |(name, _)| (set, name)));
        match tensors.find(|(_, name)| Head::has(name)) {
            Some((set, name)) => Err(Error::Usage(format!(
                "method `{}` sends `{name}` in the set `{set}`: a private head stays with its client; leave it out, or set \
                 adapter.head = \"shared\"",
                self.federation.row.name
            ))),
            None => Ok(()),
        }
    }

    /// What a row denies is never asked for, and would be lost without a word.
    fn check_row(&self, client: &Client, received: &Sets) -> Result<()> {
        let row = self.federation.row;
        if row.personal {
            return Ok(());
        }
        let global = received.get(ADAPTERS).cloned().unwrap_or_default();
        let has_own = self.method.personalize(client, &global)?.is_some() || !self.method.variants(client, &global)?.is_empty();
        match has_own {
            true => Err(Error::Usage(format!(
                "method `{}` gives its clients adapters of their own, and its row says that it does not: expected `personal: true`",
                row.name
            ))),
            false => Ok(()),
        }
    }
}
