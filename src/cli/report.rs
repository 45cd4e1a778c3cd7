//! `fedbench report`: tables, pictures and a page from run folders.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use reports::{Format, NoLibrary, Report};

use super::say;
use crate::library::AtHand;

/// Tables, pictures and a page from run folders.
#[derive(Args)]
pub(crate) struct MakeReport {
    /// Run folders, or folders that hold some.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Where the report goes; on screen only without it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Formats to write: md, csv, json, parquet, tex, html (one page with everything), svg and png (its pictures).
    #[arg(long, value_delimiter = ',', default_value = "md,csv,json,parquet,tex,html,svg")]
    format: Vec<String>,
    /// Accuracies, in percent: what it took to reach them. Without it, one chosen for each dataset (ARCHITECTURE.md).
    #[arg(long, value_delimiter = ',', value_parser = percent)]
    target: Vec<f64>,
    /// Show nothing of the datasets themselves: no questions, no pictures, no label counts.
    #[arg(long)]
    no_data: bool,
}

impl MakeReport {
    pub(crate) fn run(self) -> Result<()> {
        let formats = self.format.iter().map(|name| parse(name)).collect::<Result<Vec<_>, _>>()?;
        let report = Report { targets: self.target, ..Report::read(&self.runs)? };
        match self.out {
            Some(out) => finish(report, &out, &formats, !self.no_data).map(|_| ()),
            None => {
                say(&report.terminal());
                Ok(())
            }
        }
    }
}

fn parse(name: &str) -> Result<Format, harness::Error> {
    name.parse().map_err(|_| harness::Error::unknown("report format", name, Format::ALL.iter().map(|format| format.name())))
}

/// A percentage as a fraction.
fn percent(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| (0.0..=100.0).contains(value));
    value.map(|value| value / 100.0).ok_or_else(|| "expected a percentage from 0 to 100".into())
}

/// Reads run folders, writes the report, shows it, and says where it lies.
pub(crate) fn write(runs: &[PathBuf], out: &Path, formats: &[Format], with_data: bool) -> Result<Report> {
    finish(Report::read(runs)?, out, formats, with_data)
}

/// Writes a report, shows it, and says where it lies: the page last.
fn finish(mut report: Report, out: &Path, formats: &[Format], with_data: bool) -> Result<Report> {
    if formats.iter().any(|format| format.is_illustrated()) {
        match with_data {
            true => report.illustrate(&mut AtHand::default())?,
            false => report.illustrate(&mut NoLibrary)?,
        }
    }
    let written = report.write(out, formats)?;
    say(&report.terminal());
    let (pages, others): (Vec<_>, Vec<_>) =
        written.iter().partition(|path| path.extension().is_some_and(|ending| ending == "html"));
    let (files, pictures): (Vec<_>, Vec<_>) = others.into_iter().partition(|path| path.parent() == Some(out));
    for path in files {
        say(&format!("report: {}", path.display()));
    }
    if !pictures.is_empty() {
        say(&format!("pictures: {} in {}", pictures.len(), out.join(reports::figures::FOLDER).display()));
    }
    for path in pages {
        say(&format!("page: {}", path.display()));
    }
    Ok(report)
}
