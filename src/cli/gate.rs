//! `fedbench gate`: exit 1 on a regression against a baseline, 0 on noise.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use reports::gate::{Gate, Rule};

use super::{report, say, say_json};
use crate::session::Session;

/// Compare runs with a baseline: exit 1 only if accuracy fell, or log-loss rose, by more than a margin and by more than chance.
#[derive(Args)]
pub(crate) struct RunGate {
    /// Run folders to compare with, or folders that hold some.
    #[arg(long, required = true, num_args = 1..)]
    baseline: Vec<PathBuf>,
    /// Run folders of the same experiments, or folders that hold some; other seeds are fine.
    #[arg(long, required = true, num_args = 1..)]
    runs: Vec<PathBuf>,
    /// The fall of accuracy that is accepted, in percentage points.
    #[arg(long, default_value_t = 2.0)]
    margin: f64,
    /// The rise that is accepted of the right option's log-loss (of a softmax over the options' scores), in nats.
    #[arg(long, default_value_t = 0.3)]
    loss_margin: f64,
    /// The significance level, over all configurations and both quantities together.
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// Runs of a build with uncommitted changes are no error.
    #[arg(long)]
    allow_dirty: bool,
    /// Fail, too, where too few rows or seeds would hide a fall of the margin.
    #[arg(long)]
    strict: bool,
    /// Read run folders as they are, without comparing them with their checksums.
    #[arg(long)]
    no_verify: bool,
    /// How to print it; `github` also writes a step summary where the workflow asks for one.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
    Junit,
    Github,
}

impl RunGate {
    pub(crate) fn run(self, session: &Session) -> Result<()> {
        let wrong = |message: String| Err(study::Error::Usage(message).into());
        if !(self.margin.is_finite() && self.margin >= 0.0) {
            return wrong(format!("--margin {}: expected percentage points, 0 or more", self.margin));
        }
        if !(self.loss_margin.is_finite() && self.loss_margin >= 0.0) {
            return wrong(format!("--loss-margin {}: expected nats, 0 or more", self.loss_margin));
        }
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return wrong(format!("--alpha {}: expected a probability in (0, 1)", self.alpha));
        }
        let Self { loss_margin, alpha, allow_dirty, strict, .. } = self;
        let rule = Rule { margin: self.margin / 100.0, loss_margin, alpha, allow_dirty, strict };
        let read = |runs: &[PathBuf]| report::read(session, runs, self.no_verify);
        let [baseline, runs] = [read(&self.baseline)?, read(&self.runs)?];
        if !matches!(self.format, Format::Json) {
            report::notice(&[&baseline, &runs]);
        }
        let gate = Gate::new(&baseline, &runs, rule);
        match self.format {
            Format::Text => say(gate.text().trim_end()),
            Format::Json => say_json(gate.json().trim_end()),
            Format::Junit => say(gate.junit().trim_end()),
            Format::Github => {
                say(format!("{}{}", gate.github(), gate.sentence()).trim_end());
                write_step_summary(&gate)?;
            }
        }
        if gate.passes() { Ok(()) } else { bail!("{}", gate.sentence()) }
    }
}

/// Adds the table to the summary that a GitHub workflow's step shows, where there is one.
fn write_step_summary(gate: &Gate) -> Result<()> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from) else { return Ok(()) };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(gate.text().as_bytes()));
    written.with_context(|| format!("cannot write GITHUB_STEP_SUMMARY, {}", path.display()))
}
