//! Files' checksums, each computed once while its file stays as it is.
//!
//! As git does it: a checksum belongs to a file's size, times of change and place on its disk, and whoever finds these as they were
//! need not read the file again. A file that was changed in the last moments may be changed once more within the resolution of its
//! times, so its checksum is never remembered.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use machine::clock;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// A file whose times lie less than so many nanoseconds back (or ahead) is read again each time.
const SETTLED: i64 = 2_000_000_000;

/// A remembered list that is longer than this (some 200,000 files) was not written by us.
const LONGEST_LIST: u64 = 64 << 20;

/// More files than these are not remembered from earlier processes: the list is read and written whole.
const MOST_FILES: usize = 100_000;

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// Checksums of this process, and what it remembers of earlier ones.
#[derive(Debug, Default)]
pub struct Checksums {
    list: Option<PathBuf>,
    known: BTreeMap<PathBuf, Known>,
}

/// A file's checksum, and when it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    #[serde(flatten)]
    stamp: Stamp,
    sha256: String,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    modified_ns: i64,
    changed_ns: i64,
    inode: u64,
    device: u64,
}

/// A file's size and the SHA-256 of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// Its size.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

impl Checksums {
    /// Remembered in a file from one process to the next. One that is missing, damaged or cannot be written costs time and nothing
    /// else.
    pub fn remembered(list: PathBuf) -> Self {
        Self { known: read_list(&list).unwrap_or_default(), list: Some(list) }
    }

    /// The checksums of files, in their order.
    pub fn of(&mut self, files: &[PathBuf]) -> Result<Vec<Checksum>> {
        let found: Vec<(PathBuf, Known, bool)> = files.par_iter().map(|path| self.look(path)).collect::<Result<_>>()?;
        let now = clock::unix_nanoseconds();
        let mut learnt = false;
        let mut checksums = Vec::with_capacity(files.len());
        for (path, known, is_new) in found {
            checksums.push(Checksum { bytes: known.stamp.bytes, sha256: known.sha256.clone() });
            if is_new && known.stamp.is_settled(now) {
                learnt = true;
                self.known.insert(path, known);
            }
        }
        if learnt {
            self.write_list();
        }
        Ok(checksums)
    }

    /// Where a file really lies, its checksum, and whether it had to be read for that.
    fn look(&self, path: &Path) -> Result<(PathBuf, Known, bool)> {
        let failed = |source| Error::Read { path: path.into(), source };
        let place = path.canonicalize().map_err(failed)?;
        let mut file = guard::files::open(&place).map_err(failed)?;
        let stamp = Stamp::of(&file.metadata().map_err(failed)?);
        let known = self.known.get(&place).filter(|known| known.stamp == stamp && stamp.is_settled(clock::unix_nanoseconds()));
        if let Some(known) = known {
            return Ok((place, known.clone(), false));
        }
        let sha256 = sha256(&mut file).map_err(failed)?;
        if Stamp::of(&file.metadata().map_err(failed)?) != stamp {
            return Err(Error::Changed { path: path.into() });
        }
        Ok((place, Known { stamp, sha256 }, true))
    }

    /// Adds what is known here to what other processes have written meanwhile. It is a convenience: no failure is reported.
    fn write_list(&self) {
        let Some(list) = &self.list else { return };
        let Some(lock) = locked(list) else { return };
        let mut all = read_list(list).unwrap_or_default();
        if all.len() + self.known.len() > MOST_FILES {
            all.clear();
        }
        all.extend(self.known.clone());
        let named: BTreeMap<&str, &Known> = all.iter().filter_map(|(path, known)| Some((path.to_str()?, known))).collect();
        if let Ok(mut text) = serde_json::to_vec_pretty(&named) {
            text.push(b'\n');
            let _ = guard::files::write(list, &text);
        }
        drop(lock);
    }
}

/// The right to write the list; none where another process has it.
fn locked(list: &Path) -> Option<std::fs::File> {
    std::fs::create_dir_all(list.parent()?).ok()?;
    let lock = guard::files::open_own(&list.with_extension("lock")).ok()?;
    lock.try_lock().ok()?;
    Some(lock)
}

fn read_list(list: &Path) -> Option<BTreeMap<PathBuf, Known>> {
    let all: BTreeMap<PathBuf, Known> = serde_json::from_slice(&guard::files::read_here(list, LONGEST_LIST).ok()?).ok()?;
    let is_checksum = |text: &str| text.len() == 64 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    all.values().all(|known| is_checksum(&known.sha256)).then_some(all)
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            bytes: metadata.len(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    fn is_settled(&self, now: i64) -> bool {
        [self.modified_ns, self.changed_ns].iter().all(|&time| time <= now.saturating_sub(SETTLED))
    }
}

/// The SHA-256 of what is left of a file.
pub(crate) fn sha256(file: &mut impl Read) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(schema::hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn of(checksums: &mut Checksums, path: &Path) -> String {
        checksums.of(&[path.into()]).expect("a checksum").remove(0).sha256
    }

    /// Sets a file's time of modification an hour back; its time of change is now, as no program can set that.
    fn age(path: &Path) {
        let hour = std::time::Duration::from_secs(3600);
        let modified = fs::metadata(path).expect("a file").modified().expect("a time") - hour;
        fs::File::options().write(true).open(path).expect("opens").set_modified(modified).expect("set");
    }

    #[test]
    fn a_file_that_just_changed_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        fs::write(&path, "hello\n").expect("written");
        let mut checksums = Checksums::remembered(folder.path().join("list.json"));
        // `printf 'hello\n' | sha256sum`
        assert_eq!(of(&mut checksums, &path), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
        assert!(checksums.known.is_empty() && !folder.path().join("list.json").exists());
        fs::write(&path, "hullo\n").expect("written");
        age(&path);
        assert_eq!(of(&mut checksums, &path), schema::sha256_hex(b"hullo\n"));
    }

    /// A list as an earlier process left it is believed where the file is as it was then, and nowhere else.
    #[test]
    fn what_is_remembered_holds_while_the_file_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let list = folder.path().join("list.json");
        // Files of the system are older than two seconds.
        let path = Path::new("/etc/passwd").canonicalize().expect("a file");
        let true_sum = schema::sha256_hex(&fs::read(&path).expect("readable"));
        assert_eq!(of(&mut Checksums::remembered(list.clone()), &path), true_sum);
        let told = fs::read_to_string(&list).expect("a list").replace(&true_sum, &"0".repeat(64));
        fs::write(&list, &told).expect("written");
        assert_eq!(of(&mut Checksums::remembered(list.clone()), &path), "0".repeat(64), "it was not read again");
        for other in ["\"bytes\": ", "\"changed_ns\": ", "\"modified_ns\": ", "\"inode\": "] {
            fs::write(&list, told.replace(other, &format!("{other}1"))).expect("written");
            assert_eq!(of(&mut Checksums::remembered(list.clone()), &path), true_sum, "{other}");
        }
        for damaged in ["", "{", "[]", "null", &told.replace(&"0".repeat(64), "x")] {
            fs::write(&list, damaged).expect("written");
            assert_eq!(of(&mut Checksums::remembered(list.clone()), &path), true_sum, "{damaged}");
            assert!(fs::read_to_string(&list).expect("written again").contains(&true_sum));
        }
    }

    #[test]
    fn no_pipe_is_waited_for_and_no_list_is_no_matter() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        let mut checksums = Checksums::remembered("/proc/no such folder/list.json".into());
        let error = checksums.of(&[pipe]).expect_err("a pipe").to_string();
        assert!(error.contains("expected a regular file"), "{error}");
        assert!(checksums.of(&["/etc/passwd".into()]).is_ok());
    }
}
