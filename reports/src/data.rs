//! The report for programs: CSV, parquet and JSON, exact values.

use serde_json::{Map, Value, json};

use crate::metrics::{Direction, METRICS};
use crate::sheet::{Sheet, Values, csv_text};
use crate::targets::{self, Effort};
use crate::{Comparison, Group, Report, Stat, provenance};

/// A metric of a group.
struct Row<'a> {
    group: &'a Group,
    metric: &'static str,
    unit: &'static str,
    direction: Direction,
    stat: Stat,
}

/// One row per group and metric.
fn rows(report: &Report) -> Vec<Row<'_>> {
    report.groups.iter().flat_map(metrics).collect()
}

fn metrics(group: &Group) -> impl Iterator<Item = Row<'_>> {
    METRICS.iter().zip(&group.stats).map(move |(metric, stat)| Row {
        group,
        metric: metric.name,
        unit: metric.unit,
        direction: metric.direction,
        stat: *stat,
    })
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
        .text("unit", &rows, |row| row.unit)
        .with("direction", Values::Text(rows.iter().map(|row| word(row.direction)).collect()))
        .with("mean", Values::Numbers(rows.iter().map(|row| row.stat.mean).collect()))
        .with("sd", Values::Optional(rows.iter().map(|row| row.stat.sd).collect()))
        .with("n", Values::Counts(rows.iter().map(|row| row.stat.n).collect()))
}

fn word(direction: Direction) -> String {
    json!(direction).as_str().unwrap_or_default().into()
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

/// One row per run.
pub fn runs_csv(report: &Report) -> String {
    csv_text(&report.runs.iter().map(|run| &run.summary).collect::<Vec<_>>())
}

/// Everything.
pub fn json(report: &Report) -> String {
    let provenance: Map<String, Value> =
        provenance::fields(report).into_iter().map(|(name, values)| (name.into(), json!(values))).collect();
    let value = json!({
        "groups": report.groups.iter().map(|group| group_json(report, group)).collect::<Vec<_>>(),
        "comparisons": report.comparisons.iter().map(|comparison| comparison_json(report, comparison)).collect::<Vec<_>>(),
        "targets": targets::efforts(report).values().flatten().map(|effort| effort_json(report, effort)).collect::<Vec<_>>(),
        "warnings": report.warnings,
        "provenance": provenance,
        "runs": report.runs.iter().map(|run| &run.summary).collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&value).expect("plain data") + "\n"
}

fn group_json(report: &Report, group: &Group) -> Value {
    let summaries = || group.runs.iter().map(|&run| &report.runs[run].summary);
    let metrics: Map<String, Value> = METRICS
        .iter()
        .zip(&group.stats)
        .map(|(metric, stat)| {
            let values: Vec<f64> = summaries().map(metric.value).collect();
            let value = json!({ "unit": metric.unit, "direction": metric.direction, "mean": stat.mean, "sd": stat.sd,
                                "n": stat.n, "values": values });
            (metric.name.into(), value)
        })
        .collect();
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
        "mcnemar": comparison.paired.mcnemar,
        "verdict": comparison.paired.verdict,
    })
}
