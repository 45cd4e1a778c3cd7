//! Each method against a reference, over the same seeds and the same examples.

use std::cmp::Ordering;

use serde::Serialize;

use crate::aggregate::differing_keys;
use crate::stats::{self, Stat};
use crate::{Group, ReportError, Run};

/// The reference is the first of these that a dataset has.
pub const REFERENCES: &[&str] = &["fedavg-nano", "fedavg-lora", "zero-shot"];

/// A method against the reference of its dataset.
#[derive(Debug)]
pub struct Comparison {
    /// The group: a position in [`crate::Report::groups`].
    pub group: usize,
    /// The reference: another one.
    pub reference: usize,
    /// Keys in which the two differ besides method and adapter.
    pub also_differs: Vec<String>,
    /// Accuracy minus the reference's, over the seeds that both have; none where they share no seed.
    pub difference: Option<Stat>,
    /// Counts over the examples that both judged with global adapters; none where they share none.
    pub mcnemar: Option<McNemar>,
}

/// Paired right and wrong answers, summed over seeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct McNemar {
    /// Pairs of answers to the same example with the same seed.
    pub pairs: u64,
    /// Answers that one of the two runs lacks.
    pub unpaired: u64,
    /// The method is right and the reference wrong.
    pub b: u64,
    /// The method is wrong and the reference right.
    pub c: u64,
    /// The two-sided exact p-value.
    pub p: f64,
}

/// Compares every group with the reference of its dataset and backbone.
pub fn compare(runs: &[Run], groups: &[Group]) -> Result<Vec<Comparison>, ReportError> {
    let mut comparisons = Vec::new();
    let mut differences = Vec::new();
    for group in 0..groups.len() {
        let Some(reference) = reference(runs, groups, group) else { continue };
        let pairs = shared_seeds(runs, &groups[group], &groups[reference]);
        let row = comparisons.len() as u32;
        differences.extend(pairs.iter().map(|(a, b)| ((row, 0), a.summary.accuracy - b.summary.accuracy)));
        comparisons.push(Comparison {
            group,
            reference,
            also_differs: other_differences(&runs[groups[group].runs[0]], &runs[groups[reference].runs[0]]),
            difference: None,
            mcnemar: mcnemar(&pairs),
        });
    }
    for ((row, _), stat) in stats::by_key(&differences)? {
        comparisons[row as usize].difference = Some(stat);
    }
    Ok(comparisons)
}

/// The group of the reference method on the same test examples that differs in the fewest keys; none for a reference itself.
fn reference(runs: &[Run], groups: &[Group], of: usize) -> Option<usize> {
    let group = &groups[of];
    let first = |g: usize| &runs[groups[g].runs[0]];
    let comparable = |g: &usize| {
        let (a, b) = (&groups[*g], &first(*g).experiment.data);
        let data = &first(of).experiment.data;
        let test = |d: &schema::experiment::DataConfig| (d.prompt.clone(), d.test_split.clone(), d.test_limit);
        (&a.dataset, &a.backbone) == (&group.dataset, &group.backbone) && test(b) == test(data)
    };
    let candidates: Vec<usize> = (0..groups.len()).filter(comparable).collect();
    let name = REFERENCES.iter().find(|name| candidates.iter().any(|&g| groups[g].method == **name))?;
    if group.method == *name {
        return None;
    }
    let of_name = candidates.into_iter().filter(|&g| groups[g].method == *name);
    of_name.min_by_key(|&g| other_differences(first(of), first(g)).len())
}

fn other_differences(a: &Run, b: &Run) -> Vec<String> {
    let meant = |key: &String| key.starts_with("method.") || key.starts_with("adapter.");
    differing_keys(a, b).into_iter().filter(|key| !meant(key)).collect()
}

fn shared_seeds<'a>(runs: &'a [Run], group: &Group, reference: &Group) -> Vec<(&'a Run, &'a Run)> {
    let of = |run: &Run| reference.runs.iter().map(|&r| &runs[r]).find(|r| r.summary.seed == run.summary.seed);
    group.runs.iter().map(|&r| &runs[r]).filter_map(|run| Some((run, of(run)?))).collect()
}

fn mcnemar(pairs: &[(&Run, &Run)]) -> Option<McNemar> {
    let mut counts = McNemar::default();
    for (method, reference) in pairs {
        count(&method.predictions.answers, &reference.predictions.answers, &mut counts);
    }
    counts.p = stats::mcnemar(counts.b, counts.c);
    (counts.pairs > 0).then_some(counts)
}

/// One merge of two sorted lists of answers (see [`crate::columns::Predictions::answers`]).
fn count(method: &[u64], reference: &[u64], counts: &mut McNemar) {
    let (mut i, mut j, mut pairs) = (0, 0, 0u64);
    while i < method.len() && j < reference.len() {
        let (a, b) = (method[i], reference[j]);
        match (a >> 1).cmp(&(b >> 1)) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => {
                counts.b += a & !b & 1;
                counts.c += b & !a & 1;
                (i, j, pairs) = (i + 1, j + 1, pairs + 1);
            }
        }
    }
    counts.pairs += pairs;
    counts.unpaired += (method.len() + reference.len()) as u64 - 2 * pairs;
}
