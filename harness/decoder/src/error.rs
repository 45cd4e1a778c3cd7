/// What may go wrong between a client and a decoder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The line to a decoder, or a decoder's place to listen.
    #[error(transparent)]
    Line(#[from] line::Error),
    /// Threads to compute on.
    #[error(transparent)]
    Threads(#[from] machine::threads::Error),
    /// The decoder does not do what it was asked for.
    #[error("decoder {address} says no: {why}")]
    No {
        /// Where it listens.
        address: String,
        /// Its reason.
        why: String,
    },
    /// The decoder is gone, and did not come back.
    #[error("decoder {address} is lost, and was called again in vain: {source}")]
    Lost {
        /// Where it listened.
        address: String,
        /// What was met the second time.
        source: Box<Error>,
    },
    /// The decoder says what makes no sense.
    #[error("decoder {address}: its answer {what}")]
    Answer {
        /// Where it listens.
        address: String,
        /// What is wrong with it.
        what: String,
    },
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
