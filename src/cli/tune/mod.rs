//! `fedbench suite ... tune`: a search on validation data, of the same size for every experiment, and its choice as a suite to run.
//!
//! Settings are learning rates, and with `--grid` values of methods' own keys. They are halved over stages (`rungs.rs`), and where the
//! best lies at an edge of what was tried, the grid goes on by its own factor. Each run is a run folder below `tune`, so that a search
//! that was interrupted goes on; the test split is never read. Methods whose clients have adapters of their own are chosen by these on
//! the clients' own shards, all others by the global ones on the whole split.

mod grid;
mod rungs;
mod search;

use std::path::Path;

use anyhow::Result;
use clap::Args;
use schema::{Experiment, Suite};
use serde::Serialize;
use study::record::RunDir;

use super::forecast::Forecast;
use super::{note, say};
use crate::progress::duration;
use crate::runner::Options;
use crate::session::Session;
use grid::{Axis, axes_of, settings};
use rungs::Ladder;
use search::{Candidate, Cost, Protocol, Search, trains, words};

/// The suite with the values that won.
const TUNED: &str = "tuned.toml";
/// Every setting of every experiment, and how it did.
const TUNING: &str = "tuning.json";
/// How many times what the study takes a search may take.
const AT_MOST: u32 = 3;
/// The first of the seeds that a search has where nobody says which: those of the suite are left for the study.
const FIRST_SEED: u64 = 101;

/// Search each experiment's learning rate on validation data, and write the suite with the values that won.
#[derive(Args)]
pub(crate) struct Tune {
    /// The learning rates to try, the same for every experiment.
    #[arg(long, value_delimiter = ',', default_value = "0.0005,0.001,0.002,0.005,0.01")]
    rates: Vec<f64>,
    /// Values of a method's own key to try with each rate: `--grid method.mu=0.001,0.01`; may be repeated. Methods that do not have it
    /// try as many settings, with more rates between the given ones.
    #[arg(long, value_name = "KEY=VALUE,VALUE")]
    grid: Vec<String>,
    /// The split that the search is judged on; never the suite's test split.
    #[arg(long, default_value = "validation")]
    split: String,
    /// Seeds of the search; scores are their mean. Without it three, or fewer, that the suite does not have.
    #[arg(long, value_delimiter = ',', value_parser = super::arguments::seed())]
    seeds: Vec<u64>,
    /// How many times the rounds of the study the search may take, at most.
    #[arg(long, default_value_t = AT_MOST, value_parser = clap::value_parser!(u32).range(1..=1000))]
    at_most: u32,
    /// Say what the search would take, and search nothing.
    #[arg(long)]
    pub(super) plan: bool,
}

/// The whole search, as `tuning.json` keeps it.
#[derive(Serialize)]
struct Kept<'a> {
    protocol: &'a str,
    split: &'a str,
    seeds: &'a [u64],
    /// Rounds over all runs of the study, of the experiments that train.
    study_rounds: usize,
    cost: Cost,
    searches: &'a [Search],
}

impl Tune {
    /// Runs the search of `suite`, whose experiments are `members`, into `out`, and writes `tuned.toml` and `tuning.json` there; with a
    /// forecast of the study, says what it would take and does nothing.
    pub(crate) fn run(
        &self,
        session: &mut Session,
        suite: &Suite,
        members: &[Experiment],
        out: &Path,
        options: Options,
        forecast: Option<&Forecast>,
    ) -> Result<()> {
        let first = suite.seeds.first().copied().unwrap_or_default();
        let alone: Vec<&Experiment> = members.iter().filter(|member| member.seed == first).collect();
        self.check(&alone)?;
        let axes = self.grid.iter().map(|text| Axis::parse(text)).collect::<Result<Vec<_>, _>>().map_err(study::Error::Usage)?;
        let candidates = self.candidates(session, &alone, &axes)?;
        let place = out.join("tune");
        let protocol = self.protocol(suite, &candidates, &axes, &place, options)?;
        let study: usize = candidates.iter().filter(|it| !it.settings.is_empty()).map(|it| it.rounds() * suite.seeds.len()).sum();
        let most: usize = candidates.iter().filter(|it| !it.settings.is_empty()).count() * protocol.ladder.rounds();
        for line in self.plan(&candidates, &protocol, most as f64 / study.max(1) as f64, suite.seeds.len(), forecast) {
            if forecast.is_some() {
                say(&line)
            } else if !options.quiet {
                note(&line)
            }
        }
        if forecast.is_some() {
            return Ok(());
        }
        self.check_trials(session, &candidates, &protocol)?;
        let folder = RunDir::beside_runs(out)?;
        let mut searches: Vec<Search> = Vec::new();
        let mut cost = Cost::default();
        for (i, candidate) in candidates.iter().enumerate() {
            let search = candidate.search(session, &protocol)?;
            say(&format!("{}/{} {}", i + 1, candidates.len(), search.line()));
            cost += search.cost;
            searches.push(search);
            let (words, seeds) = (protocol.words.as_str(), protocol.seeds.as_slice());
            let kept = Kept { protocol: words, split: &self.split, seeds, study_rounds: study, cost, searches: &searches };
            folder.write_json(TUNING, &kept)?;
        }
        folder.write(TUNED, tuned_suite(suite, &searches)?.as_bytes())?;
        say(&format!(
            "the search took {} runs, {} rounds ({:.1} times the study's {study}), {} optimizer steps and {}",
            cost.runs,
            cost.rounds,
            cost.rounds as f64 / study.max(1) as f64,
            cost.client_steps,
            duration(cost.seconds)
        ));
        say(&format!("{}: all that was tried; now: fedbench suite {}", out.join(TUNING).display(), out.join(TUNED).display()));
        Ok(())
    }

    fn check(&self, experiments: &[&Experiment]) -> Result<(), study::Error> {
        let wrong = |message: String| Err(study::Error::Usage(message));
        if let Some(seed) = self.seeds.iter().enumerate().find(|(i, seed)| self.seeds[..*i].contains(seed)) {
            return wrong(format!("--seeds holds {} twice: expected each seed once", seed.1));
        }
        if let Some(rate) = self.rates.iter().enumerate().find(|(i, rate)| self.rates[..*i].contains(rate)) {
            return wrong(format!("--rates holds {} twice: expected each rate once", rate.1));
        }
        if let Some(rate) = self.rates.iter().find(|rate| !(rate.is_finite() && **rate > 0.0)) {
            return wrong(format!("--rates holds {rate}: expected finite numbers above 0"));
        }
        match experiments.iter().find(|experiment| experiment.data.test_split == self.split) {
            Some(_) => wrong(format!("--split {}: that is the split the suite is judged on; expected another one", self.split)),
            None => Ok(()),
        }
    }

    /// What is tried of each experiment: as many settings of one as of another.
    fn candidates(&self, session: &Session, experiments: &[&Experiment], axes: &[Axis]) -> Result<Vec<Candidate>> {
        let mut candidates = Vec::new();
        for experiment in experiments {
            let row = session.registry().find(&experiment.method.name)?;
            let known =
                if trains(row.scope) { axes_of(axes, experiment, &row).map_err(study::Error::Usage)? } else { Vec::new() };
            let settings = if trains(row.scope) { settings(&self.rates, &known, 1) } else { Vec::new() };
            candidates.push(Candidate { experiment: (*experiment).clone(), settings, axes: known, personal: row.personal });
        }
        if let Some(axis) = axes.iter().find(|axis| !candidates.iter().any(|it| it.axes.contains(axis))) {
            let message = format!("--grid method.{}: no method of the suite takes these values; leave it out", axis.key);
            return Err(study::Error::Usage(message).into());
        }
        let combinations = |axes: &[Axis]| axes.iter().map(|axis| axis.values.len()).product::<usize>();
        let most = candidates.iter().map(|it| combinations(&it.axes)).max().unwrap_or(1) * self.rates.len();
        for candidate in candidates.iter_mut().filter(|it| !it.settings.is_empty()) {
            candidate.settings = settings(&self.rates, &candidate.axes, most);
            if candidate.settings.len() < most {
                let message = format!(
                    "--rates holds {} alone: expected two or more beside --grid, so that all methods try as many \
                     settings",
                    self.rates[0]
                );
                return Err(study::Error::Usage(message).into());
            }
        }
        Ok(candidates)
    }

    fn protocol<'a>(
        &'a self,
        suite: &Suite,
        candidates: &[Candidate],
        axes: &[Axis],
        out: &'a Path,
        options: Options,
    ) -> Result<Protocol<'a>> {
        let trained = || candidates.iter().filter(|it| !it.settings.is_empty());
        let settings = trained().map(|it| it.settings.len()).max().unwrap_or(1);
        let rounds = trained().map(Candidate::rounds).max().unwrap_or(1);
        if let Some(other) = trained().find(|it| it.rounds() != rounds) {
            let message =
                format!("{} rounds and {rounds} in one suite: expected the same for all that is tuned alike", other.rounds());
            return Err(study::Error::Usage(message).into());
        }
        let study = rounds.saturating_mul(suite.seeds.len());
        let most = study.saturating_mul(self.at_most as usize);
        let given = Some(self.seeds.len()).filter(|given| *given > 0);
        let Some(ladder) = Ladder::within(settings, rounds, given, most) else {
            let least = (1..).find(|times| Ladder::within(settings, rounds, given, times * study).is_some()).unwrap_or_default();
            let message = format!(
                "the search of {settings} settings would take more than {} times the study's {study} rounds an experiment; expected \
                 fewer --rates, --grid values or --seeds, more seeds in the suite, or --at-most {least}",
                self.at_most
            );
            return Err(study::Error::Usage(message).into());
        };
        let unused = (FIRST_SEED..).filter(|seed| !suite.seeds.contains(seed)).take(ladder.last().seeds);
        let seeds: Vec<u64> = if self.seeds.is_empty() { unused.collect() } else { self.seeds.clone() };
        let words = words(&self.rates, axes, settings, &ladder);
        Ok(Protocol { ladder, seeds, split: &self.split, words, out, options })
    }

    /// What the search will take, before it does.
    fn plan(
        &self,
        candidates: &[Candidate],
        protocol: &Protocol,
        times: f64,
        seeds: usize,
        forecast: Option<&Forecast>,
    ) -> Vec<String> {
        let (count, ladder) = (candidates.iter().filter(|it| !it.settings.is_empty()).count(), &protocol.ladder);
        let time = forecast.map(|forecast| {
            let (steps, seconds) = (forecast.steps as f64 * times, duration(forecast.seconds * times));
            format!(": about {steps:.0} optimizer steps and {seconds} on this machine")
        });
        let listed = protocol.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        vec![
            format!("search: {count} experiments, each {}", protocol.words),
            format!(
                "  seeds {listed} on split `{}`; at most {} runs and {} rounds, {times:.1} times the study's {seeds} seeds{}",
                self.split,
                count * ladder.runs(),
                count * ladder.rounds(),
                time.unwrap_or_default()
            ),
        ]
    }

    /// What cannot be run at all is known before anything is.
    fn check_trials(&self, session: &mut Session, candidates: &[Candidate], protocol: &Protocol) -> Result<()> {
        for candidate in candidates {
            for setting in &candidate.settings {
                let trial = candidate.trial(setting, protocol.ladder.rungs[0].rounds, protocol.seeds[0], &self.split);
                session.resolve(&trial)?;
            }
        }
        Ok(())
    }
}

impl Candidate {
    /// Of the study.
    fn rounds(&self) -> usize {
        self.experiment.federation.rounds
    }
}

/// The suite with every experiment's chosen values.
fn tuned_suite(suite: &Suite, searches: &[Search]) -> Result<String> {
    let mut experiments = Vec::new();
    for search in searches {
        let mut table = toml::Table::try_from(&search.experiment)?;
        table.remove("seed");
        experiments.push(table);
    }
    let tuned = Suite {
        name: format!("{}-tuned", suite.name),
        description: format!("{} Values were chosen on validation data; tuning.json has the search.", suite.description)
            .trim_start()
            .into(),
        seeds: suite.seeds.clone(),
        base: toml::Table::new(),
        axes: Default::default(),
        experiments,
    };
    Ok(toml::to_string(&tuned)?)
}
