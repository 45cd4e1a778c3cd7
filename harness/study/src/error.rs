//! What can go wrong between a config and a run folder.

use std::path::PathBuf;

use data::DataError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// Data is missing, mistyped or broken.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A model, its files or its adapters.
    #[error(transparent)]
    Models(#[from] models::Error),
    /// Preparing, asking or judging examples.
    #[error(transparent)]
    Tasks(Box<tasks::Error>),
    /// Training, or an exchange between clients and server.
    #[error(transparent)]
    Federation(Box<federation::Error>),
    /// A TOML file is not what it should be.
    #[error(transparent)]
    Toml(#[from] schema::toml_file::TomlError),
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it was a moment ago.
    #[error("{path}: it changed while it was read; wait until it is complete, then start again")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {reason}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Two processes at one run.
    #[error("{path}: another process is writing this run; wait for it, or give another --out")]
    Busy {
        /// The run's folder.
        path: PathBuf,
    },
    /// A config asks for something that does not exist or does not fit.
    #[error("{0}")]
    Usage(String),
}

/// A result of this crate's.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether a config asked for something that does not exist or does not fit.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Usage(_) | Self::Toml(_) | Self::Models(models::Error::Usage(_)) => true,
            Self::Tasks(error) => error.is_usage(),
            Self::Federation(error) => error.is_usage(),
            _ => false,
        }
    }

    /// "unknown method `x`; nearest first, there are: ..."
    pub fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Usage(schema::unknown(kind, name, known))
    }
}

impl From<tasks::Error> for Error {
    fn from(error: tasks::Error) -> Self {
        Self::Tasks(Box::new(error))
    }
}

impl From<federation::Error> for Error {
    fn from(error: federation::Error) -> Self {
        Self::Federation(Box::new(error))
    }
}
