//! A picture as a list of shapes, from which [`super::svg`] and [`super::raster`] draw the same thing.
//!
//! Colours are roles, not values: the page shows one scene on light and on dark ground. Series have the colours of Okabe and Ito
//! (Color Universal Design, 2008), and differ in marker and dash as well, for print and for eyes that tell no colours apart.

use super::font;

/// What a shape is drawn in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Words and numbers.
    Text,
    /// What matters less: axes, others' lines.
    Muted,
    /// Lines of a grid, stripes.
    Grid,
    /// The colour of the ground, for rims that set marks off from what lies below.
    Paper,
    /// A field of a heat map, dark on either ground.
    Heat,
    /// Words on a dark field, white on either ground.
    OnDark,
    /// A series; repeats after [`SERIES`].
    Series(usize),
}

/// How many series have colours of their own.
pub const SERIES: usize = 7;

/// How a line is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dash {
    /// One stroke.
    Solid,
    /// Long dashes.
    Dashed,
    /// Dots.
    Dotted,
    /// A dash and a dot in turn.
    Mixed,
}

impl Dash {
    /// The n-th, for the n-th series; they begin anew where there are no more.
    pub fn of(series: usize) -> Self {
        [Self::Solid, Self::Dashed, Self::Mixed, Self::Dotted][series % 4]
    }

    /// Lengths of strokes and gaps in turn; none of a solid line.
    pub fn lengths(self) -> &'static [f32] {
        match self {
            Self::Solid => &[],
            Self::Dashed => &[6.0, 3.0],
            Self::Dotted => &[1.5, 2.5],
            Self::Mixed => &[7.0, 2.5, 1.5, 2.5],
        }
    }
}

/// The form of a mark, so that series are told apart without colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// ●
    Circle,
    /// ■
    Square,
    /// ▲
    Triangle,
    /// ◆
    Diamond,
    /// ▼
    Down,
    /// ✚
    Plus,
    /// ✖
    Cross,
}

impl Marker {
    /// The n-th, for the n-th series; they begin anew where there are no more.
    pub fn of(series: usize) -> Self {
        let all = [Self::Circle, Self::Square, Self::Triangle, Self::Diamond, Self::Down, Self::Plus, Self::Cross];
        all[series % all.len()]
    }

    /// Its outline around a point, `size` across; a circle has 24 corners.
    pub fn outline(self, (x, y): Point, size: f64) -> Vec<Point> {
        let r = size / 2.0;
        let at = |points: &[Point]| points.iter().map(|(dx, dy)| (x + r * dx, y + r * dy)).collect();
        match self {
            Self::Circle => {
                (0..24).map(|i| f64::from(i) / 12.0 * std::f64::consts::PI).map(|a| (x + r * a.cos(), y + r * a.sin())).collect()
            }
            Self::Square => at(&[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)]),
            Self::Triangle => at(&[(0.0, -1.1), (1.05, 0.8), (-1.05, 0.8)]),
            Self::Down => at(&[(0.0, 1.1), (1.05, -0.8), (-1.05, -0.8)]),
            Self::Diamond => at(&[(0.0, -1.2), (1.2, 0.0), (0.0, 1.2), (-1.2, 0.0)]),
            Self::Plus => at(&PLUS),
            Self::Cross => at(&PLUS.map(|(x, y)| (0.75 * (x - y), 0.75 * (x + y)))),
        }
    }
}

/// A plus sign's corners.
const PLUS: [Point; 12] = [
    (-0.4, -1.1),
    (0.4, -1.1),
    (0.4, -0.4),
    (1.1, -0.4),
    (1.1, 0.4),
    (0.4, 0.4),
    (0.4, 1.1),
    (-0.4, 1.1),
    (-0.4, 0.4),
    (-1.1, 0.4),
    (-1.1, -0.4),
    (-0.4, -0.4),
];

/// Right and down, in units of the scene: a pixel of a page, two of a PNG.
pub type Point = (f64, f64);

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// The text begins there.
    Start,
    /// The text's middle is there.
    Middle,
    /// The text ends there.
    End,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// Joined points.
    Line {
        /// Where it goes, in order.
        points: Vec<Point>,
        /// In units of the scene.
        width: f64,
        /// How it is broken into strokes.
        dash: Dash,
    },
    /// A filled area.
    Area {
        /// Its corners; the last is joined to the first.
        points: Vec<Point>,
        /// From 0, not there, to 1.
        opacity: f64,
    },
    /// A line of text; the point is on its baseline.
    Text {
        /// Where it begins, is centred or ends, on the baseline.
        at: Point,
        /// What it says.
        text: String,
        /// The height of an em, in units of the scene.
        size: f64,
        /// Which part of it stands at its place.
        anchor: Anchor,
    },
}

/// No place is further from the corner: a picture that is larger cannot be painted, and SVG's numbers have an end.
const FURTHEST: f64 = 1e6;

/// Whether there is such a place; a number that is not finite, or out of all scale, has none.
fn exists((x, y): &Point) -> bool {
    x.abs() <= FURTHEST && y.abs() <= FURTHEST
}

impl Form {
    /// Without what has no place: a value that is not finite is not drawn, its table says it.
    fn sound(self) -> Self {
        let kept = |points: Vec<Point>| points.into_iter().filter(exists).collect();
        match self {
            Self::Line { points, width, dash } => Self::Line { points: kept(points), width, dash },
            Self::Area { points, opacity } => {
                Self::Area { points: kept(points), opacity: if opacity.is_finite() { opacity } else { 0.0 } }
            }
            Self::Text { at, .. } if !exists(&at) => Self::Area { points: Vec::new(), opacity: 0.0 },
            text => text,
        }
    }
}

/// A form in an ink, and what it says to those who point at it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// What is drawn.
    pub form: Form,
    /// What it is drawn in.
    pub ink: Ink,
    /// A sentence about it; empty where there is none.
    pub tip: String,
}

/// A picture as shapes, without colours or a format.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Its width, in the units of all its points.
    pub width: f64,
    /// Its height, in the same.
    pub height: f64,
    /// Its shapes, the ones behind first.
    pub shapes: Vec<Shape>,
}

/// The height of most text.
pub const TEXT: f64 = 11.5;
/// The height of small text.
pub const SMALL: f64 = 10.0;

impl Scene {
    /// A picture of this size with nothing in it.
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, shapes: Vec::new() }
    }

    fn push(&mut self, form: Form, ink: Ink) -> &mut Shape {
        let at = self.shapes.len();
        self.shapes.push(Shape { form: form.sound(), ink, tip: String::new() });
        &mut self.shapes[at]
    }

    /// Joins points by a line; a point out of all scale is left out.
    pub fn line(&mut self, points: Vec<Point>, ink: Ink, width: f64, dash: Dash) -> &mut Shape {
        self.push(Form::Line { points, width, dash }, ink)
    }

    /// A thin line between two points.
    pub fn rule(&mut self, from: Point, to: Point, ink: Ink) -> &mut Shape {
        self.line(vec![from, to], ink, 1.0, Dash::Solid)
    }

    /// Fills what points surround; opacity from 0, not there, to 1.
    pub fn area(&mut self, points: Vec<Point>, ink: Ink, opacity: f64) -> &mut Shape {
        self.push(Form::Area { points, opacity }, ink)
    }

    /// Fills a rectangle, from its top left corner.
    pub fn rect(&mut self, (x, y): Point, (width, height): Point, ink: Ink, opacity: f64) -> &mut Shape {
        self.area(vec![(x, y), (x + width, y), (x + width, y + height), (x, y + height)], ink, opacity)
    }

    /// A point, with a rim of paper so that it stands out from lines and other points.
    pub fn mark(&mut self, at: Point, marker: Marker, size: f64, ink: Ink) -> &mut Shape {
        self.area(marker.outline(at, size + 2.5), Ink::Paper, 1.0);
        self.area(marker.outline(at, size), ink, 1.0)
    }

    /// Writes a line of text; its baseline lies at the point.
    pub fn text(&mut self, at: Point, text: impl Into<String>, size: f64, ink: Ink, anchor: Anchor) -> &mut Shape {
        self.push(Form::Text { at, text: text.into(), size, anchor }, ink)
    }

    /// A line of text no wider than `width`; the whole of it is its tip where it had to be cut.
    pub fn text_within(&mut self, at: Point, text: &str, width: f64, size: f64, ink: Ink, anchor: Anchor) {
        let cut = font::cut(text, size, width);
        let tip = if cut == text { String::new() } else { text.to_string() };
        self.text(at, cut, size, ink, anchor).tip = tip;
    }
}

impl Shape {
    /// Says something to those who point at it.
    pub fn says(&mut self, tip: impl Into<String>) {
        self.tip = tip.into();
    }
}
