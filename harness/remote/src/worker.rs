//! A worker: some clients, waiting for orders.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use federation::message::MOST_BYTES;
use federation::{Host, Message, Order, Reply, Watch};
use line::{Line, Listener};

use crate::talk::{Ask, BUSY_EVERY, PROTOCOL, Say, frame, hear, say, senseless};
use crate::{Introduction, Memories, Result};

/// How long a byte of an ask may take: whoever calls has it ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Some clients of a run, for whoever calls.
pub struct Worker<'a> {
    host: Host<'a>,
    memories: &'a Memories,
    introduction: Introduction,
    watch: &'a dyn Watch,
}

/// What is said of callers.
pub trait Notice {
    /// A caller that made no sense or was not admitted; nothing was done for it.
    fn turned_away(&self, why: &str);

    /// Orders that were carried out, of a round.
    fn done(&self, round: usize, clients: &[usize]);
}

impl<'a> Worker<'a> {
    /// The clients of a host, which are those that the introduction names, and what they remember.
    pub fn new(host: Host<'a>, memories: &'a Memories, introduction: Introduction, watch: &'a dyn Watch) -> Self {
        Self { host: host.remembering(memories), memories, introduction, watch }
    }

    /// Serves callers, one after the other, until the listener fails. Whatever a caller says, the next one is served.
    pub fn serve(&mut self, listener: &Listener, notice: &dyn Notice) -> Result<()> {
        loop {
            let served = listener.hear()?.admit().map_err(Into::into).and_then(|mut line| self.attend(&mut line, notice));
            if let Err(error) = served {
                notice.turned_away(&error.to_string());
            }
        }
    }

    /// Answers what a caller asks, until it hangs up.
    pub fn attend(&mut self, line: &mut Line, notice: &dyn Notice) -> Result<()> {
        line.set_patience(PATIENCE)?;
        while let Some(ask) = hear(line)? {
            match ask {
                Ask::Who { protocol } | Ask::Work { protocol, .. } if protocol != PROTOCOL => {
                    let why =
                        format!("it speaks protocol {protocol}, and this worker {PROTOCOL}: it is another version of fedbench");
                    return say(line, &Say::Refused { why });
                }
                Ask::Work { run, .. } if run != self.introduction.run => {
                    let why = format!("this worker belongs to the run {}", self.introduction.run);
                    return say(line, &Say::Refused { why });
                }
                Ask::Who { .. } => say(line, &Say::Who(Box::new(self.introduction.clone())))?,
                Ask::Work { attempt, orders, .. } => self.work(line, &attempt, orders, notice)?,
            }
        }
        Ok(())
    }

    /// Whether orders are of the attempt that the clients remember. A server that begins anew takes them over; what goes on belongs to
    /// the one that came last.
    fn belongs_to(&mut self, attempt: &str, orders: &[Order]) -> Result<bool> {
        let is_word = !attempt.is_empty() && attempt.len() <= LONGEST && attempt.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let known = self.memories.attempt();
        if !is_word || known.as_deref() == Some(attempt) {
            return Ok(is_word);
        }
        if known.is_some() && orders.iter().any(|order| order.after > 0) {
            return Ok(false);
        }
        self.memories.begin(attempt)?;
        self.host.forget();
        Ok(true)
    }

    /// Takes so many orders, carries them out, and sends the replies in the orders' order.
    fn work(&mut self, line: &mut Line, attempt: &str, count: usize, notice: &dyn Notice) -> Result<()> {
        let most = self.introduction.host.clients.len();
        if count > most {
            return Err(senseless(line, format!("has {count} orders for a worker of {most} clients")));
        }
        let mut orders = Vec::with_capacity(count);
        for _ in 0..count {
            let order = Order::from_bytes(&frame(line, MOST_BYTES)?);
            orders.push(order.map_err(|error| senseless(line, format!("sends an order that cannot be read: {error}")))?);
        }
        if !self.belongs_to(attempt, &orders)? {
            let why = "another server has begun this run anew, and its clients are that one's now";
            return say(line, &Say::Refused { why: why.into() });
        }
        let asked: Vec<usize> = orders.iter().map(|order| order.client).collect();
        let round = orders.first().map_or(0, |order| order.round.index);
        let replies = busy(line, || self.host.carry_out(orders, self.watch));
        match replies.and_then(|replies| in_order(&asked, replies)) {
            Ok(replies) => {
                say(line, &Say::Replies { replies: replies.len() })?;
                replies.iter().try_for_each(|reply| line.send(reply))?;
                notice.done(round, &asked);
                Ok(())
            }
            Err(error) => say(line, &Say::Failed { why: error.to_string() }),
        }
    }
}

/// The longest name of an attempt.
const LONGEST: usize = 64;

/// Replies as bytes, as the orders were.
fn in_order(asked: &[usize], mut replies: Vec<Reply>) -> federation::Result<Vec<Vec<u8>>> {
    replies.sort_by_key(|reply| asked.iter().position(|client| *client == reply.client));
    replies.iter().map(Message::to_bytes).collect()
}

/// Does something, and says on the line that it goes on while it does. Who is not there any more to hear that will be missed when the
/// result is to be sent.
fn busy<T: Send>(line: &mut Line, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let (done, end) = channel::<()>();
        scope.spawn(move || tell(line, &end));
        let result = work();
        drop(done);
        result
    })
}

fn tell(line: &mut Line, end: &Receiver<()>) {
    while end.recv_timeout(BUSY_EVERY) == Err(RecvTimeoutError::Timeout) {
        if say(line, &Say::Busy {}).is_err() {
            return;
        }
    }
}
