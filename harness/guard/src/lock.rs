//! One writer at a time: the system's lock on a file in a folder. It ends with the process, however that ends.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::files;

/// The lock file's name.
pub const NAME: &str = ".lock";

/// A folder that this process alone writes to, as long as it holds this.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Locks a folder; none where somebody else, another process or this one, has locked it already.
    pub fn of_folder(folder: &Path) -> io::Result<Option<Self>> {
        Self::acquire(folder, |file| match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        })
    }

    /// Locks a folder as soon as whoever has locked it is done.
    pub fn of_folder_in_turn(folder: &Path) -> io::Result<Self> {
        loop {
            if let Some(lock) = Self::acquire(folder, |file| file.lock().map(|()| true))? {
                return Ok(lock);
            }
        }
    }

    fn acquire(folder: &Path, lock: impl Fn(&File) -> io::Result<bool>) -> io::Result<Option<Self>> {
        let path = folder.join(NAME);
        loop {
            let file = files::open_own(&path)?;
            match lock(&file)? {
                true if is_at(&file, &path) => return Ok(Some(Self { path, _file: file })),
                // Its last holder removed it between the opening and the locking: another file has its name by now, or none.
                true => continue,
                false => return Ok(None),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // What stays behind holds nobody up.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a file still has the name by which it was opened.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_has_it_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = Lock::of_folder(folder.path()).expect("locked");
        let path = folder.path().to_owned();
        let waiting = std::thread::spawn(move || Lock::of_folder_in_turn(&path).map(|lock| lock.path.is_file()));
        std::thread::sleep(std::time::Duration::from_millis(50));
        drop(held);
        assert!(waiting.join().expect("no panic").expect("locked"), "what is locked has its name");
    }

    #[test]
    fn a_folder_has_one_writer_and_no_link_is_emptied() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = Lock::of_folder(folder.path()).expect("locked");
        assert!(held.is_some() && Lock::of_folder(folder.path()).expect("asked").is_none());
        drop(held);
        assert!(!folder.path().join(NAME).exists(), "nothing stays behind");
        let theirs = folder.path().join("theirs");
        fs::write(&theirs, "theirs").expect("written");
        std::os::unix::fs::symlink(&theirs, folder.path().join(NAME)).expect("a link");
        assert!(Lock::of_folder(folder.path()).is_err());
        assert_eq!(fs::read(&theirs).expect("still there"), b"theirs");
    }
}
