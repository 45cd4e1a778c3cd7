//! `fedbench reproduce NAME`: a shipped suite, run as it is, and the verdicts on a paper's claims.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use reports::claims::{self, Claim};
use reports::{Report, markdown, terminal};
use schema::toml_file;
use serde::Deserialize;

use super::super::forecast::Forecast;
use super::super::suite::RunSuite;
use super::super::{note, report, say};
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
    /// Another backbone than the suite's: a name, or a folder of pretrained weights.
    #[arg(long, conflicts_with = "runs")]
    backbone: Option<String>,
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
        let suite = self.backbone.iter().fold(suite, |suite, backbone| suite.on(backbone));
        let (described, experiments) = suite.experiments()?;
        if !self.runs.is_empty() {
            let report = report::read(session, &self.runs, self.no_verify)?;
            report::notice(&[&report]);
            return judge(&report, &locked.claims, None);
        }
        if self.plan {
            // What was asked for.
            Forecast::new(session, &experiments, described.seeds.len())?.lines.iter().for_each(|line| say(line));
            return Ok(());
        }
        if !self.quiet {
            Forecast::new(session, &experiments, described.seeds.len())?.lines.iter().for_each(|line| note(line));
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
