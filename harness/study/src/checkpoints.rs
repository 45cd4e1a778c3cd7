//! A run's last checkpoint, in its folder: `checkpoint/server` is a line with the SHA-256 of the rest, a line that says who wrote it, and the
//! checkpoint's bytes. It is written aside and renamed, so a killed run leaves the last one whole; damage is noticed, and the run begins
//! anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use federation::{Checkpoint, Message, message};
use guard::files;
use schema::run_dir;
use serde::{Deserialize, Serialize};

/// The file of the server's state.
const SERVER: &str = "server";

/// A longer line is none of ours.
const MOST_LINE: usize = 1 << 16;

/// What computes a run. Another program, or the same one with other kernels, would go on in other numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Writer {
    /// SHA-256 of the program's file.
    pub program: String,
    /// What is computed on.
    pub device: String,
    /// What multiplies there ([`schema::Environment::kernels`]).
    pub kernels: BTreeMap<String, String>,
    /// Where the clients are, who keep what they remember.
    pub clients: String,
}

/// Who wrote a checkpoint, and in which attempt at the run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    writer: Writer,
    attempt: String,
}

/// A run's checkpoints: the last one alone.
#[derive(Debug)]
pub struct Kept {
    folder: PathBuf,
    head: Head,
    last: Option<Checkpoint>,
}

impl Kept {
    /// Of a run folder that this process has locked; where nothing lies there the run begins, in an attempt of this name. Why what lies there
    /// is not gone on from comes second.
    pub fn open(run: &Path, writer: Writer, attempt: String) -> (Self, Option<String>) {
        let folder = run.join(run_dir::CHECKPOINT);
        let path = folder.join(SERVER);
        let (found, why) = match fs::symlink_metadata(&path) {
            Err(_) => (None, None),
            Ok(_) => match read(&path, &writer) {
                Ok(found) => (Some(found), None),
                Err(why) => (None, Some(why)),
            },
        };
        let (attempt, last) = match found {
            Some((head, last)) => (head.attempt, Some(last)),
            None => (attempt, None),
        };
        (Self { folder, head: Head { writer, attempt }, last }, why)
    }

    /// The attempt that it is of, which clients' memories have to be of, too.
    pub fn attempt(&self) -> &str {
        &self.head.attempt
    }

    /// What the run goes on from.
    pub fn last(&self) -> Option<&Checkpoint> {
        self.last.as_ref()
    }

    /// Its folder, where clients of this process may keep what they remember.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The run begins, in an attempt of this name.
    pub fn begin_anew(&mut self, attempt: String) {
        (self.last, self.head.attempt) = (None, attempt);
    }

    fn write(&self, checkpoint: &Checkpoint) -> std::io::Result<()> {
        let failed = |error: federation::Error| std::io::Error::other(error.to_string());
        let mut rest = serde_json::to_vec(&self.head)?;
        rest.push(b'\n');
        rest.extend(checkpoint.to_bytes().map_err(failed)?);
        fs::create_dir_all(&self.folder)?;
        files::write_soon(&self.folder.join(SERVER), &[schema::sha256_hex(&rest).as_bytes(), b"\n", &rest].concat())
    }
}

/// What a run folder's checkpoint is after, if it is whole: (rounds done, rounds of its run).
pub fn stands_after(run: &Path) -> Option<(usize, usize)> {
    let (_, last) = read_any(&run.join(run_dir::CHECKPOINT).join(SERVER)).ok()?;
    Some((last.round.index, last.round.total))
}

fn read(path: &Path, writer: &Writer) -> Result<(Head, Checkpoint), String> {
    let (head, last) = read_any(path)?;
    let other = |what: &str| Err(format!("{}: was left by {what}", path.display()));
    match &head.writer {
        Writer { program, .. } if *program != writer.program => other("another build of this program"),
        Writer { device, .. } if *device != writer.device => other("a process that computed on another device"),
        Writer { kernels, .. } if *kernels != writer.kernels => other("a process with other kernels, on another processor"),
        Writer { clients, .. } if *clients != writer.clients => other(&format!("a run whose clients are {clients}")),
        _ => Ok((head, last)),
    }
}

fn read_any(path: &Path) -> Result<(Head, Checkpoint), String> {
    let wrong = |what: String| format!("{}: {what}", path.display());
    let bytes = files::read_here(path, message::MOST_BYTES).map_err(|error| wrong(error.to_string()))?;
    let line = |bytes: &[u8]| bytes.iter().take(MOST_LINE).position(|byte| *byte == b'\n');
    let damaged = || wrong("is damaged".into());
    let (sum, rest) = line(&bytes).map(|end| (&bytes[..end], &bytes[end + 1..])).ok_or_else(damaged)?;
    if sum != schema::sha256_hex(rest).as_bytes() {
        return Err(damaged());
    }
    let end = line(rest).ok_or_else(damaged)?;
    let head = serde_json::from_slice(&rest[..end]).map_err(|error| wrong(error.to_string()))?;
    let last = Checkpoint::from_bytes(&rest[end + 1..]).map_err(|error| wrong(error.to_string()))?;
    Ok((head, last))
}

impl federation::Checkpoints for Kept {
    fn last(&mut self) -> federation::Result<Option<Checkpoint>> {
        Ok(self.last.take())
    }

    fn keep(&mut self, checkpoint: &Checkpoint) -> federation::Result<()> {
        let failed = |error| {
            let path = self.folder.join(SERVER);
            federation::Error::Usage(format!("{}: what the run goes on from cannot be kept: {error}", path.display()))
        };
        self.write(checkpoint).map_err(failed)
    }
}
