//! Which groups belong in one picture, and what they are called there.

use std::collections::{BTreeMap, BTreeSet};

use schema::Family;
use schema::experiment::PartitionScheme;

use super::scene::{Ink, Marker};
use crate::{Group, Run};

/// Groups that one picture may compare: one dataset, one backbone, one way to split it over clients.
#[derive(Debug)]
pub struct Panel<'a> {
    /// The dataset, the backbone where there are several, and the split.
    pub title: String,
    /// The groups, in the report's order.
    pub members: Vec<Member<'a>>,
}

impl Panel<'_> {
    /// What stands behind a hundredfold of its scores.
    pub fn unit(&self) -> &'static str {
        self.members.first().map_or("%", |member| member.group.unit)
    }

    /// What is counted; a metric that is no accuracy stands in the title.
    pub fn what(&self) -> &'static str {
        if self.members.iter().all(|member| member.group.is_accuracy) { "accuracy" } else { "score" }
    }
}

/// A group in a panel.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// Its place in [`crate::Report::groups`].
    pub index: usize,
    /// The group itself.
    pub group: &'a Group,
    /// The method's name, and what sets it apart from others of the panel.
    pub label: String,
}

impl Member<'_> {
    /// Its family's marker and ink.
    pub fn family(&self) -> (Marker, Ink) {
        let series = match self.group.family {
            Family::ZeroShot => 6,
            Family::Local => 5,
            Family::FedAvg => 0,
            Family::Federated => 2,
            Family::Centralized => 1,
        };
        (Marker::of(series), Ink::Series(series))
    }
}

/// The panels of a report's groups, in their order.
pub fn panels<'a>(runs: &[Run], groups: &'a [Group]) -> Vec<Panel<'a>> {
    let mut found: Vec<(Place, Vec<usize>)> = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let place = place(&runs[group.runs[0]]);
        match found.iter_mut().find(|(known, _)| *known == place) {
            Some((_, members)) => members.push(index),
            None => found.push((place, vec![index])),
        }
    }
    found.sort_by(|a, b| (&a.0.dataset, &a.0.backbone, &a.0.split).cmp(&(&b.0.dataset, &b.0.backbone, &b.0.split)));
    let several = |of: fn(&Place) -> &str| found.iter().map(|(place, _)| of(place)).collect::<BTreeSet<_>>().len() > 1;
    let show_backbone = several(|place| &place.backbone);
    found.iter().map(|(place, members)| panel((runs, groups), place.title(show_backbone), members)).collect()
}

#[derive(Debug, PartialEq)]
struct Place {
    dataset: String,
    backbone: String,
    split: BTreeMap<String, String>,
    split_name: String,
}

impl Place {
    fn title(&self, show_backbone: bool) -> String {
        let backbone = show_backbone.then_some(self.backbone.as_str());
        let parts = [Some(self.dataset.as_str()), backbone, Some(self.split_name.as_str())];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

fn place(run: &Run) -> Place {
    let split = run.settings.iter().filter(|(key, _)| key.starts_with("partition."));
    Place {
        dataset: run.summary.dataset.clone(),
        backbone: run.summary.backbone.clone(),
        split: split.map(|(key, value)| (key.clone(), value.clone())).collect(),
        split_name: split_name(run),
    }
}

/// `dirichlet 0.5, 5 clients`.
fn split_name(run: &Run) -> String {
    let partition = &run.experiment.partition;
    let scheme = match partition.scheme {
        PartitionScheme::Iid => "iid".to_string(),
        PartitionScheme::Dirichlet => format!("dirichlet {}", partition.alpha),
        PartitionScheme::Pathological => format!("{} labels a client", partition.classes_per_client),
        PartitionScheme::Quantity => format!("quantity {}", partition.alpha),
        PartitionScheme::Natural => format!("by {}", partition.key.as_deref().unwrap_or("label")),
    };
    format!("{scheme}, {} clients", run.summary.clients)
}

fn panel<'a>((runs, groups): (&[Run], &'a [Group]), title: String, members: &[usize]) -> Panel<'a> {
    let member = |&index: &usize| {
        let group = &groups[index];
        Member { index, group, label: label(runs, groups, members, index) }
    };
    Panel { title, members: members.iter().map(member).collect() }
}

/// The method, with the fewest of its settings that tell it from the others of its name: one key's value where that is enough.
fn label(runs: &[Run], groups: &[Group], members: &[usize], index: usize) -> String {
    let method = &groups[index].method;
    let same: Vec<&Run> = members
        .iter()
        .map(|&member| &groups[member])
        .filter(|group| group.method == *method)
        .map(|group| &runs[group.runs[0]])
        .collect();
    let run = &runs[groups[index].runs[0]];
    let keys = differing(&same);
    let distinct = |key: &&String| same.iter().map(|run| run.settings.get(*key)).collect::<BTreeSet<_>>().len() == same.len();
    let value = |key: &str| value(run, key);
    match (same.len(), keys.iter().find(distinct)) {
        (1, _) => method.clone(),
        (_, Some(key)) => format!("{method} · {}", value(key)),
        _ => {
            let pairs = keys.iter().map(|key| format!("{}={}", short(key), value(key)));
            format!("{method} · {}", pairs.collect::<Vec<_>>().join(" "))
        }
    }
}

/// The keys in which runs differ; of several that change together the kind of adapter, or else the last.
pub fn differing(runs: &[&Run]) -> Vec<String> {
    let all: BTreeSet<&String> = runs.iter().flat_map(|run| run.settings.keys()).collect();
    let mut kept: Vec<(String, Vec<usize>)> = Vec::new();
    for key in all {
        let pattern = pattern(runs, key);
        if pattern.iter().all(|&class| class == 0) {
            continue;
        }
        match kept.iter_mut().find(|(_, known)| *known == pattern) {
            Some((kept, _)) if kept != KIND => kept.clone_from(key),
            Some(_) => {}
            None => kept.push((key.clone(), pattern)),
        }
    }
    kept.into_iter().map(|(key, _)| key).collect()
}

/// Which runs share a key's value, as numbers in the order of first appearance: equal for keys that change together.
fn pattern(runs: &[&Run], key: &str) -> Vec<usize> {
    let mut seen: Vec<Option<&String>> = Vec::new();
    let mut classes = Vec::with_capacity(runs.len());
    for run in runs {
        let value = run.settings.get(key);
        let class = seen.iter().position(|known| *known == value).unwrap_or(seen.len());
        if class == seen.len() {
            seen.push(value);
        }
        classes.push(class);
    }
    classes
}

/// What people call a variant by.
const KIND: &str = "adapter.kind";

/// A setting as a picture shows it: a list without its quotes.
pub fn value(run: &Run, key: &str) -> String {
    let value = run.settings.get(key).map_or("unset", String::as_str);
    value.replace(['[', ']', '"'], "").replace(',', "+")
}

/// A dotted key's last part.
pub fn short(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}
