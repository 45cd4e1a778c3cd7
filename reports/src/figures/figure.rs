//! A picture with its words.

use super::scene::Scene;
use super::{raster, svg};
use crate::ReportError;

/// The width of every picture: two columns of print.
pub const PAGE: f64 = 760.0;

/// The folder of pictures beside `report.md`.
pub const FOLDER: &str = "figures";

/// A picture with its words.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its file's name without ending: letters, digits and `-` only, whatever the data are called.
    pub name: String,
    /// What it shows: a heading on a page, a title in SVG.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The groups in it: places in [`crate::Report::groups`].
    pub groups: Vec<usize>,
    /// What is drawn, in no format yet.
    pub scene: Scene,
}

impl Figure {
    /// As an SVG file, on light ground, with title and caption for screen readers.
    pub fn svg(&self) -> String {
        svg::file(&self.scene, &self.title, &self.caption)
    }

    /// As a PNG file, on light ground, without title and caption.
    pub fn png(&self) -> Result<Vec<u8>, ReportError> {
        raster::png(&self.scene)
    }
}
