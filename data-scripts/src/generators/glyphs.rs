//! Digits and letters as strokes on a grid 4 wide and 6 high, so that "fonts" vary in weight, slant, width and roundness.

use tiny_skia::{Path, PathBuilder};

use super::canvas::{Canvas, Point, Rgb};

/// How characters are drawn: shares of their height, so that a font serves all sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Font {
    /// Line width as a share of the height.
    pub weight: f32,
    /// How far the top leans right, as a share of the height.
    pub slant: f32,
    /// Width of a character as a share of its height.
    pub aspect: f32,
    /// Rounded corners rather than sharp ones.
    pub round: bool,
}

/// The strokes of each character: points as two digits (x, y), strokes separated by `/`.
const GLYPHS: &[(char, &str)] = &[
    ('0', "10 30 41 45 36 16 05 01 10"),
    ('1', "11 20 26/16 36"),
    ('2', "01 10 30 41 42 06 46"),
    ('3', "01 10 30 41 42 33 13/33 44 45 36 16 05"),
    ('4', "36 30 04 44"),
    ('5', "40 00 03 33 44 45 36 16 05"),
    ('6', "41 30 10 01 05 16 36 45 44 33 13 04"),
    ('7', "00 40 16"),
    ('8', "13 02 01 10 30 41 42 33 13 04 05 16 36 45 44 33"),
    ('9', "05 16 36 45 41 30 10 01 02 13 33 42"),
    ('A', "06 02 20 42 46/04 44"),
    ('B', "33 03 00 30 41 42 33 44 45 36 06 03"),
    ('C', "41 30 10 01 05 16 36 45"),
    ('D', "00 06 26 44 42 20 00"),
    ('E', "40 00 06 46/03 33"),
    ('F', "40 00 06/03 33"),
    ('G', "41 30 10 01 05 16 36 45 43 23"),
    ('H', "00 06/40 46/03 43"),
    ('N', "06 00 46 40"),
    ('S', "41 30 10 01 02 13 33 44 45 36 16 05"),
    ('W', "00 16 23 36 40"),
    ('+', "21 25/03 43"),
    ('-', "03 43"),
    ('=', "02 42/04 44"),
    ('?', "01 10 30 41 42 23 24/26 27"),
    ('/', "06 40"),
];

impl Font {
    /// Writes a text centred on a point; `height` is the height of a character in pixels. Unknown characters are blanks.
    pub fn write(&self, canvas: &mut Canvas, text: &str, centre: Point, height: f32, rgb: Rgb) {
        let advance = self.advance(height);
        let count = text.chars().count() as f32;
        let left = centre.0 - (count * advance - (advance - height * self.aspect)) / 2.0;
        for (i, character) in text.chars().enumerate() {
            let corner = (left + i as f32 * advance, centre.1 - height / 2.0);
            for stroke in strokes(character) {
                canvas.stroke(self.path(&stroke, corner, height), rgb, self.weight * height);
            }
        }
    }

    /// The distance from one character to the next.
    pub fn advance(&self, height: f32) -> f32 {
        height * (self.aspect + 0.12 + self.weight)
    }

    fn path(&self, stroke: &[(u8, u8)], corner: Point, height: f32) -> Option<Path> {
        let place = |&(x, y): &(u8, u8)| {
            let (x, y) = (f32::from(x) / 4.0, f32::from(y) / 6.0);
            (corner.0 + height * (x * self.aspect + self.slant * (0.5 - y)), corner.1 + height * y)
        };
        let points: Vec<Point> = stroke.iter().map(place).collect();
        rounded(&points, if self.round { 0.45 } else { 0.0 })
    }
}

/// The strokes of one character, as points of the grid; nothing of a character that is not in the table.
fn strokes(character: char) -> Vec<Vec<(u8, u8)>> {
    let Some((_, code)) = GLYPHS.iter().find(|(known, _)| *known == character) else { return Vec::new() };
    let point = |pair: &str| (pair.as_bytes()[0] - b'0', pair.as_bytes()[1] - b'0');
    code.split('/').map(|stroke| stroke.split(' ').map(point).collect()).collect()
}

/// A path through points whose corners are cut by a curve over `cut` of each neighbouring segment.
fn rounded(points: &[Point], cut: f32) -> Option<Path> {
    let toward = |from: Point, to: Point| (from.0 + (to.0 - from.0) * cut, from.1 + (to.1 - from.1) * cut);
    let mut path = PathBuilder::new();
    let (first, last) = (points.first()?, points.last()?);
    path.move_to(first.0, first.1);
    for corner in points.windows(3) {
        let (before, after) = (toward(corner[1], corner[0]), toward(corner[1], corner[2]));
        path.line_to(before.0, before.1);
        path.quad_to(corner[1].0, corner[1].1, after.0, after.1);
    }
    path.line_to(last.0, last.1);
    path.finish()
}
