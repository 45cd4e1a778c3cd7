use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Bytes on a line's socket so far: frames, their lengths, and whatever TLS adds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// To the other side.
    pub sent: u64,
    /// From it.
    pub received: u64,
}

/// A socket of either family.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A socket that counts what it carries.
#[derive(Debug)]
pub(crate) struct Counted {
    socket: Socket,
    pub(crate) carried: Carried,
}

impl Counted {
    /// Counts from now on; what is small is sent at once.
    pub(crate) fn new(socket: Socket) -> io::Result<Self> {
        if let Socket::Tcp(socket) = &socket {
            socket.set_nodelay(true)?;
        }
        Ok(Self { socket, carried: Carried::default() })
    }

    /// How long one byte may take, either way.
    pub(crate) fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(socket) => socket.set_read_timeout(patience).and_then(|()| socket.set_write_timeout(patience)),
            Socket::Unix(socket) => socket.set_read_timeout(patience).and_then(|()| socket.set_write_timeout(patience)),
        }
    }
}

impl Read for Counted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = match &mut self.socket {
            Socket::Tcp(socket) => socket.read(bytes),
            Socket::Unix(socket) => socket.read(bytes),
        }?;
        self.carried.received += length as u64;
        Ok(length)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = match &mut self.socket {
            Socket::Tcp(socket) => socket.write(bytes),
            Socket::Unix(socket) => socket.write(bytes),
        }?;
        self.carried.sent += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
