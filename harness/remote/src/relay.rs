//! The engine that hands orders to another program, which brings them to workers: Flower's server, for one.
//!
//! The program calls this process on a line. What is said there, beside the frames of [`crate::talk`], which it need not read:
//!
//! | this process asks | and sends | the program answers |
//! |---|---|---|
//! | `{"bring": "who", "run": NAME, "attempt": WORD, "clients": N}` | | `{"workers": N}`, and N frames: what each worker said of itself |
//! | `{"bring": "orders", "run": NAME, "attempt": WORD, "round": R, "clients": [...], "again": B}` | an order for each | for each client, in whatever order, `{"client": C}` and its reply; `{"client": C, "lost": WHY}`; or `{"client": C, "failed": WHY}`, as its worker said |
//!
//! `again` says whether orders may be brought twice where no reply comes. The line ends with the run.

use std::collections::BTreeMap;

use federation::message::MOST_BYTES;
use federation::order::Kind;
use federation::{Message, Order, Reply, Watch};
use guard::text;
use line::Line;
use schema::record::HostFacts;
use serde::{Deserialize, Serialize};

use crate::engine::reply_to;
use crate::introduction::assign;
use crate::talk::{Say, frame, hear, say, senseless};
use crate::{Introduction, Result};

/// A longer introduction is refused.
const MOST_WHO: u64 = 1 << 20;

/// Another program that brings orders to workers.
#[derive(Debug)]
pub struct Relay {
    line: Line,
    run: String,
    attempt: String,
    hosts: Vec<HostFacts>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "bring", rename_all = "kebab-case")]
enum Bring<'a> {
    Who { run: &'a str, attempt: &'a str, clients: usize },
    Orders { run: &'a str, attempt: &'a str, round: usize, clients: Vec<usize>, again: bool },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    workers: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Brought {
    client: usize,
    lost: Option<String>,
    failed: Option<String>,
}

impl Relay {
    /// Asks the program on this line who is there, and fails unless these are workers of this run that have each of its clients once.
    /// The attempt is a new one ([`crate::attempt`]), or the one that the run goes on from.
    pub fn meet(mut line: Line, here: &Introduction, clients: usize, attempt: String) -> Result<Self> {
        say(&mut line, &Bring::Who { run: &here.run, attempt: &attempt, clients })?;
        let Found { workers } = hear(&mut line)?.ok_or_else(|| senseless(&line, "hung up before it said who is there".into()))?;
        let mut introductions = Vec::new();
        for at in 0..workers {
            let said = serde_json::from_slice(&frame(&mut line, MOST_WHO)?);
            let Ok(Say::Who(introduction)) = said else {
                return Err(senseless(&line, format!("brings what is no introduction: {said:?}")));
            };
            here.check(&introduction, &format!("worker {at}"))?;
            introductions.push((format!("worker {at}"), *introduction));
        }
        assign(introductions.iter().map(|(name, introduction)| (name.as_str(), introduction)), clients)?;
        let hosts = introductions.into_iter().map(|(_, introduction)| introduction.host).collect();
        Ok(Self { line, run: here.run.clone(), attempt, hosts })
    }

    /// What workers said of themselves.
    pub fn hosts(&self) -> Vec<HostFacts> {
        self.hosts.clone()
    }

    fn bring(&mut self, orders: &[Order]) -> Result<()> {
        let round = orders.first().map_or(0, |order| order.round.index);
        let clients = orders.iter().map(|order| order.client).collect();
        let again = !orders.iter().any(|order| matches!(order.kind, Kind::Train { .. }));
        say(&mut self.line, &Bring::Orders { run: &self.run, attempt: &self.attempt, round, clients, again })?;
        for order in orders {
            let bytes =
                order.to_bytes().map_err(|error| senseless(&self.line, format!("is to be sent what cannot be sent: {error}")))?;
            self.line.send(&bytes)?;
        }
        Ok(())
    }

    /// One order's reply, of those that are awaited.
    fn take(&mut self, awaited: &mut BTreeMap<usize, Order>) -> Result<std::result::Result<Reply, String>> {
        let brought: Option<Brought> = hear(&mut self.line)?;
        let Brought { client, lost, failed } = brought.ok_or_else(|| senseless(&self.line, "hung up in a round".into()))?;
        let asked = awaited.remove(&client);
        let order =
            asked.ok_or_else(|| senseless(&self.line, format!("brings a reply of client {client}, who was not asked")))?;
        Ok(match (lost, failed) {
            (_, Some(why)) => Err(format!("an error of the worker of client {client}: {}", text::line(&why, 2000))),
            (Some(why), None) => Ok(Reply::lost(&order, text::line(&why, 500))),
            (None, None) => Ok(reply_to(&order, &frame(&mut self.line, MOST_BYTES)?)),
        })
    }
}

impl federation::Engine for Relay {
    fn wave(&self) -> usize {
        usize::MAX
    }

    fn carry_out(&mut self, orders: Vec<Order>, watch: &dyn Watch) -> federation::Result<Vec<Reply>> {
        let broken =
            |error: crate::Error| federation::Error::Engine(format!("an error of the program that brings orders: {error}"));
        self.bring(&orders).map_err(broken)?;
        let mut awaited: BTreeMap<usize, Order> = orders.into_iter().map(|order| (order.client, order)).collect();
        let (mut replies, mut first_failure) = (Vec::new(), None);
        while !awaited.is_empty() {
            match self.take(&mut awaited).map_err(broken)? {
                Ok(reply) => {
                    watch.client_done(reply.round, reply.client);
                    replies.push(reply);
                }
                Err(failure) => {
                    first_failure.get_or_insert(failure);
                }
            }
        }
        match first_failure {
            Some(failure) => Err(federation::Error::Engine(failure)),
            None => Ok(replies),
        }
    }
}
