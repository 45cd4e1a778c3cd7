//! Small multiples: equal cells in rows over a picture's width.

use super::figure::PAGE;

/// Room for an axis left of each cell, and between rows.
const GAP: (f64, f64) = (30.0, 26.0);

/// Room for marks at the right edge.
const MARGIN: f64 = 8.0;

/// A grid of cells of one size, filled row by row.
#[derive(Debug, Clone, Copy)]
pub struct Cells {
    columns: usize,
    width: f64,
    row: f64,
    top: f64,
    /// Where the last row ends, its axis included.
    pub height: f64,
}

impl Cells {
    /// `count` cells, at most `columns` in a row, below `top`.
    pub fn new(count: usize, columns: usize, row: f64, top: f64) -> Self {
        let columns = columns.min(count.max(1));
        let room = PAGE - MARGIN;
        let width = ((room / columns as f64).min(room / 3.0) - GAP.0).max(40.0);
        Self { columns, width, row, top, height: top + (row + GAP.1) * count.div_ceil(columns) as f64 }
    }

    /// Left, top, width and height of the n-th.
    pub fn cell(&self, n: usize) -> (f64, f64, f64, f64) {
        let (column, row) = ((n % self.columns) as f64, (n / self.columns) as f64);
        (GAP.0 - 4.0 + column * (self.width + GAP.0), self.top + row * (self.row + GAP.1), self.width, self.row)
    }
}
