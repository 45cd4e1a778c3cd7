use std::fmt;
use std::hint::black_box;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::{Error, Result};

/// The fewest characters of a token, and the most.
const CHARACTERS: std::ops::RangeInclusive<usize> = 16..=1024;

/// A token, which is never shown.
pub(crate) struct Secret(String);

impl Secret {
    /// Reads it from a file that its owner alone can read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let no = |error| Error::file(path, error);
        let file = guard::files::open(path).map_err(no)?;
        let mode = file.metadata().map_err(no)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let why =
                format!("others can read this token (its mode is {mode:03o}): `chmod 600` it, and make a new one if they have");
            return Err(Error::file(path, why));
        }
        let mut text = String::new();
        file.take(4 * *CHARACTERS.end() as u64).read_to_string(&mut text).map_err(no)?;
        let token = text.trim();
        let length = token.chars().count();
        if !CHARACTERS.contains(&length) || token.contains(char::is_control) {
            let (least, most) = (CHARACTERS.start(), CHARACTERS.end());
            let why = format!(
                "a token is one line of {least} to {most} characters, such as `openssl rand -hex 32` makes; this has {length}"
            );
            return Err(Error::file(path, why));
        }
        Ok(Self(token.to_owned()))
    }

    /// The token itself, to be sent.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is this one, in a time that does not depend on where the two differ.
    pub(crate) fn is(&self, other: &str) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), other.as_bytes());
        let mut difference = u8::from(ours.len() != theirs.len());
        for (index, byte) in ours.iter().enumerate() {
            difference |= black_box(byte ^ theirs.get(index).copied().unwrap_or_default());
        }
        black_box(difference) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}
