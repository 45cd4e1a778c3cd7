//! A grid of coloured cells with a number in each.

use super::font;
use super::scene::{Anchor, Ink, Point, SMALL, Scene};

/// A cell: how dark, from 0 to 1, what it says in itself, and to those who point at it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// From 0, the ground, to 1.
    pub shade: f64,
    /// The number in the cell; empty where it would say nothing.
    pub text: String,
    /// What it says to those who point at it.
    pub tip: String,
}

/// Rows and columns with their names, cells row by row; nothing where there is no cell.
#[derive(Debug)]
pub struct Heat {
    /// Names of the rows, top to bottom.
    pub rows: Vec<String>,
    /// Names of the columns, left to right.
    pub columns: Vec<String>,
    /// Cells by row, then column; none where there was nothing to count.
    pub cells: Vec<Vec<Option<Cell>>>,
}

/// The height of a row, in units of the scene.
pub const ROW: f64 = 20.0;

impl Heat {
    /// The room that the rows' names take, bounded: longer ones are cut.
    pub fn names(&self) -> f64 {
        font::widest(self.rows.iter().map(String::as_str), SMALL).min(190.0) + 10.0
    }

    /// Draws it below and right of a corner; `names` wide names, then cells `cell` wide. Column names stand above the corner.
    pub fn draw(&self, scene: &mut Scene, (left, top): Point, names: f64, cell: f64) {
        for (column, name) in self.columns.iter().enumerate() {
            let x = left + names + cell * (column as f64 + 0.5);
            scene.text_within((x, top - 6.0), name, cell - 2.0, SMALL, Ink::Muted, Anchor::Middle);
        }
        for (row, (name, cells)) in self.rows.iter().zip(&self.cells).enumerate() {
            let y = top + ROW * row as f64;
            scene.text_within((left + names - 7.0, y + 13.5), name, names - 8.0, SMALL, Ink::Text, Anchor::End);
            for (column, found) in cells.iter().enumerate() {
                if let Some(found) = found {
                    found.draw(scene, (left + names + cell * column as f64, y), cell);
                }
            }
        }
    }
}

impl Cell {
    fn draw(&self, scene: &mut Scene, (x, y): Point, width: f64) {
        let shade = self.shade.clamp(0.0, 1.0);
        scene.rect((x, y), (width - 1.0, ROW - 1.0), Ink::Grid, 0.4);
        scene.rect((x, y), (width - 1.0, ROW - 1.0), Ink::Heat, 0.95 * shade).says(self.tip.clone());
        if font::width(&self.text, SMALL) < width {
            let ink = if shade > 0.75 { Ink::OnDark } else { Ink::Text };
            scene.text((x + (width - 1.0) / 2.0, y + 13.5), self.text.clone(), SMALL, ink, Anchor::Middle).says(self.tip.clone());
        }
    }
}
