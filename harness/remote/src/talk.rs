//! What is said on a line between a server and a worker.
//!
//! A frame is an ask or an answer (JSON) or a [`federation::Message`]. The caller asks; each ask has its answer, and a line may carry
//! one ask after the other.
//!
//! | the server asks | and sends | the worker answers | and sends |
//! |---|---|---|---|
//! | `{"ask": "who", "run": NAME, "attempt": WORD}` | | `{"say": "who", ...}`: its [`Introduction`] | |
//! | `{"ask": "work", "run": NAME, "attempt": WORD, "orders": N}` | N orders | `{"say": "busy"}` every second, then `{"say": "replies", "replies": N}` | N replies, in the orders' order |
//! | either | | `{"say": "refused", "why": ...}`: it is another run's; `{"say": "failed", "why": ...}`: it cannot be done | |

use std::time::Duration;

use guard::text;
use line::Line;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Introduction, Result};

/// What is spoken here; the number changes with anything on this page.
pub const PROTOCOL: u32 = 1;

/// How often a worker that works says so.
pub const BUSY_EVERY: Duration = Duration::from_secs(1);

/// A longer ask or answer is refused: names of clients and hashes.
const MOST: u64 = 1 << 20;

/// What a server asks of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// Who it is.
    Who {
        /// [`PROTOCOL`].
        protocol: u32,
        /// The run's name.
        run: String,
        /// The server's attempt at it: a word of letters and digits, another one for each process that begins it. From now on the
        /// worker's clients are that one's.
        attempt: String,
    },
    /// To carry out the orders that follow.
    Work {
        /// [`PROTOCOL`].
        protocol: u32,
        /// The run's name.
        run: String,
        /// The server's attempt at it.
        attempt: String,
        /// How many orders, at least one.
        orders: usize,
    },
}

/// What a worker answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "say", rename_all = "kebab-case")]
pub enum Say {
    /// Who it is.
    Who(Box<Introduction>),
    /// That it is at work.
    Busy {},
    /// That the replies follow, one for each order and in their order.
    Replies {
        /// How many.
        replies: usize,
    },
    /// That it does not belong to this run.
    Refused {
        /// Why.
        why: String,
    },
    /// That what it was asked cannot be done, whoever asks.
    Failed {
        /// Why.
        why: String,
    },
}

/// Says something.
pub fn say(line: &mut Line, what: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(what).map_err(|error| senseless(line, format!("is to be told what is no JSON: {error}")))?;
    Ok(line.send(&bytes)?)
}

/// Hears what is said; nothing, if the other side has hung up.
pub fn hear<T: DeserializeOwned>(line: &mut Line) -> Result<Option<T>> {
    let Some(bytes) = line.receive(MOST)? else { return Ok(None) };
    let heard = serde_json::from_slice(&bytes);
    heard.map(Some).map_err(|error| {
        let said = text::line(&String::from_utf8_lossy(&bytes), 80);
        senseless(
            line,
            format!(
                "says `{said}`, which is nothing that is said here ({}); is it another version?",
                text::line(&error.to_string(), 200)
            ),
        )
    })
}

/// Hears an answer, whatever it is; an error if there is none.
pub(crate) fn answer(line: &mut Line) -> Result<Say> {
    loop {
        match hear(line)? {
            Some(Say::Busy {}) => {}
            Some(Say::Refused { why }) => return Err(Error::Refused { at: line.peer().into(), why: text::line(&why, 500) }),
            Some(Say::Failed { why }) => return Err(Error::Failed { at: line.peer().into(), why: text::line(&why, 2000) }),
            Some(said) => return Ok(said),
            None => return Err(senseless(line, "hung up before it answered".into())),
        }
    }
}

/// A frame of at most so many bytes, where one must come.
pub(crate) fn frame(line: &mut Line, most: u64) -> Result<Vec<u8>> {
    line.receive(most)?.ok_or_else(|| senseless(line, "hung up in the middle".into()))
}

pub(crate) fn senseless(line: &Line, what: String) -> Error {
    Error::Senseless { at: line.peer().into(), what }
}
