//! Clients judge themselves with adapters of their own, wherever they are; what they answered is put together here.

use std::collections::BTreeMap;

use models::adapter::Adapters;
use schema::Prediction;
use schema::metrics::Variant;

use crate::engine::{Engine, ask};
use crate::order::{Done, Judged, Kind, Order, Reply};
use crate::parts::Federation;
use crate::watch::Unwatched;
use crate::{ADAPTERS, Error, Payload, Result, Round, Sets};

/// What each client answered.
pub(crate) type Answered = Vec<(usize, Vec<Prediction>)>;

/// All clients, and what the server has for them.
pub(crate) struct Everyone<'a, 'e> {
    pub(crate) federation: Federation<'a>,
    pub(crate) engine: &'e mut dyn Engine,
    pub(crate) global: &'e Adapters,
    pub(crate) round: Round,
    /// The last round of which each client's reply came back.
    after: &'e [usize],
    /// Clients that did not answer.
    pub(crate) lost: Vec<usize>,
}

impl<'a, 'e> Everyone<'a, 'e> {
    pub(crate) fn new(
        federation: Federation<'a>,
        engine: &'e mut dyn Engine,
        global: &'e Adapters,
        round: Round,
        after: &'e [usize],
    ) -> Self {
        Self { federation, engine, global, round, after, lost: Vec::new() }
    }

    /// What clients answer with adapters of their own, those that have some, and with each variant (both `everywhere` alone).
    pub(crate) fn judged(&mut self, everywhere: bool) -> Result<(Answered, BTreeMap<Variant, Answered>)> {
        let (federation, round) = (self.federation, self.round.index);
        let (mut answered, mut variants) = (Answered::new(), BTreeMap::<Variant, Answered>::new());
        self.ask(Kind::Judge { everywhere }, |client, done| {
            let Done::Judged(Judged { own, variants: more }) = done else { return Err(astray(client, round)) };
            let sound = |answers: &[Prediction], everywhere| {
                check(federation, client, answers, everywhere).map_err(|what| Error::Message { client, round, what })
            };
            if let Some(own) = own {
                sound(&own, everywhere)?;
                answered.push((client, own));
            }
            for (variant, answers) in more {
                sound(&answers, false)?;
                variants.entry(variant).or_default().push((client, answers));
            }
            Ok(())
        })?;
        Ok((answered, variants))
    }

    /// The clients' own adapters, of those that have some.
    pub(crate) fn own(&mut self) -> Result<Vec<(usize, Adapters)>> {
        let (device, round, mut all) = (self.federation.device, self.round.index, Vec::new());
        self.ask(Kind::Own, |client, done| {
            let Done::Own(own) = done else { return Err(astray(client, round)) };
            if let Some(payload) = own {
                let refused = |what| Error::Message { client, round, what };
                let sets = payload.open(&Sets::default(), device).map_err(refused)?;
                let own = sets.get(ADAPTERS).map_err(|_| refused(format!("holds no set `{ADAPTERS}`")))?;
                all.push((client, own.clone()));
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// Sends the global adapters to all clients, a wave at a time, and hands on what came back, in client-id order. It is not counted.
    /// Nobody is asked for what nobody has, as the method's row says; a head of their own, to judge with and to keep, all can have. Who does
    /// not answer is lost; an error if that is everybody.
    fn ask(&mut self, kind: Kind, mut each: impl FnMut(usize, Done) -> Result<()>) -> Result<()> {
        let by_own_heads = matches!(kind, Kind::Judge { .. }) && self.federation.task.adapter().private_head().is_some();
        if !self.federation.row.personal && !by_own_heads {
            return Ok(());
        }
        let (payload, round) = (Payload::plain(&Sets::default().with(ADAPTERS, self.global.clone()))?, self.round);
        let clients: Vec<usize> = (0..self.federation.num_clients()).collect();
        for wave in clients.chunks(self.engine.wave().max(1)) {
            let order = |&client: &usize| Order { client, round, after: self.after[client], kind, payload: payload.clone() };
            let orders = wave.iter().map(order);
            for Reply { client, done, .. } in ask(self.engine, orders.collect(), &Unwatched)? {
                match done {
                    Done::Lost(why) => {
                        self.lost.push(client);
                        if self.lost.len() == clients.len() {
                            return Err(Error::Lost { client, round: round.index, why });
                        }
                    }
                    done => each(client, done)?,
                }
            }
        }
        Ok(())
    }
}

fn astray(client: usize, round: usize) -> Error {
    Error::Message { client, round, what: "answers another order than the one it was given".into() }
}

/// Fails unless these are a client's answers to the examples that it was asked; the error completes "its message ...".
fn check(federation: Federation, client: usize, answers: &[Prediction], everywhere: bool) -> std::result::Result<(), String> {
    let judge = federation.judge;
    let mut asked = judge.asked(client, everywhere);
    asked.sort_unstable();
    if answers.len() != asked.len() {
        return Err(format!("answers {} examples; expected {}", answers.len(), asked.len()));
    }
    for (answer, example) in answers.iter().zip(asked) {
        let example = &judge.examples[example];
        let (client, shard) = (Some(client as u32), example.shard.map(|id| id as u32));
        if (&answer.example, answer.client, answer.shard) != (&example.id, client, shard) {
            return Err(format!("answers another example than `{}`", example.id));
        }
        let mut others = answer.option_scores.iter().chain(answer.further.values());
        let most = example.metric.row.unit.most().unwrap_or(1.0);
        if !(0.0..=most).contains(&answer.value()) || !others.all(|score| score.is_finite()) {
            return Err(format!("scores example `{}` with what is no score", example.id));
        }
    }
    Ok(())
}
