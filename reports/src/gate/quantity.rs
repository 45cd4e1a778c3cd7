//! What the gate compares: accuracy, and the log-loss of the right option, which moves before accuracy does.

use std::collections::BTreeMap;

use schema::run_dir;
use serde::Serialize;

use crate::stats::{mean, variance};
use crate::{Run, columns};

/// A quantity that may become worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// A fraction; a fall is a regression.
    Accuracy,
    /// The mean log-loss of the right option over the examples that are answered by option likelihood, nats; a rise is a regression.
    Loss,
}

impl Quantity {
    /// What a change means: how much worse it is, in the quantity's unit.
    pub fn harm(self, difference: f64) -> f64 {
        match self {
            Self::Accuracy => -difference,
            Self::Loss => difference,
        }
    }

    /// As a table says it, with the unit.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy (%)",
            Self::Loss => "log-loss (nats)",
        }
    }

    /// In a sentence: name, and a change's direction.
    pub(super) fn words(self) -> [&'static str; 2] {
        match self {
            Self::Accuracy => ["accuracy", "fall"],
            Self::Loss => ["log-loss", "rise"],
        }
    }

    /// A value in the unit of [`Self::name`].
    pub(super) fn number(self, value: f64) -> String {
        match self {
            Self::Accuracy => format!("{:.1}", 100.0 * value),
            Self::Loss => format!("{value:.3}"),
        }
    }

    /// The same of a change, with its sign.
    pub(super) fn change(self, value: f64) -> String {
        match self {
            Self::Accuracy => format!("{:+.1}", 100.0 * value),
            Self::Loss => format!("{value:+.3}"),
        }
    }

    /// What runs of one configuration say of it; none where one of them does not tell.
    pub(super) fn measure(self, runs: &[&Run]) -> Result<Option<Measured>, String> {
        let mut measured = Measured::default();
        for run in runs {
            match self {
                Self::Accuracy => measured.add(run.summary.accuracy, &run.predictions.scores),
                Self::Loss => {
                    let losses =
                        run.source.rows(run_dir::PREDICTIONS).and_then(|rows| columns::losses(&rows, run.part.as_deref()));
                    let Some(losses) = losses.map_err(|error| error.to_string())? else { return Ok(None) };
                    if losses.is_empty() {
                        return Ok(None);
                    }
                    let of_run: Vec<f64> = losses.iter().map(|(_, loss)| *loss).collect();
                    measured.add(mean(&of_run), &losses);
                }
            }
        }
        Ok(Some(measured))
    }
}

/// A quantity of one configuration's runs.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Of each run.
    pub by_run: Vec<f64>,
    /// By example: sum over runs, and how many.
    sums: BTreeMap<u64, (f64, f64)>,
}

impl Measured {
    fn add(&mut self, of_run: f64, of_examples: &[(u64, f64)]) {
        self.by_run.push(of_run);
        for (example, value) in of_examples {
            let (sum, count) = self.sums.entry(*example).or_default();
            (*sum, *count) = (*sum + value, *count + 1.0);
        }
    }

    /// The variance of the runs' mean, and their number.
    pub(super) fn of_seeds(&self) -> (f64, usize) {
        (variance(&self.by_run) / self.by_run.len() as f64, self.by_run.len())
    }

    /// What each example's mean over runs changed by; an error unless both sides judged the same examples.
    pub(super) fn changes(&self, found: &Self) -> Result<Vec<f64>, String> {
        if !self.sums.keys().eq(found.sums.keys()) {
            let unshared = self.sums.keys().filter(|key| !found.sums.contains_key(key)).count();
            return Err(format!("{unshared} of the baseline's {} test examples were not judged by the runs", self.sums.len()));
        }
        if self.sums.is_empty() {
            return Err("no predictions to compare".into());
        }
        let means = |side: &Self| side.sums.values().map(|(sum, count)| sum / count).collect::<Vec<_>>();
        Ok(means(found).iter().zip(means(self)).map(|(after, before)| after - before).collect())
    }
}
