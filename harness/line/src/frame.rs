//! Frames on a stream: eight bytes of length, little-endian, and that many bytes.

use std::io::{self, Read, Write};

/// How much of a frame goes out in one piece with its length.
const FIRST: usize = 1 << 14;

/// Why no frame was received.
pub(crate) enum Fault {
    TooLong(u64),
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Sends a frame.
pub(crate) fn send(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let (first, rest) = bytes.split_at(bytes.len().min(FIRST));
    stream.write_all(&[&(bytes.len() as u64).to_le_bytes(), first].concat())?;
    stream.write_all(rest)?;
    stream.flush()
}

/// Receives a frame of at most `most` bytes; nothing, if the other side has closed the stream before its first byte.
pub(crate) fn receive(stream: &mut impl Read, most: u64) -> std::result::Result<Option<Vec<u8>>, Fault> {
    let Some(head) = head(stream)? else { return Ok(None) };
    let length = u64::from_le_bytes(head);
    if length > most {
        return Err(Fault::TooLong(length));
    }
    let mut bytes = Vec::new();
    stream.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Some(bytes))
}

fn head(stream: &mut impl Read) -> io::Result<Option<[u8; 8]>> {
    let mut head = [0; 8];
    let mut found = 0;
    while found < head.len() {
        match stream.read(&mut head[found..]) {
            Ok(0) if found == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => found += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // TLS, when a process is gone that could not say goodbye.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && found == 0 => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(head))
}
