//! One experiment's search: the stages, what each setting scored, and what it took.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use federation::Scope;
use schema::experiment::Tuned;
use schema::{Experiment, Summary, run_dir};
use serde::Serialize;
use serde_json::Value;

use super::grid::{Axis, RATE, Setting, beyond, is_at_edge};
use super::rungs::{Ladder, Rung};
use crate::runner::{self, Options};
use crate::session::Session;

/// What all experiments of a search have alike.
pub(super) struct Protocol<'a> {
    /// The stages.
    pub(super) ladder: Ladder,
    /// The seeds; a stage has the first so many.
    pub(super) seeds: Vec<u64>,
    /// The split that it is judged on.
    pub(super) split: &'a str,
    /// The same in words, for the runs that come of it.
    pub(super) words: String,
    /// Where its runs go.
    pub(super) out: &'a Path,
    /// How they are run.
    pub(super) options: Options,
}

/// One experiment, and what is tried of it.
pub(super) struct Candidate {
    /// The experiment, as the suite has it with its first seed.
    pub(super) experiment: Experiment,
    /// What is tried in the first stage; nothing where nothing is trained.
    pub(super) settings: Vec<Setting>,
    /// Its method's own keys among them.
    pub(super) axes: Vec<Axis>,
    /// Whether its clients are judged with adapters of their own.
    pub(super) personal: bool,
}

/// A stage of a search, as `tuning.json` keeps it.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    rounds: usize,
    seeds: Vec<u64>,
    /// Whether it went beyond an edge of what was tried before.
    beyond: bool,
    tried: Vec<Tried>,
}

/// A setting and how it did.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tried {
    values: BTreeMap<String, Value>,
    /// The mean over seeds; none where some run had no finite update.
    score: Option<f64>,
    /// Of each seed that came to an end.
    scores: Vec<f64>,
    runs: Vec<String>,
    #[serde(skip)]
    setting: Setting,
}

/// What the search of an experiment took.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Cost {
    /// Runs.
    pub(super) runs: usize,
    /// Rounds over all of them.
    pub(super) rounds: usize,
    /// Optimizer steps over all clients of those that came to an end.
    pub(super) client_steps: u64,
    /// Seconds of these.
    pub(super) seconds: f64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.runs += other.runs;
        self.rounds += other.rounds;
        self.client_steps += other.client_steps;
        self.seconds += other.seconds;
    }
}

/// One experiment's search, a row of `tuning.json`.
#[derive(Debug, Serialize)]
pub(super) struct Search {
    pub(super) method: String,
    pub(super) dataset: String,
    adapter: Option<schema::experiment::AdapterConfig>,
    /// The score that decided.
    score: &'static str,
    stages: Vec<Stage>,
    chosen: Option<BTreeMap<String, Value>>,
    value: Option<f64>,
    at_edge: bool,
    pub(super) cost: Cost,
    #[serde(skip)]
    pub(super) experiment: Experiment,
}

impl Candidate {
    /// The score that its method is judged by.
    fn score(&self) -> &'static str {
        if self.personal { "client_accuracy_mean" } else { "accuracy" }
    }

    /// A run of the search.
    pub(super) fn trial(&self, setting: &Setting, rounds: usize, seed: u64, split: &str) -> Experiment {
        let mut trial = setting.of(&self.experiment);
        (trial.seed, trial.federation.rounds, trial.evaluation.every) = (seed, rounds, 0);
        trial.data.test_split = split.into();
        trial.tuned = None;
        trial
    }

    /// The whole search.
    pub(super) fn search(&self, session: &mut Session, protocol: &Protocol) -> Result<Search> {
        let mut search = Search {
            method: self.experiment.method.name.clone(),
            dataset: self.experiment.data.dataset.clone(),
            adapter: Some(self.experiment.adapter.clone()),
            score: self.score(),
            stages: Vec::new(),
            chosen: None,
            value: None,
            at_edge: false,
            cost: Cost::default(),
            experiment: self.experiment.clone(),
        };
        if self.settings.is_empty() {
            return Ok(search);
        }
        let mut going = self.settings.clone();
        for rung in &protocol.ladder.rungs {
            going.truncate(rung.settings);
            let tried = self.stage(session, protocol, *rung, &going, &mut search, false)?;
            going = tried.into_iter().map(|tried| tried.setting).collect();
        }
        self.go_beyond(session, protocol, &mut search)?;
        let best = best_of(&search.stages).with_context(|| self.hopeless())?;
        let setting = best.setting.clone();
        (search.chosen, search.value) = (Some(setting.by_key()), best.score);
        search.at_edge = self.is_at_edge(&setting, &search.stages);
        search.experiment = setting.of(&self.experiment);
        search.experiment.tuned = Some(self.told(protocol, &search));
        Ok(search)
    }

    /// Tries settings as a stage does; all of them, best first. Those that diverged go on only if nothing else is left.
    fn stage(
        &self,
        session: &mut Session,
        protocol: &Protocol,
        rung: Rung,
        settings: &[Setting],
        search: &mut Search,
        beyond: bool,
    ) -> Result<Vec<Tried>> {
        let seeds = &protocol.seeds[..rung.seeds];
        let mut tried = Vec::new();
        for setting in settings {
            tried.push(self.tried(session, protocol, setting, rung.rounds, seeds, &mut search.cost)?);
        }
        search.stages.push(Stage { rounds: rung.rounds, seeds: seeds.to_vec(), beyond, tried: tried.clone() });
        if tried.iter().all(|tried| tried.score.is_none()) && !beyond {
            bail!(study::Error::Usage(self.hopeless()));
        }
        tried.retain(|tried| tried.score.is_some());
        tried.sort_by(better_first);
        Ok(tried)
    }

    fn hopeless(&self) -> String {
        let Experiment { method, data, .. } = &self.experiment;
        format!("{} on {}: training diverged at every rate that was tried; expected lower --rates", method.name, data.dataset)
    }

    fn tried(
        &self,
        session: &mut Session,
        protocol: &Protocol,
        setting: &Setting,
        rounds: usize,
        seeds: &[u64],
        cost: &mut Cost,
    ) -> Result<Tried> {
        let (mut scores, mut runs) = (Vec::new(), Vec::new());
        for &seed in seeds {
            let trial = self.trial(setting, rounds, seed, protocol.split);
            *cost += Cost { runs: 1, rounds, ..Cost::default() };
            match runner::run(session, &trial, protocol.out, protocol.options) {
                Ok(ran) => {
                    let summary: Summary = read_summary(ran.folder())?;
                    *cost += Cost { client_steps: summary.optimizer_steps, seconds: summary.wall_seconds, ..Cost::default() };
                    if summary.is_mixed() {
                        let message = "its datasets are judged by several metrics, of which there is none to search by";
                        return Err(study::Error::Usage(message.into()).into());
                    }
                    scores.push(if self.personal { summary.client_accuracy_mean } else { summary.accuracy });
                    runs.push(summary.run);
                }
                Err(error) if diverged(&error) => {}
                Err(error) => {
                    return Err(error.context(format!("{} of {}, seed {seed}", setting.words(), trial.method.name)));
                }
            }
        }
        let mean = scores.iter().sum::<f64>() / seeds.len() as f64;
        let score = (scores.len() == seeds.len()).then_some(mean);
        Ok(Tried { values: setting.by_key(), score, scores, runs, setting: setting.clone() })
    }

    /// While the best lies at an edge of what was tried, one more beyond it, as far as the search may go: by its rate first, then by its
    /// method's own numbers.
    fn go_beyond(&self, session: &mut Session, protocol: &Protocol, search: &mut Search) -> Result<()> {
        for _ in 0..protocol.ladder.beyond {
            let best = best_of(&search.stages).with_context(|| self.hopeless())?.setting.clone();
            let Some(next) = self.next_beyond(&best, &search.stages) else { return Ok(()) };
            let taken = session.resolve(&self.trial(&next, protocol.ladder.last().rounds, protocol.seeds[0], protocol.split));
            match taken {
                Ok(_) => {}
                // Its range ends there.
                Err(error) if is_refused(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
            self.stage(session, protocol, protocol.ladder.last(), &[next], search, true)?;
        }
        Ok(())
    }

    fn next_beyond(&self, best: &Setting, stages: &[Stage]) -> Option<Setting> {
        if let Some(rate) = beyond(best.rate, &rates(stages)) {
            return Some(Setting { rate, ..best.clone() });
        }
        self.axes.iter().find_map(|axis| {
            let value = beyond(best.own.get(&axis.key)?.as_f64()?, &own(stages, &axis.key))?;
            let mut next = best.clone();
            next.own.insert(axis.key.clone(), like(&axis.values, value)?);
            Some(next)
        })
    }

    /// Whether a better value may lie beyond all that was tried: 0 has nothing below it.
    fn is_at_edge(&self, best: &Setting, stages: &[Stage]) -> bool {
        let own_edge = |axis: &Axis| {
            let value = best.own.get(&axis.key).and_then(Value::as_f64).filter(|value| *value != 0.0);
            value.is_some_and(|value| is_at_edge(value, &own(stages, &axis.key)))
        };
        is_at_edge(best.rate, &rates(stages)) || self.axes.iter().any(own_edge)
    }

    fn told(&self, protocol: &Protocol, search: &Search) -> Tuned {
        let settings: Vec<&BTreeMap<String, Value>> =
            search.stages.iter().flat_map(|stage| &stage.tried).map(|it| &it.values).collect();
        let different = settings.iter().enumerate().filter(|(place, values)| !settings[..*place].contains(values)).count();
        Tuned {
            chosen: search.chosen.clone().unwrap_or_default(),
            split: protocol.split.into(),
            seeds: protocol.seeds[..protocol.ladder.last().seeds].to_vec(),
            score: self.score().into(),
            value: search.value.unwrap_or_default(),
            settings: different,
            runs: search.cost.runs,
            client_steps: search.cost.client_steps,
            protocol: protocol.words.clone(),
            at_edge: search.at_edge,
        }
    }
}

impl Search {
    /// As a line has it.
    pub(super) fn line(&self) -> String {
        let one = |tried: &Tried| match tried.score {
            Some(score) => format!("{}: {:.1}%", tried.setting.words(), 100.0 * score),
            None => format!("{}: diverged", tried.setting.words()),
        };
        let stage = |stage: &Stage| stage.tried.iter().map(one).collect::<Vec<_>>().join(", ");
        let Some(chosen) = &self.chosen else { return format!("{} on {}: trains nothing", self.method, self.dataset) };
        let stages = self.stages.iter().map(stage).collect::<Vec<_>>().join("; ");
        let chosen = chosen.iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ");
        let edge = if self.at_edge { ", at the edge of what was tried" } else { "" };
        format!("{} on {}: {stages}; chosen {chosen}{edge}", self.method, self.dataset)
    }
}

/// Whether a learning rate was too large for every client.
fn diverged(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(study::Error::Federation(error)) if error.has_diverged())
}

/// Whether an experiment asks for a value that is out of range.
fn is_refused(error: &anyhow::Error) -> bool {
    error.downcast_ref::<study::Error>().is_some_and(study::Error::is_usage)
        || error.downcast_ref::<federation::Error>().is_some_and(federation::Error::is_usage)
}

/// The best of those that had all rounds and seeds.
fn best_of(stages: &[Stage]) -> Option<&Tried> {
    let rounds = stages.iter().map(|stage| (stage.rounds, stage.seeds.len())).max()?;
    let last = stages.iter().filter(|stage| (stage.rounds, stage.seeds.len()) == rounds);
    last.flat_map(|stage| &stage.tried).filter(|tried| tried.score.is_some()).min_by(|a, b| better_first(a, b))
}

/// By the better score; of equals, the smaller rate.
fn better_first(a: &Tried, b: &Tried) -> std::cmp::Ordering {
    let score = |tried: &Tried| tried.score.unwrap_or(f64::NEG_INFINITY);
    score(b).total_cmp(&score(a)).then(a.setting.rate.total_cmp(&b.setting.rate))
}

fn rates(stages: &[Stage]) -> Vec<f64> {
    stages.iter().flat_map(|stage| &stage.tried).map(|tried| tried.setting.rate).collect()
}

fn own(stages: &[Stage], key: &str) -> Vec<f64> {
    stages.iter().flat_map(|stage| &stage.tried).filter_map(|tried| tried.setting.own.get(key)?.as_f64()).collect()
}

/// A number of the kind that the given values are of; none where it would have to be rounded.
fn like(values: &[Value], number: f64) -> Option<Value> {
    match values.iter().all(|value| value.is_i64() || value.is_u64()) {
        true => (number.fract() == 0.0 && number.abs() < 1e15).then(|| (number as i64).into()),
        false => Some(number.into()),
    }
}

fn read_summary(folder: &Path) -> Result<Summary> {
    let path = folder.join(run_dir::SUMMARY);
    let bytes =
        guard::files::read_here(&path, run_dir::MOST_SUMMARY).with_context(|| format!("cannot read {}", path.display()))?;
    let summary: Summary = serde_json::from_slice(&bytes).with_context(|| format!("{}: not a run's summary", path.display()))?;
    summary.check().map_err(|what| study::Error::Usage(format!("{}: {what}", path.display())))?;
    Ok(summary)
}

/// Whether a method trains anything that a rate could change.
pub(super) fn trains(scope: Scope) -> bool {
    scope != Scope::Nothing
}

/// What was tried as one line: the rates' range and the other keys.
pub(super) fn words(rates: &[f64], axes: &[Axis], settings: usize, ladder: &Ladder) -> String {
    let list = |values: Vec<String>| values.join(", ");
    let own = axes.iter().map(|axis| {
        format!("; method.{} of the methods that have it: {}", axis.key, list(axis.values.iter().map(Value::to_string).collect()))
    });
    let rates = list(rates.iter().map(f64::to_string).collect());
    format!("{settings} settings ({RATE}: {rates}{}); {}", own.collect::<String>(), ladder.words())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(rate: f64, score: Option<f64>) -> Tried {
        let setting = Setting { rate, own: BTreeMap::new() };
        Tried { values: setting.by_key(), score, scores: Vec::new(), runs: Vec::new(), setting }
    }

    #[test]
    fn the_best_of_the_last_stage_wins_and_of_equals_the_smallest_rate() {
        let stage = |rounds, tried| Stage { rounds, seeds: vec![1], beyond: false, tried };
        let first = stage(1, vec![tried(0.5, Some(0.9))]);
        let last = stage(4, vec![tried(0.1, Some(0.5)), tried(0.02, Some(0.6)), tried(0.01, Some(0.6)), tried(1.0, None)]);
        let more = stage(4, vec![tried(0.005, Some(0.55))]);
        assert_eq!(best_of(&[first, last, more]).map(|best| best.setting.rate), Some(0.01));
        assert!(best_of(&[stage(4, vec![tried(0.1, None)])]).is_none());
    }

    #[test]
    fn whole_numbers_stay_whole() {
        let whole = [Value::from(1), Value::from(2)];
        assert_eq!((like(&whole, 4.0), like(&whole, 0.5)), (Some(Value::from(4)), None));
        assert_eq!(like(&[Value::from(0.1)], 4.0), Some(Value::from(4.0)));
    }
}
