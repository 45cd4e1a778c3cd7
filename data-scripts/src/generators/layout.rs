//! Where things go: a loose grid, so that objects are apart and still nowhere in particular.

use seed::Stream;

use super::canvas::Point;

/// A rectangle of the picture, sides along its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Top left corner.
    pub corner: Point,
    /// Width in pixels.
    pub width: f32,
    /// Height in pixels.
    pub height: f32,
}

impl Area {
    /// The whole picture less a margin of two pixels.
    pub const PAGE: Self = Self { corner: (2.0, 2.0), width: 60.0, height: 60.0 };

    /// Its centre, in pixels.
    pub fn centre(&self) -> Point {
        (self.corner.0 + self.width / 2.0, self.corner.1 + self.height / 2.0)
    }

    /// The cell at a column and row of an even grid.
    pub fn cell(&self, columns: usize, rows: usize, column: usize, row: usize) -> Self {
        let (width, height) = (self.width / columns as f32, self.height / rows as f32);
        let corner = (self.corner.0 + column as f32 * width, self.corner.1 + row as f32 * height);
        Self { corner, width, height }
    }
}

/// A place for one thing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spot {
    /// Where its centre goes.
    pub centre: Point,
    /// How wide and high the thing may be, in pixels.
    pub size: f32,
}

/// Places for `count` things of about equal size, loosely on a grid, in random order.
pub fn spots(s: &mut Stream, count: usize, area: Area) -> Vec<Spot> {
    let (columns, rows) = grid(s, count, area);
    let size = (area.width / columns as f32).min(area.height / rows as f32) * s.range(0.66, 0.84) as f32;
    let cells = s.sample(columns * rows, count);
    cells.into_iter().map(|cell| spot(s, area.cell(columns, rows, cell % columns, cell / columns), size)).collect()
}

/// A place of a size within a cell, off its centre by what room there is.
pub fn spot(s: &mut Stream, cell: Area, size: f32) -> Spot {
    let size = size.min(cell.width).min(cell.height);
    let centre = cell.centre();
    let mut off = |room: f32| s.range(-0.42, 0.42) as f32 * (room - size).max(0.0);
    Spot { centre: (centre.0 + off(cell.width), centre.1 + off(cell.height)), size: size * 0.96 }
}

/// A grid with at least `count` cells that fits the area's form, sometimes roomier than need be.
fn grid(s: &mut Stream, count: usize, area: Area) -> (usize, usize) {
    let ratio = area.width / area.height;
    let roomy = if s.chance(0.4) { count + s.between(1, 3) } else { count };
    let columns = ((roomy as f32 * ratio).sqrt() + s.range(-0.3, 0.3) as f32).round().clamp(1.0, roomy as f32) as usize;
    (columns, roomy.div_ceil(columns))
}
