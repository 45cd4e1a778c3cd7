//! Files of a model's folder, met without trust.

use std::path::Path;

use guard::files::{LFS_ADVICE, is_lfs_pointer};

use crate::{Error, Result};

/// Whether there is anything of this name, a pipe or a link to nothing included: opening it says what it is.
pub(super) fn there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// A JSON file of a model's folder, of at most `most` bytes: a regular one without a byte order mark, and not what Git LFS left in its
/// place.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let bytes = guard::files::read(path, most).map_err(|source| Error::Read { path: path.into(), source })?;
    match is_lfs_pointer(&bytes) {
        true => Err(Error::Backbone(format!("{}: it {LFS_ADVICE}", path.display()))),
        false if bytes.starts_with(b"\xef\xbb\xbf") => Err(Error::Backbone(format!(
            "{}: it begins with a byte order mark, which JSON has none of (transformers fails over it, too): save it without",
            path.display()
        ))),
        false => Ok(bytes),
    }
}
