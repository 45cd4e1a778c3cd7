//! The report for programs: CSV and JSON, exact values.

use serde_json::{Map, Value, json};

use crate::metrics::METRICS;
use crate::{Comparison, Group, Report, provenance};

/// One row per group and metric.
pub fn tidy_csv(report: &Report) -> String {
    let mut rows = vec![
        ["dataset", "backbone", "method", "setting", "experiment", "metric", "unit", "direction", "mean", "sd", "n"]
            .map(String::from),
    ];
    for group in &report.groups {
        for (metric, stat) in METRICS.iter().zip(&group.stats) {
            let direction = json!(metric.direction).as_str().unwrap_or_default().to_string();
            rows.push([
                group.dataset.clone(),
                group.backbone.clone(),
                group.method.clone(),
                group.setting.clone(),
                group.identity[..12].into(),
                metric.name.into(),
                metric.unit.into(),
                direction,
                stat.mean.to_string(),
                stat.sd.map(|sd| sd.to_string()).unwrap_or_default(),
                stat.n.to_string(),
            ]);
        }
    }
    csv_text(&rows)
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
