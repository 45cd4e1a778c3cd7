//! The engine that calls workers itself.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use federation::message::MOST_BYTES;
use federation::order::Kind;
use federation::{Message, Order, Reply, Watch};
use line::{Address, Line, Security};
use schema::record::HostFacts;

use crate::introduction::assign;
use crate::talk::{Ask, PROTOCOL, Say, answer, frame, say, senseless};
use crate::{Error, Introduction, Result};

/// Workers that this process calls, round by round: a line is open only while it is used, so a worker that was started again is found
/// at its address.
#[derive(Debug)]
pub struct Workers {
    run: String,
    attempt: String,
    workers: Vec<Colleague>,
    /// Of each client, its worker's place among these.
    of_client: BTreeMap<usize, usize>,
}

/// A worker as the server knows it.
#[derive(Debug)]
struct Colleague {
    address: Address,
    security: Security,
    patience: Duration,
    host: HostFacts,
}

impl Workers {
    /// Asks all workers who they are, waiting for each as long as `patience`, and fails unless they are of this run and have each of
    /// its clients once; the attempt is a new one ([`crate::attempt`]), or the one that the run goes on from. A worker that says nothing for that long is taken for lost, in this and every later exchange.
    pub fn meet(
        addresses: &[Address],
        security: &Security,
        patience: Duration,
        here: &Introduction,
        clients: usize,
        attempt: String,
    ) -> Result<Self> {
        let mut workers = Vec::new();
        let mut introductions = Vec::new();
        for address in addresses {
            let mut line = call(address, security, patience)?;
            say(&mut line, &Ask::Who { protocol: PROTOCOL, run: here.run.clone(), attempt: attempt.clone() })?;
            let introduction = match answer(&mut line)? {
                Say::Who(introduction) => *introduction,
                other => return Err(senseless(&line, format!("answers {other:?} when it is asked who it is"))),
            };
            here.check(&introduction, &address.to_string())?;
            let (address, security, host) = (address.clone(), security.clone(), introduction.host.clone());
            workers.push(Colleague { address, security, patience, host });
            introductions.push(introduction);
        }
        let names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let of_client = assign(names.iter().map(String::as_str).zip(&introductions), clients)?;
        Ok(Self { run: here.run.clone(), attempt, workers, of_client })
    }

    /// What workers said of themselves.
    pub fn hosts(&self) -> Vec<HostFacts> {
        self.workers.iter().map(|worker| worker.host.clone()).collect()
    }
}

impl federation::Engine for Workers {
    /// All at once: each worker's clients train at the same time as the others'.
    fn wave(&self) -> usize {
        usize::MAX
    }

    fn carry_out(&mut self, orders: Vec<Order>, watch: &dyn Watch) -> federation::Result<Vec<Reply>> {
        let (mut by_worker, mut replies) = (BTreeMap::<usize, Vec<Order>>::new(), Vec::new());
        for order in orders {
            match self.of_client.get(&order.client) {
                Some(worker) => by_worker.entry(*worker).or_default().push(order),
                None => replies.push(Reply::lost(&order, "no worker has it")),
            }
        }
        let answers = thread::scope(|scope| {
            let threads = by_worker.iter().map(|(worker, orders)| {
                let (run, worker) = ([&*self.run, &*self.attempt], &self.workers[*worker]);
                scope.spawn(move || worker.carry_out(run, orders, watch))
            });
            let threads: Vec<_> = threads.collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect::<Vec<_>>()
        });
        for answer in answers {
            replies.extend(answer?);
        }
        Ok(replies)
    }
}

impl Colleague {
    /// Replies to all of its orders. Whoever is only asked something may be asked twice; training is never repeated.
    fn carry_out(&self, run: [&str; 2], orders: &[Order], watch: &dyn Watch) -> federation::Result<Vec<Reply>> {
        let trains = orders.iter().any(|order| matches!(order.kind, Kind::Train { .. }));
        let mut answered = self.ask(run, orders);
        if answered.as_ref().is_err_and(|error| !trains && is_of_the_line(error)) {
            answered = self.ask(run, orders);
        }
        match answered {
            Ok(replies) => {
                let trained = replies.iter().filter(|_| trains);
                trained.for_each(|reply| watch.client_done(reply.round, reply.client));
                Ok(replies)
            }
            Err(error) => lost(orders, error),
        }
    }

    fn ask(&self, [run, attempt]: [&str; 2], orders: &[Order]) -> Result<Vec<Reply>> {
        let mut line = call(&self.address, &self.security, self.patience)?;
        say(&mut line, &Ask::Work { protocol: PROTOCOL, run: run.into(), attempt: attempt.into(), orders: orders.len() })?;
        for order in orders {
            let bytes =
                order.to_bytes().map_err(|error| senseless(&line, format!("is to be sent what cannot be sent: {error}")))?;
            line.send(&bytes)?;
        }
        match answer(&mut line)? {
            Say::Replies { replies } if replies == orders.len() => {}
            other => return Err(senseless(&line, format!("answers {other:?} to {} orders", orders.len()))),
        }
        orders.iter().map(|order| Ok(reply_to(order, &frame(&mut line, MOST_BYTES)?))).collect()
    }
}

/// A name for an attempt at a run, which no other has: no number depends on it.
pub fn attempt() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

fn call(address: &Address, security: &Security, patience: Duration) -> Result<Line> {
    let mut line = Line::connect(address, security, patience)?;
    line.set_patience(patience)?;
    Ok(line)
}

/// The reply that bytes hold, if it is one to this order.
pub(crate) fn reply_to(order: &Order, bytes: &[u8]) -> Reply {
    match Reply::from_bytes(bytes) {
        Ok(reply) if (reply.client, reply.round) == (order.client, order.round.index) => reply,
        Ok(reply) => Reply::lost(order, format!("its worker sends a reply of client {} and round {}", reply.client, reply.round)),
        Err(error) => Reply::lost(order, format!("its reply cannot be read: {error}")),
    }
}

fn is_of_the_line(error: &Error) -> bool {
    matches!(error, Error::Line(_) | Error::Senseless { .. })
}

/// What becomes of orders that were not answered: their clients are lost to the round, unless the worker says that its work fails,
/// which it would anywhere.
fn lost(orders: &[Order], error: Error) -> federation::Result<Vec<Reply>> {
    match error {
        Error::Failed { .. } => Err(federation::Error::Engine(format!("an error of a worker: {error}"))),
        other => Ok(orders.iter().map(|order| Reply::lost(order, other.to_string())).collect()),
    }
}
