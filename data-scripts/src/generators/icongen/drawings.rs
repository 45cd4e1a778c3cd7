//! Pictures that several IconGen topics draw: patterns, clocks, axes, fractions.

use seed::Stream;

use crate::generators::canvas::{Point, Rgb, at_turn};
use crate::generators::layout::Area;
use crate::generators::look::{Colour, Page, Shape, mix, some_colours, some_shapes};

/// A repeating row of things with a gap at the end.
pub struct Repeat {
    /// What repeats: shape and colour of each element.
    pub kinds: Vec<(Shape, Colour)>,
    /// The order in which the kinds repeat: places in `kinds`.
    pub unit: Vec<usize>,
    /// Where in the unit the picture starts.
    pub start: usize,
    /// Whether the shapes differ (else the colours do).
    pub by_shape: bool,
}

/// How many elements are shown before the gap.
const SHOWN: usize = 7;

impl Repeat {
    /// A pattern of two or three kinds that differ in shape or in colour.
    pub fn draw(s: &mut Stream) -> Self {
        let (shapes, colours, by_shape) = (some_shapes(s, 3), some_colours(s, 3), s.chance(0.5));
        let unit = s.pick(&[vec![0, 1], vec![0, 1, 2], vec![0, 0, 1], vec![0, 1, 1]]).clone();
        let distinct = unit.iter().max().expect("a unit is never empty") + 1;
        let kind = |i: usize| if by_shape { (shapes[i], colours[0]) } else { (shapes[0], colours[i]) };
        Self { kinds: (0..distinct).map(kind).collect(), start: s.below(unit.len()), unit, by_shape }
    }

    /// The kind that belongs in the gap.
    pub fn next(&self) -> usize {
        self.unit[(self.start + SHOWN) % self.unit.len()]
    }

    /// The word for a kind: its shape where shapes differ, else its colour.
    pub fn word(&self, kind: usize) -> &'static str {
        let (shape, colour) = self.kinds[kind];
        if self.by_shape { shape.name() } else { colour.name() }
    }

    /// Draws two lines of four, the last of them a question mark.
    pub fn render(&self, page: &mut Page, s: &mut Stream) {
        let area = Area { corner: (2.0, 12.0), width: 60.0, height: 40.0 };
        for i in 0..SHOWN {
            let (shape, colour) = self.kinds[self.unit[(self.start + i) % self.unit.len()]];
            page.shape(s, shape, colour, area.cell(4, 2, i % 4, i / 4).centre(), 12.5);
        }
        let gap = area.cell(4, 2, 3, 1).centre();
        page.canvas.frame((gap.0 - 6.5, gap.1 - 7.5), 13.0, 15.0, page.ink, 1.0);
        page.text("?", gap, 9.0);
    }
}

/// A clock face with an hour hand.
pub fn clock(page: &mut Page, s: &mut Stream, hour: usize) {
    let (centre, radius) = ((32.0 + s.range(-2.0, 2.0) as f32, 32.0 + s.range(-2.0, 2.0) as f32), s.range(24.0, 28.5) as f32);
    let (face, hand) = (mix(page.paper, [255, 255, 255], 0.7), page.rgb(some_colours(s, 1)[0]));
    page.canvas.disc(centre, radius, face);
    page.canvas.ring(centre, radius, hand, s.range(1.5, 3.5) as f32);
    let ink = page.ink;
    if s.chance(0.6) {
        for (mark, text) in [(0.0, "12"), (0.25, "3"), (0.5, "6"), (0.75, "9")] {
            let font = page.font;
            font.write(&mut page.canvas, text, at_turn(centre, radius * 0.77, mark), 7.0, ink);
        }
    } else {
        for i in 0..12 {
            page.canvas.disc(at_turn(centre, radius * 0.82, i as f32 / 12.0), if i % 3 == 0 { 1.7 } else { 0.9 }, ink);
        }
    }
    page.canvas.line(centre, at_turn(centre, radius * 0.56, hour as f32 / 12.0), ink, 3.4);
    page.canvas.disc(centre, 2.0, ink);
}

/// A disc or a bar of equal parts, some of them shaded.
pub fn parts(page: &mut Page, s: &mut Stream, shaded: usize, all: usize) {
    let (fill, rest) = (page.rgb(some_colours(s, 1)[0]), mix(page.paper, [255, 255, 255], 0.8));
    let start = s.below(all);
    let is_shaded = |part: usize| (part + all - start) % all < shaded;
    if s.chance(0.5) {
        slices(page, s.range(20.0, 28.0) as f32, all, s.uniform() as f32, &|part| if is_shaded(part) { fill } else { rest });
    } else {
        strips(page, s, all, &|part| if is_shaded(part) { fill } else { rest });
    }
}

/// A disc cut into equal slices.
fn slices(page: &mut Page, radius: f32, all: usize, offset: f32, rgb: &dyn Fn(usize) -> Rgb) {
    let (centre, share) = ((32.0, 32.0), 1.0 / all as f32);
    for part in 0..all {
        let from = offset + part as f32 * share;
        page.canvas.sector(centre, radius, from, from + share, rgb(part));
    }
    for part in 0..all {
        page.canvas.line(centre, at_turn(centre, radius, offset + part as f32 * share), page.ink, 1.4);
    }
    page.canvas.ring(centre, radius, page.ink, 1.4);
}

/// A bar cut into equal strips, lying or standing.
fn strips(page: &mut Page, s: &mut Stream, all: usize, rgb: &dyn Fn(usize) -> Rgb) {
    let (thick, lying) = (s.range(18.0, 34.0) as f32, s.chance(0.6));
    let offset = (64.0 - thick) / 2.0;
    let step = 56.0 / all as f32;
    for part in 0..all {
        let at = 4.0 + part as f32 * step;
        let (corner, width, height) = if lying { ((at, offset), step, thick) } else { ((offset, at), thick, step) };
        page.canvas.rect(corner, width, height, rgb(part));
        page.canvas.frame(corner, width, height, page.ink, 1.3);
    }
}

/// A spinner whose slices have given shares.
pub fn spinner(page: &mut Page, s: &mut Stream, slices: &[(Colour, f32)]) {
    let (centre, radius) = ((32.0, 33.0), s.range(22.0, 27.0) as f32);
    let total: f32 = slices.iter().map(|slice| slice.1).sum();
    let mut from = s.uniform() as f32;
    for &(colour, share) in slices {
        let to = from + share / total;
        page.canvas.sector(centre, radius, from, to, page.rgb(colour));
        from = to;
    }
    page.canvas.ring(centre, radius, page.ink, 1.5);
    let turn = s.uniform() as f32;
    page.canvas.arrow(at_turn(centre, 5.0, turn + 0.5), at_turn(centre, radius * 0.62, turn), page.ink, 1.6);
    page.canvas.disc(centre, 2.4, page.ink);
}

/// Bars over an axis marked 1 to 5.
pub fn bars(page: &mut Page, s: &mut Stream, values: &[(Colour, usize)]) {
    let (floor, unit, left) = (60.0, 10.8, 12.0);
    let faint = mix(page.paper, page.ink, 0.22);
    for mark in 1..=5 {
        let height = floor - mark as f32 * unit;
        page.canvas.line((left, height), (63.0, height), faint, 0.8);
        page.text(&mark.to_string(), (6.0, height), 7.0);
    }
    let step = 50.0 / values.len() as f32;
    let width = step * s.range(0.6, 0.86) as f32;
    for (i, &(colour, value)) in values.iter().enumerate() {
        let (x, height) = (left + 1.0 + i as f32 * step, value as f32 * unit);
        page.canvas.rect((x, floor - height), width, height, page.rgb(colour));
        page.canvas.frame((x, floor - height), width, height, page.ink, 0.8);
    }
    page.canvas.line((left, 4.0), (left, floor), page.ink, 1.2);
    page.canvas.line((left, floor), (63.0, floor), page.ink, 1.2);
}

/// A strip of equal cubes in a row, above a line marked in their width.
pub fn cubes(page: &mut Page, s: &mut Stream, length: usize) {
    let (left, side, y) = (s.range(2.0, 5.0) as f32, 11.5, s.range(16.0, 34.0) as f32);
    let rgb = page.rgb(some_colours(s, 1)[0]);
    for i in 0..length {
        let corner = (left + i as f32 * side, y);
        page.canvas.rect(corner, side, side, rgb);
        page.canvas.frame(corner, side, side, page.ink, 1.2);
    }
    let floor = y + side + 5.0;
    page.canvas.line((left, floor), (left + 5.0 * side, floor), page.ink, 1.2);
    for mark in 0..=5 {
        let x = left + mark as f32 * side;
        page.canvas.line((x, floor - 2.0), (x, floor + 2.0), page.ink, 1.0);
    }
}

/// A thermometer with marks 1 to 5, filled up to a level.
pub fn thermometer(page: &mut Page, s: &mut Stream, centre_x: f32, level: f32) {
    let (floor, unit) = (52.0, 8.6);
    let (rgb, white) = ([204 + s.below(40) as u8, 40, 46], mix(page.paper, [255, 255, 255], 0.8));
    page.canvas.line((centre_x, floor), (centre_x, 7.0), page.ink, 9.0);
    page.canvas.line((centre_x, floor), (centre_x, 7.0), white, 7.0);
    page.canvas.line((centre_x, floor), (centre_x, floor - level * unit), rgb, 4.6);
    page.canvas.disc((centre_x, floor + 2.0), 7.5, page.ink);
    page.canvas.disc((centre_x, floor + 2.0), 6.5, rgb);
    for mark in 1..=5 {
        let y = floor - mark as f32 * unit;
        page.canvas.line((centre_x + 5.0, y), (centre_x + 9.0, y), page.ink, 1.0);
        page.text(&mark.to_string(), (centre_x + 15.0, y), 7.5);
    }
}

/// A glass filled to a share from 0, empty, to 1.
pub fn glass(page: &mut Page, s: &mut Stream, share: f32) {
    let (left, width, top, height) = (14.0 + s.range(-6.0, 8.0) as f32, s.range(24.0, 34.0) as f32, 8.0, 50.0);
    let rgb = page.rgb(some_colours(s, 1)[0]);
    page.canvas.rect((left, top + height * (1.0 - share)), width, height * share, rgb);
    let corners: [Point; 4] = [(left, top), (left, top + height), (left + width, top + height), (left + width, top)];
    for side in corners.windows(2) {
        page.canvas.line(side[0], side[1], page.ink, 2.0);
    }
}
