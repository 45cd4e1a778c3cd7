//! `fedbench compare`: two sets of runs, metric by metric. A set is a folder, or what a git revision keeps.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use guard::leftovers::sweep;
use reports::Report;
use reports::compare::Compare;
use tempfile::TempDir;

use super::{report, say, say_json};
use crate::session::Session;

/// Where a revision's runs lie, unless `REVISION:PATH` says otherwise.
const KEPT: &str = "reports/results";

/// How temporary folders begin.
const TEMPORARY: &str = "fedbench-compare-";

/// Compare two sets of runs, metric by metric, with verdicts.
#[derive(Args)]
pub(crate) struct RunCompare {
    /// Run folders, or folders that hold some; or a git revision, `REVISION` or `REVISION:PATH`.
    a: String,
    /// The same, to be compared with A.
    b: String,
    /// Read run folders as they are, without comparing them with their checksums.
    #[arg(long)]
    no_verify: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Md,
    Json,
}

impl RunCompare {
    pub(crate) fn run(self, session: &Session) -> Result<()> {
        let [a, b] = [read(session, &self.a, self.no_verify)?, read(session, &self.b, self.no_verify)?];
        if !matches!(self.format, Format::Json) {
            report::notice(&[&a, &b]);
        }
        let compare = Compare::new(&a, &b);
        match self.format {
            Format::Text => say(compare.terminal().trim_end()),
            Format::Md => say(compare.markdown().trim_end()),
            Format::Json => say_json(compare.json().trim_end()),
        }
        Ok(())
    }
}

/// A folder's runs, or a revision's.
fn read(session: &Session, name: &str, no_verify: bool) -> Result<Report> {
    if Path::new(name).exists() {
        return Ok(report::read(session, &[PathBuf::from(name)], no_verify)?);
    }
    let (revision, path) = name.split_once(':').unwrap_or((name, KEPT));
    let folder = extract(revision, path).with_context(|| {
        format!("`{name}`: expected a folder that exists, or a git revision (`REVISION`, `REVISION:PATH`) of the repository here")
    })?;
    Ok(report::read(session, &[folder.path().into()], no_verify)?)
}

/// A path of a revision as a temporary folder, by `git archive` and `tar`.
fn extract(revision: &str, path: &str) -> Result<TempDir> {
    // Named by this process, so that what a killed one left is known.
    sweep(&std::env::temp_dir(), TEMPORARY, |rest| rest.starts_with('-'));
    let folder = tempfile::Builder::new().prefix(&format!("{TEMPORARY}{}-", std::process::id())).tempdir()?;
    let commit = format!("{revision}^{{commit}}");
    let known = Command::new("git").args(["rev-parse", "--quiet", "--verify", "--end-of-options", &commit]).output();
    let known = known.context("git is not at hand")?;
    anyhow::ensure!(known.status.success(), "git knows no revision `{revision}`");
    let commit = String::from_utf8_lossy(&known.stdout).trim().to_owned();
    let top = Command::new("git").args(["rev-parse", "--show-toplevel"]).output()?;
    let top = PathBuf::from(String::from_utf8_lossy(&top.stdout).trim());
    let archive = Command::new("git").current_dir(top).args(["archive", "--format=tar", &commit, "--", path]).output()?;
    let refused = String::from_utf8_lossy(&archive.stderr).trim().to_owned();
    anyhow::ensure!(archive.status.success(), "git archive {revision} {path}: {refused}");
    unpack(&archive.stdout, folder.path())?;
    Ok(folder)
}

fn unpack(archive: &[u8], folder: &Path) -> Result<()> {
    use std::io::Write;
    let mut tar =
        Command::new("tar").arg("-x").arg("-C").arg(folder).stdin(Stdio::piped()).spawn().context("tar is not at hand")?;
    tar.stdin.take().context("tar takes no input")?.write_all(archive)?;
    anyhow::ensure!(tar.wait()?.success(), "tar could not unpack the revision");
    Ok(())
}
