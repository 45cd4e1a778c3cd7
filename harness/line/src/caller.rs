use std::sync::Arc;

use rustls::ServerConfig;

use crate::greeting;
use crate::line::Line;
use crate::secret::Secret;
use crate::socket::{Counted, Socket};
use crate::stream::Stream;
use crate::{Error, Result};

/// What a listener asks of whoever calls.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) secret: Option<Secret>,
}

/// Somebody who called and has not said a word yet.
#[derive(Debug)]
pub struct Caller {
    socket: Socket,
    peer: String,
    terms: Arc<Terms>,
}

impl Caller {
    pub(crate) fn new(socket: Socket, peer: String, terms: Arc<Terms>) -> Self {
        Self { socket, peer, terms }
    }

    /// Agrees on TLS, asks for the token, and says whether the caller is accepted. That waits for the caller (some seconds for each
    /// byte), so whoever serves many does it in a thread of theirs; an error is the caller's, and no concern of others.
    pub fn admit(self) -> Result<Line> {
        let Self { socket, peer, terms } = self;
        let no = |error| Error::of(error, &peer, Some(greeting::PATIENCE));
        let socket = Counted::new(socket).map_err(no)?;
        socket.set_patience(Some(greeting::PATIENCE)).map_err(no)?;
        let stream = Stream::called(socket, terms.tls.clone()).map_err(no)?;
        let mut line = Line::new(stream, peer);
        line.wait(Some(greeting::PATIENCE))?;
        greeting::admit(&mut line, terms.secret.as_ref())?;
        line.wait(None)?;
        Ok(line)
    }
}
