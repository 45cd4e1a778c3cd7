//! What can go wrong between a server and its workers.

use std::path::PathBuf;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A line, or who is at its other end.
    #[error(transparent)]
    Line(#[from] line::Error),
    /// Another experiment, or the same over other data or weights.
    #[error(
        "{at} has the run {there}, and here it is {here}: it is {differs}; both sides need the same experiment, seed, data and weights"
    )]
    Other {
        /// The worker's address.
        at: String,
        /// What differs.
        differs: String,
        /// This side's run.
        here: String,
        /// The worker's.
        there: String,
    },
    /// A client that two workers have.
    #[error("client {client} is at {} and at {}; expected one worker for each client", at[0], at[1])]
    Twice {
        /// The client.
        client: usize,
        /// The workers' addresses.
        at: [String; 2],
    },
    /// Clients that no worker has.
    #[error("no worker has {0}; start one with `--clients {1}`", shown(clients), listed(clients))]
    NoWorker {
        /// The clients.
        clients: Vec<usize>,
    },
    /// A client that the experiment has not.
    #[error("{at} has client {client}; the experiment's are 0 to {}", clients - 1)]
    NoSuchClient {
        /// The worker's address.
        at: String,
        /// The client.
        client: usize,
        /// How many there are.
        clients: usize,
    },
    /// The other side says why it does not do what it is asked.
    #[error("{at} refuses: {why}")]
    Refused {
        /// The worker's address.
        at: String,
        /// Its reason.
        why: String,
    },
    /// The other side tried, and failed.
    #[error("{at}: {why}")]
    Failed {
        /// The worker's address.
        at: String,
        /// What it says.
        why: String,
    },
    /// What was said makes no sense.
    #[error("{at} {what}")]
    Senseless {
        /// Who said it.
        at: String,
        /// What is wrong with it.
        what: String,
    },
    /// A folder or file of what clients remember.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the person who started this can mend it by typing something else.
    pub fn is_usage(&self) -> bool {
        use line::Error as Line;
        match self {
            Self::Line(error) => {
                matches!(
                    error,
                    Line::Address { .. }
                        | Line::Plain { .. }
                        | Line::Security { .. }
                        | Line::File { .. }
                        | Line::Taken { .. }
                        | Line::Listen { .. }
                        | Line::Refused { .. }
                )
            }
            Self::Other { .. }
            | Self::Twice { .. }
            | Self::NoWorker { .. }
            | Self::NoSuchClient { .. }
            | Self::Refused { .. } => true,
            Self::Failed { .. } | Self::Senseless { .. } | Self::Io { .. } => false,
        }
    }
}

/// A result of this crate's.
pub type Result<T> = std::result::Result<T, Error>;

/// "client 3", "clients 3,4".
fn shown(clients: &[usize]) -> String {
    format!("client{} {}", if clients.len() == 1 { "" } else { "s" }, listed(clients))
}

/// "3,4,7".
fn listed(clients: &[usize]) -> String {
    const SHOWN: usize = 20;
    let listed: Vec<String> = clients.iter().take(SHOWN).map(usize::to_string).collect();
    format!("{}{}", listed.join(","), if clients.len() > SHOWN { ",..." } else { "" })
}
