//! Opening and writing files in folders that are not ours alone.
//!
//! A path may name a pipe (opening it waits for ever), a device (it has no end) or a link to somebody else's file (writing empties
//! it). What is read must be a regular file, at the end of whatever links lead there; what is written is no link at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The first bytes of a Git LFS pointer: what stands in the place of a file whose content was never fetched.
const LFS: &[u8] = b"version https://git-lfs";

/// Whether these bytes, a file's first ones, are those of a Git LFS pointer.
pub fn is_lfs_pointer(head: &[u8]) -> bool {
    head.starts_with(LFS)
}

/// What is said of a Git LFS pointer, behind the file's name.
pub const LFS_ADVICE: &str = "is a Git LFS pointer, not the file itself: `git lfs pull` in its repository, or `fedbench data fetch` \
                              and `fedbench model fetch`, bring the content";

/// Opens a regular file for reading, at the end of whatever links lead there; never waits for a pipe.
pub fn open(path: &Path) -> io::Result<File> {
    // Asked first, because opening a device or a pipe is already an act; asked again, because it may have been exchanged.
    regular(&fs::metadata(path)?)?;
    let file = options(0).read(true).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens a regular file that is there itself, not through a link: what lies in a folder that is to hold all it needs.
pub fn open_here(path: &Path) -> io::Result<File> {
    regular(&fs::symlink_metadata(path)?)?;
    let file = options(libc::O_NOFOLLOW).read(true).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens a regular file that lies in a folder even where links are followed to the end; `root` is the folder's canonical path
/// ([`fs::canonicalize`]). A link within the folder may lead there; one that leads out of it is an error.
pub fn open_within(root: &Path, path: &Path) -> io::Result<File> {
    let place = fs::canonicalize(path)?;
    if !place.starts_with(root) {
        return Err(invalid(format!("it leads out of {}, which is to hold all that is read there", root.display())));
    }
    open_here(&place)
}

/// Opens a file of our own for writing and locking, created if need be, its content left as it is; an error if it is a link or no
/// regular file.
pub fn open_own(path: &Path) -> io::Result<File> {
    // Opening a pipe for writing alone fails in other words.
    if let Ok(found) = fs::symlink_metadata(path) {
        regular(&found)?;
    }
    let file = options(libc::O_NOFOLLOW).write(true).create(true).truncate(false).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// Creates a file that was not there: whatever has its name, a link above all, is removed first and never followed.
pub fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    options(libc::O_NOFOLLOW).write(true).create_new(true).open(path)
}

/// Reads a whole regular file ([`open`]) of at most `most` bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_all(open(path)?, most)
}

/// Reads a whole regular file that is there itself ([`open_here`]), of at most `most` bytes.
pub fn read_here(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_all(open_here(path)?, most)
}

/// Reads a whole regular file that lies in a folder ([`open_within`]), of at most `most` bytes.
pub fn read_within(root: &Path, path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_all(open_within(root, path)?, most)
}

/// The same as [`read_here`], as text.
pub fn read_text_here(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read_here(path, most)?).map_err(|_| invalid("it is not text in UTF-8".into()))
}

fn read_all(file: File, most: u64) -> io::Result<Vec<u8>> {
    let too_long = || invalid(format!("it is longer than the {most} bytes that such a file may have"));
    if file.metadata()?.len() > most {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_long()) } else { Ok(bytes) }
}

/// Writes a file: aside, synced, then renamed, so that its name holds the whole or what it held before. What was written aside is
/// removed if anything fails.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_by(&aside(path), path, bytes)
}

/// The same in a folder that nobody has locked: aside under a name of this process, so that of two who write one file the last one's
/// stays, whole. What others left aside who are gone is removed.
pub fn write_unlocked(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some(name) = path.file_name() else { return Err(invalid("it has no file's name".into())) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = format!(".{}.", name.display());
    crate::leftovers::sweep(folder, &prefix, |rest| rest == ".part");
    write_by(&folder.join(format!("{prefix}{}.part", std::process::id())), path, bytes)
}

/// The same as [`write()`] without waiting for the disk: whole if the process is killed, but a power cut may leave anything. It is for
/// what has a checksum of its own and can be made again.
pub fn write_soon(path: &Path, bytes: &[u8]) -> io::Result<()> {
    finish_by(&aside(path), path, bytes, |_| Ok(()))
}

fn write_by(aside: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    finish_by(aside, path, bytes, File::sync_all)
}

fn finish_by(aside: &Path, path: &Path, bytes: &[u8], settle: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
    let written = create(aside).and_then(|mut file| {
        file.write_all(bytes)?;
        settle(&file)?;
        fs::rename(aside, path)
    });
    if written.is_err() {
        // Half a file is of no use, and on a full disk in the way.
        let _ = fs::remove_file(aside);
    }
    written
}

/// A file that grows aside, where [`write()`] writes too, for whoever holds the folder's lock: [`Growing::finish`] gives it its name,
/// and without that it is removed.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
    finished: bool,
}

impl Growing {
    /// Begins a file that will be at `path`.
    pub fn create(path: &Path) -> io::Result<(Self, File)> {
        let file = create(&aside(path))?;
        Ok((Self { path: path.into(), finished: false }, file))
    }

    /// Where it is to be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it grows.
    pub fn aside(&self) -> PathBuf {
        aside(&self.path)
    }

    /// Puts what was written in its place, once the system has it for good.
    pub fn finish(mut self) -> io::Result<()> {
        open_own(&self.aside())?.sync_all()?;
        fs::rename(self.aside(), &self.path)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if !self.finished {
            // Half a file is of no use, and on a full disk in the way.
            let _ = fs::remove_file(self.aside());
        }
    }
}

/// Creates a folder, if need be, and tries whether a file can be written there: before long work, not after it.
pub fn try_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    let written = create(&probe).and_then(|mut file| file.write_all(b"room?").and_then(|()| file.sync_all()));
    let removed = fs::remove_file(&probe);
    written.and(removed)
}

/// Makes what was renamed in a folder last, as far as its file system can.
pub fn sync_folder(folder: &Path) {
    // Not every file system can; what it holds is whole in any case.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// Where [`write()`] writes before it renames: `.NAME.part`, beside the file.
pub fn aside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".part");
    path.with_file_name(name)
}

fn regular(metadata: &fs::Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let what = match () {
        () if kind.is_dir() => "a folder",
        () if kind.is_symlink() => "a link",
        () => "a pipe, a socket or a device",
    };
    Err(invalid(format!("it is {what}; expected a regular file")))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// Options that never wait for the other end of a pipe.
#[cfg(unix)]
fn options(flags: libc::c_int) -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.custom_flags(libc::O_NONBLOCK | flags);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn pipes_folders_and_devices_are_refused_at_once() {
        let folder = folder();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        for path in [pipe.as_path(), folder.path(), Path::new("/dev/zero")] {
            for opened in [open(path), open_here(path)] {
                let error = opened.expect_err("no regular file").to_string();
                assert!(error.contains("expected a regular file"), "{}: {error}", path.display());
            }
        }
        assert!(open_own(&pipe).is_err());
    }

    #[test]
    fn links_are_followed_for_reading_alone() {
        let folder = folder();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "theirs").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        assert_eq!(read(&link, 6).expect("through the link"), b"theirs");
        assert!(read_here(&link, 6).is_err());
        assert!(open_own(&link).is_err());
        create(&link).expect("in the link's place").write_all(b"ours").expect("written");
        assert_eq!(fs::read(&file).expect("still there"), b"theirs");
        assert_eq!(fs::read(&link).expect("a file now"), b"ours");
    }

    #[test]
    fn a_file_is_read_up_to_a_size_and_written_whole() {
        let folder = folder();
        let path = folder.path().join("file");
        std::os::unix::fs::symlink("/etc/hostname", aside(&path)).expect("a link in the way");
        write(&path, b"12345").expect("written");
        assert_eq!(read(&path, 5).expect("fits"), b"12345");
        assert!(read(&path, 4).expect_err("longer").to_string().contains("4 bytes"));
        assert!(fs::symlink_metadata(aside(&path)).is_err(), "nothing stays aside");
        fs::write(folder.path().join(".file.4194999.part"), "half").expect("written");
        write_unlocked(&path, b"67").expect("written");
        assert_eq!((read(&path, 5).expect("read"), fs::read_dir(folder.path()).expect("a folder").count()), (b"67".to_vec(), 1));
        let nowhere = folder.path().join("no folder/file");
        assert!(write(&nowhere, b"").is_err());
    }

    #[test]
    fn a_link_out_of_a_folder_leads_nowhere() {
        let (folder, outside) = (folder(), folder());
        let root = fs::canonicalize(folder.path()).expect("a folder");
        fs::write(outside.path().join("secret"), "theirs").expect("written");
        fs::write(root.join("a"), "ours").expect("written");
        for (target, name) in [(root.join("a"), "in"), (outside.path().join("secret"), "out"), (outside.path().into(), "above")] {
            std::os::unix::fs::symlink(target, root.join(name)).expect("a link");
        }
        assert_eq!(read_within(&root, &root.join("in"), 9).expect("within"), b"ours");
        for name in ["out", "above/secret", "in/../../x"] {
            assert!(open_within(&root, &root.join(name)).is_err(), "{name}");
        }
        assert!(open_within(&root, &root.join("out")).expect_err("outside").to_string().contains("leads out of"));
    }

    #[test]
    fn what_grows_is_whole_or_gone_and_folders_are_tried() {
        let folder = folder();
        let path = folder.path().join("x");
        let (growing, mut file) = Growing::create(&path).expect("created");
        file.write_all(b"12").expect("written");
        drop(growing);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
        let (growing, mut file) = Growing::create(&path).expect("created");
        file.write_all(b"12").expect("written");
        growing.finish().expect("finished");
        assert_eq!(fs::read(&path).expect("there"), b"12");
        assert!(try_folder(&path).is_err(), "a file is no folder");
        assert!(try_folder(&folder.path().join("a/b")).is_ok());
        assert_eq!(fs::read_dir(folder.path().join("a/b")).expect("a folder").count(), 0);
    }

    #[test]
    fn pointers_are_known_by_their_first_words() {
        assert!(is_lfs_pointer(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"));
        assert!(!is_lfs_pointer(b"PAR1"));
    }
}
