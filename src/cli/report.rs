//! `fedbench report`: tables from run folders.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use reports::{Format, Report};

use super::say;

/// Tables from run folders.
#[derive(Args)]
pub(crate) struct MakeReport {
    /// Run folders, or folders that hold some.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Where the report goes; on screen only without it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Formats to write.
    #[arg(long, value_delimiter = ',', default_value = "md,csv,json,parquet,tex")]
    format: Vec<String>,
}

impl MakeReport {
    pub(crate) fn run(self) -> Result<()> {
        let formats = self.format.iter().map(|name| parse(name)).collect::<Result<Vec<_>, _>>()?;
        match self.out {
            Some(out) => write(&self.runs, &out, &formats),
            None => {
                say(&Report::read(&self.runs)?.terminal());
                Ok(())
            }
        }
    }
}

fn parse(name: &str) -> Result<Format, harness::Error> {
    name.parse().map_err(|_| harness::Error::unknown("report format", name, Format::ALL.iter().map(|format| format.name())))
}

/// Reads run folders, writes the report and shows it.
pub(crate) fn write(runs: &[PathBuf], out: &Path, formats: &[Format]) -> Result<()> {
    let report = Report::read(runs)?;
    let written = report.write(out, formats)?;
    say(&report.terminal());
    for path in written {
        say(&format!("report: {}", path.display()));
    }
    Ok(())
}
