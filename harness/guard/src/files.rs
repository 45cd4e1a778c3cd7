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

/// Opens a file of our own for writing and locking, created if need be, its content left as it is; an error if it is a link or no
/// regular file.
pub fn open_own(path: &Path) -> io::Result<File> {
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

/// The same as text.
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
    let aside = aside(path);
    let written = create(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    });
    if written.is_err() {
        // Half a file is of no use, and on a full disk in the way.
        let _ = fs::remove_file(&aside);
    }
    written
}

/// Where [`write`] writes before it renames: `.NAME.part`, beside the file.
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
        let nowhere = folder.path().join("no folder/file");
        assert!(write(&nowhere, b"").is_err());
    }

    #[test]
    fn pointers_are_known_by_their_first_words() {
        assert!(is_lfs_pointer(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"));
        assert!(!is_lfs_pointer(b"PAR1"));
    }
}
