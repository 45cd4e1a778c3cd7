//! Accuracy of every method, best first: a dot and its deviation over seeds, a column per dataset and split.

use std::collections::{BTreeMap, BTreeSet};

use schema::metrics::Reported;

use super::figure::{Figure, PAGE};
use super::panels::{Member, Panel};
use super::scale::{self, Linear};
use super::scene::{Anchor, Dash, Ink, SMALL, Scene, TEXT};
use super::{font, legend};
use crate::{Report, format};

const ROW: f64 = 17.0;
const TOP: f64 = 58.0;
const COLUMNS: usize = 4;

/// One figure for every four columns.
pub fn figures(_: &Report, panels: &[Panel]) -> Vec<Figure> {
    panels.chunks(COLUMNS).map(figure).collect()
}

fn figure(panels: &[Panel]) -> Figure {
    let labels = ranked(panels);
    let left = font::widest(labels.iter().map(String::as_str), TEXT).min(270.0) + 14.0;
    let height = TOP + ROW * labels.len() as f64 + 44.0;
    let mut scene = Scene::new(PAGE, height);
    for (row, label) in labels.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        if row % 2 == 0 {
            scene.rect((0.0, y), (PAGE, ROW), Ink::Grid, 0.35);
        }
        scene.text_within((left - 10.0, y + 12.5), label, left - 12.0, TEXT, Ink::Text, Anchor::End);
    }
    let width = (PAGE - left) / panels.len() as f64;
    for (column, panel) in panels.iter().enumerate() {
        draw(&mut scene, panel, &labels, (left + width * column as f64, width - 24.0));
    }
    let members = || panels.iter().flat_map(|panel| &panel.members);
    legend::families(&mut scene, members(), (left, height - 8.0));
    Figure {
        name: "accuracy".into(),
        title: "Accuracy of every method".into(),
        caption: "Mean and standard deviation over seeds; methods by their mean over the columns. The dotted line is chance."
            .into(),
        groups: members().map(|member| member.index).collect(),
        scene,
    }
}

/// All labels, by their mean accuracy over the panels, best first.
fn ranked(panels: &[Panel]) -> Vec<String> {
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for member in panels.iter().flat_map(|panel| &panel.members) {
        let (sum, count) = sums.entry(&member.label).or_default();
        *sum += member.group.stat(Reported::Accuracy).mean;
        *count += 1.0;
    }
    let mut labels: Vec<(&str, f64)> = sums.into_iter().map(|(label, (sum, count))| (label, sum / count)).collect();
    labels.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    labels.into_iter().map(|(label, _)| label.to_string()).collect()
}

fn draw(scene: &mut Scene, panel: &Panel, labels: &[String], (left, width): (f64, f64)) {
    let bottom = TOP + ROW * labels.len() as f64;
    let stats: Vec<_> = panel.members.iter().map(|member| member.group.stat(Reported::Accuracy)).collect();
    let chances: BTreeSet<String> =
        panel.members.iter().map(|member| format!("{:.4}", member.group.stat(Reported::ChanceAccuracy).mean)).collect();
    let ends = stats.iter().flat_map(|stat| stat.band());
    let chance = chances.iter().filter_map(|chance| chance.parse().ok()).collect::<Vec<f64>>();
    let axis = Linear::new(scale::around(ends.chain(chance.iter().copied())), (left, left + width));
    let (dataset, split) = panel.title.split_once(" · ").unwrap_or((&panel.title, ""));
    scene.text_within((left + width / 2.0, 14.0), dataset, width + 8.0, TEXT, Ink::Text, Anchor::Middle);
    scene.text_within((left + width / 2.0, 28.0), split, width + 8.0, SMALL, Ink::Muted, Anchor::Middle);
    for tick in axis.ticks((width / 42.0) as usize) {
        scene.rule((axis.at(tick), TOP - 4.0), (axis.at(tick), bottom), Ink::Grid);
        scene.text((axis.at(tick), TOP - 9.0), format!("{:.0}", 100.0 * tick), SMALL, Ink::Muted, Anchor::Middle);
    }
    for chance in chance {
        let points = vec![(axis.at(chance), TOP), (axis.at(chance), bottom)];
        scene.line(points, Ink::Muted, 1.2, Dash::Dotted).says(format!("chance {:.1} %", 100.0 * chance));
    }
    scene.text(
        (left + width / 2.0, bottom + 14.0),
        format!("{} ({})", panel.what(), panel.unit()),
        SMALL,
        Ink::Muted,
        Anchor::Middle,
    );
    for member in &panel.members {
        if let Some(row) = labels.iter().position(|label| *label == member.label) {
            dot(scene, member, &axis, TOP + ROW * (row as f64 + 0.5));
        }
    }
}

fn dot(scene: &mut Scene, member: &Member, axis: &Linear, y: f64) {
    let stat = member.group.stat(Reported::Accuracy);
    let (marker, ink) = member.family();
    let sd = stat.sd.unwrap_or(0.0);
    scene.line(vec![(axis.at(stat.mean - sd), y), (axis.at(stat.mean + sd), y)], ink, 1.6, Dash::Solid);
    scene.mark((axis.at(stat.mean), y), marker, 7.5, ink).says(format!(
        "{}: {} {}",
        member.label,
        format::percent(stat),
        member.group.unit
    ));
}
