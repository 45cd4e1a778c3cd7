use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rustls::pki_types::ServerName;

use crate::greeting;
use crate::line::Line;
use crate::socket::{Counted, Socket};
use crate::stream::Stream;
use crate::{Address, Error, Result, Security};

/// How long to wait before trying again.
const PAUSE: Duration = Duration::from_millis(50);

impl Line {
    /// Calls an address and waits to be accepted. While nobody listens there yet, it is tried again until `patience` is over.
    pub fn connect(address: &Address, security: &Security, patience: Duration) -> Result<Self> {
        let (tls, secret) = (security.calling(address)?, security.secret()?);
        let peer = address.to_string();
        let tls = tls.map(|config| Ok((config, name(address)?))).transpose()?;
        let socket = dial(address, patience)?;
        let greeting = patience.max(greeting::PATIENCE);
        let no = |error| Error::of(error, &peer, Some(greeting));
        let socket = Counted::new(socket).map_err(no)?;
        socket.set_patience(Some(greeting)).map_err(no)?;
        let mut line = Self::new(Stream::calling(socket, tls).map_err(no)?, peer.clone());
        line.wait(Some(greeting))?;
        greeting::introduce(&mut line, secret.as_ref())?;
        line.wait(None)?;
        Ok(line)
    }
}

/// The name for which the listener's certificate must be.
fn name(address: &Address) -> Result<ServerName<'static>> {
    let why = |_| Error::Security { address: address.to_string(), why: "no certificate can be for such a host" };
    match address {
        Address::Tcp(host, _) | Address::Tls(host, _) => ServerName::try_from(host.clone()).map_err(why),
        Address::Unix(_) => Err(Error::Security { address: address.to_string(), why: "unix: uses no certificates" }),
    }
}

/// A socket to whoever listens at an address, or will until patience is over.
fn dial(address: &Address, mut patience: Duration) -> Result<Socket> {
    loop {
        match try_once(address, patience)? {
            Ok(socket) => return Ok(socket),
            Err(error) if nobody_yet(&error) && !patience.is_zero() => {
                let pause = PAUSE.min(patience);
                thread::sleep(pause);
                patience -= pause;
            }
            Err(source) => return Err(Error::Nobody { address: address.to_string(), source }),
        }
    }
}

fn nobody_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

fn try_once(address: &Address, patience: Duration) -> Result<io::Result<Socket>> {
    let (host, port) = match address {
        Address::Unix(path) => return Ok(UnixStream::connect(path).map(Socket::Unix)),
        Address::Tcp(host, port) | Address::Tls(host, port) => (host, *port),
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for place in address.resolve(host, port)? {
        match TcpStream::connect_timeout(&place, patience.max(PAUSE)) {
            Ok(socket) => return Ok(Ok(Socket::Tcp(socket))),
            Err(error) => last = error,
        }
    }
    Ok(Err(last))
}
