//! What produced the runs.

use std::collections::{BTreeMap, BTreeSet};

use schema::Environment;

use crate::Run;

/// A name, and what a run says under it.
type Field = (&'static str, fn(&Run) -> Vec<String>);

/// What is said of each run's environment, in this order.
const FIELDS: &[Field] = &[
    ("fedbench", |run| vec![run.environment.version.clone()]),
    ("commit", |run| vec![commit(&run.environment)]),
    ("compiler", |run| vec![run.environment.rustc.clone()]),
    ("libraries", |run| run.environment.libraries.iter().map(|(name, version)| format!("{name} {version}")).collect()),
    ("platform", |run| vec![run.environment.platform.clone()]),
    ("cpu", |run| vec![run.environment.cpu.clone()]),
    ("device", |run| vec![run.environment.device.clone()]),
    ("threads", |run| vec![run.environment.threads.to_string()]),
    ("kernels", |run| run.environment.kernels.iter().map(|(what, kernel)| format!("{what} by {kernel}")).collect()),
    ("backbone", |run| vec![format!("{} sha256 {}", run.summary.backbone, run.environment.backbone_sha256)]),
    ("command", |run| vec![command(&run.environment.command)]),
];

/// Each field's different values, sorted; first and last start.
pub fn fields(runs: &[Run]) -> Vec<(&'static str, Vec<String>)> {
    fields_of(&runs.iter().collect::<Vec<_>>())
}

fn fields_of(runs: &[&Run]) -> Vec<(&'static str, Vec<String>)> {
    let unique = |values: fn(&Run) -> Vec<String>| -> Vec<String> {
        runs.iter().flat_map(|run| values(run)).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let mut fields: Vec<_> = FIELDS.iter().map(|(name, values)| (*name, unique(*values))).collect();
    // Nothing is said of runs that do not say it.
    fields.retain(|(name, values)| *name != "kernels" || !values.is_empty());
    let started: BTreeSet<&str> = runs.iter().map(|run| run.environment.started.as_str()).collect();
    let mut ends: Vec<String> = started.first().into_iter().chain(started.last()).map(|text| text.to_string()).collect();
    ends.dedup();
    fields.push(("started", ends));
    fields
}

/// The same as lines: one per field, one per command.
pub fn lines(runs: &[Run]) -> Vec<String> {
    lines_of(&runs.iter().collect::<Vec<_>>())
}

/// The same of some runs.
pub fn lines_of(runs: &[&Run]) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, values) in fields_of(runs) {
        match name {
            "command" => lines.extend(values.iter().map(|value| format!("command: {value}"))),
            "started" => lines.push(format!("started: {}", values.join(" to "))),
            _ => lines.push(format!("{name}: {}", values.join(", "))),
        }
    }
    lines
}

/// The machine, as far as it changes timings.
pub fn machine(environment: &Environment) -> String {
    format!("{}, {}, {} threads", environment.cpu, environment.device, environment.threads)
}

/// Backbone names with several weights.
pub fn backbones_with_several_weights(runs: &[Run]) -> Vec<&str> {
    let mut weights: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for run in runs {
        weights.entry(&run.summary.backbone).or_default().insert(&run.environment.backbone_sha256);
    }
    weights.into_iter().filter(|(_, hashes)| hashes.len() > 1).map(|(name, _)| name).collect()
}

/// Datasets of which runs say that products went through different kernels, with those.
pub fn mixed_kernels<'a>(runs: impl IntoIterator<Item = &'a Run>) -> BTreeMap<&'a str, String> {
    let mut found: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for run in runs {
        let of_dataset = found.entry(&run.summary.dataset).or_default();
        let environment = &run.environment;
        for (what, kernel) in environment.hosts.iter().flat_map(|host| &host.kernels).chain(&environment.kernels) {
            of_dataset.entry(what).or_default().insert(kernel);
        }
    }
    let named = |(what, kernels): (&str, BTreeSet<&str>)| {
        (kernels.len() > 1).then(|| format!("{what} ({})", kernels.into_iter().collect::<Vec<_>>().join("; ")))
    };
    let told = |(dataset, kernels): (&'a str, BTreeMap<&str, BTreeSet<&str>>)| {
        let names: Vec<String> = kernels.into_iter().filter_map(named).collect();
        let what = format!("different kernels multiplied on {dataset}, so last digits may differ for that alone");
        (!names.is_empty()).then(|| (dataset, format!("{what}: {}", names.join(", "))))
    };
    found.into_iter().filter_map(told).collect()
}

fn commit(environment: &Environment) -> String {
    format!("{}{}", environment.commit, if environment.dirty { " (uncommitted changes)" } else { "" })
}

fn command(arguments: &[String]) -> String {
    let plain = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "'\"\\$`|&;<>*?()#".contains(c));
    let quote = |text: &String| if plain(text) { text.clone() } else { format!("'{}'", text.replace('\'', r"'\''")) };
    arguments.iter().map(quote).collect::<Vec<_>>().join(" ")
}
