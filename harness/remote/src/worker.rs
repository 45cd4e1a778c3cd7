//! A worker: some clients, waiting for orders.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use federation::message::MOST_BYTES;
use federation::order::Kind;
use federation::{Host, Message, Order, Reply, Watch};
use line::{Line, Listener};

use crate::talk::{Ask, BUSY_EVERY, PROTOCOL, Say, frame, hear, say, senseless};
use crate::{Error, Introduction, Memories, Result};

/// How long a byte of an ask may take: whoever calls has it ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Some clients of a run, for whoever calls.
pub struct Worker<'a> {
    host: Host<'a>,
    memories: &'a Memories,
    introduction: Introduction,
    /// The attempt that this process works for.
    attempt: Option<String>,
    watch: &'a dyn Watch,
}

/// What is said of callers.
pub trait Notice {
    /// A caller that made no sense or was not admitted; nothing was done for it.
    fn turned_away(&self, why: &str);

    /// Orders that were carried out, of a round and a kind.
    fn done(&self, round: usize, kind: Kind, clients: &[usize]);
}

impl<'a> Worker<'a> {
    /// The clients of a host, which are those that the introduction names, and what they remember.
    pub fn new(host: Host<'a>, memories: &'a Memories, introduction: Introduction, watch: &'a dyn Watch) -> Self {
        Self { host: host.remembering(memories), memories, introduction, attempt: None, watch }
    }

    /// Serves callers, one after the other, until the listener fails. Whatever a caller says, the next one is served, and one that says
    /// nothing keeps nobody waiting.
    pub fn serve(&mut self, listener: &Listener, notice: &dyn Notice) -> Result<()> {
        thread::scope(|scope| {
            let (admitted, lines) = sync_channel(0);
            let hearing = scope.spawn(move || hear_callers(listener, &admitted));
            for line in lines {
                let served = line.map_err(Error::from).and_then(|mut line| self.attend(&mut line, notice));
                if let Err(error) = served {
                    notice.turned_away(&error.to_string());
                }
            }
            hearing.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Answers what a caller asks, until it hangs up.
    pub fn attend(&mut self, line: &mut Line, notice: &dyn Notice) -> Result<()> {
        line.set_patience(PATIENCE)?;
        while let Some(ask) = hear(line)? {
            match ask {
                Ask::Who { protocol, .. } | Ask::Work { protocol, .. } if protocol != PROTOCOL => {
                    let why =
                        format!("it speaks protocol {protocol}, and this worker {PROTOCOL}: it is another version of fedbench");
                    return say(line, &Say::Refused { why });
                }
                Ask::Work { run, .. } if run != self.introduction.run => {
                    let why = format!("this worker belongs to the run {}", self.introduction.run);
                    return say(line, &Say::Refused { why });
                }
                Ask::Who { run, attempt, .. } => {
                    if run == self.introduction.run {
                        self.begin(&attempt, line)?;
                    }
                    say(line, &Say::Who(Box::new(self.introduction.clone())))?;
                }
                Ask::Work { attempt, orders, .. } => self.work(line, &attempt, orders, notice)?,
            }
        }
        Ok(())
    }

    /// From now on the clients are this attempt's. What they remember of another one is gone; what a worker before this one kept of the
    /// same is there.
    fn begin(&mut self, attempt: &str, line: &Line) -> Result<()> {
        if attempt.is_empty() || attempt.len() > LONGEST || !attempt.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(senseless(line, "names its attempt by what is no word".into()));
        }
        if self.attempt.as_deref() != Some(attempt) {
            if self.memories.attempt().as_deref() != Some(attempt) {
                self.memories.begin(attempt)?;
            }
            self.host.forget().map_err(|error| senseless(line, format!("cannot be served: {error}")))?;
            self.attempt = Some(attempt.into());
        }
        Ok(())
    }

    /// Takes so many orders, carries them out, and sends the replies in the orders' order.
    fn work(&mut self, line: &mut Line, attempt: &str, count: usize, notice: &dyn Notice) -> Result<()> {
        let most = self.introduction.host.clients.len();
        if !(1..=most).contains(&count) {
            return Err(senseless(line, format!("has {count} orders for a worker of {most} clients")));
        }
        let mut orders = Vec::with_capacity(count);
        for _ in 0..count {
            let order = Order::from_bytes(&frame(line, MOST_BYTES)?);
            orders.push(order.map_err(|error| senseless(line, format!("sends an order that cannot be read: {error}")))?);
        }
        match &self.attempt {
            // This worker was started again in the middle of a run.
            None => self.begin(attempt, line)?,
            Some(known) if known != attempt => {
                let why = "another server has begun this run anew, and its clients are that one's now";
                return say(line, &Say::Refused { why: why.into() });
            }
            Some(_) => {}
        }
        self.carry_out(line, orders, notice)
    }

    fn carry_out(&mut self, line: &mut Line, orders: Vec<Order>, notice: &dyn Notice) -> Result<()> {
        let asked: Vec<usize> = orders.iter().map(|order| order.client).collect();
        let first = orders.first().map(|order| (order.round.index, order.kind));
        let replies = busy(line, || self.host.carry_out(orders, self.watch));
        match replies.and_then(|replies| in_order(&asked, replies)) {
            Ok(replies) => {
                say(line, &Say::Replies { replies: replies.len() })?;
                replies.iter().try_for_each(|reply| line.send(reply))?;
                first.into_iter().for_each(|(round, kind)| notice.done(round, kind, &asked));
                Ok(())
            }
            Err(error) => say(line, &Say::Failed { why: error.to_string() }),
        }
    }
}

/// The longest name of an attempt.
const LONGEST: usize = 64;

/// Callers that may be saying who they are at a time; one more is not heard until one of them is done.
const MOST_CALLERS: usize = 64;

/// Admits callers, each in a thread of its own, and hands on the lines of those that are admitted.
fn hear_callers(listener: &Listener, admitted: &SyncSender<line::Result<Line>>) -> Result<()> {
    thread::scope(|scope| {
        let mut callers: Vec<ScopedJoinHandle<()>> = Vec::new();
        loop {
            let caller = listener.hear()?;
            callers.retain(|caller| !caller.is_finished());
            if callers.len() >= MOST_CALLERS {
                let _ = callers.remove(0).join();
            }
            let admitted = admitted.clone();
            callers.push(scope.spawn(move || {
                // Nobody serves any more only when the process ends.
                let _ = admitted.send(caller.admit());
            }));
        }
    })
}

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
