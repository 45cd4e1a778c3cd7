use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use crate::socket::Counted;

/// How long the last word of a line may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A socket, plain or below TLS.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Counted),
    Calling(Box<StreamOwned<ClientConnection, Counted>>),
    Called(Box<StreamOwned<ServerConnection, Counted>>),
}

impl Stream {
    /// The caller's end, once TLS has been agreed on.
    pub(crate) fn calling(mut socket: Counted, tls: Option<(Arc<ClientConfig>, ServerName<'static>)>) -> io::Result<Self> {
        let Some((config, name)) = tls else { return Ok(Self::Plain(socket)) };
        let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Self::Calling(Box::new(StreamOwned::new(connection, socket))))
    }

    /// The listener's end, once TLS has been agreed on.
    pub(crate) fn called(mut socket: Counted, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let Some(config) = tls else { return Ok(Self::Plain(socket)) };
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Self::Called(Box::new(StreamOwned::new(connection, socket))))
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &Counted {
        match self {
            Self::Plain(socket) => socket,
            Self::Calling(stream) => &stream.sock,
            Self::Called(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(bytes),
            Self::Calling(stream) => stream.read(bytes),
            Self::Called(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Calling(stream) => stream.write(bytes),
            Self::Called(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Calling(stream) => stream.flush(),
            Self::Called(stream) => stream.flush(),
        }
    }
}

impl Drop for Stream {
    /// TLS wants to be closed by a word; whoever does not hear it knows from the socket.
    fn drop(&mut self) {
        let _ = self.socket().set_patience(Some(GOODBYE));
        match self {
            Self::Plain(_) => {}
            Self::Calling(stream) => {
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
            Self::Called(stream) => {
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    }
}
