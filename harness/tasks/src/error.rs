//! What can go wrong while examples are prepared, asked and judged.

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
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {reason}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A config asks for something that does not exist or does not fit.
    #[error("{0}")]
    Usage(String),
    /// What the model says of an example is not finite, so nothing can be ranked by it.
    #[error("example `{example}`, {what}: {value} is no score to rank by; {}", blame(*by_adapters))]
    Score {
        /// The example.
        example: String,
        /// Which option, or which token.
        what: String,
        /// The number.
        value: f64,
        /// Whether the backbone alone gives finite numbers.
        by_adapters: bool,
    },
    /// A task's score of an answer is not what its row promises.
    #[error(
        "example `{example}`: score `{score}` of task `{task}` is {value}; a score is finite, and that of a card's metric within its scale"
    )]
    Worth {
        /// The example.
        example: String,
        /// The task.
        task: &'static str,
        /// Its score.
        score: &'static str,
        /// The number.
        value: f64,
    },
    /// Adapters that cannot be judged or sent.
    #[error(
        "{whose}: adapter tensor `{tensor}` holds a number that is not finite; lower the learning rates, or use other adapters"
    )]
    AdaptersNotFinite {
        /// Whose they are, and when.
        whose: String,
        /// The tensor's name.
        tensor: String,
    },
}

/// Who is to blame for a score that is not finite.
fn blame(by_adapters: bool) -> &'static str {
    match by_adapters {
        true => "the backbone alone gives finite scores, so the adapters are to blame",
        false => {
            "the backbone gives it without adapters too: its weights hold, or lead to, a number that is not finite (with 16 bits, try \
             `f32`)"
        }
    }
}

/// A result of this crate's.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether a config asked for something that does not exist or does not fit.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_) | Self::Models(models::Error::Usage(_)))
    }

    /// What a backbone's text side refuses, with the example that it refuses.
    pub(crate) fn of_example(id: &str, error: models::Error) -> Self {
        match error {
            models::Error::Backbone(what) => {
                models::Error::Backbone(format!("example `{}`: {what}", guard::text::line(id, 80))).into()
            }
            other => other.into(),
        }
    }

    /// "unknown method `x`; nearest first, there are: ..."
    pub fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Usage(schema::unknown(kind, name, known))
    }
}
