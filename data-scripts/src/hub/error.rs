//! What can go wrong with the Hub, worded for the person who asked for a file.

use std::path::{Path, PathBuf};

/// Characters of a message about an answer: what a server says in it may be long.
const LONGEST_MESSAGE: usize = 600;

/// Why something could not be had from the Hub. No message ever holds a token, or the signed address of a redirect.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A text that is no `owner/name` or `owner/name@revision`.
    #[error("`{text}` is no Hub id ({why}); expected `owner/name` or `owner/name@revision`")]
    Id {
        /// What was typed, or a card says.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An environment variable cannot be used.
    #[error("{variable}: {message}")]
    Variable {
        /// The name of the variable.
        variable: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The network may not be used.
    #[error(
        "HF_HUB_OFFLINE is set, so `{repo}` cannot be fetched; its files belong in {} (unset the variable to download them)",
        folder.display()
    )]
    Offline {
        /// `owner/name@revision`.
        repo: String,
        /// Where its files would have to lie.
        folder: PathBuf,
    },
    /// The Hub wants to know who asks, or does not let them.
    #[error("{url}: {status}: {advice}")]
    Denied {
        /// What was asked for.
        url: String,
        /// 401 or 403.
        status: u16,
        /// What a person can do: a token, accepting terms, another spelling.
        advice: String,
    },
    /// No such repository, revision or file (404).
    #[error("{url}: 404: there is no {what}")]
    Missing {
        /// What was asked for.
        url: String,
        /// Repository and revision, or a file of them.
        what: String,
    },
    /// The Hub answered with a status that nothing can be made of.
    #[error("{url}: unexpected status {status}{}", if server.is_empty() { String::new() } else { format!(": {server}") })]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the server says of it, a line; empty where it says nothing.
        server: String,
    },
    /// It failed again and again.
    #[error("{url}: given up after {attempts} attempts without progress: {why}; the same command goes on where this one stopped")]
    GivenUp {
        /// What was asked for.
        url: String,
        /// Attempts in a row without progress.
        attempts: u32,
        /// The last attempt's trouble.
        why: String,
    },
    /// The Hub asks for a longer pause than one waits for.
    #[error("{url}: {status}: the Hub asks to wait {seconds} seconds; the same command goes on then where this one stopped")]
    Wait {
        /// What was asked for.
        url: String,
        /// 429 or 503.
        status: u16,
        /// What it asks for, by `Retry-After`.
        seconds: u64,
    },
    /// An answer makes no sense.
    #[error("{url}: {message}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        message: String,
    },
    /// What came is not what the Hub lists.
    #[error(
        "{url}: the {bytes} bytes that came have the checksum {found}, but the Hub lists {wanted}; they were thrown away, so the \
         same command starts this file again"
    )]
    Checksum {
        /// What was asked for.
        url: String,
        /// The length of what came.
        bytes: u64,
        /// The checksum of what came.
        found: String,
        /// The checksum that the Hub lists.
        wanted: String,
    },
    /// Nothing in the repository is wanted.
    #[error("`{repo}` has no file that fits {patterns}; there are: {there}")]
    NoFile {
        /// `owner/name@revision`.
        repo: String,
        /// The patterns that none of its files fits.
        patterns: String,
        /// The beginning of what it has.
        there: String,
    },
    /// A part of what belongs together is at hand.
    #[error("{}: {found} of the {wanted} files of `{pattern}` are there; fetch the rest first", folder.display())]
    Partial {
        /// The folder of the commit in the cache.
        folder: PathBuf,
        /// The pattern of whose files only some are at hand.
        pattern: String,
        /// How many of them are at hand.
        found: usize,
        /// How many the names promise (`-of-00003`).
        wanted: usize,
    },
    /// What lies in the cache is not what its name says.
    #[error(
        "{}: its content has the checksum {found}, but its name in the cache says {wanted}; remove the file and fetch it again",
        path.display()
    )]
    Spoiled {
        /// The content in the cache.
        path: PathBuf,
        /// Its content's checksum.
        found: String,
        /// The checksum that its name is.
        wanted: String,
    },
    /// The cache cannot be read or written.
    #[error("the Hub's cache cannot be used: {}: {source} (HF_HUB_CACHE, or HF_HOME, names another folder for it)", path.display())]
    File {
        /// What was read, written, locked or linked.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl HubError {
    /// For `map_err` after an operation on `path`.
    pub(super) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { path: path.into(), source }
    }

    /// An answer that makes no sense; of a long message, the beginning is kept.
    pub(super) fn answer(url: &str, message: impl Into<String>) -> Self {
        Self::Answer { url: url.into(), message: guard::text::line(&message.into(), LONGEST_MESSAGE) }
    }
}
