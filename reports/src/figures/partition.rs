//! Who has what: training examples by client and label.

use std::collections::BTreeMap;

use super::figure::{Figure, PAGE};
use super::heat::{Cell, Heat, ROW};
use super::scene::{Anchor, Ink, Scene, TEXT};
use crate::Report;
use crate::library::Counts;

/// At most so many labels and clients; the rest is one row, or said.
const MOST: (usize, usize) = (24, 40);

/// A figure for every partition whose labels are known.
pub fn figures(report: &Report) -> Vec<Figure> {
    report.material.partitions.iter().map(figure).collect()
}

fn figure(counts: &Counts) -> Figure {
    let clients = counts.by_client.len().min(MOST.1);
    let labels = rows(counts);
    let heat = heat(counts, &labels, clients);
    let names = heat.names();
    let cell = ((PAGE - names) / clients as f64).min(70.0);
    let mut scene = Scene::new(PAGE, 46.0 + ROW * heat.rows.len() as f64 + 6.0);
    scene.text_within((0.0, 14.0), &counts.title, PAGE, TEXT, Ink::Text, Anchor::Start);
    heat.draw(&mut scene, (0.0, 44.0), names, cell);
    let more = counts.by_client.len() - clients;
    let rest = if more > 0 { format!(" {more} more clients are not shown.") } else { String::new() };
    Figure {
        name: "partition".into(),
        title: format!("Training examples by client: {}", counts.title),
        caption: format!("Rows are {}, columns clients; the stronger the colour, the more examples.{rest}", counts.what),
        groups: counts.groups.clone(),
        scene,
    }
}

/// The labels' names, the most frequent first, the rest as one.
fn rows(counts: &Counts) -> Vec<Vec<&str>> {
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for (label, count) in counts.by_client.iter().flatten() {
        *totals.entry(label).or_default() += count;
    }
    let mut order: Vec<(&str, u64)> = totals.into_iter().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let mut rows: Vec<Vec<&str>> = order.iter().map(|(label, _)| vec![*label]).collect();
    if rows.len() > MOST.0 {
        let rest = rows.split_off(MOST.0 - 1).concat();
        rows.push(rest);
    }
    rows
}

fn heat(counts: &Counts, rows: &[Vec<&str>], clients: usize) -> Heat {
    let shown = &counts.by_client[..clients];
    let count =
        |labels: &[&str], client: &BTreeMap<String, u64>| labels.iter().filter_map(|label| client.get(*label)).sum::<u64>();
    let most = rows.iter().flat_map(|labels| shown.iter().map(|client| count(labels, client))).max().unwrap_or(0).max(1);
    let name = |labels: &Vec<&str>| match labels[..] {
        [""] => "(none)".to_string(),
        [label] => label.to_string(),
        _ => format!("{} others", labels.len()),
    };
    let cells = |labels: &Vec<&str>| {
        let cell = |(client, of): (usize, &BTreeMap<String, u64>)| {
            let n = count(labels, of);
            let tip = format!("client {client}, {}: {n}", name(labels));
            Some(Cell { shade: n as f64 / most as f64, text: if n > 0 { n.to_string() } else { String::new() }, tip })
        };
        shown.iter().enumerate().map(cell).collect()
    };
    let columns = counts.names.iter().take(clients).cloned().collect();
    Heat { rows: rows.iter().map(name).collect(), columns, cells: rows.iter().map(cells).collect() }
}
