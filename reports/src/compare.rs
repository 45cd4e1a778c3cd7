//! One report against another: the same experiments, metric by metric, with a verdict each.

use std::collections::BTreeSet;

use schema::metrics::{Direction, Reported, Unit};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::blocks::{Block, Table};
use crate::differences::{RECORDED, differing_keys};
use crate::format::NOTHING;
use crate::paired::{self, LEVEL, Paired};
use crate::stats::TwoSources;
use crate::tables::{COMPARED, DETECTABLE, compared};
use crate::{Report, Run, Stat, markdown, provenance, terminal};

/// Two reports side by side.
pub struct Compare<'a> {
    a: &'a Report,
    b: &'a Report,
    pairs: Vec<Pair>,
    only: [Vec<usize>; 2],
}

/// A configuration that both have.
struct Pair {
    a: usize,
    b: usize,
    /// Keys in which the two differ, where they are not the same experiment.
    differs: Vec<String>,
    paired: Paired,
    metrics: Vec<Change>,
}

/// A metric on both sides.
#[derive(Serialize)]
struct Change {
    #[serde(serialize_with = "by_name")]
    metric: Reported,
    unit: Unit,
    a: Stat,
    b: Stat,
    verdict: Verdict,
}

fn by_name<S: Serializer>(metric: &Reported, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(metric.row().name)
}

/// What became of a metric, from A to B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Same,
    NoDifference,
    Better,
    Worse,
    Differs,
    OneSeed,
}

impl Verdict {
    fn words(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::NoDifference => "no difference",
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Differs => "differs",
            Self::OneSeed => "differs (one seed: no test)",
        }
    }
}

impl<'a> Compare<'a> {
    /// Pairs the same experiments, and of what is left those of one dataset, backbone, method and adapter that have one candidate.
    pub fn new(a: &'a Report, b: &'a Report) -> Self {
        let mut open = [(0..a.groups.len()).collect::<BTreeSet<_>>(), (0..b.groups.len()).collect()];
        let mut pairs = Vec::new();
        for same in [same_experiment as fn(&Side, &Side) -> bool, same_as_far_as_said, same_method] {
            for i in open[0].clone() {
                let fits = |&j: &usize| same(&(a, i), &(b, j));
                let rivals = open[0].iter().filter(|&&other| same(&(a, i), &(a, other))).count();
                let found: Vec<usize> = open[1].iter().copied().filter(fits).collect();
                if let ([j], 1) = (found.as_slice(), rivals) {
                    pairs.push(Pair::new(a, i, b, *j));
                    open[0].remove(&i);
                    open[1].remove(j);
                }
            }
        }
        pairs.sort_by_key(|pair| pair.a);
        paired::correct(&mut pairs.iter_mut().map(|pair| &mut pair.paired).collect::<Vec<_>>());
        Self { a, b, pairs, only: open.map(|open| open.into_iter().collect()) }
    }

    /// As Markdown: accuracies, other changes, and what only one side has.
    pub fn markdown(&self) -> String {
        markdown::render(&self.blocks())
    }

    /// The same as plain text.
    pub fn terminal(&self) -> String {
        terminal::render(&self.blocks())
    }

    /// Every pair with all its metrics, changed or not, in full precision.
    pub fn json(&self) -> String {
        let pair = |pair: &Pair| {
            let group = &self.a.groups[pair.a];
            json!({ "dataset": group.dataset, "method": group.method, "setting": group.setting, "experiments": [group.identity,
                    self.b.groups[pair.b].identity], "differs_in": pair.differs, "accuracy": pair.paired, "metrics": pair.metrics })
        };
        let mut value = json!({
            "pairs": self.pairs.iter().map(pair).collect::<Vec<Value>>(),
            "only_a": self.names(0),
            "only_b": self.names(1),
            "unverified": self.a.unverified + self.b.unverified,
        });
        let notices = self.notices();
        if !notices.is_empty() {
            value["notices"] = json!(notices);
        }
        serde_json::to_string_pretty(&value).expect("plain data") + "\n"
    }

    fn blocks(&self) -> Vec<Block> {
        let text = format!(
            "B minus A, the same experiments. Accuracy over the seeds and examples that both have: mean ± sd of the differences, a \
             bootstrap's 95% interval over examples and seeds, a t-test with both as sources of chance and the exact McNemar test (b: only \
             B right), corrected for the number of comparisons (Holm). {DETECTABLE}"
        );
        let mut blocks = vec![Block::Heading(1, "B against A".into()), Block::Text(text)];
        blocks.push(Block::Heading(2, "Accuracy".into()));
        blocks.push(if self.pairs.is_empty() { Block::Text("Nothing in common.".into()) } else { Block::Table(self.accuracy()) });
        blocks.extend(self.notices().into_iter().map(Block::Text));
        blocks.push(Block::Heading(2, "Everything else that changed".into()));
        let changes = self.changes();
        blocks.push(match changes.rows.is_empty() {
            true => Block::Text("Nothing.".into()),
            false => Block::Table(changes),
        });
        for (side, name) in [(0, "Only in A"), (1, "Only in B")] {
            if !self.only[side].is_empty() {
                blocks.extend([Block::Heading(2, name.into()), Block::List(self.names(side))]);
            }
        }
        blocks
    }

    /// What else could make the two sides differ.
    fn notices(&self) -> Vec<String> {
        let compared = self.pairs.iter().flat_map(|pair| runs(self.a, pair.a).into_iter().chain(runs(self.b, pair.b)));
        provenance::mixed_kernels(compared).into_values().map(|told| format!("Warning: {told}.")).collect()
    }

    fn names(&self, side: usize) -> Vec<String> {
        let report = [self.a, self.b][side];
        let name = |&group: &usize| format!("{} on {}", report.groups[group].label(), report.groups[group].dataset);
        self.only[side].iter().map(name).collect()
    }

    fn accuracy(&self) -> Table {
        let confounded = self.pairs.iter().any(|pair| !pair.differs.is_empty());
        let mut header: Vec<String> = ["dataset", "method"].map(String::from).to_vec();
        header.extend(confounded.then(|| "also differs in".into()));
        let text_columns = header.len();
        header.extend(["A (%)", "B (%)"].into_iter().chain(COMPARED).map(String::from));
        let row = |pair: &Pair| {
            let (a, b) = (&self.a.groups[pair.a], &self.b.groups[pair.b]);
            let mut row = vec![a.dataset.clone(), a.label()];
            row.extend(confounded.then(|| pair.differs.join(", ")));
            row.extend([a, b].map(|group| crate::format::percent(group.stat(Reported::Accuracy))));
            row.extend(compared(&pair.paired));
            row
        };
        Table { text_columns, header, rows: self.pairs.iter().map(row).collect(), ..Table::default() }
    }

    fn changes(&self) -> Table {
        let header = ["dataset", "method", "metric", "A", "B", "change (%)", "verdict"].map(String::from).to_vec();
        let mut rows = Vec::new();
        for pair in &self.pairs {
            let group = &self.a.groups[pair.a];
            let shown = |change: &&Change| {
                change.metric != Reported::Accuracy && !matches!(change.verdict, Verdict::Same | Verdict::NoDifference)
            };
            rows.extend(pair.metrics.iter().filter(shown).map(|change| {
                let names = [group.dataset.clone(), group.label(), format!("{} ({})", change.metric.row().name, change.unit)];
                names.into_iter().chain(change.cells()).collect()
            }));
        }
        Table { text_columns: 3, header, rows, ..Table::default() }
    }
}

/// A group of a report.
type Side<'a> = (&'a Report, usize);

fn same_experiment((a, i): &Side, (b, j): &Side) -> bool {
    a.groups[*i].identity == b.groups[*j].identity
}

/// A run that does not say what it read, and one that does, and everything that both say is the same.
fn same_as_far_as_said((a, i): &Side, (b, j): &Side) -> bool {
    let differing = differing_keys(runs(a, *i)[0], runs(b, *j)[0]);
    same_method(&(a, *i), &(b, *j)) && differing.iter().all(|key| key == RECORDED)
}

fn same_method((a, i): &Side, (b, j): &Side) -> bool {
    let (a, b) = (&a.groups[*i], &b.groups[*j]);
    (&a.dataset, &a.backbone, &a.method, &a.adapter) == (&b.dataset, &b.backbone, &b.method, &b.adapter)
}

impl Pair {
    fn new(a: &Report, i: usize, b: &Report, j: usize) -> Self {
        let (of_a, of_b) = (runs(a, i), runs(b, j));
        let change = |&metric: &Reported| {
            let (a, b, row) = (a.groups[i].stat(metric), b.groups[j].stat(metric), metric.row());
            Change { metric, unit: row.unit, a, b, verdict: verdict(row.direction, a, b) }
        };
        Self {
            a: i,
            b: j,
            differs: differences(of_a[0], of_b[0]),
            paired: Paired::new(&of_b, &of_a),
            metrics: Reported::ALL.iter().map(change).collect(),
        }
    }
}

/// What makes two runs other than repeats of each other.
fn differences(a: &Run, b: &Run) -> Vec<String> {
    let mut differs: Vec<String> = differing_keys(a, b).into_iter().filter(|key| key != "name" && key != "seed").collect();
    if a.inputs().is_some() || b.inputs().is_some() {
        return differs;
    }
    differs.extend((a.card != b.card).then(|| "the dataset's card".into()));
    differs.extend((a.environment.backbone_sha256 != b.environment.backbone_sha256).then(|| "the backbone's weights".into()));
    differs
}

fn runs(report: &Report, group: usize) -> Vec<&Run> {
    report.groups[group].runs.iter().map(|&run| &report.runs[run]).collect()
}

/// Exact where no seed changes it; else Welch's t-test over seeds.
fn verdict(direction: Direction, a: Stat, b: Stat) -> Verdict {
    let difference = b.mean - a.mean;
    if difference.abs() <= 1e-12 * a.mean.abs().max(b.mean.abs()) {
        return Verdict::Same;
    }
    let chance = TwoSources::of_seeds(0.0, [a, b].map(|stat| (stat.sd.unwrap_or(0.0).powi(2) / stat.n as f64, stat.n)));
    if chance.error > 0.0 {
        if chance.p(difference) >= LEVEL {
            return Verdict::NoDifference;
        }
    } else if a.n.min(b.n) == 1 && direction != Direction::None {
        return Verdict::OneSeed;
    }
    match (direction, difference > 0.0) {
        (Direction::None, _) => Verdict::Differs,
        (Direction::Higher, true) | (Direction::Lower, false) => Verdict::Better,
        _ => Verdict::Worse,
    }
}

impl Change {
    fn cells(&self) -> [String; 4] {
        let number = |stat: Stat| match stat.sd.filter(|sd| *sd > 0.0) {
            Some(sd) => format!("{} ± {}", short(stat.mean), short(sd)),
            None => short(stat.mean),
        };
        let relative = match self.a.mean {
            0.0 => NOTHING.into(),
            before => format!("{:+.2}", 100.0 * (self.b.mean - before) / before),
        };
        [number(self.a), number(self.b), relative, self.verdict.words().into()]
    }
}

/// Whole numbers whole, others with four digits.
fn short(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1e4 { format!("{value:.0}") } else { format!("{value:.4}") }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::fixture::Fixture;

    /// Three seeds of a method, so many of 100 examples right, with one thing changed.
    fn report(runs: &[(&'static str, usize)], change: impl Fn(&mut Fixture)) -> Report {
        let root = TempDir::new().expect("a folder");
        for (&(method, right), seed) in runs.iter().flat_map(|run| [1, 2, 3].map(|seed| (run, seed))) {
            let mut fixture = Fixture::new("icongen", method, seed, right as f64 / 100.0);
            fixture.correct = (0..100).map(|example| example < right).collect();
            fixture.scoring = vec!["option-likelihood"; 100];
            fixture.test_examples = 100;
            change(&mut fixture);
            fixture.write(root.path());
        }
        Report::read(&[root.path().into()]).expect("readable runs")
    }

    #[test]
    fn the_same_runs_are_the_same() {
        let report = report(&[("fednano", 60)], |_| {});
        let text = Compare::new(&report, &report).markdown();
        assert!(text.contains("| no difference |") && text.contains("Nothing."), "{text}");
        assert!(!text.contains("Only in") && !text.contains("also differs"), "{text}");
    }

    #[test]
    fn what_changed_has_a_verdict() {
        let before = report(&[("fednano", 40), ("local", 50)], |_| {});
        let after = report(&[("fednano", 60), ("fedprox", 50)], |run| {
            run.rounds = 7;
            run.card = "another";
        });
        let compare = Compare::new(&before, &after);
        let text = compare.markdown();
        assert!(text.contains("federation.rounds, the dataset's card") && text.contains("+20.0 ± 0.0"), "{text}");
        assert!(text.contains("better |"), "{text}");
        assert!(text.contains("- local on icongen") && text.contains("- fedprox on icongen"), "{text}");
        assert!(compare.json().contains("\"only_b\": [\n    \"fedprox on icongen\""), "{}", compare.json());
    }

    /// Where both sides say it, and only there.
    #[test]
    fn different_kernels_are_a_warning() {
        let by = |kernel| report(&[("fednano", 60)], |run| run.kernel = kernel);
        let (pairs, widened) = (by(Some("avx512-bf16")), by(Some("avx512, widened")));
        let (same, other) = (Compare::new(&pairs, &pairs), Compare::new(&pairs, &widened));
        let warning = "Warning: different kernels multiplied on icongen, so last digits may differ for that alone: bf16 weights \
                       (avx512, widened; avx512-bf16).";
        assert!(other.markdown().contains(warning), "{}", other.markdown());
        assert!(other.json().contains(warning) && !same.json().contains("notices"), "{}", other.json());
        for quiet in [same, Compare::new(&by(None), &widened)] {
            assert!(!quiet.markdown().contains("kernels"), "{}", quiet.markdown());
        }
    }

    /// The first 80 examples are answered alike.
    #[test]
    fn only_examples_that_both_have_are_compared() {
        let whole = report(&[("fednano", 60)], |_| {});
        let part = report(&[("fednano", 60)], |run| {
            run.correct.truncate(80);
            run.scoring.truncate(80);
            (run.accuracy, run.test_examples) = (0.75, 80);
        });
        let text = Compare::new(&whole, &part).markdown();
        assert!(text.contains("+0.0 ± 0.0"), "{text}");
    }

    /// Seeds that scatter hide a small change; what never changes is compared exactly.
    #[test]
    fn metrics_are_judged_over_seeds() {
        let stat = |mean: f64, sd: f64| Stat { mean, sd: Some(sd), n: 3 };
        let check = |a, b, expect| assert_eq!(verdict(Direction::Lower, a, b), expect);
        check(stat(10.0, 1.0), stat(10.5, 1.0), Verdict::NoDifference);
        check(stat(10.0, 0.1), stat(12.0, 0.1), Verdict::Worse);
        check(stat(10.0, 0.0), stat(9.0, 0.0), Verdict::Better);
        check(stat(10.0, 0.0), stat(10.0, 0.0), Verdict::Same);
        let one = |mean| Stat { mean, sd: None, n: 1 };
        check(one(10.0), one(9.0), Verdict::OneSeed);
        assert_eq!(verdict(Direction::None, stat(1.0, 0.0), stat(2.0, 0.0)), Verdict::Differs);
    }
}
