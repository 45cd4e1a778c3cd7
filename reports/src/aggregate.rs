//! Runs that differ in nothing but the seed become a group; anything else that differs keeps them apart, and is shown.

use std::collections::{BTreeMap, BTreeSet};

use schema::Family;
use schema::experiment::PartitionScheme;
use schema::metrics::{Optional, Reported};

use crate::differences::differing_keys;
use crate::stats::{self, Stat};
use crate::{ReportError, Run};

/// Runs that differ in nothing but the seed.
#[derive(Debug)]
pub struct Group {
    /// The dataset's name.
    pub dataset: String,
    /// What stands behind a hundredfold of its scores: `%`, or `x 100`.
    pub unit: &'static str,
    /// Whether they are accuracies, and not of a metric that its dataset's name says.
    pub is_accuracy: bool,
    /// The backbone's name.
    pub backbone: String,
    /// The method's name.
    pub method: String,
    /// What kind of method it is.
    pub family: Family,
    /// The adapter kind.
    pub adapter: String,
    /// The partition scheme.
    pub scheme: PartitionScheme,
    /// The partition's concentration.
    pub alpha: f64,
    /// Clients.
    pub clients: u32,
    /// Communication rounds.
    pub rounds: u32,
    /// SHA-256 of the experiment without name and seed, and of what it read.
    pub identity: String,
    /// What sets it apart from groups of the same method and dataset; empty where nothing does.
    pub setting: String,
    /// Its runs, by seed: positions in [`crate::Report::runs`].
    pub runs: Vec<usize>,
    /// One for each of [`Reported`].
    stats: Vec<Stat>,
    /// One for each of [`Optional`], where its runs have it.
    optional: [Option<Stat>; Optional::ALL.len()],
    /// Each client's accuracy on its own test shard.
    pub by_client: BTreeMap<u32, Stat>,
    /// The clients' labels, where there is one client per label.
    pub client_labels: Vec<String>,
    /// Accuracy of the whole federation by round.
    pub accuracy_by_round: BTreeMap<u32, Stat>,
    /// Accuracy on the examples of a kind, `tag=value`.
    pub accuracy_by_kind: BTreeMap<String, Stat>,
}

impl Group {
    /// The statistic of a number that every run has.
    pub fn stat(&self, number: Reported) -> Stat {
        self.stats[number as usize]
    }

    /// The statistic of a number that not every run has.
    pub fn optional(&self, number: Optional) -> Option<Stat> {
        self.optional[number as usize]
    }

    /// Method and setting, as a person names it.
    pub fn label(&self) -> String {
        if self.setting.is_empty() { self.method.clone() } else { format!("{} ({})", self.method, self.setting) }
    }
}

/// A run that repeats another one's experiment and seed.
#[derive(Debug)]
pub struct Repeat {
    /// Its folder.
    pub dir: String,
    /// Whether its accuracy is the same.
    pub agrees: bool,
}

/// Sorts runs by dataset, family, method, setting and seed, and drops those that repeat an experiment and a seed.
pub fn sort_and_deduplicate(mut runs: Vec<Run>) -> (Vec<Run>, Vec<Repeat>) {
    runs.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    let mut kept: Vec<Run> = Vec::with_capacity(runs.len());
    let mut repeats = Vec::new();
    for run in runs {
        match kept.last() {
            Some(last) if last.identity == run.identity && last.summary.seed == run.summary.seed => {
                repeats.push(Repeat { dir: run.dir.display().to_string(), agrees: last.summary.accuracy == run.summary.accuracy })
            }
            _ => kept.push(run),
        }
    }
    (kept, repeats)
}

type SortKey<'a> = (&'a str, Family, &'a str, &'a str, &'a BTreeMap<String, String>, u64, &'a std::path::Path);

fn sort_key(run: &Run) -> SortKey<'_> {
    let s = &run.summary;
    (&s.dataset, run.family, &s.method, &s.backbone, &run.settings, s.seed, &run.dir)
}

/// Groups sorted runs and aggregates each metric over seeds.
pub fn groups(runs: &[Run]) -> Result<Vec<Group>, ReportError> {
    let mut groups: Vec<Group> = Vec::new();
    for (position, run) in runs.iter().enumerate() {
        match groups.last_mut() {
            Some(last) if last.identity == run.identity => last.runs.push(position),
            _ => groups.push(group(position, run)),
        }
    }
    name_settings(runs, &mut groups);
    aggregate_metrics(runs, &mut groups)?;
    aggregate_optional(runs, &mut groups)?;
    aggregate_clients(runs, &mut groups)?;
    aggregate_rounds(runs, &mut groups)?;
    aggregate_kinds(runs, &mut groups);
    Ok(groups)
}

fn group(position: usize, run: &Run) -> Group {
    let (s, partition) = (&run.summary, &run.experiment.partition);
    Group {
        dataset: s.dataset.clone(),
        unit: s.sign(),
        is_accuracy: s.metric.is_none(),
        backbone: s.backbone.clone(),
        method: s.method.clone(),
        family: run.family,
        adapter: s.adapter.clone(),
        scheme: partition.scheme,
        alpha: partition.alpha,
        clients: s.clients,
        rounds: s.rounds,
        identity: run.identity.clone(),
        setting: String::new(),
        runs: vec![position],
        stats: Vec::new(),
        optional: [None; Optional::ALL.len()],
        by_client: BTreeMap::new(),
        client_labels: run.client_labels.clone(),
        accuracy_by_round: BTreeMap::new(),
        accuracy_by_kind: BTreeMap::new(),
    }
}

fn aggregate_metrics(runs: &[Run], groups: &mut [Group]) -> Result<(), ReportError> {
    let mut rows = Vec::with_capacity(runs.len() * Reported::ALL.len());
    for (g, group) in (0..).zip(groups.iter()) {
        for &run in &group.runs {
            rows.extend((0..).zip(Reported::ALL).map(|(m, number)| ((g, m), number.of(&runs[run].summary))));
        }
    }
    for ((g, _), stat) in stats::by_key(&rows) {
        groups[g as usize].stats.push(stat); // in the order of Reported::ALL: the map is sorted
    }
    Ok(())
}

fn aggregate_clients(runs: &[Run], groups: &mut [Group]) -> Result<(), ReportError> {
    let mut rows = Vec::new();
    for (g, group) in (0..).zip(groups.iter()) {
        for &run in &group.runs {
            rows.extend(runs[run].recorded.by_client.iter().map(|(&client, &accuracy)| ((g, client), accuracy)));
        }
    }
    for ((g, client), stat) in stats::by_key(&rows) {
        groups[g as usize].by_client.insert(client, stat);
    }
    Ok(())
}

fn aggregate_optional(runs: &[Run], groups: &mut [Group]) -> Result<(), ReportError> {
    let mut rows = Vec::new();
    for (g, group) in (0..).zip(groups.iter()) {
        for summary in group.runs.iter().map(|&run| &runs[run].summary) {
            rows.extend((0..).zip(Optional::ALL).filter_map(|(row, number)| Some(((g, row), number.of(summary)?))));
        }
    }
    for ((g, row), stat) in stats::by_key(&rows) {
        groups[g as usize].optional[row as usize] = Some(stat);
    }
    Ok(())
}

fn aggregate_rounds(runs: &[Run], groups: &mut [Group]) -> Result<(), ReportError> {
    let mut rows = Vec::new();
    for (g, group) in (0..).zip(groups.iter()) {
        for &run in &group.runs {
            rows.extend(runs[run].recorded.by_round.iter().map(|&(round, accuracy)| ((g, round), accuracy)));
        }
    }
    for ((g, round), stat) in stats::by_key(&rows) {
        groups[g as usize].accuracy_by_round.insert(round, stat);
    }
    Ok(())
}

fn aggregate_kinds(runs: &[Run], groups: &mut [Group]) {
    for group in groups {
        let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (kind, accuracy) in group.runs.iter().flat_map(|&run| &runs[run].recorded.by_kind) {
            values.entry(kind).or_default().push(*accuracy);
        }
        group.accuracy_by_kind =
            values.into_iter().filter_map(|(kind, values)| Some((kind.into(), Stat::of(&values)?))).collect();
    }
}

/// Names, for each method, the keys in which its groups on one dataset differ (on any dataset, so that rows line up), and the
/// backbone where the report has several.
fn name_settings(runs: &[Run], groups: &mut [Group]) {
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let backbones: BTreeSet<&str> = groups.iter().map(|group| group.backbone.as_str()).collect();
    for a in groups.iter() {
        let of_method = keys.entry(a.method.clone()).or_default();
        if backbones.len() > 1 {
            of_method.insert("backbone.name".into());
        }
        for b in groups.iter().filter(|b| b.dataset == a.dataset && b.method == a.method) {
            of_method.extend(differing_keys(&runs[a.runs[0]], &runs[b.runs[0]]));
        }
    }
    for group in groups {
        let run = &runs[group.runs[0]];
        let pair = |key: &String| format!("{key}={}", run.said(key));
        group.setting = keys[&group.method].iter().map(pair).collect::<Vec<_>>().join(", ");
    }
}
