use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use crate::caller::{Caller, Terms};
use crate::line::Line;
use crate::socket::Socket;
use crate::socket_file::SocketFile;
use crate::{Address, Error, Result, Security};

/// A place where other processes may call.
#[derive(Debug)]
pub struct Listener {
    address: Address,
    ear: Ear,
    terms: Arc<Terms>,
}

#[derive(Debug)]
enum Ear {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "it is removed when this is dropped")] SocketFile),
}

impl Listener {
    /// Listens at an address: from here on, whoever calls waits to be accepted.
    pub fn bind(address: &Address, security: &Security) -> Result<Self> {
        let terms = Arc::new(Terms { tls: security.listening(address)?, secret: security.secret()? });
        let no = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => Error::Taken { address: address.to_string() },
            _ => Error::Listen { address: address.to_string(), source },
        };
        let (address, ear) = match address {
            Address::Tcp(host, port) | Address::Tls(host, port) => {
                let listener = TcpListener::bind(address.resolve(host, *port)?.as_slice()).map_err(no)?;
                (address.with_port(listener.local_addr().map_err(no)?.port()), Ear::Tcp(listener))
            }
            Address::Unix(path) => {
                let (file, listener) = SocketFile::bind(path).map_err(no)?;
                (address.clone(), Ear::Unix(listener, file))
            }
        };
        Ok(Self { address, ear, terms })
    }

    /// Where it listens, with the port that the system chose, if it was to choose one.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Waits for somebody to call, and for nothing they say.
    pub fn hear(&self) -> Result<Caller> {
        let (socket, peer) = match &self.ear {
            Ear::Tcp(listener) => listener.accept().map(|(socket, peer)| (Socket::Tcp(socket), peer.to_string())),
            Ear::Unix(listener, _) => {
                listener.accept().map(|(socket, _)| (Socket::Unix(socket), format!("a caller of {}", self.address)))
            }
        }
        .map_err(|source| Error::Listen { address: self.address.to_string(), source })?;
        Ok(Caller::new(socket, peer, Arc::clone(&self.terms)))
    }

    /// Waits for somebody to call, and accepts them or says why not ([`Listener::hear`], then [`Caller::admit`]): for whoever serves
    /// one at a time.
    pub fn accept(&self) -> Result<Line> {
        self.hear()?.admit()
    }
}
