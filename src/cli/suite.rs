//! `fedbench suite` and `fedbench quickstart`: experiments x seeds, then the report.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use harness::accounting::clock::Stopwatch;
use schema::{Experiment, Suite, toml_file};

use super::tune::Tune;
use super::{Overrides, report, say};
use crate::progress::duration;
use crate::runner::{self, Ran};
use crate::session::Session;

/// Experiments x seeds; runs that are complete are skipped.
#[derive(Args)]
pub(crate) struct RunSuite {
    /// The suite: a file, or the name of one that ships with the program.
    suite: String,
    #[command(flatten)]
    overrides: Overrides,
    /// Where run folders go.
    #[arg(long, default_value = "runs")]
    out: PathBuf,
    /// No plan and no progress.
    #[arg(long)]
    quiet: bool,
    #[command(subcommand)]
    instead: Option<Instead>,
}

/// What is done with a suite instead of running it.
#[derive(Subcommand)]
enum Instead {
    /// Search each experiment's learning rate on validation data, and write the suite with the rates that won.
    Tune(Tune),
}

/// Eight methods on embedded data with the embedded backbone, then the report.
#[derive(Args, Default)]
pub(crate) struct Quickstart {
    /// Where run folders and the report go; `runs/quickstart` without it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// No plan and no progress.
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    overrides: Option<QuickstartOverrides>,
}

#[derive(Args, Default)]
struct QuickstartOverrides {
    /// Set a key: `--set federation.rounds=1`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// At most so many training and so many test examples.
    #[arg(long)]
    limit: Option<usize>,
}

impl Quickstart {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        let given = self.overrides.unwrap_or_default();
        RunSuite {
            suite: "quickstart".into(),
            overrides: Overrides { set: given.set, limit: given.limit, device: None },
            out: self.out.unwrap_or_else(|| "runs/quickstart".into()),
            quiet: self.quiet,
            instead: None,
        }
        .run(session)
    }
}

impl RunSuite {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        let (suite, experiments) = self.experiments()?;
        if let Some(Instead::Tune(tune)) = &self.instead {
            return tune.run(session, &suite, &experiments, &self.out, self.quiet);
        }
        let folders = self.run_members(session, &suite, &experiments)?;
        report::write(&folders, &self.out.join("report"), reports::Format::DEFAULT, true).map(|_| ())
    }

    /// A suite as it is, into a folder.
    pub(crate) fn plain(suite: &str, out: PathBuf, quiet: bool) -> Self {
        let overrides = Overrides { set: Vec::new(), limit: None, device: None };
        Self { suite: suite.into(), overrides, out, quiet, instead: None }
    }

    /// Its experiments with every seed.
    pub(crate) fn experiments(&self) -> Result<(Suite, Vec<Experiment>), harness::Error> {
        let (origin, suite) = read(&self.suite)?;
        let experiments = members(&origin, &suite, &self.overrides)?;
        Ok((suite, experiments))
    }

    /// Runs what is not complete; all run folders.
    pub(crate) fn run_members(&self, session: &mut Session, suite: &Suite, experiments: &[Experiment]) -> Result<Vec<PathBuf>> {
        for experiment in experiments {
            session.registry().find(&experiment.method.name).with_context(|| format!("suite {}", suite.name))?;
        }
        if !self.quiet {
            eprintln!(
                "{}: {} runs ({} experiments x {} seeds)",
                suite.name,
                experiments.len(),
                experiments.len() / suite.seeds.len(),
                suite.seeds.len()
            );
        }
        self.run_all(session, experiments)
    }

    fn run_all(&self, session: &mut Session, experiments: &[Experiment]) -> Result<Vec<PathBuf>> {
        let clock = Stopwatch::start();
        let mut folders = Vec::new();
        let mut ran = 0usize;
        for (i, experiment) in experiments.iter().enumerate() {
            let done = runner::run(session, experiment, &self.out, self.quiet).with_context(|| {
                format!("run {} of {} ({}, seed {})", i + 1, experiments.len(), experiment.method.name, experiment.seed)
            })?;
            folders.push(done.folder().to_owned());
            ran += usize::from(matches!(done, Ran::Now(..)));
            if !self.quiet && ran > 0 {
                let left = clock.seconds() / ran as f64 * (experiments.len() - i - 1) as f64;
                eprintln!("{}/{} runs, about {} left", i + 1, experiments.len(), duration(left));
            }
        }
        say(&format!("{} runs, {ran} of them now, in {}", experiments.len(), duration(clock.seconds())));
        Ok(folders)
    }
}

/// A suite's file, or one that ships with the program.
fn read(name: &str) -> Result<(String, Suite), harness::Error> {
    let shipped = baselines::SUITES.iter().find(|(shipped, _)| *shipped == name);
    match shipped {
        Some((name, text)) => Ok((format!("suite {name}"), toml_file::from_table(name, toml_file::parse_table(name, text)?)?)),
        None if Path::new(name).extension().is_some() || Path::new(name).exists() => {
            Ok((name.into(), toml_file::read(Path::new(name))?))
        }
        None => Err(harness::Error::unknown("suite", name, baselines::SUITES.iter().map(|(name, _)| *name))),
    }
}

/// Every experiment of a suite with every seed: `base`, then the axes' combinations and the single experiments over it.
pub(crate) fn members(origin: &str, suite: &Suite, overrides: &Overrides) -> Result<Vec<Experiment>, harness::Error> {
    if suite.seeds.is_empty() {
        return Err(harness::Error::Usage(format!("{origin}: `seeds` is empty: expected at least one seed")));
    }
    let mut tables = combinations(suite);
    tables.extend(suite.experiments.iter().map(|over| laid(&suite.base, over)));
    if tables.is_empty() {
        return Err(harness::Error::Usage(format!("{origin}: no experiments: expected `[[experiments]]` or `[axes]`")));
    }
    let mut members = Vec::new();
    for mut table in tables {
        overrides.apply(&mut table)?;
        for &seed in &suite.seeds {
            table.insert("seed".into(), toml::Value::Integer(seed as i64));
            members.push(toml_file::from_table(origin, table.clone())?);
        }
    }
    Ok(members)
}

fn laid(base: &toml::Table, over: &toml::Table) -> toml::Table {
    let mut table = base.clone();
    toml_file::overlay(&mut table, over);
    table
}

/// One table per combination of the axes; none where there are no axes.
fn combinations(suite: &Suite) -> Vec<toml::Table> {
    if suite.axes.is_empty() {
        return Vec::new();
    }
    suite.axes.values().fold(vec![suite.base.clone()], |tables, axis| {
        tables.iter().flat_map(|table| axis.iter().map(|over| laid(table, over))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_suites_resolve() {
        for (name, _) in baselines::SUITES {
            let (origin, suite) = read(name).expect("reads");
            let overrides = Overrides { set: Vec::new(), limit: None, device: None };
            let members = members(&origin, &suite, &overrides).expect("resolves");
            let mut names: Vec<String> =
                members.iter().map(|member| member.run_name(&member.data.dataset, &member.backbone.name)).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), members.len(), "every member is a run of its own");
        }
    }
}
