use std::time::Duration;

use crate::frame::{self, Fault};
use crate::socket::Carried;
use crate::stream::Stream;
use crate::{Error, Result};

/// A line to another process, which has been accepted. It waits for ever, until it is told its patience.
#[derive(Debug)]
pub struct Line {
    stream: Stream,
    peer: String,
    patience: Option<Duration>,
}

impl Line {
    pub(crate) fn new(stream: Stream, peer: String) -> Self {
        Self { stream, peer, patience: None }
    }

    /// Who is at the other end, as messages name it.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// From now on it is an error if no byte comes, or goes, for so long.
    pub fn set_patience(&mut self, patience: Duration) -> Result<()> {
        self.wait(Some(patience))
    }

    pub(crate) fn wait(&mut self, patience: Option<Duration>) -> Result<()> {
        // The system takes no time at all for no limit.
        let patience = patience.map(|patience| patience.max(Duration::from_millis(1)));
        self.stream.socket().set_patience(patience).map_err(|error| Error::of(error, &self.peer, None))?;
        self.patience = patience;
        Ok(())
    }

    /// Sends a frame, of any length.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        frame::send(&mut self.stream, bytes).map_err(|error| Error::of(error, &self.peer, self.patience))
    }

    /// Receives a frame of at most so many bytes; `None` if the other side has closed the line behind its last frame. After an error
    /// the line is of no more use.
    pub fn receive(&mut self, most: u64) -> Result<Option<Vec<u8>>> {
        frame::receive(&mut self.stream, most).map_err(|fault| match fault {
            Fault::TooLong(length) => Error::TooLong { peer: self.peer.clone(), length, most },
            Fault::Io(error) => Error::of(error, &self.peer, self.patience),
        })
    }

    /// Bytes on the socket so far.
    pub fn carried(&self) -> Carried {
        self.stream.socket().carried
    }
}
