//! What casts doubt on the numbers, beside the numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schema::metrics::Reported;
use serde::Serialize;

use crate::aggregate::Repeat;
use crate::differences::Told;
use crate::{Comparison, Group, Run, provenance, tuning};

/// What a reader must know before believing some number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What kind of doubt, a word for programs: `few-seeds`.
    pub kind: &'static str,
    /// What is doubted and of what, names included.
    pub message: String,
    /// Whose numbers it concerns: places in [`crate::Report::groups`]; none where it concerns runs that are not reported.
    pub concerns: Vec<usize>,
}

/// Below so many seeds a deviation says little.
pub const ENOUGH_SEEDS: usize = 3;

/// All warnings, gravest kinds first.
pub(crate) fn collect(
    (runs, groups): (&[Run], &[Group]),
    comparisons: &[Comparison],
    incomplete: &BTreeSet<PathBuf>,
    repeats: &[Repeat],
    told_apart: &[Told; 2],
) -> Vec<Warning> {
    let mut doubts = Doubts { runs, groups, found: Vec::new() };
    doubts.of_folders(incomplete, repeats);
    doubts.of_likeness(told_apart);
    doubts.of_answers();
    doubts.of_records(comparisons);
    doubts.of_builds();
    doubts.found
}

/// What is doubted so far, and of what.
struct Doubts<'a> {
    runs: &'a [Run],
    groups: &'a [Group],
    found: Vec<Warning>,
}

impl Doubts<'_> {
    /// One that concerns these groups, where there is anything to say.
    fn add(&mut self, kind: &'static str, concerns: Vec<usize>, message: Option<String>) {
        self.found.extend(message.map(|message| Warning { kind, message, concerns }));
    }

    fn groups(&mut self, kind: &'static str, doubt: impl Fn(&Group) -> bool, message: Option<String>) {
        let concerns = (0..self.groups.len()).filter(|&group| doubt(&self.groups[group])).collect();
        self.add(kind, concerns, message);
    }

    /// One that concerns the groups of which some run is in doubt.
    fn runs(&mut self, kind: &'static str, doubt: impl Fn(&Run) -> bool, message: Option<String>) {
        let runs = self.runs;
        self.groups(kind, |group| group.runs.iter().any(|&run| doubt(&runs[run])), message);
    }

    /// Is each run what its folder says, and counted once?
    fn of_folders(&mut self, incomplete: &BTreeSet<PathBuf>, repeats: &[Repeat]) {
        let runs = self.runs;
        let changed = runs.iter().filter_map(|run| Some(format!("{}: {}", run.summary.run, run.disagreement.as_ref()?)));
        let changed = list("CHANGED BY HAND, numbers not to be believed", changed);
        self.runs("changed", |run| run.disagreement.is_some(), changed);
        let overfit = runs.iter().filter(|run| run.overfit).map(|run| run.summary.run.clone());
        self.runs("training-rows", |run| run.overfit, list("judged on the rows they were trained on", overfit));
        let bare = runs.iter().filter(|run| run.is_bare()).map(|run| run.summary.run.clone());
        let bare = list("clipped without noise, which keeps nothing private (epsilon is infinite)", bare);
        self.runs("no-noise", Run::is_bare, bare);
        let renamed = runs.iter().filter(|run| !run.has_its_name());
        let renamed = renamed.map(|run| format!("{} ({})", run.dir.file_name().unwrap_or_default().display(), run.summary.run));
        self.runs("renamed", |run| !run.has_its_name(), list("runs in folders of another name", renamed));
        let incomplete = list("unfinished runs, not reported", incomplete.iter().map(|dir| dir.display().to_string()));
        self.add("incomplete", Vec::new(), incomplete);
        let repeats = list("runs that repeat an experiment and a seed, not counted", repeats.iter().map(repeat));
        self.add("repeated", Vec::new(), repeats);
        self.groups("few-seeds", |group| group.runs.len() < ENOUGH_SEEDS, few_seeds(self.groups));
    }

    /// May groups that stand beside each other be compared?
    fn of_likeness(&mut self, [rows, backbones]: &[Told; 2]) {
        let runs = self.runs;
        for (concerns, message) in unequal_steps(self.groups) {
            self.add("unequal-steps", concerns, Some(message));
        }
        for (concerns, message) in tuned_unlike(runs, self.groups) {
            self.add("not-tuned-alike", concerns, Some(message));
        }
        let (concerns, message) = tuned_at_edge(runs, self.groups);
        self.add("tuned-at-edge", concerns, message);
        for (concerns, message) in unequal_parameters(self.groups) {
            self.add("unequal-parameters", concerns, Some(message));
        }
        for (dataset, message) in mixed_scoring(runs) {
            self.groups("mixed-scoring", |group| group.dataset == dataset, Some(message));
        }
        for (dataset, message) in mixed_cards(runs) {
            self.groups("mixed-cards", |group| group.dataset == dataset, Some(message));
        }
        let is_told = |told: &Told, name: &str| told.values().any(|names| names.contains(name));
        let other_rows = list("datasets of one name with different rows, kept apart by a checksum of the files", told(rows));
        self.groups("mixed-rows", |group| is_told(rows, &group.dataset), other_rows);
        let others = list("backbones of one name with different files, kept apart by a checksum", told(backbones));
        self.groups("mixed-backbones", |group| is_told(backbones, &group.backbone), others);
        if runs.iter().any(|run| run.inputs().is_some()) {
            let silent = runs.iter().filter(|run| run.inputs().is_none()).map(|run| run.summary.run.clone());
            let silent = list("runs of an older version that do not say what they read, kept apart from those that do", silent);
            self.runs("unrecorded-inputs", |run| run.inputs().is_none(), silent);
        }
    }

    /// What was asked and answered, and how?
    fn of_answers(&mut self) {
        let runs = self.runs;
        let mixed = list("answered by option likelihood and by generation in one run", mixed_answers(runs));
        self.runs("mixed-scoring-in-run", |run| answers(run).is_some(), mixed);
        self.runs("limits", |run| limits(std::slice::from_ref(run)).is_some(), limits(runs));
        let blank =
            list("always giving the most frequent answer is worth nothing: does the metric fit the answers?", worthless(runs));
        self.runs("majority-zero", |run| run.summary.majority_accuracy == 0.0, blank);
        let (concerns, message) = none_above_majority(runs, self.groups);
        self.add("none-above-majority", concerns, message);
        let skipped = list("rows of the data left out", by_dataset(runs, |run| run.skipped as u64, u64::max));
        self.runs("skipped", |run| run.skipped > 0, skipped);
        let said = list("said of the data when they were read", of_data(runs));
        self.runs("data", |run| !run.environment.doubts.is_empty(), said);
        let not_parsed = list("answers that could not be parsed (counted as wrong)", unparsed(runs, self.groups));
        self.runs("unparsed", |run| run.predictions.unparsed > 0, not_parsed);
        let not_judged_on = list("clients without test examples, in no mean over clients", without_tests(runs));
        self.runs("clients-not-judged", |run| not_judged(run) > 0, not_judged_on);
    }

    /// Does every update, record and pair count?
    fn of_records(&mut self, comparisons: &[Comparison]) {
        let runs = self.runs;
        let left_out = |run: &Run| run.summary.updates_left_out;
        let not_averaged = "updates that were not finite, or of a wrong name or shape, and were not averaged in";
        self.runs("left-out", |run| run.summary.updates_left_out > 0, list(not_averaged, counted(runs, self.groups, left_out)));
        let forgotten = "clients whose host forgot what they remembered of earlier rounds, so that they began anew";
        let states_lost = |run: &Run| run.summary.states_lost;
        self.runs("state-lost", |run| states_lost(run) > 0, list(forgotten, counted(runs, self.groups, states_lost)));
        let unreached = "times that clients could not be reached to be judged with adapters of their own";
        let judgings_lost = |run: &Run| run.summary.judgings_lost;
        self.runs("not-reached", |run| judgings_lost(run) > 0, list(unreached, counted(runs, self.groups, judgings_lost)));
        let not_finite = list("values in records.parquet that are not finite numbers", not_finite(runs));
        self.runs("not-finite", |run| run.recorded.not_finite > 0, not_finite);
        let repeated = list("examples judged more than once in a run", repeated_examples(runs));
        self.runs("repeated-examples", |run| run.predictions.repeated > 0, repeated);
        let (concerns, message) = unpaired(self.groups, comparisons);
        self.add("unpaired", concerns, message);
    }

    /// Who made the runs, with what, and where?
    fn of_builds(&mut self) {
        let runs = self.runs;
        let everybody: Vec<usize> = (0..self.groups.len()).collect();
        self.runs("dirty", |run| run.environment.dirty, dirty(runs));
        let several_commits = several("runs of several commits", runs.iter().map(|run| run.environment.commit.clone()));
        self.add("mixed-commits", everybody.clone(), several_commits);
        let weights = provenance::backbones_with_several_weights(runs);
        let named = list("backbones of one name with different weights", weights.iter().map(|name| name.to_string()));
        self.groups("mixed-weights", |group| weights.contains(&group.backbone.as_str()), named);
        for (dataset, message) in provenance::mixed_kernels(runs) {
            self.groups("mixed-kernels", |group| group.dataset == dataset, Some(message));
        }
        let of_machines = runs.iter().map(|run| provenance::machine(&run.environment));
        self.add("mixed-machines", everybody, several("timings of different machines", of_machines));
    }
}

/// `what: a, b`, with the count; nothing for nothing.
fn list(what: &str, items: impl IntoIterator<Item = String>) -> Option<String> {
    let items: Vec<String> = items.into_iter().collect();
    (!items.is_empty()).then(|| format!("{what}: {}", items.join(", ")))
}

/// Of one run's data, at most so many doubts are repeated.
const DOUBTS: usize = 10;

/// What runs said of their data, each once.
fn of_data(runs: &[Run]) -> BTreeSet<String> {
    let doubts = |run: &Run| {
        let shown = run.environment.doubts.iter().take(DOUBTS).map(|doubt| guard::text::line(doubt, 300));
        shown.map(|doubt| format!("{} ({doubt})", run.summary.dataset)).collect::<Vec<_>>()
    };
    runs.iter().flat_map(doubts).collect()
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

/// Trained methods on one dataset, with one backbone and one way to split: what is compared with each other. Places of groups.
fn rivals(groups: &[Group]) -> BTreeMap<(&str, &str, String), Vec<usize>> {
    let mut trained: BTreeMap<(&str, &str, String), Vec<usize>> = BTreeMap::new();
    for (index, group) in groups.iter().enumerate().filter(|(_, group)| group.stat(Reported::OptimizerSteps).mean > 0.0) {
        let split = format!("{:?} {} {}", group.scheme, group.alpha, group.clients);
        trained.entry((&group.dataset, &group.backbone, split)).or_default().push(index);
    }
    trained
}

/// They should have had the same number of optimizer steps.
fn unequal_steps(groups: &[Group]) -> Vec<(Vec<usize>, String)> {
    let unequal = |((dataset, ..), members): ((&str, &str, String), Vec<usize>)| {
        let groups: Vec<&Group> = members.iter().map(|&member| &groups[member]).collect();
        let steps = |group: &Group| format!("{:.0}", group.stat(Reported::OptimizerSteps).mean);
        let different: BTreeSet<String> = groups.iter().map(|group| steps(group)).collect();
        let named = groups.iter().map(|group| format!("{} {}", group.label(), steps(group)));
        let message = (different.len() > 1).then(|| list(&format!("unequal optimizer steps on {dataset}"), named)).flatten();
        message.map(|message| (members, message))
    };
    rivals(groups).into_iter().filter_map(unequal).collect()
}

/// Beyond this factor, a difference may be one of size.
const UNEQUAL: f64 = 1.5;

/// And about as many trained parameters.
fn unequal_parameters(groups: &[Group]) -> Vec<(Vec<usize>, String)> {
    let unequal = |((dataset, ..), members): ((&str, &str, String), Vec<usize>)| {
        let trained = |member: &usize| groups[*member].stat(Reported::TrainableParameters).mean;
        let least = members.iter().map(trained).fold(f64::INFINITY, f64::min);
        let most = members.iter().map(trained).fold(0.0, f64::max);
        let named = members.iter().map(|member| format!("{} {:.0}", groups[*member].label(), trained(member)));
        let what = format!("trained parameters differ by more than {UNEQUAL} times on {dataset}");
        let message = (most > UNEQUAL * least).then(|| list(&what, named)).flatten();
        message.map(|message| (members, message))
    };
    rivals(groups).into_iter().filter_map(unequal).collect()
}

/// Methods that are compared and were not tuned alike: by the same protocol on the same split, or not at all.
fn tuned_unlike(runs: &[Run], groups: &[Group]) -> Vec<(Vec<usize>, String)> {
    let how = |group: &Group| tuning::of(runs, group).map(|tuned| (&tuned.protocol, &tuned.split));
    let unlike = |((dataset, ..), members): ((&str, &str, String), Vec<usize>)| {
        let different: BTreeSet<_> = members.iter().map(|&member| how(&groups[member])).collect();
        let named = members.iter().map(|&member| {
            let said = tuning::of(runs, &groups[member])
                .map_or("not at all".into(), |tuned| format!("on {}", guard::text::line(&tuned.split, 40)));
            format!("{} {said}", groups[member].label())
        });
        let message = (different.len() > 1).then(|| list(&format!("not tuned alike on {dataset}"), named)).flatten();
        message.map(|message| (members, message))
    };
    rivals(groups).into_iter().filter_map(unlike).collect()
}

/// Groups whose best value was the last one tried, so that a better one may lie beyond.
fn tuned_at_edge(runs: &[Run], groups: &[Group]) -> (Vec<usize>, Option<String>) {
    let is_there = |group: &usize| tuning::of(runs, &groups[*group]).is_some_and(|tuned| tuned.at_edge);
    let found: Vec<usize> = (0..groups.len()).filter(is_there).collect();
    let named = found.iter().map(|&group| on_dataset(&groups[group]));
    let message = list("tuned values at the edge of what was tried, where a better one may lie beyond", named);
    (found, message)
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

/// Datasets on which no constant answer is ever right.
fn worthless(runs: &[Run]) -> BTreeSet<String> {
    runs.iter().filter(|run| run.summary.majority_accuracy == 0.0).map(|run| run.summary.dataset.clone()).collect()
}

/// Datasets on which something was trained, and nothing does better than always giving the most frequent answer.
fn none_above_majority(runs: &[Run], groups: &[Group]) -> (Vec<usize>, Option<String>) {
    let mut best: BTreeMap<(&str, &str), (f64, f64, Vec<usize>)> = BTreeMap::new();
    for (place, group) in groups.iter().enumerate() {
        let mean =
            |of: fn(&Run) -> f64| group.runs.iter().map(|&run| of(&runs[run])).sum::<f64>() / group.runs.len().max(1) as f64;
        let (accuracy, majority) = (mean(|run| run.summary.accuracy), mean(|run| run.summary.majority_accuracy));
        let known = best.entry((&group.dataset, &group.backbone)).or_insert((0.0, 0.0, Vec::new()));
        *known = (known.0.max(accuracy), known.1.max(majority), [&known.2[..], &[place]].concat());
    }
    best.retain(|_, (accuracy, majority, places)| {
        *accuracy <= *majority && *majority > 0.0 && places.iter().any(|&place| groups[place].rounds > 0)
    });
    let named = best.iter().map(|((dataset, backbone), (accuracy, majority, _))| {
        format!("{dataset} with {backbone} ({:.1}% at best, {:.1}%)", 100.0 * accuracy, 100.0 * majority)
    });
    let message = list("no method is better than always giving the most frequent answer", named.collect::<Vec<_>>());
    (best.into_values().flat_map(|(.., places)| places).collect(), message)
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

/// How often something happened in each group's runs, where it did.
fn counted(runs: &[Run], groups: &[Group], of: impl Fn(&Run) -> u64) -> Vec<String> {
    let count = |group: &Group| group.runs.iter().map(|&run| of(&runs[run])).sum::<u64>();
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

fn unpaired(groups: &[Group], comparisons: &[Comparison]) -> (Vec<usize>, Option<String>) {
    let counted = comparisons.iter().filter_map(|c| Some((c.group, c.paired.mcnemar?.unpaired)));
    let unpaired: Vec<_> = counted.filter(|(_, unpaired)| *unpaired > 0).collect();
    let named = unpaired.iter().map(|(group, unpaired)| format!("{} ({unpaired})", on_dataset(&groups[*group])));
    (unpaired.iter().map(|(group, _)| *group).collect(), list("answers that the compared run lacks, not paired", named))
}

fn dirty(runs: &[Run]) -> Option<String> {
    let dirty = runs.iter().filter(|run| run.environment.dirty).count();
    (dirty > 0).then(|| format!("{dirty} of {} runs were made by a build with uncommitted changes", runs.len()))
}
