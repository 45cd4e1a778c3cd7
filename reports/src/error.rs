//! Why a report could not be made, worded for the person who asked for it.

use std::path::PathBuf;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folders hold no finished run.
    #[error(
        "no finished run (a folder with summary.json) in {searched}{}{}",
        if *.links > 0 { format!("; links to folders ({links} there) are not followed: name the folders themselves") } else { String::new() },
        if *.incomplete > 0 { format!("; {incomplete} unfinished: `fedbench run` or `fedbench suite` again completes them") } else { String::new() }
    )]
    NoRuns {
        /// The folders searched, joined by commas.
        searched: String,
        /// How many runs in them have no summary yet.
        incomplete: usize,
        /// How many links to folders in them were not followed.
        links: usize,
    },
    /// A place to search that is no folder.
    #[error(
        "{path} {}: expected a run folder, or a folder that holds some",
        if *.is_there { "is not a folder" } else { "does not exist" }
    )]
    NoFolder {
        /// The place as it was given.
        path: PathBuf,
        /// Whether something else lies there.
        is_there: bool,
    },
    /// A file or folder could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder that was to be opened, listed or read.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A run's file is not the one that the run wrote, or says what no run says.
    #[error(
        "{0}; the run is not as it was written: `fedbench run` or `fedbench suite` runs it again, --no-verify skips the checksums"
    )]
    Changed(#[from] schema::manifest::Mismatch),
    /// A pack's file is not the one that was written, or says what no pack says.
    #[error(
        "{0}; the pack is not as it was written: get it again, or make it anew from its runs (`fedbench keep`); --no-verify skips the checksums"
    )]
    Pack(schema::manifest::Mismatch),
    /// Runs that cannot be kept as they are, or not there.
    #[error("{path}: {what}")]
    Keep {
        /// The run, or the place.
        path: PathBuf,
        /// Why not, and what would be right.
        what: String,
    },
    /// A run's files do not say the same.
    #[error(
        "{}: {what}; something was changed after the run: `fedbench run` or `fedbench suite` runs it again, --no-verify reads it as it is",
        dir.display()
    )]
    Disagrees {
        /// The run's folder.
        dir: PathBuf,
        /// In what they differ: either file, and what it says.
        what: String,
    },
    /// A JSON file is not what it should be.
    #[error("{path}: {source}")]
    Json {
        /// The JSON file of a run.
        path: PathBuf,
        /// serde's reason, with line and column.
        source: serde_json::Error,
    },
    /// The experiment could not be read.
    #[error(transparent)]
    Toml(#[from] schema::toml_file::TomlError),
    /// A parquet file is not what it should be.
    #[error("{path}: {message}")]
    Parquet {
        /// The parquet file of a run.
        path: PathBuf,
        /// What is wrong: a column, a type, a row.
        message: String,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file that was to be written, or its folder made.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A page whose tables cannot be made.
    #[error("{}, line {line}: {what}", path.display())]
    Page {
        /// The page.
        path: PathBuf,
        /// The line of the table's comment.
        line: usize,
        /// What is wrong there, and what would be right.
        what: String,
    },
    /// A picture could not be painted.
    #[error("cannot paint a picture: {message}")]
    Picture {
        /// Which size could not be had, or what the encoder said.
        message: String,
    },
    /// A format that does not exist.
    #[error("unknown format `{wanted}`; nearest first, there are: {known}")]
    UnknownFormat {
        /// What stood behind `--format`.
        wanted: String,
        /// The formats there are, nearest first.
        known: String,
    },
}
