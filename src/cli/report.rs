//! `fedbench report`: tables, pictures and a page from run folders.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use reports::{Format, NoLibrary, Report, ReportError, Trust};

use super::{note, place, say};
use crate::library::AtHand;
use crate::session::Session;

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
    /// Accuracies, in percent: what it took to reach them. Without it, halfway from zero-shot to the best centralized method.
    #[arg(long, value_delimiter = ',', value_parser = percent)]
    target: Vec<f64>,
    /// Read run folders as they are: no comparison with their checksums, and a warning instead of an error where their files differ.
    #[arg(long)]
    no_verify: bool,
    /// A folder that datasets may be read from, for questions, pictures and label counts, where runs name theirs by a path; besides
    /// FEDBENCH_DATA. May be repeated.
    #[arg(long, value_name = "FOLDER")]
    data: Vec<PathBuf>,
    /// Show nothing of the datasets themselves: no questions, no pictures, no label counts.
    #[arg(long)]
    no_data: bool,
}

impl MakeReport {
    pub(crate) fn run(self, session: &Session) -> Result<()> {
        let formats = self.format.iter().map(|name| parse(name)).collect::<Result<Vec<_>, _>>()?;
        if let Some(out) = &self.out {
            place::check_outside_runs(out)?;
            try_place(out)?;
        }
        let report = Report { targets: self.target, ..read(session, &self.runs, self.no_verify)? };
        notice(&[&report]);
        let data = if self.no_data { None } else { Some(AtHand::below(self.data)) };
        match self.out {
            Some(out) => finish(report, &out, &formats, data).map(|_| ()),
            None => {
                say(&report.terminal());
                Ok(())
            }
        }
    }
}

fn parse(name: &str) -> Result<Format, study::Error> {
    name.parse().map_err(|_| study::Error::unknown("report format", name, Format::ALL.iter().map(|format| format.name())))
}

/// Tries whether a report can be written somewhere, before the work that it is about.
pub(crate) fn try_place(out: &Path) -> Result<()> {
    guard::files::try_folder(out).with_context(|| format!("cannot write a report to {}", out.display()))
}

/// A percentage as a fraction.
fn percent(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| (0.0..=100.0).contains(value));
    value.map(|value| value / 100.0).ok_or_else(|| "expected a percentage from 0 to 100".into())
}

/// Reads run folders, or refuses those that are not as they were written.
pub(crate) fn read(session: &Session, runs: &[PathBuf], no_verify: bool) -> Result<Report, ReportError> {
    let trust = if no_verify { Trust::AsTheyAre } else { Trust::Verified };
    Report::read_known(runs, trust, &session.registry().families())
}

/// Says once how many runs nobody can vouch for; JSON has the number in itself.
pub(crate) fn notice(reports: &[&Report]) {
    notice_of(reports.iter().map(|report| report.unverified).sum());
}

/// The same of so many runs.
pub(crate) fn notice_of(unverified: usize) {
    if unverified > 0 {
        let runs = if unverified == 1 { "1 run was".into() } else { format!("{unverified} runs were") };
        note(&format!("note: {runs} written before run folders had a {}: not verified", schema::run_dir::MANIFEST));
    }
}

/// Reads the folders of runs that were just asked for, writes the report, shows it, and says where it lies.
pub(crate) fn write(session: &Session, runs: &[PathBuf], out: &Path, no_verify: bool) -> Result<Report> {
    let report = read(session, runs, no_verify)?;
    notice(&[&report]);
    finish(report, out, Format::DEFAULT, Some(AtHand::of_this_process()))
}

/// Writes a report, shows it, and says where it lies: the page last.
fn finish(mut report: Report, out: &Path, formats: &[Format], data: Option<AtHand>) -> Result<Report> {
    if formats.iter().any(|format| format.is_illustrated()) {
        match data {
            Some(mut data) => report.illustrate(&mut data)?,
            None => report.illustrate(&mut NoLibrary)?,
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
