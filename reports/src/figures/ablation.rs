//! Ablations: where groups of one method differ in exactly two keys, a grid of their accuracies.

use std::collections::BTreeSet;

use schema::metrics::Reported;

use super::figure::{Figure, PAGE};
use super::heat::{Cell, Heat, ROW};
use super::panels::{Member, Panel, differing, short, value};
use super::scene::{Anchor, Ink, SMALL, Scene, TEXT};
use crate::{Report, Run, format};

/// A grid for every method of a panel that has one; further keys are held, a grid for each of their values.
pub fn figures(report: &Report, panels: &[Panel]) -> Vec<Figure> {
    panels.iter().filter_map(|panel| figure(report, panel)).collect()
}

fn figure(report: &Report, panel: &Panel) -> Option<Figure> {
    let methods: BTreeSet<&str> = panel.members.iter().map(|member| member.group.method.as_str()).collect();
    let grids: Vec<Grid> = methods.into_iter().flat_map(|method| grids(report, panel, method)).collect();
    if grids.is_empty() {
        return None;
    }
    let columns = grids.iter().map(|grid| grid.heat.columns.len()).max().unwrap_or(1);
    let across = if columns <= 4 { 2 } else { 1 };
    let height = grids.iter().map(|grid| 58.0 + ROW * grid.heat.rows.len() as f64).fold(0.0, f64::max);
    let mut scene = Scene::new(PAGE, 24.0 + height * grids.len().div_ceil(across) as f64);
    scene.text_within(
        (0.0, 14.0),
        &format!("{} ({}, {})", panel.title, panel.what(), panel.unit()),
        PAGE,
        TEXT,
        Ink::Text,
        Anchor::Start,
    );
    for (i, grid) in grids.iter().enumerate() {
        let width = PAGE / across as f64;
        let (x, y) = (width * (i % across) as f64, 24.0 + height * (i / across) as f64);
        let names = grid.heat.names();
        let cell = ((width - names - 16.0) / grid.heat.columns.len() as f64).min(90.0);
        scene.text_within((x, y + 14.0), &grid.title, width - 16.0, TEXT, Ink::Text, Anchor::Start);
        scene.text_within((x + names, y + 29.0), &grid.axes, width - names - 16.0, SMALL, Ink::Muted, Anchor::Start);
        grid.heat.draw(&mut scene, (x, y + 48.0), names, cell);
    }
    Some(Figure {
        name: "ablation".into(),
        title: format!("Ablation: {}", panel.title),
        caption:
            "Mean accuracy over seeds where runs of one method differ in two settings; the stronger the colour, the better, over the whole picture."
                .into(),
        groups: grids.into_iter().flat_map(|grid| grid.groups).collect(),
        scene,
    })
}

struct Grid {
    title: String,
    axes: String,
    heat: Heat,
    groups: Vec<usize>,
}

/// The grids of one method: none unless at least two keys differ.
fn grids(report: &Report, panel: &Panel, method: &str) -> Vec<Grid> {
    let run = |member: &&Member| &report.runs[member.group.runs[0]];
    let members: Vec<&Member> = panel.members.iter().filter(|member| member.group.method == method).collect();
    let keys = differing(&members.iter().map(run).collect::<Vec<&Run>>());
    let [held @ .., rows, columns] = &keys[..] else { return Vec::new() };
    let range = panel.members.iter().map(|member| member.group.stat(Reported::Accuracy).mean);
    let range = range.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), mean| (low.min(mean), high.max(mean)));
    let key = |member: &&Member| held.iter().map(|key| value(run(member), key)).collect::<Vec<_>>();
    let facets: BTreeSet<Vec<String>> = members.iter().map(key).collect();
    let grid = |facet: Vec<String>| {
        let chosen: Vec<&Member> = members.iter().filter(|member| key(member) == facet).copied().collect();
        let held = held.iter().zip(&facet).map(|(key, value)| format!("{} {value}", short(key)));
        let title = std::iter::once(method.to_string()).chain(held).collect::<Vec<_>>().join(" · ");
        let heat = heat(report, &chosen, (rows, columns), range);
        let full = heat.rows.len() > 1 && heat.columns.len() > 1;
        let groups = chosen.iter().map(|member| member.index).collect();
        full.then(|| Grid { title, axes: format!("{} ↓   {} →", short(rows), short(columns)), heat, groups })
    };
    facets.into_iter().filter_map(grid).collect()
}

/// Values as numbers where they are numbers, so that 8 stands before 32.
fn values(report: &Report, members: &[&Member], key: &str) -> Vec<String> {
    let found: BTreeSet<String> = members.iter().map(|member| value(&report.runs[member.group.runs[0]], key)).collect();
    let mut found: Vec<String> = found.into_iter().collect();
    let number = |text: &String| text.parse::<f64>().unwrap_or(f64::INFINITY);
    found.sort_by(|a, b| number(a).total_cmp(&number(b)).then(a.cmp(b)));
    found
}

fn heat(report: &Report, members: &[&Member], (row_key, column_key): (&str, &str), (low, high): (f64, f64)) -> Heat {
    let (rows, columns) = (values(report, members, row_key), values(report, members, column_key));
    let cell = |row: &String, column: &String| {
        let here = |member: &&&Member| {
            let run = &report.runs[member.group.runs[0]];
            value(run, row_key) == *row && value(run, column_key) == *column
        };
        let group = members.iter().find(here)?.group;
        let (stat, unit) = (group.stat(Reported::Accuracy), group.unit);
        let tip = format!("{} {row}, {} {column}: {} {unit}", short(row_key), short(column_key), format::percent(stat));
        let shade = if high > low { (stat.mean - low) / (high - low) } else { 0.5 };
        Some(Cell { shade, text: format!("{:.1}", 100.0 * stat.mean), tip })
    };
    let cells = rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect();
    Heat { rows, columns, cells }
}
