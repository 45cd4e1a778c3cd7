//! What can go wrong between a method, its clients and the server.

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A model, its files or its adapters.
    #[error(transparent)]
    Models(#[from] models::Error),
    /// Preparing, asking or judging examples.
    #[error(transparent)]
    Tasks(Box<tasks::Error>),
    /// A config asks for something that does not exist or does not fit.
    #[error("{0}")]
    Usage(String),
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
    /// What a client sent, or was sent, is not what it says, or is nothing that could be.
    #[error("client {client}, round {round}: its message {what}")]
    Message {
        /// The client.
        client: usize,
        /// The round.
        round: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Bytes that are no message, or whose sender is not known yet.
    #[error("a message {0}")]
    Unreadable(String),
    /// A client that does not answer.
    #[error("client {client}, round {round}: it is lost: {why}")]
    Lost {
        /// The client.
        client: usize,
        /// The round.
        round: usize,
        /// Why.
        why: String,
    },
    /// An engine that does not do what engines do.
    #[error("the engine brought {0}")]
    Engine(String),
    /// A round without updates.
    #[error("round {round}: every update was left out, so nothing can be aggregated; the first: {first}")]
    NothingLeft {
        /// The round.
        round: usize,
        /// Why the first was left out.
        first: Box<Error>,
    },
}

/// A result of this crate's.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether training went astray, as with a learning rate that is too large.
    pub fn has_diverged(&self) -> bool {
        match self {
            Self::Diverged { .. } => true,
            Self::NothingLeft { first, .. } => !matches!(**first, Self::Lost { .. }),
            Self::Tasks(error) => {
                matches!(**error, tasks::Error::AdaptersNotFinite { .. } | tasks::Error::Score { by_adapters: true, .. })
            }
            _ => false,
        }
    }

    /// With the name of the client that an unreadable message came from.
    pub fn of_client(self, client: usize, round: usize) -> Self {
        match self {
            Self::Unreadable(what) => Self::Message { client, round, what },
            other => other,
        }
    }

    /// Whether a config asked for something that does not exist or does not fit.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Usage(_) | Self::Models(models::Error::Usage(_)) => true,
            Self::Tasks(error) => error.is_usage(),
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
