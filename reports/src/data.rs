//! The report for programs: CSV, parquet and JSON, exact values.

use std::collections::{BTreeMap, BTreeSet};

use schema::metrics::{Direction, Optional, Reported, Unit};
use serde_json::{Map, Value, json};

use crate::keys::SCHEMA_VERSION;
use crate::sheet::{Sheet, Values, csv_of_named};
use crate::targets::{self, Effort};
use crate::{Comparison, Group, Report, Run, Stat, kinds, provenance};

/// A metric of a group.
struct Row<'a> {
    group: &'a Group,
    metric: &'static str,
    unit: Unit,
    direction: Direction,
    stat: Stat,
}

/// One row per group and metric.
fn rows(report: &Report) -> Vec<Row<'_>> {
    report.groups.iter().flat_map(metrics).collect()
}

fn metrics(group: &Group) -> impl Iterator<Item = Row<'_>> {
    let row = move |metric, unit, direction, stat| Row { group, metric, unit, direction, stat };
    let always = Reported::ALL.iter().map(move |&number| (number.row(), group.stat(number)));
    let some = Optional::ALL.iter().filter_map(move |&number| Some((number.row(), group.optional(number)?)));
    let always = always.map(move |(m, stat)| row(m.name, m.unit, m.direction, stat));
    always.chain(some.map(move |(m, stat)| row(m.name, m.unit, m.direction, stat)))
}

/// What names a group, in front of its numbers.
fn named(groups: &[&Group]) -> Sheet {
    Sheet::default()
        .text("dataset", groups, |group| &group.dataset)
        .text("backbone", groups, |group| &group.backbone)
        .text("method", groups, |group| &group.method)
        .text("setting", groups, |group| &group.setting)
        .text("experiment", groups, |group| &group.identity[..12])
}

/// One row per group and metric: a metric's unit stands beside it.
pub fn tidy(report: &Report) -> Sheet {
    let rows = rows(report);
    named(&rows.iter().map(|row| row.group).collect::<Vec<_>>())
        .text("metric", &rows, |row| row.metric)
        .text("unit", &rows, |row| row.unit.word())
        .with("direction", Values::Text(rows.iter().map(|row| word(row.direction)).collect()))
        .with("mean", Values::Numbers(rows.iter().map(|row| row.stat.mean).collect()))
        .with("sd", Values::Optional(rows.iter().map(|row| row.stat.sd).collect()))
        .with("interval_low", Values::Optional(rows.iter().map(|row| Some(row.stat.interval()?[0])).collect()))
        .with("interval_high", Values::Optional(rows.iter().map(|row| Some(row.stat.interval()?[1])).collect()))
        .with("n", Values::Counts(rows.iter().map(|row| row.stat.n).collect()))
}

fn word(direction: Direction) -> String {
    json!(direction).as_str().unwrap_or_default().into()
}

/// One row per group, a metric's mean and deviation in columns whose names say the unit.
pub fn configurations(report: &Report) -> Sheet {
    let groups: Vec<&Group> = report.groups.iter().collect();
    let sheet = named(&groups).with("seeds", Values::Counts(groups.iter().map(|group| group.runs.len()).collect()));
    let always = Reported::ALL.iter().map(|&number| {
        let stats: Vec<Option<Stat>> = groups.iter().map(|group| Some(group.stat(number))).collect();
        (with_unit(number.row().name, number.row().unit), stats)
    });
    let some = Optional::ALL.iter().map(|&number| {
        let stats: Vec<Option<Stat>> = groups.iter().map(|group| group.optional(number)).collect();
        (with_unit(number.row().name, number.row().unit), stats)
    });
    let known = always.chain(some).filter(|(_, stats)| stats.iter().any(Option::is_some));
    known.fold(sheet, |sheet, (name, stats)| {
        sheet
            .with(format!("{name}_mean"), Values::Optional(stats.iter().map(|stat| stat.map(|stat| stat.mean)).collect()))
            .with(format!("{name}_sd"), Values::Optional(stats.iter().map(|stat| stat.and_then(|stat| stat.sd)).collect()))
    })
}

/// A metric's name as a header that carries its unit: `accuracy_fraction`; a name that says it already stays.
fn with_unit(name: &str, unit: Unit) -> String {
    let unit = unit.word().replace('/', "_per_");
    if name.contains(&unit) { name.into() } else { format!("{name}_{unit}") }
}

/// The unit of a number of a summary; none of names and of what is not reported.
fn unit_of(name: &str) -> Option<Unit> {
    let always = Reported::ALL.iter().map(|number| (number.row().name, number.row().unit));
    let some = Optional::ALL.iter().map(|number| (number.row().name, number.row().unit));
    always.chain(some).find(|(known, _)| *known == name).map(|(_, unit)| unit)
}

/// One row per group and kind of example.
pub fn breakdowns(report: &Report) -> Sheet {
    let tags = kinds::tags(report);
    let kinds = tags.iter().flat_map(|of_tag| of_tag.kinds.iter().map(move |kind| (of_tag.tag, kind)));
    let rows: Vec<_> = kinds.flat_map(|(tag, kind)| kind.by_group.iter().map(move |(g, stat)| (tag, kind, *g, *stat))).collect();
    named(&rows.iter().map(|row| &report.groups[row.2]).collect::<Vec<_>>())
        .text("tag", &rows, |row| row.0)
        .text("value", &rows, |row| row.1.value)
        .with("examples", Values::Optional(rows.iter().map(|row| row.1.examples.map(|n| n as f64)).collect()))
        .with("accuracy_fraction_mean", Values::Numbers(rows.iter().map(|row| row.3.mean).collect()))
        .with("accuracy_fraction_sd", Values::Optional(rows.iter().map(|row| row.3.sd).collect()))
        .with("seeds", Values::Counts(rows.iter().map(|row| row.3.n).collect()))
}

/// One row per group and target accuracy, by dataset and backbone.
pub fn targets(report: &Report) -> Sheet {
    let efforts: Vec<Effort> = targets::efforts(report).into_values().flatten().collect();
    let groups: Vec<&Group> = efforts.iter().map(|effort| &report.groups[effort.group]).collect();
    let medians = |of: fn(&Effort) -> Option<f64>| Values::Optional(efforts.iter().map(of).collect());
    let counts = |of: fn(&Effort) -> usize| Values::Counts(efforts.iter().map(of).collect());
    named(&groups)
        .with("target_accuracy_fraction", Values::Numbers(efforts.iter().map(|effort| effort.target_accuracy).collect()))
        .with("seeds", counts(|effort| effort.seeds))
        .with("seeds_reached", counts(|effort| effort.seeds_reached))
        .with("rounds_median", medians(|effort| effort.rounds))
        .with("adapter_bytes_median", medians(|effort| effort.adapter_bytes))
        .with("total_bytes_median", medians(|effort| effort.total_bytes))
        .with("upper_bound", counts(|effort| usize::from(effort.is_bound)))
}

/// One row per run: its numbers, whose columns' names say the unit; its configuration's hash; and every key
/// in which the runs differ, as `key/<name>`.
pub fn runs_csv(report: &Report) -> String {
    let varying = varying(report);
    let more = |at: usize| {
        let run = &report.runs[at];
        let configuration = ("configuration".to_string(), run.identity[..12].to_string());
        let key = |key: &&String| (format!("key/{key}"), run.settings.get(*key).cloned().unwrap_or_default());
        std::iter::once(configuration).chain(varying.iter().map(key)).collect()
    };
    let text = csv_of_named(&report.runs.iter().map(|run| &run.summary).collect::<Vec<_>>(), more);
    let Some((header, rows)) = text.split_once('\n') else { return text };
    let name = |name: &str| unit_of(name).map_or(name.into(), |unit| with_unit(name, unit));
    format!("{}\n{rows}", header.split(',').map(name).collect::<Vec<String>>().join(","))
}

/// The keys of experiments that do not have one value in all runs.
fn varying(report: &Report) -> Vec<&String> {
    let keys: BTreeSet<&String> = report.runs.iter().flat_map(|run| run.settings.keys()).collect();
    let values = |key: &String| report.runs.iter().map(|run| run.settings.get(key)).collect::<BTreeSet<_>>();
    keys.into_iter().filter(|key| values(key).len() > 1).collect()
}

/// One row per run and round: accuracy where it was judged, bytes of all clients both ways.
pub fn rounds(report: &Report) -> Sheet {
    let of_run = |run: &Run| {
        let accuracy: BTreeMap<u32, f64> = run.recorded.by_round.iter().copied().collect();
        let bytes = run.recorded.bytes_by_round.clone();
        let rounds: BTreeSet<u32> = accuracy.keys().chain(bytes.keys()).copied().collect();
        let row = move |round: u32| (round, accuracy.get(&round).copied(), bytes.get(&round).copied());
        rounds.into_iter().map(row).collect::<Vec<_>>()
    };
    let rows: Vec<_> = report.runs.iter().flat_map(|run| of_run(run).into_iter().map(move |row| (run, row))).collect();
    let bytes = |channel: usize| Values::Optional(rows.iter().map(|(_, row)| row.2.map(|bytes| bytes[channel])).collect());
    Sheet::default()
        .text("run", &rows, |row| &row.0.summary.run)
        .with("round", Values::Counts(rows.iter().map(|(_, row)| row.0 as usize).collect()))
        .with("accuracy_fraction", Values::Optional(rows.iter().map(|(_, row)| row.1).collect()))
        .with("adapter_bytes", bytes(0))
        .with("activation_bytes", bytes(1))
}

/// One row per run and client that has test examples: its last accuracy on these.
pub fn clients(report: &Report) -> Sheet {
    let of_run = |run: &'_ Run| run.recorded.by_client.clone();
    let rows: Vec<_> = report.runs.iter().flat_map(|run| of_run(run).into_iter().map(move |row| (run, row))).collect();
    let label = |(run, (client, _)): &(&Run, (u32, f64))| run.client_labels.get(*client as usize).cloned().unwrap_or_default();
    Sheet::default()
        .text("run", &rows, |row| &row.0.summary.run)
        .with("client", Values::Counts(rows.iter().map(|(_, row)| row.0 as usize).collect()))
        .with("label", Values::Text(rows.iter().map(label).collect()))
        .with("accuracy_fraction", Values::Numbers(rows.iter().map(|(_, row)| row.1).collect()))
}

/// Groups, comparisons, targets, warnings, provenance and summaries, with the values of every seed.
pub fn json(report: &Report) -> String {
    let provenance: Map<String, Value> =
        provenance::fields(&report.runs).into_iter().map(|(name, values)| (name.into(), json!(values))).collect();
    let value = json!({
        "schema_version": SCHEMA_VERSION,
        "groups": report.groups.iter().map(|group| group_json(report, group)).collect::<Vec<_>>(),
        "comparisons": report.comparisons.iter().map(|comparison| comparison_json(report, comparison)).collect::<Vec<_>>(),
        "targets": targets::efforts(report).values().flatten().map(|effort| effort_json(report, effort)).collect::<Vec<_>>(),
        "warnings": report.warnings,
        "provenance": provenance,
        "runs": report.runs.iter().map(|run| &run.summary).collect::<Vec<_>>(),
    });
    guard::text::json(&serde_json::to_string_pretty(&value).expect("plain data")).into_owned() + "\n"
}

fn group_json(report: &Report, group: &Group) -> Value {
    let summaries = || group.runs.iter().map(|&run| &report.runs[run].summary);
    let metric = |&number: &Reported| {
        let (row, stat) = (number.row(), group.stat(number));
        let values: Vec<f64> = summaries().map(row.of).collect();
        let value = json!({ "unit": row.unit, "direction": row.direction, "mean": stat.mean, "sd": stat.sd,
                            "interval_95": stat.interval(), "n": stat.n, "values": values });
        (row.name.into(), value)
    };
    let some = |&number: &Optional| {
        let (row, stat) = (number.row(), group.optional(number)?);
        let values: Vec<Option<f64>> = summaries().map(row.of).collect();
        let value = json!({ "unit": row.unit, "direction": row.direction, "mean": stat.mean, "sd": stat.sd,
                            "interval_95": stat.interval(), "n": stat.n, "values": values });
        Some((row.name.into(), value))
    };
    let metrics: Map<String, Value> = Reported::ALL.iter().map(metric).chain(Optional::ALL.iter().filter_map(some)).collect();
    let rounds: Map<String, Value> =
        group.accuracy_by_round.iter().map(|(round, stat)| (round.to_string(), json!(stat))).collect();
    json!({
        "dataset": group.dataset,
        "backbone": group.backbone,
        "method": group.method,
        "adapter": group.adapter,
        "setting": group.setting,
        "partition": { "scheme": group.scheme, "alpha": group.alpha, "clients": group.clients },
        "rounds": group.rounds,
        "experiment": group.identity,
        "runs": summaries().map(|summary| &summary.run).collect::<Vec<_>>(),
        "seeds": summaries().map(|summary| summary.seed).collect::<Vec<_>>(),
        "metrics": metrics,
        "accuracy_by_round": rounds,
        "accuracy_by_kind": group.accuracy_by_kind,
    })
}

fn name_json(report: &Report, group: usize) -> Value {
    let group = &report.groups[group];
    json!({ "method": group.method, "setting": group.setting, "experiment": group.identity })
}

fn effort_json(report: &Report, effort: &Effort) -> Value {
    let group = &report.groups[effort.group];
    json!({ "dataset": group.dataset, "backbone": group.backbone, "method": name_json(report, effort.group), "effort": effort })
}

fn comparison_json(report: &Report, comparison: &Comparison) -> Value {
    json!({
        "dataset": report.groups[comparison.group].dataset,
        "method": name_json(report, comparison.group),
        "reference": name_json(report, comparison.reference),
        "also_differs": comparison.also_differs,
        "accuracy_difference": comparison.paired.difference,
        "interval": comparison.paired.interval,
        "p": comparison.paired.p,
        "p_holm": comparison.paired.p_holm,
        "detectable": comparison.paired.detectable,
        "mcnemar": comparison.paired.mcnemar,
        "verdict": comparison.paired.verdict,
    })
}
