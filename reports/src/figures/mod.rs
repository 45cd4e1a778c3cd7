//! Pictures of a report: one file per kind, each from groups (and runs) to [`Figure`]s.
//!
//! - [`overview`]: accuracy of every method; [`rounds`]: by round; [`traffic`]: against bytes, with the Pareto front;
//!   [`clients`]: client by client; [`stack`]: storage and communication by component; [`partition`]: who has what;
//!   [`ablation`]: grids of two settings;
//! - [`panels`]: which groups may share a picture, and what they are called there;
//! - [`scene`]: shapes in roles of colour, which [`svg`] writes and [`raster`] paints; [`font`]: the one font; [`scale`]: axes;
//!   [`cells`], [`heat`], [`labels`], [`legend`]: what kinds share.
//!
//! The same report gives the same bytes: nothing is drawn at random, no order comes from a hash map, no system font is read.

pub mod ablation;
pub mod cells;
pub mod clients;
pub mod font;
pub mod heat;
pub mod labels;
pub mod legend;
pub mod overview;
pub mod panels;
pub mod partition;
pub mod raster;
pub mod rounds;
pub mod scale;
pub mod scene;
pub mod stack;
pub mod svg;
#[cfg(test)]
mod tests;
pub mod traffic;
pub mod truetype;

use std::collections::BTreeMap;

use self::scene::Scene;
use crate::tables::Block;
use crate::{Report, ReportError};

/// The width of every picture: two columns of print.
pub const PAGE: f64 = 760.0;

/// The folder of pictures beside `report.md`.
pub const FOLDER: &str = "figures";

/// A picture with its words.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its file's name without ending: letters, digits and `-` only, whatever the data are called.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The groups in it: places in [`Report::groups`].
    pub groups: Vec<usize>,
    /// The picture.
    pub scene: Scene,
}

impl Figure {
    /// As an SVG file.
    pub fn svg(&self) -> String {
        svg::file(&self.scene, &self.title, &self.caption)
    }

    /// As a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, ReportError> {
        raster::png(&self.scene)
    }
}

/// Pictures of one kind.
type Kind = fn(&Report, &[panels::Panel]) -> Vec<Figure>;

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
    let panels = panels::panels(report);
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

fn at(report: &Report, panels: &[panels::Panel], title: &str) -> Vec<Figure> {
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
