//! The report as files, written aside and renamed: a reader never sees half of one.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::blocks::Block;
use crate::figures::{self, Figure};
use crate::sheet::Sheet;
use crate::tables;
use crate::{Report, ReportError, data, markdown, page};

/// The files of a report, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `report.md`.
    Markdown,
    /// `report.csv` (a row per metric), `configurations.csv` (a row per configuration), `runs.csv`, `rounds.csv`, `clients.csv`, and where
    /// there are any, `targets.csv` and `breakdowns.csv`.
    Csv,
    /// `report.json`.
    Json,
    /// The same as parquet, without `runs.csv`.
    Parquet,
    /// `report.tex`.
    Latex,
    /// `report.html`, with pictures.
    Html,
    /// `figures/*.svg`, to which `report.md` then links.
    Svg,
    /// `figures/*.png`.
    Png,
}

impl Format {
    /// All of them, in the order in which they are written.
    pub const ALL: &[Format] =
        &[Format::Markdown, Format::Csv, Format::Json, Format::Parquet, Format::Latex, Format::Html, Format::Svg, Format::Png];

    /// Those that are written unless others are asked for: all but PNG, which says what SVG says.
    pub const DEFAULT: &[Format] = Self::ALL.split_at(Self::ALL.len() - 1).0;

    /// Whether it shows pictures or examples, for which [`Report::illustrate`] reads more.
    pub fn is_illustrated(self) -> bool {
        matches!(self, Format::Html | Format::Svg | Format::Png)
    }

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Markdown => "md",
            Format::Csv => "csv",
            Format::Json => "json",
            Format::Parquet => "parquet",
            Format::Latex => "tex",
            Format::Html => "html",
            Format::Svg => "svg",
            Format::Png => "png",
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
        let illustrated = formats.iter().any(|format| format.is_illustrated());
        let blocks = if illustrated { self.illustrated() } else { tables::blocks(self) };
        let mut written = Vec::new();
        for format in formats {
            for (name, bytes) in self.files(*format, formats, &blocks)? {
                written.push(replace(out, &name, bytes)?);
            }
        }
        Ok(written)
    }

    /// What CSV and parquet hold, by the file's name; nothing that has no row.
    fn sheets(&self) -> impl Iterator<Item = (&'static str, Sheet)> {
        let sheets = [
            ("report", data::tidy(self)),
            ("configurations", data::configurations(self)),
            ("targets", data::targets(self)),
            ("breakdowns", data::breakdowns(self)),
            ("rounds", data::rounds(self)),
            ("clients", data::clients(self)),
        ];
        sheets.into_iter().filter(|(_, sheet)| !sheet.is_empty())
    }

    /// The files of a format: path in the report's folder, content.
    fn files(&self, format: Format, formats: &[Format], blocks: &[Block]) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
        let file = |name: &str, text: String| (name.to_string(), text.into_bytes());
        Ok(match format {
            Format::Markdown => vec![file("report.md", linked(formats, blocks))],
            Format::Csv => {
                let sheets = self.sheets().map(|(name, sheet)| file(&format!("{name}.csv"), sheet.csv()));
                sheets.chain([file("runs.csv", self.runs_csv())]).collect()
            }
            Format::Json => vec![file("report.json", self.json())],
            Format::Parquet => self.sheets().map(|(name, sheet)| (format!("{name}.parquet"), sheet.parquet())).collect(),
            Format::Latex => vec![file("report.tex", self.latex())],
            Format::Html => vec![file("report.html", page::render(self, blocks)?)],
            Format::Svg => pictures(blocks).map(|figure| file(&in_folder(figure, "svg"), figure.svg())).collect(),
            Format::Png => pictures(blocks)
                .map(|figure| Ok((in_folder(figure, "png"), figure.png()?)))
                .collect::<Result<_, ReportError>>()?,
        })
    }
}

/// With links to the pictures that are written beside it; without pictures where there are none.
fn linked(formats: &[Format], blocks: &[Block]) -> String {
    match [Format::Svg, Format::Png].into_iter().find(|format| formats.contains(format)) {
        Some(format) => markdown::render_linked(blocks, format.name()),
        None => {
            let plain = blocks.iter().filter(|block| !matches!(block, Block::Figure(_))).cloned();
            markdown::render(&plain.collect::<Vec<_>>())
        }
    }
}

fn pictures(blocks: &[Block]) -> impl Iterator<Item = &Figure> {
    blocks.iter().filter_map(|block| match block {
        Block::Figure(figure) => Some(figure),
        _ => None,
    })
}

fn in_folder(figure: &Figure, ending: &str) -> String {
    format!("{}/{}.{ending}", figures::FOLDER, figure.name)
}

/// Writes a file aside and renames it; the folders of its name are made.
pub fn replace(out: &Path, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf, ReportError> {
    let path = out.join(name);
    let folder = path.parent().unwrap_or(out);
    let written = fs::create_dir_all(folder).and_then(|()| guard::files::write_unlocked(&path, content.as_ref()));
    written.map_err(|source| ReportError::Write { path: path.clone(), source })?;
    Ok(path)
}
