//! What can go wrong with a model, its files and its adapters.

use std::path::PathBuf;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A config asks for something that does not exist or does not fit.
    #[error("{0}")]
    Usage(String),
    /// A backbone's files are not what they should be.
    #[error("{0}")]
    Backbone(String),
}

/// A result of this crate's.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// "unknown method `x`; nearest first, there are: ..."
    pub fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Usage(schema::unknown(kind, name, known))
    }
}
