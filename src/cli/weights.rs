//! Where weights that were made go, and what is said of how they came to be.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use guard::files::{self, Growing};
use guard::lock::Lock;
use machine::clock::now_utc;

/// By which program, when and how fast.
pub(super) fn made(seconds: f64) -> [String; 5] {
    [
        format!("commit = \"{}\"", env!("FEDBENCH_COMMIT")),
        format!("dirty = {}", env!("FEDBENCH_DIRTY")),
        format!("finished = \"{}\"", now_utc()),
        format!("minutes = {:.1}", seconds / 60.0),
        format!("threads = {}", rayon::current_num_threads()),
    ]
}

/// Where weights go: tried before the hour that they take, and this process's alone until they are there.
pub(super) struct Output<'a> {
    folder: &'a Path,
    _lock: Lock,
}

impl<'a> Output<'a> {
    pub(super) fn open(folder: &'a Path) -> Result<Self> {
        let locked = files::try_folder(folder).and_then(|()| Lock::of_folder(folder));
        match locked.with_context(|| format!("cannot write to {}: give an --out that can be written to", folder.display()))? {
            Some(lock) => Ok(Self { folder, _lock: lock }),
            None => {
                bail!("{}: another process is making weights there; wait for it, or give another --out", folder.display())
            }
        }
    }

    /// Writes all files aside, and gives them their names when all are there.
    pub(super) fn write(&self, all: &[(&str, &[u8])]) -> Result<()> {
        let one = |(name, bytes): &(&str, &[u8])| -> Result<Growing> {
            let path = self.folder.join(name);
            let written = Growing::create(&path).and_then(|(growing, mut file)| file.write_all(bytes).map(|()| growing));
            written.with_context(|| format!("cannot write {}", path.display()))
        };
        for growing in all.iter().map(one).collect::<Result<Vec<_>>>()? {
            let path = growing.path().to_owned();
            growing.finish().with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}
