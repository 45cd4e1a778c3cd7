//! A paper's claims of the form "this method is more accurate than those", judged on runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::blocks::{Block, Table};
use crate::differences::differing_keys;
use crate::format::{self, NOTHING};
use crate::paired::{self, LEVEL, Paired, Verdict};
use crate::stats::{TwoSources, holm, holm_levels};
use crate::{Group, Report, Run, Stat};

/// One claim, as a file of claims states it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// What is claimed, in a sentence.
    pub claim: String,
    /// The paper and the place in it.
    pub source: String,
    /// The method that is said to be better.
    #[serde(default)]
    pub method: String,
    /// Those it is said to be better than.
    #[serde(default)]
    pub than: Vec<String>,
    /// Keys and values that the method's runs must have to be meant, where not all are; `unset` is a key that is not there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with: BTreeMap<String, String>,
    /// The same of the others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub than_with: BTreeMap<String, String>,
    /// The accuracy that decides.
    #[serde(default)]
    pub judged_on: JudgedOn,
    /// Where this cannot be tested here: what that would need.
    #[serde(default)]
    pub needs: Option<String>,
}

/// The accuracy that a claim is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JudgedOn {
    /// The whole test split.
    #[default]
    Whole,
    /// The mean over clients on their own test shards.
    Own,
}

/// A claim with what the runs say of it.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// The claim, as it was stated.
    pub claim: Claim,
    /// The method against each of the others, in every setting that both have.
    pub rows: Vec<Row>,
    /// Whether the runs bear it out, in words.
    pub verdict: String,
}

/// The method against one other in one setting.
#[derive(Debug, Serialize)]
pub struct Row {
    dataset: String,
    method: String,
    than: String,
    also_differs: Vec<String>,
    difference: Option<Stat>,
    p_holm: Option<f64>,
    /// The true difference that such a row finds four times of five ([`Paired::detectable`]).
    detectable: Option<f64>,
    verdict: Verdict,
}

/// Judges claims on a report's runs. p-values are corrected over the rows of all claims about the whole split, and over those of each
/// claim about clients' own data.
pub fn judge(report: &Report, claims: &[Claim]) -> Vec<Judged> {
    let mut found: Vec<Vec<(Row, Option<Paired>)>> = claims.iter().map(|claim| rows(report, claim)).collect();
    paired::correct(&mut found.iter_mut().flatten().filter_map(|(_, paired)| paired.as_mut()).collect::<Vec<_>>());
    let judged = claims.iter().zip(found).map(|(claim, rows)| {
        let rows = rows.into_iter().map(|(row, paired)| with_verdict(row, paired)).collect();
        let rows = if claim.judged_on == JudgedOn::Own { over_seeds(rows) } else { rows };
        Judged { verdict: verdict(claim, &rows), claim: claim.clone(), rows }
    });
    judged.collect()
}

/// The claims as blocks of a report.
pub fn blocks(judged: &[Judged]) -> Vec<Block> {
    let mut blocks = vec![Block::Heading(2, "Claims".into())];
    let summary = judged.iter().map(|j| vec![j.claim.claim.clone(), j.claim.source.clone(), j.verdict.clone()]);
    let header = ["claim", "source", "verdict"].map(String::from).to_vec();
    blocks.push(Block::Table(Table { text_columns: 3, header, rows: summary.collect(), ..Table::default() }));
    for of in judged.iter().filter(|of| !of.rows.is_empty()) {
        blocks.extend([Block::Heading(3, of.claim.claim.clone()), Block::Table(table(&of.rows))]);
    }
    blocks
}

fn table(rows: &[Row]) -> Table {
    let header =
        ["dataset", "method", "than", "also differs in", "difference (points)", "p (Holm)", "verdict", "detectable (points)"];
    let or_nothing = |text: Option<String>| text.unwrap_or(NOTHING.into());
    let cells = |row: &Row| {
        let names = [row.dataset.clone(), row.method.clone(), row.than.clone(), row.also_differs.join(", ")];
        let difference = or_nothing(row.difference.map(format::points));
        let detectable = or_nothing(row.detectable.map(|least| format!("{:.1}", 100.0 * least)));
        let verdict = row.verdict.words().into();
        names.into_iter().chain([difference, or_nothing(row.p_holm.map(format::p_value)), verdict, detectable]).collect()
    };
    Table {
        text_columns: 4,
        header: header.map(String::from).to_vec(),
        rows: rows.iter().map(cells).collect(),
        ..Table::default()
    }
}

/// The rows, not yet judged; with what their examples say where the claim is about the whole split.
fn rows(report: &Report, claim: &Claim) -> Vec<(Row, Option<Paired>)> {
    let of = |group: &Group| group.runs.iter().map(|&run| &report.runs[run]).collect::<Vec<&Run>>();
    let mut rows = Vec::new();
    for group in report.groups.iter().filter(|group| group.method == claim.method && has(report, group, &claim.with)) {
        for than in &claim.than {
            let Some(rival) = rival(report, group, than, &claim.than_with) else { continue };
            let (ours, theirs) = (of(group), of(rival));
            let paired = (claim.judged_on == JudgedOn::Whole).then(|| Paired::new(&ours, &theirs));
            let difference = match &paired {
                Some(paired) => paired.difference,
                None => own_difference(&ours, &theirs),
            };
            let row = Row {
                dataset: group.dataset.clone(),
                method: group.label(),
                than: rival.label(),
                also_differs: differing_keys(ours[0], theirs[0]).into_iter().filter(|key| key.starts_with("adapter.")).collect(),
                difference,
                p_holm: None,
                detectable: None,
                verdict: Verdict::NoDifference,
            };
            rows.push((row, paired));
        }
    }
    rows
}

/// Whether a group's runs have these values.
fn has(report: &Report, group: &Group, keys: &BTreeMap<String, String>) -> bool {
    keys.iter().all(|(key, value)| report.runs[group.runs[0]].said(key) == *value)
}

/// The other method's group in the same setting (data, clients, budget), its adapters as like as there are.
fn rival<'a>(report: &'a Report, group: &Group, than: &str, with: &BTreeMap<String, String>) -> Option<&'a Group> {
    let first = &report.runs[group.runs[0]];
    let differing = |other: &Group| differing_keys(first, &report.runs[other.runs[0]]);
    let meant = |key: &String| key.starts_with("method.") || key.starts_with("adapter.");
    let fits = |other: &&Group| {
        other.method == than
            && other.dataset == group.dataset
            && other.backbone == group.backbone
            && has(report, other, with)
            && differing(other).iter().all(meant)
    };
    report.groups.iter().filter(fits).min_by_key(|other| differing(other).len())
}

fn own_difference(ours: &[&Run], theirs: &[&Run]) -> Option<Stat> {
    let of = |run: &Run| theirs.iter().find(|other| other.summary.seed == run.summary.seed);
    let difference = |run: &&Run| Some(run.summary.client_accuracy_mean - of(run)?.summary.client_accuracy_mean);
    Stat::of(&ours.iter().filter_map(difference).collect::<Vec<_>>())
}

fn with_verdict(row: Row, paired: Option<Paired>) -> Row {
    match paired {
        Some(paired) => Row { p_holm: paired.p_holm, detectable: paired.detectable, verdict: paired.verdict, ..row },
        None => row,
    }
}

/// Rows whose only source of chance are seeds: shards differ by seed, so examples do not pair.
fn over_seeds(mut rows: Vec<Row>) -> Vec<Row> {
    let chance = |row: &Row| {
        let difference = row.difference.filter(|difference| difference.n > 1)?;
        let of_seeds = difference.sd?.powi(2) / difference.n as f64;
        let chance = TwoSources::new(0.0, of_seeds, difference.n as f64 - 1.0);
        Some((chance, chance.p(difference.mean)))
    };
    let tested: Vec<Option<(TwoSources, f64)>> = rows.iter().map(chance).collect();
    let raw: Vec<f64> = tested.iter().flatten().map(|(_, p)| *p).collect();
    let mut corrected = holm(&raw).into_iter().zip(holm_levels(&raw, LEVEL));
    for (row, tested) in rows.iter_mut().zip(tested) {
        let p = tested.map(|(_, p)| p);
        if let Some(((chance, _), (p_holm, level))) = tested.and_then(|tested| Some((tested, corrected.next()?))) {
            (row.p_holm, row.detectable) = (Some(p_holm), Some(chance.detectable(level / 2.0)));
        }
        let mean = row.difference.map_or(0.0, |difference| difference.mean);
        row.verdict = match (row.p_holm, p) {
            (Some(corrected), _) if corrected < LEVEL && mean > 0.0 => Verdict::Better,
            (Some(corrected), _) if corrected < LEVEL => Verdict::Worse,
            (_, Some(p)) if p < LEVEL => Verdict::NotAfterHolm,
            _ if row.difference.is_some_and(|difference| difference.n == 1) => Verdict::OneSeed,
            _ => Verdict::NoDifference,
        };
    }
    rows
}

fn verdict(claim: &Claim, rows: &[Row]) -> String {
    if let Some(needs) = &claim.needs {
        return format!("cannot be tested here: needs {needs}");
    }
    if rows.is_empty() {
        return format!("cannot be tested here: needs runs of {} and of {}", claim.method, claim.than.join(" or "));
    }
    let count = |wanted: Verdict| rows.iter().filter(|row| row.verdict == wanted).count();
    let (better, worse, alone) = (count(Verdict::Better), count(Verdict::Worse), count(Verdict::OneSeed));
    let (all, judged) = (rows.len(), rows.len() - alone);
    if judged == 0 {
        return format!("cannot be judged here: one seed ({all} of {all})");
    }
    let least = rows.iter().filter(|row| row.verdict == Verdict::NoDifference).filter_map(|row| row.detectable);
    let least: Vec<f64> = least.filter(|least| *least > 0.0).collect();
    let unseen =
        least.iter().copied().reduce(f64::max).map_or(String::new(), |most| {
            format!("; there, differences of less than {:.1} points may not be seen", 100.0 * most)
        });
    let one_seed = if alone > 0 { format!(", one seed in {alone}") } else { String::new() };
    let none = judged - better - worse;
    let counts = format!("better in {better} of {all}, worse in {worse}, no difference in {none}{one_seed}{unseen}");
    if better == all { format!("holds ({counts})") } else { format!("does not hold here ({counts})") }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::fixture::Fixture;

    /// 100 examples, three seeds, so many of them right.
    fn report(methods: &[(&'static str, usize)]) -> Report {
        let root = TempDir::new().expect("a folder");
        for &(method, right) in methods {
            for seed in 1..=3 {
                let mut fixture = Fixture::new("icongen", method, seed, right as f64 / 100.0);
                fixture.correct = (0..100).map(|example| example < right).collect();
                fixture.scoring = vec!["option-likelihood"; 100];
                fixture.test_examples = 100;
                fixture.write(root.path());
            }
        }
        Report::read(&[root.path().into()]).expect("readable runs")
    }

    fn claim(method: &str, than: &[&str]) -> Claim {
        Claim {
            claim: "it is better".into(),
            source: "a paper".into(),
            method: method.into(),
            than: than.iter().map(|name| (*name).into()).collect(),
            with: BTreeMap::new(),
            than_with: BTreeMap::new(),
            judged_on: JudgedOn::Whole,
            needs: None,
        }
    }

    #[test]
    fn a_claim_is_about_the_runs_that_it_means() {
        let report = report(&[("fednano", 60), ("fedavg-nano", 40)]);
        let keys = |rank: &str| BTreeMap::from([("method.mu".to_owned(), rank.to_owned())]);
        let of = |with: &str, than: &str| {
            let meant = Claim { with: keys(with), than_with: keys(than), ..claim("fednano", &["fedavg-nano"]) };
            judge(&report, &[meant]).swap_remove(0).verdict
        };
        assert!(of("unset", "unset").starts_with("holds"), "{}", of("unset", "unset"));
        assert!(of("0.1", "unset").starts_with("cannot be tested") && of("unset", "0.1").starts_with("cannot be tested"));
    }

    #[test]
    fn a_claim_holds_if_every_row_does() {
        let report = report(&[("fednano", 60), ("fedavg-nano", 40), ("fedprox", 60)]);
        let verdict = |than: &[&str]| judge(&report, &[claim("fednano", than)]).swap_remove(0).verdict;
        assert_eq!(verdict(&["fedavg-nano"]), "holds (better in 1 of 1, worse in 0, no difference in 0)");
        let both = "does not hold here (better in 1 of 2, worse in 0, no difference in 1)";
        assert_eq!(verdict(&["fedavg-nano", "fedprox"]), both);
        assert_eq!(verdict(&["scaffold"]), "cannot be tested here: needs runs of fednano and of scaffold");
        let reversed = judge(&report, &[claim("fedavg-nano", &["fednano"])]).swap_remove(0).verdict;
        assert_eq!(reversed, "does not hold here (better in 0 of 1, worse in 1, no difference in 0)");
    }

    #[test]
    fn own_shards_are_judged_over_seeds() {
        let report = report(&[("feddat", 60), ("fedavg-lora", 40)]);
        let own = Claim { judged_on: JudgedOn::Own, ..claim("feddat", &["fedavg-lora"]) };
        let judged = judge(&report, &[own]);
        assert!(judged[0].verdict.starts_with("holds"), "{judged:?}");
        let needs = Claim { needs: Some("a GPU".into()), ..claim("feddat", &[]) };
        assert_eq!(judge(&report, &[needs])[0].verdict, "cannot be tested here: needs a GPU");
    }
}
