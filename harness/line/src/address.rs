use std::fmt::{self, Display};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use crate::{Error, Result};

/// The longest path of a Unix socket, in bytes: what the system's own structure holds.
const LONGEST_PATH: usize = 107;

/// Where a process listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `tcp://HOST:PORT`: not encrypted, and so for this machine alone.
    Tcp(
        /// A name or a number.
        String,
        /// 0 when listening: any that is free.
        u16,
    ),
    /// `tls://HOST:PORT`: encrypted, with certificates from both sides.
    Tls(
        /// A name or a number; the listener's certificate must be for it.
        String,
        /// 0 when listening: any that is free.
        u16,
    ),
    /// `unix:PATH`: a socket in a folder of this machine, for its owner alone.
    Unix(PathBuf),
}

impl Address {
    /// The addresses that a host's name stands for; without TLS, on this machine only.
    pub(crate) fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        let found = (host, port).to_socket_addrs().map_err(|source| Error::Host { address: self.to_string(), source })?;
        let found: Vec<SocketAddr> = found.collect();
        if matches!(self, Self::Tcp(..)) && !found.iter().all(|address| address.ip().is_loopback()) {
            return Err(Error::Plain { address: self.to_string() });
        }
        Ok(found)
    }

    /// The same with another port: the one that the system chose.
    pub(crate) fn with_port(&self, port: u16) -> Self {
        match self {
            Self::Tcp(host, _) => Self::Tcp(host.clone(), port),
            Self::Tls(host, _) => Self::Tls(host.clone(), port),
            Self::Unix(path) => Self::Unix(path.clone()),
        }
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Tcp(host, port) => ("tcp", host, port),
            Self::Tls(host, port) => ("tls", host, port),
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
        };
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let no = |why: &str| Error::Address { text: text.to_owned(), why: why.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                0 => Err(no("it has no path")),
                1..=LONGEST_PATH => Ok(Self::Unix(path.into())),
                long => Err(no(&format!("the path has {long} bytes, and a socket's at most {LONGEST_PATH}"))),
            };
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| no("it has no scheme"))?;
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| no("it has no port"))?;
        let port = port.parse().map_err(|_| no("the port is a number up to 65535"))?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(number) => number,
            None if host.contains(':') => return Err(no("a host with colons stands in brackets, as in [::1]")),
            None => host,
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || "/[]@".contains(c)) {
            return Err(no("the host is a name or a number"));
        }
        match scheme {
            "tcp" => Ok(Self::Tcp(host.into(), port)),
            "tls" => Ok(Self::Tls(host.into(), port)),
            _ => Err(no("the scheme is tcp, tls or unix")),
        }
    }
}
