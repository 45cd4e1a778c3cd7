//! The checksums by which the Hub names a content.

use std::io::{Read, Result as IoResult};
use std::path::Path;

use guard::files;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::error::HubError;
use super::id::Etag;

pub(super) const CHUNK: usize = 1 << 18;

/// The SHA-256 of a file, in lower-case hexadecimal, read in pieces.
pub(crate) fn sha256(path: &Path) -> IoResult<String> {
    hashed(Sha256::new(), &mut files::open(path)?)
}

/// The checksum of a file, of the kind that another one is.
pub(super) fn like(wanted: &Etag, path: &Path) -> Result<Etag, HubError> {
    let found = match wanted {
        Etag::Sha256(_) => sha256(path).map(Etag::Sha256),
        Etag::Git(_) => git_blob(path).map(Etag::Git),
    };
    found.map_err(HubError::file(path))
}

/// git's id of a content: the SHA-1 over `blob <length>`, a zero byte and the content.
fn git_blob(path: &Path) -> IoResult<String> {
    let mut file = files::open(path)?;
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {}\0", file.metadata()?.len()));
    hashed(hasher, &mut file)
}

fn hashed<D: Digest>(mut hasher: D, content: &mut impl Read) -> IoResult<String> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match content.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(schema::hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_git_and_sha256sum() {
        let folder = std::env::temp_dir().join(format!("fedbench-checksum-{}", std::process::id()));
        std::fs::write(&folder, "hello\n").unwrap();
        // `printf 'hello\n' | git hash-object --stdin` and `| sha256sum`
        let git = Etag::Git("ce013625030ba8dba906f756967f9e9ca394464a".into());
        let sha = Etag::Sha256("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03".into());
        assert_eq!((like(&git, &folder).unwrap(), like(&sha, &folder).unwrap()), (git, sha));
        std::fs::remove_file(&folder).unwrap();
    }
}
