//! `fedbench reproduce NAME`: a shipped suite, run as it is, and the verdicts on a paper's claims.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use machine::clock::Stopwatch;
use reports::claims::{self, Claim};
use reports::{Report, markdown, terminal};
use schema::{Experiment, toml_file};
use serde::Deserialize;

use super::super::suite::RunSuite;
use super::super::{note, report, say};
use crate::plan::Plan;
use crate::progress::{bytes, duration};
use crate::session::Session;

/// A locked suite, and a paper's claims with a verdict each.
#[derive(Args)]
pub(crate) struct Reproduction {
    /// Where run folders and the report go; `runs/reproduce-NAME` without it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Judge the claims on runs that exist, and run nothing: run folders, or folders that hold some.
    #[arg(long, num_args = 1..)]
    runs: Vec<PathBuf>,
    /// Take run folders as they are, without comparing them with their checksums.
    #[arg(long)]
    no_verify: bool,
    /// Say what would be run, in which time, memory and bytes, and run nothing.
    #[arg(long, conflicts_with = "runs")]
    plan: bool,
    /// No plan and no progress.
    #[arg(long)]
    quiet: bool,
}

/// A reproduction's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Locked {
    suite: String,
    claims: Vec<Claim>,
}

impl Reproduction {
    pub(super) fn run(self, session: &mut Session, name: &str) -> Result<()> {
        let locked = read(name)?;
        let out = self.out.unwrap_or_else(|| PathBuf::from("runs").join(format!("reproduce-{name}")));
        let suite = RunSuite::plain(&locked.suite, out.clone(), self.quiet, self.no_verify);
        let (described, experiments) = suite.experiments()?;
        if !self.runs.is_empty() {
            let report = report::read(session, &self.runs, self.no_verify)?;
            report::notice(&[&report]);
            return judge(&report, &locked.claims, None);
        }
        if self.plan {
            // What was asked for.
            plan(session, &experiments, described.seeds.len())?.iter().for_each(|line| say(line));
            return Ok(());
        }
        if !self.quiet {
            plan(session, &experiments, described.seeds.len())?.iter().for_each(|line| note(line));
        }
        let place = out.join("report");
        suite.check_members(session, &described, &experiments)?;
        report::try_place(&place)?;
        let folders = suite.run_members(session, &experiments)?;
        let report = report::write(session, &folders, &place, self.no_verify)?;
        judge(&report, &locked.claims, Some(&place))
    }
}

fn read(name: &str) -> Result<Locked, study::Error> {
    let names = || baselines::REPRODUCTIONS.iter().map(|(name, _)| *name);
    let (name, text) = baselines::REPRODUCTIONS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| study::Error::unknown("reproduction", name, names()))?;
    Ok(toml_file::from_table(name, toml_file::parse_table(name, text)?)?)
}

/// What all runs take together, from one timed batch of every experiment with its first seed.
fn plan(session: &mut Session, experiments: &[Experiment], seeds: usize) -> Result<[String; 3]> {
    let clock = Stopwatch::start();
    let mut plans = Vec::new();
    for experiment in experiments.iter().step_by(seeds) {
        let resolved = session.resolve(experiment)?;
        let study = session.sketch(&resolved)?;
        plans.push(Plan::new(&study, &resolved.row, &resolved.inputs, &mut session.pace)?);
    }
    let sum = |of: fn(&Plan) -> u64| plans.iter().map(of).sum::<u64>() * seeds as u64;
    let time: f64 = plans.iter().map(|plan| plan.training_seconds + plan.evaluation_seconds).sum::<f64>() * seeds as f64;
    let memory = plans.iter().map(|plan| plan.memory_bytes).max().unwrap_or_default();
    let methods: BTreeSet<&str> = plans.iter().map(|plan| plan.method.as_str()).collect();
    let datasets: BTreeSet<&str> = plans.iter().map(|plan| plan.dataset.as_str()).collect();
    let listed = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
    let what = format!(
        "plan: {} runs ({} experiments x {seeds} seeds) of {} on {}",
        experiments.len(),
        plans.len(),
        listed(methods),
        listed(datasets)
    );
    let costs = format!(
        "  about {} on this machine, at most about {} of memory; {} optimizer steps",
        duration(time),
        bytes(memory),
        sum(|plan| plan.steps as u64)
    );
    let traffic = format!(
        "  about {} of adapters and {} of activations up, {} and {} down (planned in {})",
        bytes(sum(|plan| plan.adapters.uplink)),
        bytes(sum(|plan| plan.activations.uplink)),
        bytes(sum(|plan| plan.adapters.downlink)),
        bytes(sum(|plan| plan.activations.downlink)),
        duration(clock.seconds())
    );
    Ok([what, costs, traffic])
}

/// Prints the verdicts, and writes them into a folder.
fn judge(report: &Report, claims: &[Claim], folder: Option<&Path>) -> Result<()> {
    let judged = claims::judge(report, claims);
    let blocks = claims::blocks(&judged);
    say(terminal::render(&blocks).trim_end());
    let Some(folder) = folder else { return Ok(()) };
    let json = serde_json::to_string_pretty(&judged)? + "\n";
    for (name, text) in [("claims.md", markdown::render(&blocks)), ("claims.json", json)] {
        say(&format!("claims: {}", reports::write::replace(folder, name, text.as_bytes())?.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A claim that its suite cannot speak of would never be tested, and nobody would notice.
    #[test]
    fn shipped_claims_are_about_methods_of_their_suites() {
        for (name, _) in baselines::REPRODUCTIONS {
            let locked = read(name).expect("reads");
            let (_, experiments) =
                RunSuite::plain(&locked.suite, PathBuf::new(), true, false).experiments().expect("a shipped suite");
            for claim in locked.claims.iter().filter(|claim| claim.needs.is_none()) {
                assert!(!claim.than.is_empty(), "{name}: {}", claim.claim);
                for method in claim.than.iter().chain([&claim.method]) {
                    assert!(experiments.iter().any(|experiment| experiment.method.name == *method), "{name}: {method}");
                }
            }
        }
    }
}
