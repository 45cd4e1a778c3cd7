//! Rows with named columns, whatever they were written in.

use std::path::{Path, PathBuf};

use guard::text::line;

use crate::output::OutputError;

/// Columns of a table.
pub(super) const MOST_COLUMNS: usize = 1_000;

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A text, as it is written.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Flag(bool),
    /// Texts in order.
    List(Vec<String>),
}

/// A row, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The line it begins on, from 1; of a picture, its number.
    pub line: u64,
    /// A cell for each column.
    pub cells: Vec<Value>,
}

/// Rows that were read.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The file, or the folder of pictures.
    pub path: PathBuf,
    /// The folder that paths of pictures go from.
    pub folder: PathBuf,
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Record>,
}

/// Why rows cannot become a dataset.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A file or a folder could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file as a whole is wrong.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A row is wrong.
    #[error("{}: line {line}: {message}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// The dataset could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl TableError {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// A file that cannot be used.
    pub fn file(path: &Path, message: impl Into<String>) -> Self {
        Self::File { path: path.into(), message: message.into() }
    }

    /// A row that cannot be used.
    pub fn row(path: &Path, line: u64, message: impl Into<String>) -> Self {
        Self::Row { path: path.into(), line, message: message.into() }
    }
}

impl Table {
    /// The place of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// The same; an error that lists the columns where there is none.
    pub fn expect(&self, name: &str) -> Result<usize, TableError> {
        self.column(name).ok_or_else(|| {
            let nearest = schema::nearest(name, self.columns.iter().map(String::as_str));
            let listed: Vec<String> = nearest.iter().take(20).map(|name| format!("`{}`", line(name, 80))).collect();
            TableError::file(
                &self.path,
                format!("no column `{}`; nearest first, there are: {}", line(name, 80), listed.join(", ")),
            )
        })
    }

    /// An error of a row.
    pub fn wrong(&self, record: &Record, message: impl Into<String>) -> TableError {
        TableError::row(&self.path, record.line, message)
    }

    /// Appends a column.
    pub fn push(&mut self, name: &str, cell: impl Fn(&Record) -> Value) {
        self.columns.push(name.into());
        for record in &mut self.rows {
            let value = cell(record);
            record.cells.push(value);
        }
    }

    /// Takes columns out.
    pub fn remove(&mut self, places: &[usize]) {
        let keeps = |at: usize| !places.contains(&at);
        let mut at = 0..;
        self.columns.retain(|_| at.next().is_some_and(keeps));
        for record in &mut self.rows {
            let mut at = 0..;
            record.cells.retain(|_| at.next().is_some_and(keeps));
        }
    }
}
