//! What it takes to reach an accuracy: rounds, and bytes up and down until then.
//!
//! A run reaches a target with the first judged round whose accuracy on the whole test split is not below it. Its bytes until then
//! are those of all clients in all rounds so far. A group's numbers are medians over its seeds; a seed that never gets there counts
//! as later than any that does, so a method is not made to look fast by the seeds in which it fails.
//!
//! Targets are what was asked for. Without that, each dataset and backbone whose runs were judged in more than one round has one:
//! halfway from the best zero-shot accuracy (or chance, where there is none) to the best centralized one (or the best of all), to a
//! tenth of a percent.

use std::collections::{BTreeMap, BTreeSet};

use schema::Family;
use schema::metrics::Reported;
use serde::Serialize;

use crate::{Report, Run};

/// What it took a group to reach an accuracy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effort {
    /// Its place in [`Report::groups`].
    #[serde(skip)]
    pub group: usize,
    /// The accuracy to be reached, a fraction.
    pub target_accuracy: f64,
    /// How many seeds it has.
    pub seeds: usize,
    /// How many of them reached the accuracy.
    pub seeds_reached: usize,
    /// The median over seeds of the round that did; none where at least half did not.
    pub rounds: Option<f64>,
    /// The same of the bytes of adapters up and down until then; none where records hold no bytes either.
    pub adapter_bytes: Option<f64>,
    /// The same with activations.
    pub total_bytes: Option<f64>,
    /// Whether rounds before were not judged, so that these numbers are upper bounds.
    pub is_bound: bool,
}

/// Groups that share targets: those of one dataset and backbone.
pub type Field<'a> = (&'a str, &'a str);

/// Every group's effort for every target of its dataset and backbone.
pub fn efforts(report: &Report) -> BTreeMap<Field<'_>, Vec<Effort>> {
    let mut fields: BTreeMap<Field, Vec<usize>> = BTreeMap::new();
    for (index, group) in report.groups.iter().enumerate() {
        fields.entry((&group.dataset, &group.backbone)).or_default().push(index);
    }
    let of = |(field, members): (_, Vec<usize>)| {
        let targets = if report.targets.is_empty() { halfway(report, &members) } else { report.targets.clone() };
        let all = targets.iter().flat_map(|&target| members.iter().map(move |&group| (group, target)));
        (field, all.map(|(group, target)| effort(report, group, target)).collect::<Vec<_>>())
    };
    fields.into_iter().map(of).filter(|(_, efforts)| !efforts.is_empty()).collect()
}

/// The target that nobody asked for; none where every run was judged once, or where nothing lies between the two ends.
fn halfway(report: &Report, members: &[usize]) -> Vec<f64> {
    let groups = || members.iter().map(|&member| &report.groups[member]);
    if groups().all(|group| group.accuracy_by_round.len() < 2) {
        return Vec::new();
    }
    let best = |metric: Reported, family: Option<Family>| {
        let alike = groups().filter(|group| family.is_none_or(|family| group.family == family));
        alike.map(|group| group.stat(metric).mean).reduce(f64::max)
    };
    let low = best(Reported::Accuracy, Some(Family::ZeroShot)).or_else(|| best(Reported::ChanceAccuracy, None));
    let high = best(Reported::Accuracy, Some(Family::Centralized)).or_else(|| best(Reported::Accuracy, None));
    let between = low.zip(high).filter(|(low, high)| low < high).map(|(low, high)| (low + high) / 2.0);
    between.map(to_tenths_of_a_percent).into_iter().collect()
}

/// As it is printed.
fn to_tenths_of_a_percent(fraction: f64) -> f64 {
    (1000.0 * fraction).round() / 1000.0
}

fn effort(report: &Report, group: usize, target: f64) -> Effort {
    let runs = || report.groups[group].runs.iter().map(|&run| &report.runs[run]);
    let found: Vec<Option<Arrival>> = runs().map(|run| arrival(run, target)).collect();
    let reached: Vec<&Arrival> = found.iter().flatten().collect();
    let median_of = |of: fn(&Arrival) -> Option<f64>| median(found.iter().map(|run| run.as_ref().and_then(of)).collect());
    Effort {
        group,
        target_accuracy: target,
        seeds: found.len(),
        seeds_reached: reached.len(),
        rounds: median_of(|run| Some(f64::from(run.round))),
        adapter_bytes: median_of(|run| run.bytes.map(|[adapters, _]| adapters)),
        total_bytes: median_of(|run| run.bytes.map(|[adapters, activations]| adapters + activations)),
        is_bound: reached.iter().any(|run| run.is_bound),
    }
}

/// When a run reached an accuracy.
struct Arrival {
    round: u32,
    /// Of adapters, and of activations.
    bytes: Option<[f64; 2]>,
    is_bound: bool,
}

fn arrival(run: &Run, target: f64) -> Option<Arrival> {
    let judged: BTreeSet<u32> = run.recorded.by_round.iter().map(|(round, _)| *round).collect();
    let enough = |(_, accuracy): &&(u32, f64)| *accuracy >= target;
    let round = run.recorded.by_round.iter().filter(enough).map(|(round, _)| *round).min()?;
    let before = judged.range(..round).next_back().copied().unwrap_or(0);
    Some(Arrival { round, bytes: bytes_until(run, round), is_bound: round > before + 1 })
}

/// Bytes up to the end of a round; nothing where records do not say what the summary says that there was.
fn bytes_until(run: &Run, round: u32) -> Option<[f64; 2]> {
    let by_round = &run.recorded.bytes_by_round;
    let sum = |channel: usize| by_round.range(..=round).fold(0.0, |sum, (_, bytes)| sum + bytes[channel]);
    (!by_round.is_empty() || Reported::TotalBytes.of(&run.summary) == 0.0).then(|| [sum(0), sum(1)])
}

/// The middle value, of two their mean; what is missing is larger than anything.
fn median(values: Vec<Option<f64>>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().map(|value| value.unwrap_or(f64::INFINITY)).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    let median = if values.len() % 2 == 1 { upper } else { (values[middle - 1] + upper) / 2.0 };
    median.is_finite().then_some(median)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::fixture::{Fixture, Row};

    /// Two clients that send 10 bytes of adapters up and 5 down in each of two rounds, and 100 of activations in the first.
    fn bytes() -> Vec<Row> {
        let of_client = |client: u32| {
            let adapters =
                [1, 2].map(|round| [(round, Some(client), "uplink_bytes", 10.0), (round, Some(client), "downlink_bytes", 5.0)]);
            adapters.into_iter().flatten().chain([(1, Some(client), "activation_uplink_bytes", 100.0)])
        };
        [0, 1].into_iter().flat_map(of_client).collect()
    }

    /// Seeds with these accuracies after round 2; after round 1 half of it.
    fn report(methods: &[(&'static str, &[f64])], targets: &[f64]) -> (TempDir, Report) {
        let root = TempDir::new().expect("a folder");
        for (method, accuracies) in methods {
            for (seed, accuracy) in (1..).zip(*accuracies) {
                let fixture = Fixture::new("icongen", method, seed, *accuracy);
                Fixture { records: bytes(), ..fixture }.write(root.path());
            }
        }
        let read = Report::read(&[root.path().into()]).expect("readable runs");
        (root, Report { targets: targets.into(), ..read })
    }

    fn all(report: &Report) -> Vec<Effort> {
        efforts(report).into_values().flatten().collect()
    }

    #[test]
    fn bytes_are_summed_until_the_round_that_reaches_it() {
        let (_root, report) = report(&[("fednano", &[0.8, 0.8, 0.8])], &[0.4, 0.8, 0.9]);
        let found = all(&report).into_iter().map(|e| (e.seeds_reached, e.rounds, e.adapter_bytes, e.total_bytes, e.is_bound));
        let first = (3, Some(1.0), Some(30.0), Some(230.0), false);
        let second = (3, Some(2.0), Some(60.0), Some(260.0), false);
        assert_eq!(found.collect::<Vec<_>>(), [first, second, (0, None, None, None, false)]);
    }

    #[test]
    fn a_seed_that_fails_is_later_than_any_other() {
        let (_root, report) = report(&[("fednano", &[0.8, 0.8, 0.2]), ("fedprox", &[0.8, 0.2, 0.2])], &[0.5]);
        let found = all(&report).into_iter().map(|effort| (effort.seeds_reached, effort.rounds));
        assert_eq!(found.collect::<Vec<_>>(), [(2, Some(2.0)), (1, None)]);
        let markdown = report.markdown();
        assert!(markdown.contains("| fednano |       50.0 |          2 |"), "{markdown}");
        assert!(markdown.contains(" 1 of 3 |") && markdown.contains(" 2 of 3 |"), "{markdown}");
        assert!(!markdown.contains("The target is halfway"), "{markdown}");
    }

    #[test]
    fn the_target_is_halfway_where_nobody_asks() {
        let check = |methods: &[(&'static str, &[f64])], expect: &[f64]| {
            let (_root, report) = report(methods, &[]);
            let found: Vec<f64> = all(&report).iter().map(|effort| effort.target_accuracy).collect();
            assert_eq!(found, expect, "{methods:?}");
        };
        check(&[("zero-shot", &[0.4]), ("centralized-lora", &[0.6]), ("centralized-nano", &[0.5])], &[0.5; 3]);
        // Chance, 0.25 here, and the best there is.
        check(&[("fednano", &[0.75])], &[0.5]);
        check(&[("zero-shot", &[0.4]), ("centralized-lora", &[0.3])], &[]);
    }

    #[test]
    fn rounds_that_were_not_judged_make_a_bound() {
        let root = TempDir::new().expect("a folder");
        let late = Fixture { records: vec![(6, None, "accuracy", 0.9)], ..Fixture::new("icongen", "fednano", 1, 0.5) };
        late.write(root.path());
        let report = Report { targets: vec![0.9], ..Report::read(&[root.path().into()]).expect("readable runs") };
        let effort = &all(&report)[0];
        assert_eq!((effort.rounds, effort.is_bound, effort.total_bytes), (Some(6.0), true, None), "no bytes in these records");
        assert!(report.markdown().contains(" ≤ 6 |"), "{}", report.markdown());
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![Some(3.0), Some(1.0)]), Some(2.0));
        assert_eq!(median(vec![None, Some(3.0), Some(1.0)]), Some(3.0));
        assert_eq!((median(vec![None, Some(1.0)]), median(Vec::new())), (None, None));
    }
}
