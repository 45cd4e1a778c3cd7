//! What casts doubt on the numbers, beside the numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::aggregate::Repeat;
use crate::identity::Told;
use crate::{Group, Report, Run, provenance};

/// A doubt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What kind of doubt, for programs.
    pub kind: &'static str,
    /// A sentence.
    pub message: String,
    /// Whose numbers it concerns: places in [`Report::groups`]; none where it concerns runs that are not reported.
    pub concerns: Vec<usize>,
}

/// Below so many seeds a deviation says little.
pub const ENOUGH_SEEDS: usize = 3;

/// All warnings, gravest kinds first.
pub(crate) fn collect(
    report: &Report,
    incomplete: &BTreeSet<PathBuf>,
    repeats: &[Repeat],
    told_apart: &[Told; 2],
) -> Vec<Warning> {
    let (runs, groups) = (&report.runs, &report.groups);
    let mut found = Vec::new();
    let mut warn = |kind, concerns: Vec<usize>, message: Option<String>| {
        found.extend(message.map(|message| Warning { kind, message, concerns }));
    };
    let having = |doubt: &dyn Fn(&Run) -> bool| with_run(report, doubt);
    let all = || (0..groups.len()).collect::<Vec<usize>>();
    let changed = runs.iter().filter_map(|run| Some(format!("{}: {}", run.summary.run, run.disagreement.as_ref()?)));
    warn("changed", having(&|run| run.disagreement.is_some()), list("CHANGED BY HAND, numbers not to be believed", changed));
    let overfit = runs.iter().filter(|run| run.overfit).map(|run| run.summary.run.clone());
    warn("training-rows", having(&|run| run.overfit), list("judged on the rows they were trained on", overfit));
    let without_noise = runs.iter().filter(|run| run.is_bare()).map(|run| run.summary.run.clone());
    warn(
        "no-noise",
        having(&|run| run.is_bare()),
        list("clipped without noise, which keeps nothing private (epsilon is infinite)", without_noise),
    );
    let renamed = runs.iter().filter(|run| !run.has_its_name());
    let renamed = renamed.map(|run| format!("{} ({})", run.dir.file_name().unwrap_or_default().display(), run.summary.run));
    warn("renamed", having(&|run| !run.has_its_name()), list("runs in folders of another name", renamed));
    warn("incomplete", Vec::new(), list("unfinished runs, not reported", incomplete.iter().map(|dir| dir.display().to_string())));
    warn("repeated", Vec::new(), list("runs that repeat an experiment and a seed, not counted", repeats.iter().map(repeat)));
    warn("few-seeds", with_group(report, |group| group.runs.len() < ENOUGH_SEEDS), few_seeds(groups));
    for (concerns, message) in unequal_steps(groups) {
        warn("unequal-steps", concerns, Some(message));
    }
    for (dataset, message) in mixed_scoring(runs) {
        warn("mixed-scoring", with_group(report, |group| group.dataset == dataset), Some(message));
    }
    for (dataset, message) in mixed_cards(runs) {
        warn("mixed-cards", with_group(report, |group| group.dataset == dataset), Some(message));
    }
    let [rows, backbones] = told_apart;
    let of_told = |told: &Told, name: fn(&Group) -> &str| {
        with_group(report, |group| told.values().any(|names| names.contains(name(group))))
    };
    let other_rows = list("datasets of one name with different rows, kept apart by a checksum of the files", told(rows));
    warn("mixed-rows", of_told(rows, |group| &group.dataset), other_rows);
    let others = list("backbones of one name with different files, kept apart by a checksum", told(backbones));
    warn("mixed-backbones", of_told(backbones, |group| &group.backbone), others);
    if runs.iter().any(|run| run.inputs().is_some()) {
        let silent = runs.iter().filter(|run| run.inputs().is_none()).map(|run| run.summary.run.clone());
        let silent = list("runs of an older version that do not say what they read, kept apart from those that do", silent);
        warn("unrecorded-inputs", having(&|run| run.inputs().is_none()), silent);
    }
    let mixed = list("answered by option likelihood and by generation in one run", mixed_answers(runs));
    warn("mixed-scoring-in-run", having(&|run| answers(run).is_some()), mixed);
    warn("limits", having(&|run| limits(std::slice::from_ref(run)).is_some()), limits(runs));
    let skipped = list("rows of the data left out", by_dataset(runs, |run| run.skipped as u64, u64::max));
    warn("skipped", having(&|run| run.skipped > 0), skipped);
    let not_parsed = list("answers that could not be parsed (counted as wrong)", unparsed(runs, groups));
    warn("unparsed", having(&|run| run.predictions.unparsed > 0), not_parsed);
    let not_averaged = "updates that were not finite, or of a wrong name or shape, and were not averaged in";
    warn(
        "clients-not-judged",
        having(&|run| not_judged(run) > 0),
        list("clients without test examples, in no mean over clients", without_tests(runs)),
    );
    warn("left-out", having(&|run| run.summary.updates_left_out > 0), list(not_averaged, left_out(runs, groups)));
    let not_finite = list("values in records.parquet that are not finite numbers", not_finite(runs));
    warn("not-finite", having(&|run| run.recorded.not_finite > 0), not_finite);
    let repeated = list("examples judged more than once in a run", repeated_examples(runs));
    warn("repeated-examples", having(&|run| run.predictions.repeated > 0), repeated);
    let (concerns, message) = unpaired(report);
    warn("unpaired", concerns, message);
    warn("dirty", having(&|run| run.environment.dirty), dirty(runs));
    warn("mixed-commits", all(), several("runs of several commits", runs.iter().map(|run| run.environment.commit.clone())));
    let weights = provenance::backbones_with_several_weights(runs);
    let of_those = with_group(report, |group| weights.contains(&group.backbone.as_str()));
    warn(
        "mixed-weights",
        of_those,
        list("backbones of one name with different weights", weights.iter().map(|name| name.to_string())),
    );
    let machines = runs.iter().map(|run| provenance::machine(&run.environment));
    warn("mixed-machines", all(), several("timings of different machines", machines));
    found
}

fn with_group(report: &Report, doubt: impl Fn(&Group) -> bool) -> Vec<usize> {
    (0..report.groups.len()).filter(|&group| doubt(&report.groups[group])).collect()
}

/// The groups of which some run is in doubt.
fn with_run(report: &Report, doubt: &dyn Fn(&Run) -> bool) -> Vec<usize> {
    with_group(report, |group| group.runs.iter().any(|&run| doubt(&report.runs[run])))
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

/// How many of a run's clients were judged on nothing.
fn not_judged(run: &Run) -> usize {
    match run.recorded.by_client.len() {
        0 => 0,
        judged => (run.summary.clients as usize).saturating_sub(judged),
    }
}

fn without_tests(runs: &[Run]) -> Vec<String> {
    let some = runs.iter().map(|run| (run, not_judged(run))).filter(|(_, count)| *count > 0);
    some.map(|(run, count)| format!("{} ({count} of {})", run.summary.run, run.summary.clients)).collect()
}

fn repeat(repeat: &Repeat) -> String {
    format!("{} ({})", repeat.dir, if repeat.agrees { "same accuracy" } else { "DIFFERENT accuracy" })
}

fn few_seeds(groups: &[Group]) -> Option<String> {
    let few = groups.iter().filter(|group| group.runs.len() < ENOUGH_SEEDS);
    list("fewer than 3 seeds", few.map(|group| format!("{} ({})", on_dataset(group), group.runs.len())))
}

/// Trained methods on one dataset (with one backbone, and one way to split) should have had the same number of optimizer steps.
fn unequal_steps(groups: &[Group]) -> Vec<(Vec<usize>, String)> {
    let mut trained: BTreeMap<(&str, &str, String), Vec<usize>> = BTreeMap::new();
    for (index, group) in groups.iter().enumerate().filter(|(_, group)| group.stat("optimizer_steps").mean > 0.0) {
        let split = format!("{:?} {} {}", group.scheme, group.alpha, group.clients);
        trained.entry((&group.dataset, &group.backbone, split)).or_default().push(index);
    }
    let unequal = |(key, members): (&(&str, &str, String), &Vec<usize>)| {
        let groups: Vec<&Group> = members.iter().map(|&member| &groups[member]).collect();
        let steps = |group: &Group| format!("{:.0}", group.stat("optimizer_steps").mean);
        let different: BTreeSet<String> = groups.iter().map(|group| steps(group)).collect();
        let named = groups.iter().map(|group| format!("{} {}", group.label(), steps(group)));
        let message = (different.len() > 1).then(|| list(&format!("unequal optimizer steps on {}", key.0), named)).flatten();
        message.map(|message| (members.clone(), message))
    };
    trained.iter().filter_map(unequal).collect()
}

fn mixed_scoring(runs: &[Run]) -> Vec<(&str, String)> {
    let mut scorings: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for run in runs {
        let name = serde_json::to_value(run.summary.scoring).map(|value| value.as_str().map(String::from));
        scorings.entry(&run.summary.dataset).or_default().extend(name.ok().flatten());
    }
    by_name(scorings, "mixed scoring on")
}

/// Datasets of one name that were read through different cards: another revision, prompt or scoring.
fn mixed_cards(runs: &[Run]) -> Vec<(&str, String)> {
    let mut cards: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for run in runs {
        cards.entry(&run.summary.dataset).or_default().extend(run.card.as_ref().map(|hash| hash.chars().take(12).collect()));
    }
    by_name(cards, "different cards (sha256) of")
}

fn by_name<'a>(found: BTreeMap<&'a str, BTreeSet<String>>, what: &str) -> Vec<(&'a str, String)> {
    found.into_iter().filter_map(|(name, values)| Some((name, several(&format!("{what} {name}"), values)?))).collect()
}

fn told(names: &Told) -> Vec<String> {
    let each = names.iter().map(|(name, marked)| format!("{name} ({})", marked.iter().cloned().collect::<Vec<_>>().join(", ")));
    each.collect()
}

/// How many were answered either way, where both are.
fn answers(run: &Run) -> Option<[u64; 2]> {
    let counts = [run.predictions.option_likelihood, run.predictions.generation];
    counts.iter().all(|count| *count > 0).then_some(counts)
}

/// By dataset: the counts of a run, once.
fn mixed_answers(runs: &[Run]) -> Vec<String> {
    let found: BTreeSet<(&str, [u64; 2])> =
        runs.iter().filter_map(|run| Some((run.summary.dataset.as_str(), answers(run)?))).collect();
    found.iter().map(|(dataset, [ranked, generated])| format!("{dataset} ({ranked} and {generated})")).collect()
}

fn limits(runs: &[Run]) -> Option<String> {
    // A limit that no split reached left nothing out.
    let limit = |name: &str, value: Option<usize>, rows: u64| {
        value.filter(|value| *value as u64 <= rows).map(|value| format!("{name} = {value}"))
    };
    let mut limited: BTreeSet<String> = BTreeSet::new();
    for run in runs {
        let data = &run.experiment.data;
        let [train, test] = [run.summary.train_examples, run.summary.test_examples];
        let set = limit("train_limit", data.train_limit, train).into_iter().chain(limit("test_limit", data.test_limit, test));
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

fn not_finite(runs: &[Run]) -> Vec<String> {
    let broken = runs.iter().filter(|run| run.recorded.not_finite > 0);
    broken.map(|run| format!("{} ({})", run.summary.run, run.recorded.not_finite)).collect()
}

fn unpaired(report: &Report) -> (Vec<usize>, Option<String>) {
    let counted = report.comparisons.iter().filter_map(|c| Some((c.group, c.paired.mcnemar?.unpaired)));
    let unpaired: Vec<_> = counted.filter(|(_, unpaired)| *unpaired > 0).collect();
    let named = unpaired.iter().map(|(group, unpaired)| format!("{} ({unpaired})", on_dataset(&report.groups[*group])));
    (unpaired.iter().map(|(group, _)| *group).collect(), list("answers that the compared run lacks, not paired", named))
}

fn dirty(runs: &[Run]) -> Option<String> {
    let dirty = runs.iter().filter(|run| run.environment.dirty).count();
    (dirty > 0).then(|| format!("{dirty} of {} runs were made by a build with uncommitted changes", runs.len()))
}
