//! Which numbers of a summary are reported: the rows of `report.csv`.

use schema::Summary;
use serde::Serialize;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// A fact, not a merit.
    None,
}

/// A number of a summary.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which way is better.
    pub direction: Direction,
    /// The number itself.
    pub value: fn(&Summary) -> f64,
}

const fn metric(name: &'static str, unit: &'static str, direction: Direction, value: fn(&Summary) -> f64) -> Metric {
    Metric { name, unit, direction, value }
}

use Direction::{Higher, Lower, None as Fact};

/// The metrics, in the order of the tables.
pub const METRICS: &[Metric] = &[
    metric("accuracy", "fraction", Higher, |s| s.accuracy),
    metric("chance_accuracy", "fraction", Fact, |s| s.chance_accuracy),
    metric("majority_accuracy", "fraction", Fact, |s| s.majority_accuracy),
    metric("unparsed_rate", "fraction", Lower, |s| s.unparsed_rate),
    metric("client_accuracy_mean", "fraction", Higher, |s| s.client_accuracy_mean),
    metric("client_accuracy_min", "fraction", Higher, |s| s.client_accuracy_min),
    metric("client_accuracy_std", "fraction", Lower, |s| s.client_accuracy_std),
    metric("client_parameters_paper", "parameters", Lower, |s| s.client_parameters_paper as f64),
    metric("client_share_paper", "fraction", Lower, |s| share(s.client_parameters_paper, s.model_parameters)),
    metric("client_parameters_deployed", "parameters", Lower, |s| s.client_parameters_deployed as f64),
    metric("client_share_deployed", "fraction", Lower, |s| share(s.client_parameters_deployed, s.model_parameters)),
    metric("model_parameters", "parameters", Fact, |s| s.model_parameters as f64),
    metric("trainable_parameters", "parameters", Lower, |s| s.trainable_parameters as f64),
    metric("uploaded_parameters_per_round", "parameters", Lower, |s| s.uploaded_parameters_per_round as f64),
    metric("uplink_bytes", "bytes", Lower, |s| s.uplink_bytes as f64),
    metric("downlink_bytes", "bytes", Lower, |s| s.downlink_bytes as f64),
    metric("activation_uplink_bytes", "bytes", Lower, |s| s.activation_uplink_bytes as f64),
    metric("activation_downlink_bytes", "bytes", Lower, |s| s.activation_downlink_bytes as f64),
    metric("total_bytes", "bytes", Lower, |s| total_bytes(s) as f64),
    metric("optimizer_steps", "steps", Fact, |s| s.optimizer_steps as f64),
    metric("wall_seconds", "seconds", Lower, |s| s.wall_seconds),
    metric("train_examples_per_second", "examples/second", Higher, |s| s.train_examples_per_second),
    metric("peak_memory_bytes", "bytes", Lower, |s| s.peak_memory_bytes as f64),
];

/// A number that not every run has, as a table shows it.
#[derive(Debug, Clone, Copy)]
pub struct Optional {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which way is better.
    pub direction: Direction,
    /// The section whose table has a column of it.
    pub section: &'static str,
    /// That column.
    pub column: &'static str,
    /// The number itself.
    pub value: fn(&Summary) -> Option<f64>,
}

const fn optional(
    name: &'static str,
    unit: &'static str,
    direction: Direction,
    (section, column): (&'static str, &'static str),
    value: fn(&Summary) -> Option<f64>,
) -> Optional {
    Optional { name, unit, direction, section, column, value }
}

/// The optional numbers; a table has a column for those that some run has.
pub const OPTIONAL: [Optional; 5] = [
    optional("shared_client_accuracy_mean", "fraction", Higher, ("Clients", "mean, shared adapters alone (% ↑)"), |s| {
        s.shared_client_accuracy_mean
    }),
    optional("local_client_accuracy_mean", "fraction", Higher, ("Clients", "mean, own adapters alone (% ↑)"), |s| {
        s.local_client_accuracy_mean
    }),
    optional("privacy_epsilon", "nats", Lower, ("Clients", "privacy spent (epsilon ↓)"), |s| s.privacy_epsilon),
    optional("client_train_flops", "flops", Lower, ("Cost", "clients' training (FLOPs ↓)"), |s| s.client_train_flops),
    optional("server_train_flops", "flops", Lower, ("Cost", "server's training (FLOPs ↓)"), |s| s.server_train_flops),
];

/// A metric's name as a header that carries its unit: `accuracy_fraction`; a name that says it already stays.
pub fn with_unit(name: &str, unit: &str) -> String {
    let unit = unit.replace('/', "_per_");
    if name.contains(&unit) { name.into() } else { format!("{name}_{unit}") }
}

/// The unit of a number of a summary; none of names and of what is no metric.
pub fn unit_of(name: &str) -> Option<&'static str> {
    let known = METRICS.iter().map(|metric| (metric.name, metric.unit));
    known
        .chain(OPTIONAL.iter().map(|optional| (optional.name, optional.unit)))
        .find(|(known, _)| *known == name)
        .map(|(_, unit)| unit)
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// What all clients moved in all rounds, up and down.
pub(crate) fn total_bytes(summary: &Summary) -> u64 {
    summary.uplink_bytes + summary.downlink_bytes + summary.activation_uplink_bytes + summary.activation_downlink_bytes
}
