//! Who looks on, and hears how far it is.

/// Who looks on while files come, one after the other. What it does changes nothing of what comes.
pub trait Watch {
    /// A file that is at hand is read for its checksum.
    fn checking(&self, _path: &str, _size: u64) {}
    /// A file begins, or goes on.
    fn started(&self, _path: &str, _size: u64) {}
    /// So many of the bytes of the file that began are here, those of an earlier command included.
    fn at(&self, _bytes: u64) {}
    /// Something failed; it is tried again after a pause.
    fn waiting(&self, _seconds: f64, _why: &str) {}
    /// The file that began is whole, and its checksum the listed one.
    fn finished(&self) {}
}

impl Watch for () {}
