//! What leaves the program by its two streams.
//!
//! Results go to standard output. One that cannot be written is an error of the command that was asked for it ([`finish`]); a reader
//! who is gone (`| head -1`) has what they wanted. Everything else, progress above all, goes to standard error, and is dropped where
//! it cannot be written. Names from files and data may hold escape sequences: they are made harmless here, for all messages.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use guard::text::{cut, json, printable};

/// An error's text is cut in its middle beyond so many characters: a screen or two, whatever a file's names or a library's words are.
const LONGEST_ERROR: usize = 8_000;

/// Why standard output took no more. Nothing is written to it after that, so what was written has no gap.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// A result for people, and a line break.
pub fn say(text: &str) {
    result(&printable(text));
}

/// A result for programs, JSON, and a line break. It means the same with control characters spelled as JSON does.
pub fn say_json(text: &str) {
    result(&json(text));
}

/// A line of progress, or of what is not the result.
pub fn note(text: &str) {
    tell(&format!("{}\n", printable(text)));
}

/// A question at the terminal: the answer goes into the same line.
pub fn ask(text: &str) {
    tell(&printable(text));
}

/// An error with its causes, each once.
pub fn error(error: &anyhow::Error) {
    wrong(&format!("error: {}", with_causes(error)));
}

/// What is wrong.
pub fn wrong(text: &str) {
    note(&cut(text, LONGEST_ERROR));
}

/// Whether all results were written, or their reader was gone.
pub fn finish() -> io::Result<()> {
    // What the command line's own parser wrote.
    let flushed = io::stdout().flush();
    let failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner).take();
    match failed.map_or(flushed, Err) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Unbuffered, so that an error is that of this result; the standard library's stream takes a descriptor that is not open for
/// writing for one that swallows everything.
fn result(text: &str) {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.is_none() {
        let out = io::stdout().as_fd().try_clone_to_owned().map(File::from);
        *failed = out.and_then(|mut out| out.write_all(format!("{text}\n").as_bytes())).err();
    }
}

/// Remembers what became of a result that was written elsewhere.
pub fn keep(written: io::Result<()>) {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    *failed = failed.take().or(written.err());
}

/// In one piece, so that lines of several threads do not mix; a failure is nobody's error.
fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// An error, then those of its causes that it does not name itself: some messages hold their cause, some do not.
pub fn with_causes(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !names(&said, &cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

/// Whether a text holds a cause's words, not merely its letters within a longer word.
fn names(text: &str, cause: &str) -> bool {
    let outside = |neighbour: Option<char>| neighbour.is_none_or(|character| !character.is_alphanumeric());
    let whole =
        |(at, _): (usize, &str)| outside(text[..at].chars().next_back()) && outside(text[at + cause.len()..].chars().next());
    cause.is_empty() || text.match_indices(cause).any(whole)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn causes_are_said_once() {
        let io = || io::Error::new(ErrorKind::NotFound, "no such file");
        // A message that holds its cause and names it as its cause, too.
        let holding = anyhow::Error::from(reports::ReportError::Read { path: "x".into(), source: io() }).context("run 1 of 3");
        assert_eq!(with_causes(&holding), "run 1 of 3: cannot read x: no such file");
        let silent = anyhow::Error::from(io()).context("cannot read x");
        assert_eq!(with_causes(&silent), "cannot read x: no such file");
        let unlike: anyhow::Error = Err::<(), _>(anyhow!("no")).context("cannot").expect_err("an error");
        assert_eq!(with_causes(&unlike), "cannot: no", "letters within a word are no mention");
    }
}
