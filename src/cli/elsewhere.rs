//! `fedbench suite X --engine slurm`, and what its jobs call: `--member`, `--collect`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use schema::Experiment;

use super::arguments::Overrides;
use super::{report, say};
use crate::runner::{self, Options, Ran};
use crate::session::Session;
use crate::slurm::{self, Member, Members, Plan};

/// Where a suite's runs are run.
#[derive(Args, Default)]
pub(super) struct Elsewhere {
    /// What runs the runs: this process without it, one after the other; or `slurm`, a job each.
    #[arg(long, value_name = "ENGINE")]
    engine: Option<Engine>,
    /// Submit to Slurm what is written; without it the commands that do are printed.
    #[arg(long, requires = "engine")]
    submit: bool,
    /// More options for the jobs, as sbatch takes them: `--sbatch "--time=2:00:00 --cpus-per-task=4"`.
    #[arg(long, value_name = "OPTIONS", requires = "engine", allow_hyphen_values = true, value_parser = one_line)]
    sbatch: Option<String>,
    /// At most so many jobs at a time.
    #[arg(long, requires = "engine", default_value = "8", value_parser = count())]
    parallel: u64,
    /// At most so many jobs in an array: the site's MaxArraySize (`scontrol show config`).
    #[arg(long, requires = "engine", default_value = "1001", value_parser = count())]
    array_size: u64,
    /// Run this run alone, of those that were last written for Slurm (counted from 0); an error where the suite has another one there now.
    #[arg(long, value_name = "N", conflicts_with_all = ["engine", "collect"])]
    member: Option<usize>,
    /// Run nothing: report on what is complete of what was last written for Slurm, and fail if anything is missing.
    #[arg(long, conflicts_with = "engine")]
    collect: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    /// An array of jobs.
    Slurm,
}

fn count() -> RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..=1_000_000)
}

fn one_line(text: &str) -> Result<String, String> {
    match text.contains('\n') {
        true => Err("expected one line".into()),
        false => Ok(text.into()),
    }
}

/// A suite, as it was asked for.
pub(super) struct Asked<'a> {
    /// As it was typed.
    pub(super) suite: &'a str,
    /// Its own name.
    pub(super) name: &'a str,
    /// Its runs.
    pub(super) experiments: &'a [Experiment],
    /// What was changed of them.
    pub(super) overrides: &'a Overrides,
    /// Where run folders go.
    pub(super) out: &'a Path,
    /// How runs are run.
    pub(super) options: Options,
}

impl Elsewhere {
    /// Whether anything else is asked for than to run the whole suite here.
    pub(super) fn is_asked(&self) -> bool {
        self.is_submission() || self.member.is_some() || self.collect
    }

    /// Whether all of it goes elsewhere.
    pub(super) fn is_submission(&self) -> bool {
        self.engine.is_some()
    }

    /// Does what is asked for instead.
    pub(super) fn run(&self, session: &mut Session, asked: &Asked) -> Result<()> {
        match (self.engine, self.member) {
            (Some(Engine::Slurm), _) => self.freeze(session, asked),
            (None, Some(member)) => asked.run_member(session, member),
            (None, None) => asked.collect(session),
        }
    }

    /// Writes what Slurm is to do, and has it done or says how.
    fn freeze(&self, session: &mut Session, asked: &Asked) -> Result<()> {
        let (members, left) = asked.members(session)?;
        let plan = Plan {
            name: asked.name,
            out: asked.out,
            command: asked.command()?,
            sbatch: self.sbatch.as_deref(),
            parallel: self.parallel as usize,
            array_size: self.array_size as usize,
        };
        let scripts = plan.write(&members, &left)?;
        say(&format!("{} runs, {} of them to be run", asked.experiments.len(), left.len()));
        match self.submit {
            true => {
                let said = |(script, id): (&PathBuf, String)| say(&format!("job {id}: {}", script.display()));
                scripts.iter().zip(slurm::submit(&scripts)?).for_each(said);
            }
            false => slurm::commands(&scripts).iter().for_each(|command| say(command)),
        }
        Ok(())
    }
}

impl Asked<'_> {
    /// All members, and the places of those that are not complete.
    fn members(&self, session: &mut Session) -> Result<(Members, Vec<usize>)> {
        let (mut members, mut left) = (Vec::new(), Vec::new());
        for (member, experiment) in self.experiments.iter().enumerate() {
            let (resolved, before) = runner::look(session, experiment, self.out, self.options)?;
            if before.is_none() {
                left.push(member);
            }
            members.push(Member { member, run: resolved.name, experiment: resolved.experiment });
        }
        Ok((Members { suite: self.suite.into(), members }, left))
    }

    /// This program with this suite, as it was asked for.
    fn command(&self) -> Result<Vec<String>> {
        let program = std::env::current_exe()?;
        let mut command = vec![program.display().to_string(), "suite".into(), self.suite.into()];
        command.extend(self.overrides.arguments());
        if self.options.unverified {
            command.push("--no-verify".into());
        }
        Ok(command)
    }

    fn run_member(&self, session: &mut Session, place: usize) -> Result<()> {
        let frozen = Members::read(self.out)?;
        let member = frozen.at(place)?;
        let Some(experiment) = self.experiments.get(place) else {
            let (suite, runs) = (self.suite, self.experiments.len());
            let what = format!("--member {place}: suite {suite} has only {runs} runs now; submit it again");
            return Err(study::Error::Usage(what).into());
        };
        let (resolved, before) = runner::look(session, experiment, self.out, self.options)?;
        member.check(self.suite, &resolved)?;
        let ran = before.map_or_else(|| runner::go(&mut runner::Here, session, resolved, self.out, self.options), Ok)?;
        say(&format!(
            "{}: {}",
            if matches!(ran, Ran::Now(..)) { "complete" } else { "complete already" },
            ran.folder().display()
        ));
        Ok(())
    }

    fn collect(&self, session: &Session) -> Result<()> {
        let frozen = Members::read(self.out)?;
        let (there, missing): (Vec<&Member>, Vec<&Member>) =
            frozen.members.iter().partition(|member| runner::is_complete(&self.out.join(&member.run), self.options));
        if !there.is_empty() {
            let folders: Vec<PathBuf> = there.iter().map(|member| self.out.join(&member.run)).collect();
            report::write(session, &folders, &self.out.join("report"), self.options.unverified)?;
        }
        missing.iter().for_each(|member| say(&format!("missing: {} (member {})", member.run, member.member)));
        match missing.len() {
            0 => Ok(()),
            n => bail!("{n} of {} runs of suite {} are missing; submit it again", frozen.members.len(), self.suite),
        }
    }
}
