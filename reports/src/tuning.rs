//! Which values were tuned, and how.

use schema::experiment::Tuned;
use schema::metrics::Reported;

use crate::{Group, Run};

/// What the runs of a group say of their tuning; none where one of them says nothing, or they say different things.
pub(crate) fn of<'a>(runs: &'a [Run], group: &Group) -> Option<&'a Tuned> {
    let first = runs[*group.runs.first()?].experiment.tuned.as_ref()?;
    group.runs.iter().all(|&run| runs[run].experiment.tuned.as_ref() == Some(first)).then_some(first)
}

/// The rate that a group trained with; none of what trains nothing.
pub(crate) fn rate(runs: &[Run], group: &Group) -> Option<f64> {
    let trains = group.stat(Reported::OptimizerSteps).mean > 0.0;
    trains.then(|| runs[group.runs[0]].experiment.optimizer.learning_rate)
}

/// `validation: 6 settings, 23 runs`, from what a search says of itself.
pub(crate) fn words(tuned: &Tuned) -> String {
    let chosen = tuned.chosen.keys().filter(|key| *key != "optimizer.learning_rate").map(|key| guard::text::line(key, 60));
    let more: Vec<String> = chosen.map(|key| format!(", {key}")).collect();
    let edge = if tuned.at_edge { ", at the edge of what was tried" } else { "" };
    let split = guard::text::line(&tuned.split, 40);
    format!("on {split}: {} settings, {} runs{}{edge}", tuned.settings, tuned.runs, more.concat())
}
