//! Runs against a baseline: has accuracy fallen, or the log-loss of the right option risen, by more than a margin, and is that more
//! than chance?
//!
//! Each configuration of the baseline is compared with the same configuration of the runs, on the same examples; seeds may be the
//! same or others. An example's value is its mean over seeds. A difference has two sources of chance, which add: *examples* (the
//! standard deviation over examples of what each one's value changed by, over the square root of their number) and *seeds* (the
//! standard deviations over either side's seeds; of the differences where both sides have the same seeds, which is why the same seeds
//! see more). Its p-value is one-sided, of Student's t with Welch and Satterthwaite's degrees of freedom (Welch, Biometrika 34, 1947;
//! an infinite number for the examples' part). It is the chance of such a fall where there is none; that the fall is larger than the margin
//! is what the estimate says, and not tested. Where a fall of the margin would probably not be seen, that is said, and passes unless the
//! rule is strict. p-values are corrected over all configurations and both quantities (Holm, Scand. J. Stat. 6,
//! 1979). What cannot be compared is an error, never a pass; a baseline that does not say which option is the right one is compared
//! by accuracy alone.

mod output;
mod quantity;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use quantity::Measured;
pub use quantity::Quantity;

use crate::differences::{RECORDED, differences_in_words, differing_keys};
use crate::provenance::mixed_kernels;
use crate::stats::{TwoSources, holm, mean, variance};
use crate::{Group, Report, Run};
use serde::Serialize;

/// How the gate decides: what is accepted, and how sure it must be.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rule {
    /// The fall of accuracy that is accepted, a fraction.
    pub margin: f64,
    /// The rise of the log-loss that is accepted, nats.
    pub loss_margin: f64,
    /// The significance level, over all configurations and both quantities together.
    pub alpha: f64,
    /// Whether runs of a build with uncommitted changes may pass.
    pub allow_dirty: bool,
    /// Whether too few rows or seeds to see a harm of the margin shut the gate, too.
    pub strict: bool,
}

/// What became of a configuration by one quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// No regression, and one of the margin would probably have been seen.
    Passes,
    /// No regression was seen, but one of the margin would probably not have been either: more rows or more seeds are needed.
    TooFew,
    /// It became worse by more than the margin, and not by chance.
    Regressed,
}

/// One configuration's comparison by one quantity, in that quantity's unit.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// The dataset's name.
    pub dataset: String,
    /// Method and setting, as tables name them.
    pub label: String,
    /// What is compared.
    pub quantity: Quantity,
    /// The metric and its unit, where `accuracy` is of none of VQA's scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Of the baseline, the mean over its seeds.
    pub baseline: f64,
    /// The same of the runs.
    pub found: f64,
    /// Runs minus baseline.
    pub difference: f64,
    /// The difference's standard error, over examples and seeds.
    pub standard_error: f64,
    /// Examples that both sides answered.
    pub examples: usize,
    /// Seeds: of the baseline, of the runs.
    pub seeds: [usize; 2],
    /// The one-sided p-value of becoming worse.
    pub p: f64,
    /// The same, corrected for all checks of the gate (Holm).
    pub p_holm: f64,
    /// The harm that would have been seen four times of five.
    pub detectable: f64,
    /// What follows from difference, margin and corrected p-value.
    pub verdict: Verdict,
}

/// What the gate found: any error, or any check that regressed, shuts it.
#[derive(Debug, Clone, Serialize)]
pub struct Gate {
    /// The rule that it decided by.
    pub rule: Rule,
    /// For each configuration of the baseline that could be compared, one by accuracy and, where the baseline tells it, one by
    /// log-loss.
    pub checks: Vec<Check>,
    /// What could not be compared, and why.
    pub errors: Vec<String>,
    /// How many runs of either side nobody can vouch for ([`Report::unverified`]).
    pub unverified: usize,
    /// What was compared although one side does not say all of what it read, and what else may make the sides differ: other kernels.
    pub notices: Vec<String>,
}

impl Rule {
    /// What is accepted of a quantity, in its unit.
    pub fn margin_of(&self, quantity: Quantity) -> f64 {
        match quantity {
            Quantity::Accuracy => self.margin,
            Quantity::Loss => self.loss_margin,
        }
    }
}

impl Gate {
    /// Compares every configuration of `baseline` with the same one of `runs`.
    pub fn new(baseline: &Report, runs: &Report, rule: Rule) -> Self {
        let unverified = baseline.unverified + runs.unverified;
        let mut gate = Self { rule, checks: Vec::new(), errors: Vec::new(), notices: Vec::new(), unverified };
        if baseline.groups.is_empty() {
            gate.errors.push("the baseline holds no run".into());
        }
        let mut compared = Vec::new();
        for group in &baseline.groups {
            let found = counterpart(baseline, group, runs);
            let sides = found.and_then(|(found, notice)| {
                gate.notices.extend(notice.map(|notice| format!("{} on {}: {notice}", group.label(), group.dataset)));
                Sides::new(baseline, group, runs, found, rule)
            });
            match sides.and_then(|sides| Ok((sides.checks()?, sides))) {
                Ok((checks, sides)) => {
                    gate.checks.extend(checks);
                    compared.extend(sides.baseline.into_iter().chain(sides.found));
                }
                Err(error) => gate.errors.push(format!("{} on {}: {error}", group.label(), group.dataset)),
            }
        }
        gate.notices.extend(mixed_kernels(compared).into_values());
        if gate.checks.is_empty() && gate.errors.is_empty() {
            gate.errors.push("nothing was compared".into());
        }
        let corrected = holm(&gate.checks.iter().map(|check| check.p).collect::<Vec<_>>());
        for (check, p) in gate.checks.iter_mut().zip(corrected) {
            check.p_holm = p;
            check.verdict = verdict(check, rule);
        }
        gate
    }

    /// Whether a CI may go on.
    pub fn passes(&self) -> bool {
        self.errors.is_empty()
            && self.checks.iter().all(|check| match check.verdict {
                Verdict::Passes => true,
                Verdict::TooFew => !self.rule.strict,
                Verdict::Regressed => false,
            })
    }
}

fn verdict(check: &Check, rule: Rule) -> Verdict {
    let margin = rule.margin_of(check.quantity);
    if check.quantity.harm(check.difference) > margin && check.p_holm < rule.alpha {
        return Verdict::Regressed;
    }
    if check.detectable > margin { Verdict::TooFew } else { Verdict::Passes }
}

/// The same configuration among the runs, by content, and what must be said of it; or why there is none: its method is not there, or
/// differs in some key.
fn counterpart<'a>(baseline: &Report, group: &Group, runs: &'a Report) -> Result<(&'a Group, Option<String>), String> {
    if let Some(found) = runs.groups.iter().find(|other| other.identity == group.identity) {
        return Ok((found, None));
    }
    let of_baseline = &baseline.runs[group.runs[0]];
    let first = |other: &Group| &runs.runs[other.runs[0]];
    let alike = runs.groups.iter().filter(|other| first(other).dataset == of_baseline.dataset && other.method == group.method);
    let mut alike: Vec<_> = alike.map(|other| (other, differing_keys(of_baseline, first(other)))).collect();
    alike.sort_by_key(|(_, keys)| keys.len());
    let unsaid_alone = |keys: &BTreeSet<String>| keys.iter().all(|key| key == RECORDED);
    if alike.iter().filter(|(_, keys)| unsaid_alone(keys)).count() > 1 {
        return Err("the runs have it on several data, and the baseline does not say which it read: make a new baseline".into());
    }
    let Some((nearest, mut keys)) = alike.into_iter().next() else { return Err("missing from the runs".into()) };
    let unsaid = keys.remove(RECORDED);
    if keys.is_empty() && unsaid {
        let silent = if of_baseline.inputs().is_none() { "the baseline is" } else { "the runs are" };
        let notice = format!(
            "{silent} of an older version and without checksums of the data: compared by card, weights and examples' ids"
        );
        return Ok((nearest, Some(notice)));
    }
    Err(format!(
        "the runs have this method only with other keys: {}; run the baseline's experiments, or make a new baseline",
        differences_in_words(of_baseline, first(nearest), &keys)
    ))
}

/// The two sides of a comparison, which may be compared.
struct Sides<'a> {
    group: &'a Group,
    baseline: Vec<&'a Run>,
    found: Vec<&'a Run>,
    alpha: f64,
}

impl<'a> Sides<'a> {
    fn new(of: &'a Report, group: &'a Group, runs: &'a Report, found: &'a Group, rule: Rule) -> Result<Self, String> {
        let baseline: Vec<&Run> = group.runs.iter().map(|&run| &of.runs[run]).collect();
        let found: Vec<&Run> = found.runs.iter().map(|&run| &runs.runs[run]).collect();
        comparable(&baseline, &found, rule)?;
        Ok(Self { group, baseline, found, alpha: rule.alpha })
    }

    /// Accuracy, and log-loss where the baseline tells it.
    fn checks(&self) -> Result<Vec<Check>, String> {
        let mut checks = Vec::new();
        for quantity in [Quantity::Accuracy, Quantity::Loss] {
            let Some(before) = quantity.measure(&self.baseline)? else { continue };
            let after = quantity.measure(&self.found)?;
            let after = after.ok_or("the runs do not say which option is the right one, the baseline does")?;
            checks.push(self.check(quantity, &before, &after)?);
        }
        Ok(checks)
    }

    fn check(&self, quantity: Quantity, before: &Measured, after: &Measured) -> Result<Check, String> {
        let changes = before.changes(after)?;
        let (before_mean, after_mean) = (mean(&before.by_run), mean(&after.by_run));
        let difference = after_mean - before_mean;
        let chance = self.chance(&changes, before, after);
        Ok(Check {
            dataset: self.group.dataset.clone(),
            label: self.group.label(),
            quantity,
            metric: self.metric(quantity),
            baseline: before_mean,
            found: after_mean,
            difference,
            standard_error: chance.error,
            examples: changes.len(),
            seeds: [before.by_run.len(), after.by_run.len()],
            p: chance.p_of_fall(-quantity.harm(difference)),
            p_holm: 1.0,
            detectable: chance.detectable(self.alpha),
            verdict: Verdict::Passes,
        })
    }

    fn metric(&self, quantity: Quantity) -> Option<String> {
        let summary = &self.baseline.first()?.summary;
        summary.metric_title().filter(|_| quantity == Quantity::Accuracy).map(|title| format!("{title} ({})", summary.sign()))
    }

    /// The chance in the difference: of the examples, and of either side's seeds, or of their pairs where the seeds are the same.
    fn chance(&self, changes: &[f64], before: &Measured, after: &Measured) -> TwoSources {
        // What is one number of all answers is not made of theirs.
        let is_one = self.baseline.iter().any(|run| run.is_of_corpus());
        let of_examples = if is_one { 0.0 } else { variance(changes) / changes.len() as f64 };
        let seeds = |runs: &[&Run]| runs.iter().map(|run| run.summary.seed).collect::<Vec<_>>();
        if seeds(&self.baseline) == seeds(&self.found) {
            let by_seed: Vec<f64> = after.by_run.iter().zip(&before.by_run).map(|(after, before)| after - before).collect();
            let freedom = (by_seed.len() as f64 - 1.0).max(1.0);
            return TwoSources::new(of_examples, variance(&by_seed) / by_seed.len() as f64, freedom);
        }
        TwoSources::of_seeds(of_examples, [before.of_seeds(), after.of_seeds()])
    }
}

/// What must be the same on both sides.
fn comparable(baseline: &[&Run], found: &[&Run], rule: Rule) -> Result<(), String> {
    let first = baseline.first().ok_or("the baseline has no run of it")?;
    for run in baseline.iter().chain(found) {
        let (rows, wanted) = (run.summary.test_examples, first.summary.test_examples);
        if rows != wanted {
            return Err(format!("{}: {rows} test examples, the baseline has {wanted}", run.summary.run));
        }
        if run.card != first.card && (run.inputs().is_none() || first.inputs().is_none()) {
            return Err(format!("{}: its dataset's card is not the baseline's", run.summary.run));
        }
        if run.environment.backbone_sha256 != first.environment.backbone_sha256 {
            return Err(format!("{}: its backbone's weights are not the baseline's", run.summary.run));
        }
    }
    match found.iter().find(|run| run.environment.dirty) {
        Some(run) if !rule.allow_dirty => {
            Err(format!("{}: made by a build with uncommitted changes: commit them (or --allow-dirty)", run.summary.run))
        }
        _ => Ok(()),
    }
}
