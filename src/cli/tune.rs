//! `fedbench suite ... tune`: one small search of the learning rate on validation data, alike for every method, and its choice as a
//! suite to run.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use federation::Scope;
use schema::{Experiment, Suite, Summary, run_dir};
use serde::Serialize;
use study::record::RunDir;

use super::say;
use crate::runner::{self, Options};
use crate::session::Session;

/// The suite with the rates that won.
const TUNED: &str = "tuned.toml";
/// Every rate of every experiment, and how it did.
const TUNING: &str = "tuning.json";

/// Search each experiment's learning rate on validation data, and write the suite with the rates that won.
#[derive(Args)]
pub(crate) struct Tune {
    /// The learning rates to try, the same for every experiment.
    #[arg(long, value_delimiter = ',', default_value = "0.0005,0.001,0.002,0.005,0.01")]
    rates: Vec<f64>,
    /// The split that the search is judged on; never the suite's test split.
    #[arg(long, default_value = "validation")]
    split: String,
    /// Seeds of the search; accuracies are their mean. The suite's first one without it.
    #[arg(long, value_delimiter = ',', value_parser = super::arguments::seed())]
    seeds: Vec<u64>,
}

/// One experiment's search, a row of `tuning.json`.
#[derive(Serialize)]
struct Search {
    method: String,
    dataset: String,
    tried: Vec<Tried>,
    chosen: f64,
    #[serde(skip)]
    experiment: Experiment,
}

/// A learning rate and how it did.
#[derive(Clone, Serialize)]
struct Tried {
    learning_rate: f64,
    /// Mean over seeds; none where no update was finite.
    accuracy: Option<f64>,
    runs: Vec<String>,
}

impl Tune {
    /// Runs the search of `suite`, whose experiments are `members`, into `out`, and writes `tuned.toml` and `tuning.json` there.
    pub(crate) fn run(
        &self,
        session: &mut Session,
        suite: &Suite,
        members: &[Experiment],
        out: &Path,
        options: Options,
    ) -> Result<()> {
        let first = suite.seeds.first().copied().unwrap_or_default();
        let seeds = if self.seeds.is_empty() { vec![first] } else { self.seeds.clone() };
        let alone: Vec<&Experiment> = members.iter().filter(|member| member.seed == first).collect();
        self.check(&alone, &seeds)?;
        let folder = RunDir::beside_runs(out)?;
        let mut searches = Vec::new();
        for (i, experiment) in alone.iter().enumerate() {
            let search = self.search(session, experiment, &seeds, &out.join("tune"), options)?;
            say(&format!("{}/{} {}", i + 1, alone.len(), line(&search)));
            searches.push(search);
        }
        folder.write(TUNED, tuned_suite(suite, &searches)?.as_bytes())?;
        folder.write_json(TUNING, &searches)?;
        say(&format!("{}: all that was tried; now: fedbench suite {}", out.join(TUNING).display(), out.join(TUNED).display()));
        Ok(())
    }

    fn check(&self, experiments: &[&Experiment], seeds: &[u64]) -> Result<(), study::Error> {
        let wrong = |message: String| Err(study::Error::Usage(message));
        if let Some(seed) = seeds.iter().enumerate().find(|(i, seed)| seeds[..*i].contains(seed)) {
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

    fn search(
        &self,
        session: &mut Session,
        experiment: &Experiment,
        seeds: &[u64],
        out: &Path,
        options: Options,
    ) -> Result<Search> {
        let trains = session.registry().find(&experiment.method.name)?.scope != Scope::Nothing;
        let mut tried = Vec::new();
        for &rate in self.rates.iter().filter(|_| trains) {
            tried.push(self.try_rate(session, experiment, rate, seeds, out, options)?);
        }
        let (method, dataset) = (experiment.method.name.clone(), experiment.data.dataset.clone());
        let chosen = best(&tried).unwrap_or(experiment.optimizer.learning_rate);
        Ok(Search { method, dataset, tried, chosen, experiment: experiment.clone() })
    }

    fn try_rate(
        &self,
        session: &mut Session,
        experiment: &Experiment,
        rate: f64,
        seeds: &[u64],
        out: &Path,
        options: Options,
    ) -> Result<Tried> {
        let (mut accuracies, mut runs) = (Vec::new(), Vec::new());
        for &seed in seeds {
            let mut trial = experiment.clone();
            trial.seed = seed;
            trial.optimizer.learning_rate = rate;
            trial.data.test_split = self.split.clone();
            match runner::run(session, &trial, out, options) {
                Ok(ran) => {
                    let summary: Summary = read_summary(ran.folder())?;
                    accuracies.push(summary.accuracy);
                    runs.push(summary.run);
                }
                Err(error) if diverged(&error) => {}
                Err(error) => return Err(error.context(format!("learning rate {rate} of {}, seed {seed}", trial.method.name))),
            }
        }
        let mean = accuracies.iter().sum::<f64>() / seeds.len() as f64;
        Ok(Tried { learning_rate: rate, accuracy: (accuracies.len() == seeds.len()).then_some(mean), runs })
    }
}

/// Whether a learning rate was too large for every client.
fn diverged(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(study::Error::Federation(error)) if error.has_diverged())
}

/// The rate of the best accuracy; of equals, the smallest rate.
fn best(tried: &[Tried]) -> Option<f64> {
    let scored = tried.iter().filter_map(|tried| Some((tried.learning_rate, tried.accuracy?)));
    scored
        .max_by(|(rate, accuracy), (other_rate, other)| accuracy.total_cmp(other).then(other_rate.total_cmp(rate)))
        .map(|it| it.0)
}

fn read_summary(folder: &Path) -> Result<Summary> {
    let path = folder.join(run_dir::SUMMARY);
    let bytes =
        guard::files::read_here(&path, run_dir::MOST_SUMMARY).with_context(|| format!("cannot read {}", path.display()))?;
    let summary: Summary = serde_json::from_slice(&bytes).with_context(|| format!("{}: not a run's summary", path.display()))?;
    summary.check().map_err(|what| study::Error::Usage(format!("{}: {what}", path.display())))?;
    Ok(summary)
}

fn line(search: &Search) -> String {
    let one = |tried: &Tried| match tried.accuracy {
        Some(accuracy) => format!("{}: {:.1}%", tried.learning_rate, 100.0 * accuracy),
        None => format!("{}: diverged", tried.learning_rate),
    };
    let tried = search.tried.iter().map(one).collect::<Vec<_>>().join(", ");
    let tried = if tried.is_empty() { "trains nothing".into() } else { format!("{tried}; chosen {}", search.chosen) };
    format!("{} on {}: {tried}", search.method, search.dataset)
}

/// The suite with every experiment's chosen rate.
fn tuned_suite(suite: &Suite, searches: &[Search]) -> Result<String> {
    let mut experiments = Vec::new();
    for search in searches {
        let mut experiment = search.experiment.clone();
        experiment.optimizer.learning_rate = search.chosen;
        let mut table = toml::Table::try_from(&experiment)?;
        table.remove("seed");
        experiments.push(table);
    }
    let tuned = Suite {
        name: format!("{}-tuned", suite.name),
        description: format!("{} Learning rates were chosen on validation data; tuning.json has the search.", suite.description)
            .trim_start()
            .into(),
        seeds: suite.seeds.clone(),
        base: toml::Table::new(),
        axes: Default::default(),
        experiments,
    };
    Ok(toml::to_string(&tuned)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_rate_wins_and_of_equals_the_smallest() {
        let tried = |learning_rate, accuracy| Tried { learning_rate, accuracy, runs: Vec::new() };
        assert_eq!(best(&[tried(0.1, Some(0.5)), tried(0.01, Some(0.6)), tried(0.02, Some(0.6)), tried(1.0, None)]), Some(0.01));
        assert_eq!(best(&[tried(0.1, None)]), None);
    }
}
