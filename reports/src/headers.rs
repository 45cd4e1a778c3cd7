//! What stands above and below a column of scores: what their numbers are a hundredfold of, and what guessing is worth.

use crate::format::NOTHING;
use crate::{Group, Report, Stat};

/// What stands behind a hundredfold of a dataset's scores.
pub fn unit(report: &Report, dataset: &str) -> &'static str {
    report.groups.iter().find(|group| group.dataset == dataset).map_or("%", |group| group.unit)
}

/// A dataset as a column's header, with its unit.
pub fn headed(report: &Report, dataset: &str) -> String {
    format!("{dataset} ({} ↑)", unit(report, dataset))
}

/// A header of scores of several datasets: not all of them need be shares, and their names say which are not.
pub fn headed_for_all(report: &Report, header: &str) -> String {
    match report.groups.iter().find(|group| group.unit != "%") {
        Some(group) => header.replace("(% ↑", &format!("(% or {} ↑", group.unit)),
        None => header.into(),
    }
}

/// What guessing is worth on a dataset's test examples, a range where groups were judged on different ones, or (lookup) trained on
/// different ones.
pub fn of_guessing(report: &Report, dataset: &str, of: impl Fn(&Group) -> Option<Stat>) -> String {
    let groups = report.groups.iter().filter(|group| group.dataset == dataset);
    let means: Vec<f64> = groups.filter_map(|group| of(group).map(|stat| stat.mean)).collect();
    if means.is_empty() {
        return NOTHING.into();
    }
    let (low, high) =
        means.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), mean| (low.min(mean), high.max(mean)));
    let [low, high] = [low, high].map(|value| format!("{:.1}", 100.0 * value));
    if low == high { low } else { format!("{low} to {high}") }
}
