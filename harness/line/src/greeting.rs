//! The first exchange on a line. The caller says "fedbench line 1" and, on a second line, its token, if it has one; the listener
//! answers "accepted", or "refused: " and why.

use std::time::Duration;

use crate::line::Line;
use crate::secret::Secret;
use crate::{Error, Result};

/// What a caller speaks; the number changes with frames or greeting.
const PROTOCOL: &str = "fedbench line 1";

/// What a listener says.
const ACCEPTED: &str = "accepted";
const REFUSED: &str = "refused: ";

/// The longest frame of a greeting.
const LONGEST: u64 = 1 << 13;

/// How long a byte of a greeting may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The caller's part.
pub(crate) fn introduce(line: &mut Line, secret: Option<&Secret>) -> Result<()> {
    let token = secret.map_or("", Secret::reveal);
    line.send(format!("{PROTOCOL}\n{token}").as_bytes())?;
    let peer = line.peer().to_owned();
    match hear(line)?.as_str() {
        ACCEPTED => Ok(()),
        answer => match answer.strip_prefix(REFUSED) {
            Some(why) => Err(Error::Refused { peer, why: guard::text::line(why, 300) }),
            None => Err(Error::Stranger { peer }),
        },
    }
}

/// The listener's part.
pub(crate) fn admit(line: &mut Line, secret: Option<&Secret>) -> Result<()> {
    let said = hear(line)?;
    let Some((protocol, token)) = said.split_once('\n') else { return Err(Error::Stranger { peer: line.peer().to_owned() }) };
    let why = match secret {
        _ if protocol != PROTOCOL => format!("this side speaks \"{PROTOCOL}\"; is it another version of fedbench?"),
        Some(_) if token.is_empty() => "this side asks for a token: --token FILE".into(),
        Some(secret) if !secret.is(token) => "the token is not the one of this side".into(),
        _ => return line.send(ACCEPTED.as_bytes()),
    };
    line.send(format!("{REFUSED}{why}").as_bytes())?;
    Err(Error::Unwelcome { peer: line.peer().to_owned(), why })
}

fn hear(line: &mut Line) -> Result<String> {
    let peer = line.peer().to_owned();
    match line.receive(LONGEST) {
        Ok(Some(bytes)) => String::from_utf8(bytes).map_err(|_| Error::Stranger { peer }),
        Ok(None) | Err(Error::TooLong { .. } | Error::Closed { .. }) => Err(Error::Stranger { peer }),
        Err(error) => Err(error),
    }
}
