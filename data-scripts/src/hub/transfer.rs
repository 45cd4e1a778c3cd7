//! One file from the Hub into the cache: resumed, checked, and under its name only when it is whole.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use guard::{files, text};

use ureq::{Body, http::Response};

use super::cache::Shelf;
use super::checksum;
use super::error::HubError;
use super::id::{Etag, HubId};
use super::line::{Failure, Line, header};
use super::listing::Remote;
use super::watch::Watch;

/// A file that is to come.
pub(super) struct Transfer<'t> {
    pub line: &'t Line<'t>,
    pub shelf: &'t Shelf<'t>,
    pub id: &'t HubId,
    pub commit: &'t str,
    pub remote: &'t Remote,
    pub watch: &'t dyn Watch,
}

impl Transfer<'_> {
    /// Fetches the file unless its content is there.
    pub fn run(&self) -> Result<(), HubError> {
        let Remote { path, etag, .. } = self.remote;
        let blob = self.shelf.blob(etag);
        let folder = blob.parent().unwrap_or(&blob);
        fs::create_dir_all(folder).map_err(HubError::file(folder))?;
        let lock = self.shelf.lock(etag)?;
        // Perhaps another process, whose lock this one waited for, or another commit brought the content already.
        if !self.shelf.has_blob(self.remote)? {
            self.bring(&blob)?;
        }
        drop(lock);
        self.shelf.link(self.commit, path, etag)
    }

    /// Brings the content under its name. A beginning that an earlier command left may be damaged: then once more, from nothing.
    fn bring(&self, blob: &Path) -> Result<(), HubError> {
        let url = self.line.address(self.id, self.commit, &self.remote.path);
        let part = self.shelf.incomplete(&self.remote.etag);
        self.watch.started(&self.remote.path, self.remote.size);
        let resumed = length(&part) > 0;
        let mut found = self.attempt(&url, &part)?;
        if resumed && found != self.remote.etag {
            remove(&part)?;
            found = self.attempt(&url, &part)?;
        }
        if found != self.remote.etag {
            remove(&part)?;
            return Err(HubError::Checksum {
                url,
                bytes: self.remote.size,
                found: found.as_str().into(),
                wanted: self.remote.etag.as_str().into(),
            });
        }
        self.watch.finished();
        fs::rename(&part, blob).map_err(HubError::file(blob))
    }

    /// Makes the part as long as the file, and takes its checksum.
    fn attempt(&self, url: &str, part: &Path) -> Result<Etag, HubError> {
        self.line.repeat(url, self.watch, || self.more(url, part), || length(part))?;
        checksum::like(&self.remote.etag, part)
    }

    /// Goes on where the part ends.
    fn more(&self, url: &str, part: &Path) -> Result<(), Failure> {
        let mut file = part_of_a_file(part)?;
        if length(part) > self.remote.size {
            cut(&mut file, part)?;
        }
        let from = length(part);
        self.watch.at(from);
        if from == self.remote.size {
            return Ok(());
        }
        let (response, _) = self.line.get(url, self.id, Some(from), "file", |answer| self.check(url, answer))?;
        match response.status().as_u16() {
            206 => self.check_range(url, from, header(&response, "content-range"))?,
            416 => {
                cut(&mut file, part)?;
                return Err(Failure::passing(format!("the server has nothing from byte {from} on")));
            }
            // The whole file, though a range was asked for.
            _ => cut(&mut file, part)?,
        }
        self.copy(url, response, &mut file, part)
    }

    /// What the Hub says in a header of the file must be what its listing says.
    fn check(&self, url: &str, answer: &Response<Body>) -> Result<(), HubError> {
        let Remote { size, etag, .. } = self.remote;
        let differs = |what: &str, found: &str, wanted: &str| {
            Err(HubError::answer(url, format!("the server has {what} {}, but the Hub lists {wanted}", text::line(found, SAID))))
        };
        match header(answer, "x-repo-commit") {
            Some(commit) if commit != self.commit => return differs("commit", commit, self.commit),
            _ => {}
        }
        match header(answer, "x-linked-size") {
            Some(bytes) if bytes.trim() != size.to_string() => return differs("a size of", bytes, &size.to_string()),
            _ => {}
        }
        match header(answer, "x-linked-etag") {
            Some(found) if Etag::parse(found).as_ref() != Some(etag) => differs("the checksum", found, etag.as_str()),
            _ => Ok(()),
        }
    }

    /// `bytes 5-9/10` must begin where the part ends.
    fn check_range(&self, url: &str, from: u64, range: Option<&str>) -> Result<(), HubError> {
        let range = range.unwrap_or("nothing");
        let begins = range.strip_prefix("bytes ").and_then(|range| range.split_once('-')?.0.trim().parse().ok());
        let size = range.rsplit_once('/').map(|(_, size)| size.trim());
        let wanted = self.remote.size.to_string();
        if begins == Some(from) && size.is_some_and(|size| size == "*" || size == wanted) {
            return Ok(());
        }
        Err(HubError::answer(
            url,
            format!("asked for {wanted} bytes from byte {from} on, the server sends `{}`", text::line(range, SAID)),
        ))
    }

    fn copy(&self, url: &str, response: Response<Body>, file: &mut File, part: &Path) -> Result<(), Failure> {
        let size = self.remote.size;
        let mut at = length(part);
        let mut reader = self.line.body(response);
        let mut buffer = vec![0; checksum::CHUNK];
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return Err(Failure::passing(format!("broken off after {at} of {size} bytes ({error})"))),
            };
            at += read as u64;
            if at > size {
                cut(file, part)?;
                return Err(HubError::answer(url, format!("more than the {size} bytes that the Hub lists")).into());
            }
            file.write_all(&buffer[..read]).map_err(HubError::file(part))?;
            self.watch.at(at);
        }
        match at == size {
            true => Ok(file.sync_all().map_err(HubError::file(part))?),
            false => Err(Failure::passing(format!("broken off after {at} of {size} bytes"))),
        }
    }
}

/// Characters of a header that a message shows.
const SAID: usize = 120;

/// Opens what an earlier command left, or begins it, at its end. A link or a pipe of that name is none of ours: it is removed.
fn part_of_a_file(part: &Path) -> Result<File, HubError> {
    if part.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        remove(part)?;
    }
    let mut file = files::open_own(part).map_err(HubError::file(part))?;
    file.seek(SeekFrom::End(0)).map_err(HubError::file(part))?;
    Ok(file)
}

/// The length of a file that is itself there.
fn length(path: &Path) -> u64 {
    path.symlink_metadata().map_or(0, |found| if found.is_file() { found.len() } else { 0 })
}

fn cut(file: &mut File, path: &Path) -> Result<(), HubError> {
    file.set_len(0).and_then(|()| file.rewind()).map_err(HubError::file(path))
}

fn remove(path: &Path) -> Result<(), HubError> {
    fs::remove_file(path).map_err(HubError::file(path))
}
