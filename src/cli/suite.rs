//! `fedbench suite` and `fedbench quickstart`: experiments x seeds, then the report.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use machine::clock::Stopwatch;
use schema::{Experiment, Suite, toml_file};

use super::arguments::Overrides;
use super::counted;
use super::document::Document;
use super::elsewhere::{Asked, Elsewhere};
use super::forecast::Forecast;
use super::tune::Tune;
use super::{note, place, report, say};
use crate::progress::duration;
use crate::resume;
use crate::runner::{self, Options, Ran};
use crate::session::Session;

/// Experiments x seeds; runs that are complete are skipped.
#[derive(Args)]
pub(crate) struct RunSuite {
    /// The suite: a file, or the name of one that ships with the program.
    suite: String,
    #[command(flatten)]
    pub(super) overrides: Overrides,
    /// Where run folders go.
    #[arg(long, default_value = "runs")]
    out: PathBuf,
    /// No plan and no progress.
    #[arg(long)]
    quiet: bool,
    /// Say what would be run, in which time, memory and bytes, and run nothing.
    #[arg(long)]
    plan: bool,
    /// With --plan: count operations from shapes, for a machine of so many TFLOP/s, instead of timing batches here. Neither weights nor data
    /// need be at hand.
    #[arg(long, value_name = "N", requires = "plan", value_parser = tflops)]
    tflops: Option<f64>,
    /// Print the suite's file, and run nothing.
    #[arg(long, conflicts_with = "plan")]
    print: bool,
    /// Take finished runs that are there for complete, whatever their checksums say.
    #[arg(long)]
    no_verify: bool,
    /// Run again, from the first round, what is complete or was interrupted.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    elsewhere: Elsewhere,
    #[command(subcommand)]
    instead: Option<Instead>,
}

/// What is done with a suite instead of running it.
#[derive(Subcommand)]
enum Instead {
    /// Search each experiment's learning rate on validation data, and write the suite with the values that won.
    Tune(Box<Tune>),
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
            plan: false,
            tflops: None,
            print: false,
            no_verify: false,
            force: false,
            elsewhere: Elsewhere::default(),
            instead: None,
        }
        .run(session)
    }
}

impl RunSuite {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        if self.print {
            say(source(&self.suite)?.1.trim_end());
            return Ok(());
        }
        place::check_for_runs(&self.out)?;
        let (suite, experiments) = self.experiments()?;
        if self.elsewhere.is_asked() {
            return self.run_elsewhere(session, &suite, &experiments);
        }
        if let Some(tflops) = self.tflops {
            let lines = counted::forecast(session.registry(), &experiments, suite.seeds.len(), tflops)?;
            lines.iter().for_each(|line| say(line));
            return Ok(());
        }
        let asks_plan = self.instead.as_ref().is_some_and(|Instead::Tune(tune)| tune.plan);
        let forecast = (self.plan || asks_plan).then(|| Forecast::new(session, &experiments, suite.seeds.len())).transpose()?;
        forecast.iter().flat_map(|forecast| &forecast.lines).for_each(|line| say(line));
        if let Some(Instead::Tune(tune)) = &self.instead {
            return tune.run(session, &suite, &experiments, &self.out, self.options(), forecast.as_ref());
        }
        if forecast.is_some() {
            return Ok(());
        }
        let place = self.out.join("report");
        self.check_members(session, &suite, &experiments)?;
        report::try_place(&place)?;
        let folders = self.run_members(session, &experiments)?;
        report::write(session, &folders, &place, self.no_verify).map(|_| ())
    }

    /// Does what is asked for instead of running the whole suite here.
    fn run_elsewhere(&self, session: &mut Session, suite: &Suite, experiments: &[Experiment]) -> Result<()> {
        if self.plan {
            let what = "--plan is about this process: leave --engine, --member and --collect out";
            return Err(study::Error::Usage(what.into()).into());
        }
        if self.instead.is_some() {
            let what = "tune searches in this process: leave --engine, --member and --collect out";
            return Err(study::Error::Usage(what.into()).into());
        }
        if self.elsewhere.is_submission() {
            self.check_members(session, suite, experiments)?;
        }
        let (name, overrides, out, options) = (&suite.name, &self.overrides, &self.out, self.options());
        self.elsewhere.run(session, &Asked { suite: &self.suite, name, experiments, overrides, out, options })
    }

    /// A suite as it is, into a folder.
    pub(crate) fn plain(suite: &str, out: PathBuf, quiet: bool, no_verify: bool) -> Self {
        let overrides = Overrides { set: Vec::new(), limit: None, device: None };
        let elsewhere = Elsewhere::default();
        Self {
            suite: suite.into(),
            overrides,
            out,
            quiet,
            plan: false,
            tflops: None,
            print: false,
            no_verify,
            force: false,
            elsewhere,
            instead: None,
        }
    }

    /// The same on another backbone.
    pub(crate) fn on(mut self, backbone: &str) -> Self {
        self.overrides.set.push(format!("backbone.name={backbone}"));
        self
    }

    fn options(&self) -> Options {
        Options { quiet: self.quiet, unverified: self.no_verify, force: self.force }
    }

    /// Its experiments with every seed.
    pub(crate) fn experiments(&self) -> Result<(Suite, Vec<Experiment>), study::Error> {
        let (origin, suite) = read(&self.suite)?;
        let experiments = members(&origin, &suite, &self.overrides)?;
        Ok((suite, experiments))
    }

    /// Says how many runs there are; an error if one of them cannot be, or is there twice.
    pub(crate) fn check_members(&self, session: &mut Session, suite: &Suite, experiments: &[Experiment]) -> Result<()> {
        for experiment in experiments {
            session.registry().find(&experiment.method.name).with_context(|| format!("suite {}", suite.name))?;
        }
        if !self.quiet {
            note(&format!(
                "{}: {} runs ({} experiments x {} seeds)",
                suite.name,
                experiments.len(),
                experiments.len() / suite.seeds.len(),
                suite.seeds.len()
            ));
        }
        all_different(session, suite, experiments)
    }

    /// Runs what is not complete; all run folders. A run that another process is at is left to it, and looked at again once the others
    /// are done.
    pub(crate) fn run_members(&self, session: &mut Session, experiments: &[Experiment]) -> Result<Vec<PathBuf>> {
        let clock = Stopwatch::start();
        let (mut folders, mut ran) = (BTreeMap::new(), 0usize);
        let mut waiting: VecDeque<usize> = (0..experiments.len()).collect();
        let (mut busy, mut others) = (0, 0usize);
        while let Some(i) = waiting.pop_front() {
            let done = match runner::run(session, &experiments[i], &self.out, self.options()) {
                Err(error) if is_busy(&error) => {
                    waiting.push_back(i);
                    busy += 1;
                    self.wait_if_all(busy, waiting.len());
                    continue;
                }
                done => done.with_context(|| of_all(experiments, i))?,
            };
            busy = 0;
            folders.insert(i, done.folder().to_owned());
            ran += usize::from(matches!(done, Ran::Now(..)));
            others += usize::from(matches!(&done, Ran::Before(folder) if !resume::is_of_this_program(folder)));
            if !self.quiet && ran > 0 {
                let left = clock.seconds() / ran as f64 * waiting.len() as f64;
                note(&format!("{}/{} runs, about {} left", folders.len(), experiments.len(), duration(left)));
            }
        }
        if others > 0 && !self.quiet {
            note(&format!("{others} runs were complete, and are of another build of this program; --force runs them again"));
        }
        say(&format!("{} runs, {ran} of them now, in {}", experiments.len(), duration(clock.seconds())));
        Ok(folders.into_values().collect())
    }

    /// Waits a little where all runs that are left are other processes'.
    fn wait_if_all(&self, busy: usize, left: usize) {
        if busy == left && !self.quiet {
            note(&format!("{left} runs are at other processes: waiting for them"));
        }
        if busy >= left {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

/// A speed that some machine has.
fn tflops(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|speed| (0.001..=1e6).contains(speed))
        .ok_or_else(|| "expected a number from 0.001 to 1000000".into())
}

/// Whether another process is at the run.
fn is_busy(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(study::Error::Busy { .. }))
}

/// What `fedbench suite` would run: every experiment of a suite, a file or one that ships with the program, with every seed.
pub fn experiments_of(suite: &str) -> Result<Vec<Experiment>, study::Error> {
    Ok(RunSuite::plain(suite, PathBuf::new(), true, false).experiments()?.1)
}

/// A suite's file, or one that ships with the program.
pub(super) fn read(name: &str) -> Result<(String, Suite), study::Error> {
    let (origin, text) = source(name)?;
    let table = toml_file::parse_table(&origin, &text)?;
    Document::expect(&origin, &table, Document::Suite)?;
    Ok((origin.clone(), toml_file::from_table(&origin, table)?))
}

/// The text of a suite, and how messages name it.
fn source(name: &str) -> Result<(String, String), study::Error> {
    let shipped = baselines::SUITES.iter().find(|(shipped, _)| *shipped == name);
    match shipped {
        Some((name, text)) => Ok((format!("suite {name}"), (*text).into())),
        None if Path::new(name).extension().is_some() || Path::new(name).exists() => {
            Ok((name.into(), toml_file::read_text(Path::new(name))?))
        }
        None => Err(study::Error::unknown("suite", name, baselines::SUITES.iter().map(|(name, _)| *name))),
    }
}

/// Every experiment of a suite with every seed: `base`, then the axes' combinations and the single experiments over it.
pub(crate) fn members(origin: &str, suite: &Suite, overrides: &Overrides) -> Result<Vec<Experiment>, study::Error> {
    check(origin, suite)?;
    let mut tables = combinations(suite);
    tables.extend(suite.experiments.iter().map(|over| laid(&suite.base, over)));
    if tables.is_empty() {
        return Err(study::Error::Usage(format!("{origin}: no experiments: expected `[[experiments]]` or `[axes]`")));
    }
    let (mut members, mut known) = (Vec::new(), BTreeMap::new());
    for (place, mut table) in tables.into_iter().enumerate() {
        overrides.apply(&mut table)?;
        if table.contains_key("seed") {
            return Err(study::Error::Usage(format!(
                "{origin}: `seed` is set in `base`, `axes`, `experiments` or by --set: expected it nowhere, since a suite runs each \
                 experiment with every one of its `seeds`"
            )));
        }
        let alone: Experiment = toml_file::from_table(origin, table.clone())?;
        let what = format!("{} on {}", alone.method.name, alone.data.dataset);
        let identity =
            serde_json::to_string(&Experiment { name: String::new(), seed: 0, tuned: None, ..alone }).unwrap_or_default();
        if let Some(first) = known.insert(identity, place) {
            let what = guard::text::line(&what, 80);
            return Err(study::Error::Usage(format!(
                "{origin}: experiments {} and {} are the same ({what}): expected each once, since both are one run",
                first + 1,
                place + 1
            )));
        }
        for &seed in &suite.seeds {
            table.insert("seed".into(), toml::Value::Integer(seed as i64));
            members.push(toml_file::from_table(origin, table.clone())?);
        }
    }
    Ok(members)
}

/// No suite has more runs: beyond that a number is a slip, and listing the runs alone would take minutes.
const MOST_RUNS: u64 = 10_000;

/// No suite has more text, over all its runs: each of them holds a copy.
const MOST_TEXT: u64 = 64 << 20;

/// Counts a suite's runs before any is built, and looks for seeds that are there twice.
fn check(origin: &str, suite: &Suite) -> Result<(), study::Error> {
    let wrong = |message: String| Err(study::Error::Usage(format!("{origin}: {message}")));
    if suite.seeds.is_empty() {
        return wrong("`seeds` is empty: expected at least one seed".into());
    }
    let axes = suite.axes.values().map(|axis| axis.len() as u64);
    let combinations = if suite.axes.is_empty() { Some(0) } else { axes.into_iter().try_fold(1, u64::checked_mul) };
    let experiments = combinations.and_then(|combinations| combinations.checked_add(suite.experiments.len() as u64));
    let runs = experiments.and_then(|experiments| experiments.checked_mul(suite.seeds.len() as u64));
    let number = |number: Option<u64>| number.map_or("more than 2^64".into(), |number| number.to_string());
    let Some(runs) = runs.filter(|runs| *runs <= MOST_RUNS) else {
        let (all, combined) = (number(runs), number(combinations));
        let (single, seeds) = (suite.experiments.len(), suite.seeds.len());
        return wrong(format!(
            "{all} runs ({combined} combinations of axes and {single} single experiments, x {seeds} seeds); a suite has at most \
             {MOST_RUNS}: split it"
        ));
    };
    let text = toml::to_string(suite).map_or(0, |text| text.len() as u64);
    if text.saturating_mul(runs) > MOST_TEXT {
        return wrong(format!(
            "{runs} runs of up to {text} bytes each; together a suite has at most {MOST_TEXT} bytes: split it"
        ));
    }
    let mut seeds = BTreeSet::new();
    match suite.seeds.iter().find(|seed| !seeds.insert(**seed)) {
        Some(twice) => wrong(format!("`seeds` holds {twice} twice: expected each seed once, since both are one run")),
        None => Ok(()),
    }
}

/// With defaults filled in, every run is one of its own: what two spellings call by one name would be counted twice.
fn all_different(session: &mut Session, suite: &Suite, experiments: &[Experiment]) -> Result<()> {
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (place, experiment) in experiments.iter().enumerate() {
        let resolved = session.resolve(experiment).with_context(|| of_all(experiments, place))?;
        if let Some(first) = known.insert(resolved.name, place) {
            let message = format!(
                "suite {}: {} and {} are the same once defaults are filled in; expected each once",
                suite.name,
                of_all(experiments, first),
                of_all(experiments, place)
            );
            return Err(study::Error::Usage(message).into());
        }
    }
    Ok(())
}

/// A run as messages name it.
fn of_all(experiments: &[Experiment], place: usize) -> String {
    let experiment = &experiments[place];
    format!("run {} of {} ({}, seed {})", place + 1, experiments.len(), experiment.method.name, experiment.seed)
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
    fn refused(text: &str, why: &[&str]) {
        let suite: Suite =
            toml_file::from_table("s.toml", toml_file::parse_table("s.toml", text).expect("TOML")).expect("a suite");
        let overrides = Overrides { set: Vec::new(), limit: None, device: None };
        let error = members("s.toml", &suite, &overrides).expect_err("refused").to_string();
        assert!(why.iter().all(|why| error.contains(why)), "{error}");
    }

    #[test]
    fn runs_are_counted_before_any_is_built() {
        let ten =
            "[{ a = 0 }, { a = 1 }, { a = 2 }, { a = 3 }, { a = 4 }, { a = 5 }, { a = 6 }, { a = 7 }, { a = 8 }, { a = 9 }]";
        let axes = |n: usize| (0..n).map(|axis| format!("x{axis} = {ten}\n")).collect::<String>();
        let suite = |seeds: &str, rest: &str| format!("name = \"s\"\nseeds = {seeds}\n{rest}");
        refused(&suite("[1]", &format!("[axes]\n{}", axes(9))), &["1000000000 runs", "at most 10000"]);
        refused(&suite("[1, 2]", &format!("[axes]\n{}", axes(20))), &["more than 2^64 runs", "at most 10000"]);
        let many: Vec<String> = (0..10_001).map(|seed| seed.to_string()).collect();
        refused(&suite(&format!("[{}]", many.join(",")), "[[experiments]]"), &["10001 runs", "10001 seeds", "at most 10000"]);
        refused(&suite("[1]", &"[[experiments]]\n".repeat(10_001)), &["10001 single experiments", "at most 10000"]);
        let long = format!("[base.data]\ndataset = \"{}\"\n[axes]\n{}", "x".repeat(1 << 16), axes(4));
        refused(&suite("[1]", &long), &["10000 runs", "at most 67108864 bytes"]);
    }

    #[test]
    fn what_is_there_twice_is_named() {
        let suite = |seeds: &str, rest: &str| {
            format!(
                "name = \"s\"\nseeds = {seeds}\nbase.data.dataset = \"icongen\"\n[[experiments]]\nmethod.name = \"local\"\n{rest}"
            )
        };
        refused(&suite("[3, 1, 3]", ""), &["`seeds` holds 3 twice"]);
        for place in ["seed = 4", "[base]\nseed = 4", "[[axes.x]]\nseed = 4"] {
            let text = match place.starts_with("seed") {
                true => suite("[1]", place),
                false => {
                    format!("name = \"s\"\nseeds = [1]\n{place}\n[[experiments]]\nmethod.name = \"local\"\ndata.dataset = \"x\"")
                }
            };
            refused(&text, &["`seed` is set", "its `seeds`"]);
        }
        let other_name = "[[experiments]]\nmethod.name = \"fednano\"\n[[experiments]]\nname = \"again\"\nmethod.name = \"local\"";
        refused(&suite("[1]", other_name), &["experiments 1 and 3 are the same (local on icongen)"]);
    }
}
