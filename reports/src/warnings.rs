//! What casts doubt on the numbers, beside the numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::aggregate::Repeat;
use crate::{Group, Report, Run, provenance};

/// A doubt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What kind of doubt, for programs.
    pub kind: &'static str,
    /// A sentence.
    pub message: String,
}

/// Below so many seeds a deviation says little.
pub const ENOUGH_SEEDS: usize = 3;

/// All warnings, gravest kinds first.
pub fn collect(report: &Report, incomplete: &BTreeSet<PathBuf>, repeats: &[Repeat]) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut warn = |kind, message: Option<String>| found.extend(message.map(|message| Warning { kind, message }));
    let (runs, groups) = (&report.runs, &report.groups);
    warn("incomplete", list("unfinished runs, not reported", incomplete.iter().map(|dir| dir.display().to_string())));
    warn("repeated", list("runs that repeat an experiment and a seed, not counted", repeats.iter().map(repeat)));
    warn("few-seeds", few_seeds(groups));
    for message in unequal_steps(groups) {
        warn("unequal-steps", Some(message));
    }
    for message in mixed_scoring(runs) {
        warn("mixed-scoring", Some(message));
    }
    warn("mixed-scoring-in-run", list("option likelihood and generation in one run", runs.iter().filter_map(mixed_answers)));
    warn("limits", limits(runs));
    warn("skipped", list("rows of the data left out", by_dataset(runs, |run| run.skipped as u64, u64::max)));
    warn("unparsed", list("answers that could not be parsed (counted as wrong)", unparsed(runs, groups)));
    warn(
        "left-out",
        list("updates that were not finite, or of a wrong name or shape, and were not averaged in", left_out(runs, groups)),
    );
    warn("repeated-examples", list("examples judged more than once in a run", repeated_examples(runs)));
    warn("unpaired", unpaired(report));
    warn("dirty", dirty(runs));
    warn("mixed-commits", several("runs of several commits", runs.iter().map(|run| run.environment.commit.clone())));
    let weights = provenance::backbones_with_several_weights(runs);
    warn("mixed-weights", list("backbones of one name with different weights", weights.into_iter().map(String::from)));
    let machines = runs.iter().map(|run| provenance::machine(&run.environment));
    warn("mixed-machines", several("timings of different machines", machines));
    found
}

/// `what: a, b`, with the count; nothing for nothing.
fn list(what: &str, items: impl IntoIterator<Item = String>) -> Option<String> {
    let items: Vec<String> = items.into_iter().collect();
    (!items.is_empty()).then(|| format!("{what}: {}", items.join(", ")))
}

/// `what: a, b` where there is more than one.
fn several(what: &str, items: impl IntoIterator<Item = String>) -> Option<String> {
    let items: BTreeSet<String> = items.into_iter().collect();
    if items.len() > 1 { list(what, items) } else { None }
}

fn on_dataset(group: &Group) -> String {
    format!("{} on {}", group.label(), group.dataset)
}

fn repeat(repeat: &Repeat) -> String {
    format!("{} ({})", repeat.dir, if repeat.agrees { "same accuracy" } else { "DIFFERENT accuracy" })
}

fn few_seeds(groups: &[Group]) -> Option<String> {
    let few = groups.iter().filter(|group| group.runs.len() < ENOUGH_SEEDS);
    list("fewer than 3 seeds", few.map(|group| format!("{} ({})", on_dataset(group), group.runs.len())))
}

/// Trained methods on one dataset (with one backbone, and one way to split) should have had the same number of optimizer steps.
fn unequal_steps(groups: &[Group]) -> Vec<String> {
    let mut trained: BTreeMap<(&str, &str, String), Vec<&Group>> = BTreeMap::new();
    for group in groups.iter().filter(|group| group.stat("optimizer_steps").mean > 0.0) {
        let split = format!("{:?} {} {}", group.scheme, group.alpha, group.clients);
        trained.entry((&group.dataset, &group.backbone, split)).or_default().push(group);
    }
    let unequal = |(key, groups): (&(&str, &str, String), &Vec<&Group>)| {
        let steps = |group: &Group| format!("{:.0}", group.stat("optimizer_steps").mean);
        let different: BTreeSet<String> = groups.iter().map(|group| steps(group)).collect();
        let named = groups.iter().map(|group| format!("{} {}", group.label(), steps(group)));
        (different.len() > 1).then(|| list(&format!("unequal optimizer steps on {}", key.0), named)).flatten()
    };
    trained.iter().filter_map(unequal).collect()
}

fn mixed_scoring(runs: &[Run]) -> Vec<String> {
    let mut scorings: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for run in runs {
        let name = serde_json::to_value(run.summary.scoring).map(|value| value.as_str().map(String::from));
        scorings.entry(&run.summary.dataset).or_default().extend(name.ok().flatten());
    }
    scorings.into_iter().filter_map(|(dataset, names)| several(&format!("mixed scoring on {dataset}"), names)).collect()
}

fn mixed_answers(run: &Run) -> Option<String> {
    let read = &run.predictions;
    let mixed = read.option_likelihood > 0 && read.generation > 0;
    mixed.then(|| format!("{} ({} and {})", run.summary.run, read.option_likelihood, read.generation))
}

fn limits(runs: &[Run]) -> Option<String> {
    let limit = |name: &str, value: Option<usize>| value.map(|value| format!("{name} = {value}"));
    let mut limited: BTreeSet<String> = BTreeSet::new();
    for run in runs {
        let data = &run.experiment.data;
        let set = limit("train_limit", data.train_limit).into_iter().chain(limit("test_limit", data.test_limit));
        limited.extend(set.map(|text| format!("{text} on {}", run.summary.dataset)));
    }
    list("only a part of the data", limited)
}

fn by_dataset(runs: &[Run], value: fn(&Run) -> u64, join: fn(u64, u64) -> u64) -> Vec<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for run in runs {
        let count = counts.entry(&run.summary.dataset).or_default();
        *count = join(*count, value(run));
    }
    counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} ({count})")).collect()
}

fn unparsed(runs: &[Run], groups: &[Group]) -> Vec<String> {
    let share = |group: &Group| {
        let sum = |count: fn(&Run) -> u64| group.runs.iter().map(|&run| count(&runs[run])).sum::<u64>();
        let unparsed = sum(|run| run.predictions.unparsed);
        let all = sum(|run| run.predictions.option_likelihood + run.predictions.generation);
        (unparsed > 0).then(|| format!("{} ({unparsed} of {all})", on_dataset(group)))
    };
    groups.iter().filter_map(share).collect()
}

fn left_out(runs: &[Run], groups: &[Group]) -> Vec<String> {
    let count = |group: &Group| group.runs.iter().map(|&run| runs[run].summary.updates_left_out).sum::<u64>();
    let counted = groups.iter().map(|group| (group, count(group))).filter(|(_, count)| *count > 0);
    counted.map(|(group, count)| format!("{} ({count})", on_dataset(group))).collect()
}

fn repeated_examples(runs: &[Run]) -> Vec<String> {
    let repeated = runs.iter().filter(|run| run.predictions.repeated > 0);
    repeated.map(|run| format!("{} ({})", run.summary.run, run.predictions.repeated)).collect()
}

fn unpaired(report: &Report) -> Option<String> {
    let counted = report.comparisons.iter().filter_map(|c| Some((c, c.paired.mcnemar?.unpaired)));
    let unpaired = counted.filter(|(_, unpaired)| *unpaired > 0);
    let named = unpaired.map(|(c, unpaired)| format!("{} ({unpaired})", on_dataset(&report.groups[c.group])));
    list("answers that the compared run lacks, not paired", named)
}

fn dirty(runs: &[Run]) -> Option<String> {
    let dirty = runs.iter().filter(|run| run.environment.dirty).count();
    (dirty > 0).then(|| format!("{dirty} of {} runs were made by a build with uncommitted changes", runs.len()))
}
