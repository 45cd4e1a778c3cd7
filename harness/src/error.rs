//! The one error type of the harness.

use std::path::PathBuf;

use crate::data::DataError;

/// What can go wrong between a config and a run folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// Data is missing, mistyped or broken.
    #[error(transparent)]
    Data(#[from] DataError),
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
    /// A backbone's files are not what they should be.
    #[error("{0}")]
    Backbone(String),
    /// Training produced a number that is not finite.
    #[error("client {client}, round {round}: the loss is {loss}; lower `optimizer.learning_rate` (now {learning_rate})")]
    Diverged {
        /// The client.
        client: usize,
        /// The round.
        round: usize,
        /// The loss.
        loss: f64,
        /// The learning rate.
        learning_rate: f64,
    },
    /// The loss is not finite before anything has been trained.
    #[error(
        "client {client}, example `{example}`: the loss is {loss} before the first step, so the learning rate is not to blame: the \
         backbone's weights hold, or lead to, a number that is not finite (with 16 bits, try `backbone.dtype = \"f32\"`), or the \
         example does"
    )]
    NotFiniteAtFirst {
        /// The client.
        client: usize,
        /// An example of the batch, the first whose loss is not finite.
        example: String,
        /// The loss.
        loss: f64,
    },
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
    /// An update cannot be averaged.
    #[error("client {client}, round {round}: its update holds a number that is not finite")]
    NotFinite {
        /// The client.
        client: usize,
        /// The round.
        round: usize,
    },
    /// An update is not what was asked for.
    #[error("client {client}, round {round}: its update holds {tensor}, a name or shape that no site asks for")]
    Misfit {
        /// The client.
        client: usize,
        /// The round.
        round: usize,
        /// The tensor's name and shape.
        tensor: String,
    },
    /// A round without updates.
    #[error("round {round}: every update was left out, so nothing can be aggregated; the first: {first}")]
    NothingLeft {
        /// The round.
        round: usize,
        /// Why the first was left out.
        first: Box<Error>,
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

/// The harness's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// "unknown method `x`; nearest first, there are: ..."
    pub fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let listed: Vec<String> = schema::nearest(name, known).into_iter().map(|name| format!("`{name}`")).collect();
        Self::Usage(format!("unknown {kind} `{name}`; nearest first, there are: {}", listed.join(", ")))
    }
}
