use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use line::{Address, Line, Security};
use models::Backbone;
use models::crossing::Meter;

use crate::message::{self, Ask, Hello, LONGEST_HEAD, PROTOCOL, Say};
use crate::{Error, Result};

/// How long an answer may take: a step of the largest models on a processor.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where a decoder listens, and what protects the line to it.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where it listens.
    pub address: Address,
    /// Certificates, a token.
    pub security: Security,
    /// How long to wait for it, where nobody listens there (yet, or any more).
    pub patience: Duration,
}

/// A decoder elsewhere: lines to it, of which one is taken for each pass.
#[derive(Debug)]
pub(crate) struct Far {
    place: Place,
    hello: Vec<u8>,
    free: Mutex<Vec<Line>>,
}

/// An answer's body.
pub(crate) type Body = Vec<u8>;

impl Far {
    /// Calls the decoder that is to go with this half of a model.
    pub(crate) fn of(half: &dyn Backbone, place: Place) -> Result<Self> {
        let hello = message::frame(&Ask::Hello(hello(half)), &[]);
        let far = Self { place, hello, free: Mutex::default() };
        let line = far.call(&Meter::default())?;
        far.give_back(line);
        Ok(far)
    }

    /// A line that nobody uses.
    pub(crate) fn take(&self, meter: &Meter) -> Result<Line> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.map_or_else(|| self.call(meter), Ok)
    }

    /// A line is of no more use to whoever took it.
    pub(crate) fn give_back(&self, line: Line) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// A new line, on which both have said hello.
    pub(crate) fn call(&self, meter: &Meter) -> Result<Line> {
        let mut line = Line::connect(&self.place.address, &self.place.security, self.place.patience)?;
        line.set_patience(PATIENCE)?;
        let carried = line.carried();
        meter.add([0; 2], [carried.sent, carried.received]);
        self.ask(&mut line, &self.hello, 0, (Say::Ready, 0), meter)?;
        Ok(line)
    }

    /// Asks, and takes the answer that is wanted, with a body of so many bytes at most. `payload` are the question's bytes of it.
    pub(crate) fn ask(
        &self,
        line: &mut Line,
        frame: &[u8],
        payload: usize,
        (wanted, most): (Say, usize),
        meter: &Meter,
    ) -> Result<Body> {
        let before = line.carried();
        line.send(frame)?;
        let answer = line.receive(most as u64 + LONGEST_HEAD)?;
        let answer = answer.ok_or_else(|| line::Error::Closed { peer: line.peer().to_owned() })?;
        let now = line.carried();
        let address = || self.place.address.to_string();
        let (said, body) = message::open::<Say>(&answer).map_err(|what| Error::Answer { address: address(), what })?;
        meter.add([payload as u64, body.len() as u64], [now.sent - before.sent, now.received - before.received]);
        match said {
            Say::No(why) => Err(Error::No { address: address(), why: guard::text::line(&why, 500) }),
            said if said == wanted => Ok(body.to_vec()),
            said => Err(Error::Answer { address: address(), what: format!("is {said:?}; expected {wanted:?}") }),
        }
    }

    /// Over a new line, once, where the old one is lost; `again` asks there.
    pub(crate) fn twice<T>(&self, first: Result<T>, again: impl FnOnce() -> Result<T>) -> Result<T> {
        match first {
            Err(Error::Line(_)) => {
                again().map_err(|source| Error::Lost { address: self.place.address.to_string(), source: Box::new(source) })
            }
            done => done,
        }
    }

    /// An answer of a wrong form.
    pub(crate) fn nonsense(&self, what: String) -> Error {
        Error::Answer { address: self.place.address.to_string(), what }
    }
}

/// What a half of a model says of itself.
pub(crate) fn hello(half: &dyn Backbone) -> Hello {
    Hello { protocol: PROTOCOL, weights: half.weights_sha256().into(), dtype: half.weights_dtype().as_str().into() }
}
