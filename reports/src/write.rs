//! The report as files, written aside and renamed: a reader never sees half of one.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::{Report, ReportError};

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `report.md`.
    Markdown,
    /// `report.csv` and `runs.csv`.
    Csv,
    /// `report.json`.
    Json,
    /// `report.parquet`: the rows of `report.csv`.
    Parquet,
    /// `report.tex`.
    Latex,
}

impl Format {
    /// All of them.
    pub const ALL: &[Format] = &[Format::Markdown, Format::Csv, Format::Json, Format::Parquet, Format::Latex];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Markdown => "md",
            Format::Csv => "csv",
            Format::Json => "json",
            Format::Parquet => "parquet",
            Format::Latex => "tex",
        }
    }
}

impl FromStr for Format {
    type Err = ReportError;

    fn from_str(text: &str) -> Result<Self, ReportError> {
        let unknown = || ReportError::UnknownFormat {
            wanted: text.into(),
            known: schema::nearest(text, Self::ALL.iter().map(|format| format.name())).join(", "),
        };
        Self::ALL.iter().copied().find(|format| format.name() == text).ok_or_else(unknown)
    }
}

impl Report {
    /// Writes the report into a folder, made where it is missing; returns the files.
    pub fn write(&self, out: &Path, formats: &[Format]) -> Result<Vec<PathBuf>, ReportError> {
        fs::create_dir_all(out).map_err(|source| ReportError::Write { path: out.into(), source })?;
        let files = formats.iter().flat_map(|format| match format {
            Format::Markdown => vec![("report.md", self.markdown().into_bytes())],
            Format::Csv => vec![("report.csv", self.csv().into_bytes()), ("runs.csv", self.runs_csv().into_bytes())],
            Format::Json => vec![("report.json", self.json().into_bytes())],
            Format::Parquet => vec![("report.parquet", self.parquet())],
            Format::Latex => vec![("report.tex", self.latex().into_bytes())],
        });
        files.map(|(name, bytes)| replace(out, name, &bytes)).collect()
    }
}

/// Writes a file aside and renames it.
pub fn replace(out: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, ReportError> {
    let path = out.join(name);
    let aside = out.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = fs::write(&aside, bytes).and_then(|()| fs::rename(&aside, &path));
    written.map_err(|source| ReportError::Write { path: path.clone(), source })?;
    Ok(path)
}
