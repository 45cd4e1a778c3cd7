//! Messages as frames: four bytes of length, little-endian, a head of that length in JSON, and a body of numbers. A forward pass has its
//! batch's layout in front of them, in postcard's form: a byte or two for each of its numbers.

use models::layout::Layout;
use schema::experiment::{Activations, LossAt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Of these messages; it changes with them.
pub(crate) const PROTOCOL: u32 = 2;

/// The longest head.
pub(crate) const LONGEST_HEAD: u64 = 1 << 16;

/// What a client asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// First of all: are both halves of one model?
    Hello(Hello),
    /// What does the decoder say to these hidden states?
    Forward(Forward),
    /// What is the gradient of the hidden states, given that of what was said?
    Backward,
}

/// Which model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
    /// SHA-256 of all that makes the whole model.
    pub(crate) weights: String,
    /// How weights are held, which numbers depend on.
    pub(crate) dtype: String,
}

/// A forward pass.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forward {
    pub(crate) activations: Activations,
    pub(crate) loss_at: LossAt,
    /// Whether a backward pass may follow.
    pub(crate) keep: bool,
}

/// What a decoder says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) enum Say {
    Ready,
    Said,
    Gradient,
    No(String),
}

/// A layout, and behind it a body.
pub(crate) fn laid(layout: &Layout, body: &[u8]) -> Vec<u8> {
    postcard::to_extend(layout, Vec::new()).map(|laid| [&laid, body].concat()).expect("a layout is plain data")
}

/// A body's layout, and what is behind it; the error completes "a layout ...".
pub(crate) fn lies(body: &[u8]) -> Result<(Layout, &[u8]), String> {
    postcard::take_from_bytes(body).map_err(|error| format!("that cannot be read: {error}"))
}

/// A message as a frame.
pub(crate) fn frame(head: &impl Serialize, body: &[u8]) -> Vec<u8> {
    let head = serde_json::to_vec(head).expect("a head is plain data");
    let mut frame = Vec::with_capacity(4 + head.len() + body.len());
    frame.extend((head.len() as u32).to_le_bytes());
    frame.extend(head);
    frame.extend(body);
    frame
}

/// A frame's head and body; the error completes "its message ...".
pub(crate) fn open<T: DeserializeOwned>(frame: &[u8]) -> Result<(T, &[u8]), String> {
    let (length, rest) = frame.split_first_chunk::<4>().ok_or("has no head")?;
    let length = u32::from_le_bytes(*length) as usize;
    if length as u64 > LONGEST_HEAD {
        return Err(format!("has a head of {length} bytes; expected at most {LONGEST_HEAD}"));
    }
    let (head, body) = rest.split_at_checked(length).ok_or("ends within its head")?;
    let head = serde_json::from_slice(head).map_err(|error| format!("has a head that says nothing known: {error}"))?;
    Ok((head, body))
}
