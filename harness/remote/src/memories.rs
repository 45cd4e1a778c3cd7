//! What clients remember, in files: of each client the last round's, and that of the round of which the server has its last reply.
//!
//! `FOLDER/RUN/ATTEMPT/client-3/round-7` is a line with the SHA-256 of the rest, and the rest, which its host understands. What is damaged is
//! not known any more; files are not waited for, so a power cut may damage the last ones.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use guard::files;
use guard::lock::Lock;

use crate::{Error, Result};

/// Hexadecimal characters of a SHA-256.
const SUM: usize = 64;

/// A folder of them that this process alone writes to. They are of one attempt at a run: a server that begins the run anew may have
/// another history, with other clients lost.
#[derive(Debug)]
pub struct Memories {
    folder: PathBuf,
    attempt: Mutex<Option<String>>,
    _lock: Lock,
}

impl Memories {
    /// A run's, below a folder of many runs'.
    pub fn of_run(folder: &Path, run: &str) -> Result<Self> {
        let folder = folder.join(run);
        let io = |source| Error::Io { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(io)?;
        let taken =
            || io(std::io::Error::other("another worker keeps its clients' state there; give each worker a folder of its own"));
        let lock = Lock::of_folder(&folder).map_err(io)?.ok_or_else(taken)?;
        let attempt = Mutex::new(attempts(&folder).into_iter().next());
        Ok(Self { _lock: lock, attempt, folder })
    }

    /// The attempt that they are of; none before the first order of all.
    pub fn attempt(&self) -> Option<String> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins another attempt, whose name is a word; what was kept of others is gone.
    pub fn begin(&self, attempt: &str) -> Result<()> {
        let begin = || {
            let others = attempts(&self.folder);
            others.iter().try_for_each(|other| std::fs::remove_dir_all(self.folder.join(other)))?;
            std::fs::create_dir(self.folder.join(attempt))
        };
        begin().map_err(|source| Error::Io { path: self.folder.clone(), source })?;
        *self.attempt.lock().unwrap_or_else(PoisonError::into_inner) = Some(attempt.into());
        Ok(())
    }

    fn of_client(&self, client: usize) -> PathBuf {
        self.folder.join(self.attempt().unwrap_or_default()).join(format!("client-{client}"))
    }

    fn path(&self, client: usize, round: usize) -> PathBuf {
        self.of_client(client).join(format!("round-{round}"))
    }

    /// Forgets all rounds but these.
    fn forget_others(&self, client: usize, rounds: [usize; 2]) -> std::io::Result<()> {
        let round = |entry: &std::fs::DirEntry| entry.file_name().to_str()?.strip_prefix("round-")?.parse().ok();
        for entry in std::fs::read_dir(self.of_client(client))? {
            let entry = entry?;
            if round(&entry).is_some_and(|round: usize| !rounds.contains(&round)) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn write(&self, client: usize, round: usize, before: usize, bytes: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(self.of_client(client))?;
        files::write_soon(&self.path(client, round), &[schema::sha256_hex(bytes).as_bytes(), b"\n", bytes].concat())?;
        self.forget_others(client, [before, round])
    }
}

/// The attempts of which something is kept in a run's folder.
fn attempts(folder: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    folders.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

impl federation::Memories for Memories {
    fn keep(&self, client: usize, round: usize, before: usize, bytes: &[u8]) -> federation::Result<()> {
        let path = || self.path(client, round);
        let failed = |error| format!("{}: what client {client} remembers cannot be kept: {error}", path().display());
        self.write(client, round, before, bytes).map_err(|error| federation::Error::Usage(failed(error)))
    }

    fn recall(&self, client: usize, round: usize) -> federation::Result<Option<Vec<u8>>> {
        let kept = files::read_here(&self.path(client, round), federation::message::MOST_BYTES).ok();
        let sound = kept.and_then(|kept| {
            let (sum, bytes) = kept.split_at_checked(SUM + 1)?;
            (sum.strip_suffix(b"\n")? == schema::sha256_hex(bytes).as_bytes()).then(|| bytes.to_vec())
        });
        Ok(sound)
    }
}

#[cfg(test)]
mod tests {
    use federation::Memories as _;

    use super::*;

    /// The last two rounds that matter stay, what is of an earlier attempt goes, and a damaged file is nothing.
    #[test]
    fn the_rounds_that_matter_stay() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let kept = Memories::of_run(folder.path(), "a-run")?;
        kept.begin("one")?;
        let memories = &kept;
        // Of rounds 4 and 9 the server has no reply.
        for (round, before) in [(1, 0), (2, 1), (4, 2), (9, 2)] {
            memories.keep(3, round, before, format!("after {round}").as_bytes())?;
        }
        let rounds = || [1, 2, 4, 9].into_iter().filter(|round| memories.path(3, *round).exists()).collect::<Vec<_>>();
        assert_eq!(rounds(), [2, 9]);
        assert_eq!(memories.recall(3, 2)?.as_deref(), Some(&b"after 2"[..]));
        memories.keep(3, 1, 0, b"anew")?;
        assert_eq!((rounds(), memories.recall(3, 9)?), (vec![1], None));

        let path = memories.path(3, 1);
        let sound = std::fs::read(&path)?;
        for at in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged)?;
            assert_eq!(memories.recall(3, 1)?, None, "byte {at}");
            std::fs::write(&path, &sound[..at])?;
            assert_eq!(memories.recall(3, 1)?, None, "{at} bytes");
        }
        assert!(Memories::of_run(folder.path(), "a-run").is_err_and(|error| error.to_string().contains("another worker")));

        memories.keep(3, 1, 0, b"anew")?;
        drop(kept);
        let again = Memories::of_run(folder.path(), "a-run")?;
        assert_eq!((again.attempt().as_deref(), again.recall(3, 1)?.as_deref()), (Some("one"), Some(&b"anew"[..])));
        again.begin("two")?;
        assert_eq!((again.attempt().as_deref(), again.recall(3, 1)?), (Some("two"), None));
        Ok(())
    }
}
