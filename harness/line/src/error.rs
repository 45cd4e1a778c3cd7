use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What may go wrong on a line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No address.
    #[error("`{text}` is no address: {why}; expected tcp://HOST:PORT, tls://HOST:PORT or unix:PATH")]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A host's name that leads nowhere.
    #[error("{address}: the host is not found: {source}")]
    Host {
        /// Whose host.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// Plain TCP to another machine.
    #[error(
        "{address} is not on this machine, and tcp:// is private there only (a token does not make it so): use tls://, with --tls DIR"
    )]
    Plain {
        /// The address refused.
        address: String,
    },
    /// An address and a security that do not go together.
    #[error("{address}: {why}")]
    Security {
        /// Where.
        address: String,
        /// What is wrong, and what would be right.
        why: &'static str,
    },
    /// A file of certificates, a key or a token that does not serve.
    #[error("{}: {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// Somebody listens there already.
    #[error("{address}: somebody listens there already; take another, or stop the other process")]
    Taken {
        /// Where.
        address: String,
    },
    /// Nobody listens there.
    #[error("{address}: nobody answers: {source}; is the other process running?")]
    Nobody {
        /// Where.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The socket of a listener fails.
    #[error("{address}: cannot listen: {source}")]
    Listen {
        /// Where.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The other side does not want this one.
    #[error("{peer} refuses: {why}")]
    Refused {
        /// The other side.
        peer: String,
        /// Its reason.
        why: String,
    },
    /// This side does not want the other one, and has told it why.
    #[error("refused {peer}: {why}")]
    Unwelcome {
        /// The other side.
        peer: String,
        /// The reason.
        why: String,
    },
    /// The other side does not speak as a line does.
    #[error("{peer} does not speak as fedbench does, or not at all: is it another program, or tcp:// where it says tls://?")]
    Stranger {
        /// The other side.
        peer: String,
    },
    /// The two sides do not trust each other's certificates.
    #[error(
        "{peer}: {source}; both sides need a certificate by the authority in the other's ca.pem, the listener's for the address's host"
    )]
    Tls {
        /// The other side.
        peer: String,
        /// What TLS says.
        source: rustls::Error,
    },
    /// A frame longer than what is expected.
    #[error("{peer} announces a frame of {length} bytes; at most {most} are expected here")]
    TooLong {
        /// The other side.
        peer: String,
        /// The length it announced.
        length: u64,
        /// The longest that is expected.
        most: u64,
    },
    /// The other side closed the line in a frame, or before it answered.
    #[error("{peer} closed the line in the middle")]
    Closed {
        /// The other side.
        peer: String,
    },
    /// No byte for too long.
    #[error("{peer}: no byte for {} s", patience.as_secs_f64())]
    Silent {
        /// The other side.
        peer: String,
        /// How long that was.
        patience: Duration,
    },
    /// The socket fails.
    #[error("{peer}: {source}")]
    Io {
        /// The other side.
        peer: String,
        /// What the system says.
        source: io::Error,
    },
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn file(path: &Path, why: impl ToString) -> Self {
        Self::File { path: path.into(), why: why.to_string() }
    }

    /// What a socket's or TLS's error means on a line to `peer` that waits so long.
    pub(crate) fn of(source: io::Error, peer: &str, patience: Option<Duration>) -> Self {
        let peer = peer.to_owned();
        let tls = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match (source.kind(), tls, patience) {
            (_, Some(tls), _) => Self::Tls { peer, source: tls.clone() },
            (io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut, _, Some(patience)) => Self::Silent { peer, patience },
            (io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset, ..) => {
                Self::Closed { peer }
            }
            _ => Self::Io { peer, source },
        }
    }
}
