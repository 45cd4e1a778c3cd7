//! What can be wrong with data, said so that the person who meets it knows what to change.

use std::path::{Path, PathBuf};

use guard::parquet::Problem;

/// Why a dataset, a picture or a partition cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The card contradicts itself.
    #[error("card of dataset `{dataset}`: {message}")]
    Card {
        /// The dataset's name.
        dataset: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// All of a dataset's test rows are training rows, too.
    #[error(
        "dataset `{dataset}`: no row of split `{split}` is left: of each one, {what}; leave the key out, or take another split"
    )]
    Duplicates {
        /// The dataset's name.
        dataset: String,
        /// The split.
        split: String,
        /// Why its rows are left out.
        what: &'static str,
    },
    /// The card has no such split.
    #[error("dataset `{dataset}` has no split `{split}`; nearest first, there are: {splits}")]
    NoSplit {
        /// The dataset's name.
        dataset: String,
        /// The split asked for.
        split: String,
        /// The splits that exist.
        splits: String,
    },
    /// A file that a split names is not there.
    #[error("{}: no file `{pattern}`, which split `{split}` of the card names; {there}", dir.display())]
    NoFile {
        /// The folder searched.
        dir: PathBuf,
        /// The name, or pattern, in the card.
        pattern: String,
        /// The split.
        split: String,
        /// What is there instead.
        there: String,
    },
    /// The file is not parquet, not all of it, or cannot be read.
    #[error("{}: {message}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
    /// A name of the card leads out of the dataset's folder.
    #[error(
        "split `{split}` of the card names `{pattern}`; a card's files lie within the dataset's folder, named from there: no `..`, no \
             absolute path"
    )]
    Outside {
        /// The name, or pattern, in the card.
        pattern: String,
        /// The split.
        split: String,
    },
    /// A split names a file twice.
    #[error("{}: split `{split}` of the card names it twice, by one name or by two; its rows would count twice", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The split.
        split: String,
    },
    /// Two files with the same content would count every row twice.
    #[error("{} and {}: the files of split `{split}` have the same content; their rows would count twice", path.display(), other.display())]
    Same {
        /// One of them.
        path: PathBuf,
        /// The other.
        other: PathBuf,
        /// The split.
        split: String,
    },
    /// A split names the files of two sets that hold the same rows, by their names.
    #[error("{}: split `{split}` of the card takes `{name}` and `{other}`, of two sets of files by their names; their rows would count \
             twice: name the files of one", dir.display())]
    Sets {
        /// The folder.
        dir: PathBuf,
        /// The split.
        split: String,
        /// A file of one.
        name: String,
        /// A file of the other.
        other: String,
    },
    /// Some of the files that belong together are missing.
    #[error("{}: {found} of the {wanted} files of split `{split}` that belong together, by the name `{name}`, are there (the first that is \
             missing is number {missing}); get the others, too", dir.display())]
    Shards {
        /// The folder.
        dir: PathBuf,
        /// The split.
        split: String,
        /// One of the files.
        name: String,
        /// How many there are.
        found: usize,
        /// How many there should be.
        wanted: usize,
        /// The first that is missing.
        missing: usize,
    },
    /// A column that the card names is not in the file, or of a type that cannot serve.
    #[error("{}: {message}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// What is wrong, what would be right, and the columns that exist.
        message: String,
    },
    /// The files hold another number of rows than the card says.
    #[error("{files}: {found} rows, but the card says that split `{split}` has {wanted}: other files, or an outdated card")]
    RowCount {
        /// The split's files.
        files: String,
        /// The split.
        split: String,
        /// Rows in the files.
        found: usize,
        /// Rows in the card.
        wanted: usize,
    },
    /// The files are not the ones the card was written for.
    #[error("{files}: SHA-256 {found}, but the card says {wanted} for split `{split}`: other files, or an outdated card")]
    Checksum {
        /// The split's files.
        files: String,
        /// The split.
        split: String,
        /// The checksum of the files.
        found: String,
        /// The checksum in the card.
        wanted: String,
    },
    /// A row cannot be read.
    #[error("{}: row {row} (counted from 0): {reason}; `on_bad_row = \"skip\"` in the card leaves such rows out", path.display())]
    BadRow {
        /// The file.
        path: PathBuf,
        /// The row in this file, from 0.
        row: usize,
        /// Why.
        reason: String,
    },
    /// Answers seem to count the choices from another number than the card says.
    #[error(
        "{files}: {beyond} of the answers are no choice by one, but {end} are the one at the other end; the first is that of row {row}: \
             {reason}. Are all of them one off?"
    )]
    OneOff {
        /// How many answers are a choice before the first, or one behind the last.
        beyond: usize,
        /// How many are the choice at the other end.
        end: usize,
        /// The split's files.
        files: String,
        /// The first such row, over all files.
        row: usize,
        /// Why it was left out.
        reason: String,
    },
    /// There is nothing to train or to judge on.
    #[error("{files}: split `{split}` has no usable row ({why})")]
    NoRows {
        /// The split's files.
        files: String,
        /// The split.
        split: String,
        /// How that came.
        why: String,
    },
    /// A question names a picture that is not there.
    #[error("{files}: column `{column}` has no `{id}`, the picture of example `{example}` ({more} more are missing)")]
    NoPicture {
        /// The pictures' files.
        files: String,
        /// Their column of names.
        column: String,
        /// The name.
        id: String,
        /// An example that names it.
        example: String,
        /// How many other pictures are missing.
        more: usize,
    },
    /// A picture of a dataset cannot be used.
    #[error("{origin}: {reason}; `on_bad_row = \"skip\"` in the card leaves such rows out")]
    Picture {
        /// Where it stands.
        origin: String,
        /// Why.
        reason: String,
    },
    /// A picture cannot be used.
    #[error("{reason}")]
    Image {
        /// Why.
        reason: String,
    },
    /// These examples cannot be split as configured.
    #[error("partition: {message}")]
    Partition {
        /// What is wrong and what to change.
        message: String,
    },
    /// A saved partition does not fit.
    #[error("{}: {message}", path.display())]
    PartitionFile {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to change.
        message: String,
    },
}

impl DataError {
    /// For `map_err` after reading or writing `path`.
    pub(super) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { path: path.into(), source }
    }

    /// A parquet file that cannot be read.
    pub(super) fn parquet(path: &Path, message: impl Into<String>) -> Self {
        Self::Parquet { path: path.into(), message: message.into() }
    }

    /// What the look at a file found before it was read as parquet.
    pub(super) fn problem(path: &Path, problem: Problem) -> Self {
        match problem {
            Problem::Io(source) => Self::File { path: path.into(), source },
            problem => Self::parquet(path, problem.to_string()),
        }
    }

    /// A partition that cannot be drawn.
    pub(super) fn partition(message: impl Into<String>) -> Self {
        Self::Partition { message: message.into() }
    }
}

/// Names of many that a message lists.
const LISTED: usize = 20;

/// Names as a message lists them: nearest to `wanted` first, in backquotes, each in one short line; of many, some.
pub(super) fn listed<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = schema::nearest(wanted, names);
    let shown: Vec<String> = nearest.iter().take(LISTED).map(|name| format!("`{}`", brief(name))).collect();
    match nearest.len() {
        0 => "none".into(),
        count if count > LISTED => format!("{} and {} more", shown.join(", "), count - LISTED),
        _ => shown.join(", "),
    }
}

/// A name or a cell as a message shows it.
pub(super) fn brief(text: &str) -> String {
    guard::text::line(text, 100)
}
