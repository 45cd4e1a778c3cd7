//! Each method against a reference, over the same seeds and the same examples.

use serde::Serialize;

use crate::bootstrap::{self, Interval};
use crate::differences::differing_keys;
use crate::stats::{self, Stat, TwoSources};
use crate::{Group, Run};

/// The reference is the first of these that a dataset has.
pub const REFERENCES: &[&str] = &["fedavg-nano", "fedavg-lora", "fedavg", "zero-shot"];

/// A method against the reference of its dataset.
#[derive(Debug)]
pub struct Comparison {
    /// The group: a position in [`crate::Report::groups`].
    pub group: usize,
    /// The group that it is compared with: another position.
    pub reference: usize,
    /// Keys in which the two differ besides method and adapter.
    pub also_differs: Vec<String>,
    /// What the seeds and examples that both have say of their difference.
    pub paired: Paired,
}

/// A difference over the same seeds and the same examples. A client's own answers count as one for each example: their mean.
#[derive(Debug, Default, Serialize)]
pub struct Paired {
    /// Accuracy minus the reference's, over the seeds that both have; none where they share no seed.
    pub difference: Option<Stat>,
    /// Where the mean difference lies over other examples and seeds, 95% (see [`bootstrap`]); none of one seed.
    pub interval: Option<Interval>,
    /// Two-sided, of a t-test over examples and seeds (see [`stats::TwoSources`]); none of one seed, which says nothing of other seeds.
    pub p: Option<f64>,
    /// The same, corrected for the number of comparisons (Holm).
    pub p_holm: Option<f64>,
    /// Counts over the examples that both judged with global adapters; none where they share none.
    pub mcnemar: Option<McNemar>,
    /// The true difference that such a comparison finds four times of five: by its own scatter over examples and seeds, at the level that
    /// Holm's correction leaves it ([`stats::holm_levels`]). What lies below may be there and not be seen.
    pub detectable: Option<f64>,
    /// What interval and corrected p-value say together.
    pub verdict: Verdict,
    /// What the test goes by.
    #[serde(skip)]
    chance: Option<TwoSources>,
}

/// Whether there is a difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The interval holds zero.
    #[default]
    NoDifference,
    /// The interval holds no zero, but among so many comparisons some would not.
    NotAfterHolm,
    /// The interval lies above zero, and the corrected p-value below 0.05.
    Better,
    /// The same below zero.
    Worse,
    /// They share one seed, so nothing is known of others.
    OneSeed,
    /// What is compared is one number of all answers, so nothing is known of other examples.
    OneNumber,
}

impl Verdict {
    /// As a table says it.
    pub fn words(self) -> &'static str {
        match self {
            Self::NoDifference => "no difference",
            Self::NotAfterHolm => "not after Holm",
            Self::Better => "better",
            Self::Worse => "worse",
            Self::OneSeed => "one seed: no verdict",
            Self::OneNumber => "one number: no verdict",
        }
    }
}

/// The level of the corrected tests.
pub(crate) const LEVEL: f64 = 0.05;

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
    /// The two-sided exact p-value; none of one seed.
    pub p: Option<f64>,
    /// The same, corrected for the number of tests (Holm).
    pub p_holm: Option<f64>,
}

/// Compares every group with the reference of its dataset and backbone.
pub fn compare(runs: &[Run], groups: &[Group]) -> Vec<Comparison> {
    let pairs = (0..groups.len()).filter_map(|group| Some((group, reference(runs, groups, group)?)));
    let of = |group: usize| groups[group].runs.iter().map(|&run| &runs[run]).collect::<Vec<_>>();
    let comparison = |(group, reference): (usize, usize)| Comparison {
        group,
        reference,
        also_differs: other_differences(&runs[groups[group].runs[0]], &runs[groups[reference].runs[0]]),
        paired: Paired::new(&of(group), &of(reference)),
    };
    let mut comparisons: Vec<Comparison> = pairs.map(comparison).collect();
    correct(&mut comparisons.iter_mut().map(|comparison| &mut comparison.paired).collect::<Vec<_>>());
    comparisons
}

impl Paired {
    /// One configuration's runs against another's, not yet corrected for the number of comparisons.
    pub fn new(method: &[&Run], reference: &[&Run]) -> Self {
        let pairs = shared_seeds(method, reference);
        let by_seed: Vec<f64> = pairs.iter().filter_map(|(a, b)| difference(a, b)).collect();
        let of_corpus = method.iter().chain(reference).any(|run| run.is_of_corpus());
        let examples = if by_seed.len() > 1 && !of_corpus { differences(&pairs) } else { Vec::new() };
        let tested = chance(&examples);
        Self {
            difference: Stat::of(&by_seed),
            interval: bootstrap::interval(&examples),
            p: tested.map(|(chance, mean)| chance.p(mean)),
            p_holm: None,
            mcnemar: mcnemar(&pairs),
            detectable: None,
            verdict: if of_corpus { Verdict::OneNumber } else { Verdict::default() },
            chance: tested.map(|(chance, _)| chance),
        }
    }

    /// One of which nothing is known but its test.
    #[cfg(test)]
    pub(crate) fn tested(tested: Option<(TwoSources, f64)>) -> Self {
        let (chance, p) = (tested.map(|(chance, _)| chance), tested.map(|(chance, mean)| chance.p(mean)));
        Self { chance, p, ..Self::default() }
    }

    fn judge(&mut self) {
        self.verdict = match (self.interval, self.p_holm) {
            _ if self.verdict == Verdict::OneNumber => Verdict::OneNumber,
            (Some(interval), Some(p)) if !interval.holds_zero() => match (p < LEVEL, interval.low > 0.0) {
                (false, _) => Verdict::NotAfterHolm,
                (true, true) => Verdict::Better,
                (true, false) => Verdict::Worse,
            },
            _ if self.difference.is_some_and(|difference| difference.n == 1) => Verdict::OneSeed,
            _ => Verdict::NoDifference,
        };
    }
}

/// Corrects p-values for their number, and says what follows.
pub fn correct(all: &mut [&mut Paired]) {
    let holm_of = |p: Vec<Option<f64>>| {
        let mut corrected = stats::holm(&p.iter().flatten().copied().collect::<Vec<_>>()).into_iter();
        p.into_iter().map(|p| p.and_then(|_| corrected.next())).collect::<Vec<_>>()
    };
    let t = holm_of(all.iter().map(|paired| paired.p).collect());
    let exact = holm_of(all.iter().map(|paired| paired.mcnemar.and_then(|counts| counts.p)).collect());
    let mut levels = stats::holm_levels(&all.iter().filter_map(|paired| paired.p).collect::<Vec<_>>(), LEVEL).into_iter();
    for ((paired, t), exact) in all.iter_mut().zip(t).zip(exact) {
        paired.p_holm = t;
        let level = paired.p.and_then(|_| levels.next());
        paired.detectable = paired.chance.zip(level).map(|(chance, level)| chance.detectable(level / 2.0));
        if let Some(counts) = &mut paired.mcnemar {
            counts.p_holm = exact;
        }
        paired.judge();
    }
}

/// The chance in differences `[examples][seeds]`, and their mean.
pub(crate) fn chance(differences: &[Vec<f64>]) -> Option<(TwoSources, f64)> {
    let seeds = differences.first().map_or(0, Vec::len);
    if seeds == 0 {
        return None;
    }
    let by_example: Vec<f64> = differences.iter().map(|of_one| stats::mean(of_one)).collect();
    let of_seed = |seed: usize| differences.iter().map(|of_one| of_one[seed]).sum::<f64>() / differences.len() as f64;
    let by_seed: Vec<f64> = (0..seeds).map(of_seed).collect();
    let chance = TwoSources::new(
        stats::variance(&by_example) / by_example.len() as f64,
        stats::variance(&by_seed) / seeds as f64,
        (seeds as f64 - 1.0).max(1.0),
    );
    Some((chance, stats::mean(&by_example)))
}

/// The difference of two runs' accuracies, on the examples that both judged; none where these are none.
fn difference(method: &Run, reference: &Run) -> Option<f64> {
    let [a, b] = [method, reference].map(|run| &run.predictions.scores);
    let common: Vec<f64> = joined(a, b).map(|(_, (a, b))| a - b).collect();
    match common.len() == a.len().max(b.len()) {
        true => Some(method.summary.accuracy - reference.summary.accuracy),
        false if method.is_of_corpus() || reference.is_of_corpus() => None,
        false => (!common.is_empty()).then(|| stats::mean(&common)),
    }
}

/// The differences of the examples that all these runs judged, `[examples][seeds]`.
fn differences(pairs: &[(&Run, &Run)]) -> Vec<Vec<f64>> {
    let mut common: Vec<(u64, Vec<f64>)> = Vec::new();
    for (seed, (method, reference)) in pairs.iter().enumerate() {
        let of_seed = joined(&method.predictions.scores, &reference.predictions.scores);
        let of_seed = of_seed.map(|(example, (a, b))| (example, a - b));
        common = match seed {
            0 => of_seed.map(|(example, difference)| (example, vec![difference])).collect(),
            _ => {
                let of_seed: Vec<(u64, f64)> = of_seed.collect();
                let longer = joined(&common, &of_seed);
                longer.map(|(example, (before, difference))| (example, [before, vec![difference]].concat())).collect()
            }
        };
    }
    common.into_iter().map(|(_, differences)| differences).collect()
}

/// What two sorted lists have under the same keys.
fn joined<'a, A: Clone, B: Clone>(a: &'a [(u64, A)], b: &'a [(u64, B)]) -> impl Iterator<Item = (u64, (A, B))> + 'a {
    let mut rest = b;
    a.iter().filter_map(move |(key, value)| {
        while rest.first().is_some_and(|(other, _)| other < key) {
            rest = &rest[1..];
        }
        rest.first().filter(|(other, _)| other == key).map(|(_, other)| (*key, (value.clone(), other.clone())))
    })
}

/// The group of the reference method on the same test examples that differs in the fewest keys; none for a reference itself.
fn reference(runs: &[Run], groups: &[Group], of: usize) -> Option<usize> {
    let group = &groups[of];
    let first = |g: usize| &runs[groups[g].runs[0]];
    let comparable = |g: &usize| {
        let (a, b) = (&groups[*g], &first(*g).experiment.data);
        let data = &first(of).experiment.data;
        let test = |d: &schema::experiment::DataConfig| (d.prompt.clone(), d.test_split.clone(), d.test_limit, d.test_rows);
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

pub(crate) fn shared_seeds<'a>(method: &[&'a Run], reference: &[&'a Run]) -> Vec<(&'a Run, &'a Run)> {
    let of = |run: &Run| reference.iter().find(|other| other.summary.seed == run.summary.seed).copied();
    method.iter().filter_map(|&run| Some((run, of(run)?))).collect()
}

/// An answer that is worth half or more counts as right; none of metrics that know no right and wrong.
fn mcnemar(pairs: &[(&Run, &Run)]) -> Option<McNemar> {
    let mut counts = McNemar::default();
    for (method, reference) in pairs {
        let (a, b) = (&method.predictions, &reference.predictions);
        let is_graded = |run: &Run| run.summary.metric.is_some();
        if a.own || b.own || is_graded(method) || is_graded(reference) {
            return None;
        }
        let before = counts.pairs;
        for (_, (method, reference)) in joined(&a.scores, &b.scores) {
            let [method, reference] = [method, reference].map(|score| score >= 0.5);
            counts.pairs += 1;
            counts.b += u64::from(method && !reference);
            counts.c += u64::from(reference && !method);
        }
        counts.unpaired += (a.scores.len() + b.scores.len()) as u64 - 2 * (counts.pairs - before);
    }
    counts.p = (pairs.len() > 1).then(|| stats::mcnemar(counts.b, counts.c));
    (counts.pairs > 0).then_some(counts)
}
