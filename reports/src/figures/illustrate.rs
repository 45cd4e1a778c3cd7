//! Which pictures stand where in a report.

use std::collections::BTreeMap;

use super::figure::Figure;
use super::panels::{self, Panel};
use super::{ablation, clients, overview, partition, rounds, stack, traffic};
use crate::Report;
use crate::blocks::Block;

/// Pictures of one kind.
type Kind = fn(&Report, &[Panel]) -> Vec<Figure>;

/// Where each kind stands: behind what follows this heading.
const PLACES: &[(&str, Kind)] = &[
    ("Accuracy", overview::figures),
    ("Accuracy", traffic::figures),
    ("Accuracy", ablation::figures),
    ("Clients", clients::figures),
    ("Storage", stack::storage),
    ("Communication", stack::communication),
    ("Accuracy by round", rounds::figures),
    ("Partition", |report, _| partition::figures(report)),
];

/// Puts the pictures behind the headings they belong to, and the sentence that follows those.
pub fn illustrate(report: &Report, blocks: Vec<Block>) -> Vec<Block> {
    let panels = panels::panels(&report.runs, &report.groups);
    let mut out = Vec::new();
    let mut waiting: Vec<Figure> = Vec::new();
    for block in blocks {
        let sentence = matches!(block, Block::Text(_));
        if !sentence {
            out.extend(waiting.drain(..).map(Block::Figure));
        }
        if let Block::Heading(2, title) = &block {
            waiting = at(report, &panels, title);
        }
        out.push(block);
        if sentence {
            out.extend(waiting.drain(..).map(Block::Figure));
        }
    }
    out.extend(waiting.into_iter().map(Block::Figure));
    out
}

fn at(report: &Report, panels: &[Panel], title: &str) -> Vec<Figure> {
    let kinds = PLACES.iter().filter(|(place, _)| *place == title);
    kinds.flat_map(|(_, kind)| numbered(kind(report, panels))).collect()
}

/// Names of their own for several pictures of a kind: `clients-1`, `clients-2`.
fn numbered(mut figures: Vec<Figure>) -> Vec<Figure> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for figure in &figures {
        *counts.entry(figure.name.clone()).or_default() += 1;
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for figure in &mut figures {
        if counts[&figure.name] > 1 {
            let n = seen.entry(figure.name.clone()).or_default();
            *n += 1;
            figure.name = format!("{}-{n}", figure.name);
        }
    }
    figures
}
