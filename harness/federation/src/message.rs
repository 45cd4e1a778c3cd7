//! Orders and replies as bytes, for engines whose clients are elsewhere; a run's checkpoints as well.
//!
//! | bytes | |
//! |---|---|
//! | 4 | `fedm` |
//! | 4 | the version, little-endian, as all numbers here |
//! | 8 | the head's length |
//! | | the head: the order or reply as JSON, numbers to the bit ([`crate::exact`]), its payload's head in it |
//! | | the payload's encoded sets, one behind the other |
//!
//! Nothing that arrives is trusted: it is read whole or refused with a reason, whatever it is, and nothing is taken for it but what its
//! own bytes take. An engine that reads from a line asks [`MOST_BYTES`] before it takes memory for a message.

use guard::text::line;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exact::{packed, unpacked};
use crate::order::{Done, Order, Reply};
use crate::payload::VERSION;
use crate::{Error, Payload, Result};

/// A longer message is refused: the adapters of the largest models with a statistic beside them take a tenth.
pub const MOST_BYTES: u64 = 1 << 34;

/// A longer head is refused, since JSON takes many times its length: a client's answers to a million examples take about as much.
const MOST_HEAD: u64 = 1 << 28;

const MARK: &[u8; 4] = b"fedm";

/// What crosses the seam, an [`Order`] or a [`Reply`], or is left for a later process, a [`crate::Checkpoint`].
pub trait Message: Serialize + DeserializeOwned {
    /// The tensor sets it carries.
    fn payload(&self) -> Option<&Payload>;

    /// The same, to be filled.
    fn payload_mut(&mut self) -> Option<&mut Payload>;

    /// As bytes.
    fn to_bytes(&self) -> Result<Vec<u8>> {
        let failed = |error: serde_json::Error| Error::Usage(format!("a message cannot be written: {error}"));
        let head = serde_json::to_vec(&packed(serde_json::to_value(self).map_err(failed)?)).map_err(failed)?;
        let mut bytes = MARK.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((head.len() as u64).to_le_bytes());
        bytes.extend(head);
        self.payload().into_iter().flat_map(Payload::encoded).for_each(|set| bytes.extend(set));
        Ok(bytes)
    }

    /// From bytes; whoever knows which client sent them names it ([`Error::of_client`]).
    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        read(bytes, MOST_BYTES).map_err(Error::Unreadable)
    }
}

impl Message for Order {
    fn payload(&self) -> Option<&Payload> {
        Some(&self.payload)
    }

    fn payload_mut(&mut self) -> Option<&mut Payload> {
        Some(&mut self.payload)
    }
}

impl Message for Reply {
    fn payload(&self) -> Option<&Payload> {
        match &self.done {
            Done::Trained(trained) => Some(&trained.payload),
            Done::Own(own) => own.as_ref(),
            Done::Judged(_) | Done::Diverged { .. } | Done::Lost(_) => None,
        }
    }

    fn payload_mut(&mut self) -> Option<&mut Payload> {
        match &mut self.done {
            Done::Trained(trained) => Some(&mut trained.payload),
            Done::Own(own) => own.as_mut(),
            Done::Judged(_) | Done::Diverged { .. } | Done::Lost(_) => None,
        }
    }
}

/// A message of at most so many bytes; the error completes "its message ...".
fn read<M: Message>(bytes: &[u8], most: u64) -> std::result::Result<M, String> {
    if bytes.len() as u64 > most {
        return Err(format!("has {} bytes; at most {most} are read", bytes.len()));
    }
    let cut = || format!("is cut: it has {} bytes, and its first 16 say how long its head is", bytes.len());
    let (mark, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
    if mark != MARK {
        return Err(format!("does not begin with `{}`, so it is none of these", String::from_utf8_lossy(MARK)));
    }
    let (version, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        return Err(format!("is of version {version}; version {VERSION} is read here"));
    }
    let (length, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let length = u64::from_le_bytes(*length);
    if length > MOST_HEAD {
        return Err(format!("speaks of a head of {length} bytes; at most {MOST_HEAD} are read"));
    }
    let Some((head, sets)) = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)) else {
        return Err(format!("is cut: its head should have {length} bytes, and {} are left", rest.len()));
    };
    let malformed = |error: serde_json::Error| format!("has a head that is malformed: {}", line(&error.to_string(), 300));
    let head: Value = serde_json::from_slice(head).map_err(malformed)?;
    let mut message: M = serde_json::from_value(unpacked(head)).map_err(malformed)?;
    match message.payload_mut() {
        Some(payload) => payload.fill(sets)?,
        None if !sets.is_empty() => return Err(format!("goes on for {} bytes behind its head", sets.len())),
        None => {}
    }
    Ok(message)
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
