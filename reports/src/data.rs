//! The report for programs: CSV, parquet and JSON, exact values.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt32Array};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value, json};

use crate::metrics::{Direction, METRICS};
use crate::{Comparison, Group, Report, provenance};

/// A metric of a group.
struct Row<'a> {
    dataset: &'a str,
    backbone: &'a str,
    method: &'a str,
    setting: &'a str,
    experiment: &'a str,
    metric: &'a str,
    unit: &'a str,
    direction: Direction,
    mean: f64,
    sd: Option<f64>,
    n: usize,
}

/// One row per group and metric.
fn rows(report: &Report) -> Vec<Row<'_>> {
    let of_group = |group| -> Vec<Row<'_>> { metrics(group).collect() };
    report.groups.iter().flat_map(of_group).collect()
}

fn metrics(group: &Group) -> impl Iterator<Item = Row<'_>> {
    METRICS.iter().zip(&group.stats).map(move |(metric, stat)| Row {
        dataset: &group.dataset,
        backbone: &group.backbone,
        method: &group.method,
        setting: &group.setting,
        experiment: &group.identity[..12],
        metric: metric.name,
        unit: metric.unit,
        direction: metric.direction,
        mean: stat.mean,
        sd: stat.sd,
        n: stat.n,
    })
}

/// One row per group and metric.
pub fn tidy_csv(report: &Report) -> String {
    const HEADER: [&str; 11] =
        ["dataset", "backbone", "method", "setting", "experiment", "metric", "unit", "direction", "mean", "sd", "n"];
    let cells = |row: &Row| {
        let names = [row.dataset, row.backbone, row.method, row.setting, row.experiment, row.metric, row.unit].map(String::from);
        let sd = row.sd.map(|sd| sd.to_string()).unwrap_or_default();
        names.into_iter().chain([direction(row), row.mean.to_string(), sd, row.n.to_string()]).collect::<Vec<_>>()
    };
    let header = HEADER.map(String::from).to_vec();
    csv_text(&std::iter::once(header).chain(rows(report).iter().map(cells)).collect::<Vec<_>>())
}

fn direction(row: &Row) -> String {
    json!(row.direction).as_str().unwrap_or_default().into()
}

/// The same as parquet.
pub fn tidy_parquet(report: &Report) -> Vec<u8> {
    let rows = rows(report);
    let text = |of: fn(&Row) -> String| Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as ArrayRef;
    let columns = vec![
        ("dataset", text(|row| row.dataset.into()), false),
        ("backbone", text(|row| row.backbone.into()), false),
        ("method", text(|row| row.method.into()), false),
        ("setting", text(|row| row.setting.into()), false),
        ("experiment", text(|row| row.experiment.into()), false),
        ("metric", text(|row| row.metric.into()), false),
        ("unit", text(|row| row.unit.into()), false),
        ("direction", text(direction), false),
        ("mean", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.mean))) as ArrayRef, false),
        ("sd", Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.sd))), true),
        ("n", Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.n as u32))), false),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).set_created_by("fedbench".into()).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).expect("flat columns");
    writer.write(&batch).expect("a buffer in memory takes all");
    writer.close().expect("a buffer in memory takes all");
    bytes
}

/// One row per run.
pub fn runs_csv(report: &Report) -> String {
    csv_text(&report.runs.iter().map(|run| &run.summary).collect::<Vec<_>>())
}

fn csv_text(rows: &[impl serde::Serialize]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).expect("flat rows in memory");
    }
    let bytes = writer.into_inner().expect("a buffer in memory can be flushed");
    String::from_utf8(bytes).expect("made of strings")
}

/// Everything.
pub fn json(report: &Report) -> String {
    let provenance: Map<String, Value> =
        provenance::fields(report).into_iter().map(|(name, values)| (name.into(), json!(values))).collect();
    let value = json!({
        "groups": report.groups.iter().map(|group| group_json(report, group)).collect::<Vec<_>>(),
        "comparisons": report.comparisons.iter().map(|comparison| comparison_json(report, comparison)).collect::<Vec<_>>(),
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

fn comparison_json(report: &Report, comparison: &Comparison) -> Value {
    let name = |group: usize| {
        let group = &report.groups[group];
        json!({ "method": group.method, "setting": group.setting, "experiment": group.identity })
    };
    json!({
        "dataset": report.groups[comparison.group].dataset,
        "method": name(comparison.group),
        "reference": name(comparison.reference),
        "also_differs": comparison.also_differs,
        "accuracy_difference": comparison.paired.difference,
        "interval": comparison.paired.interval,
        "p": comparison.paired.p,
        "p_holm": comparison.paired.p_holm,
        "mcnemar": comparison.paired.mcnemar,
        "verdict": comparison.paired.verdict,
    })
}
