//! The perceptual vocabulary that pretraining and benchmark share (colour and shape words), and the looks in which they differ.

use seed::Stream;
use tiny_skia::{Path, PathBuilder};

use super::canvas::{Canvas, Point, Rgb, SIDE, at_turn, polygon};
use super::glyphs::Font;

/// A colour as questions name it; what it looks like is a page's affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(usize);

const COLOUR_NAMES: [&str; 8] = ["red", "orange", "yellow", "green", "blue", "purple", "black", "gray"];

impl Colour {
    /// All eight, in a fixed order.
    pub fn all() -> Vec<Self> {
        (0..COLOUR_NAMES.len()).map(Self).collect()
    }

    /// The word for it, in American spelling as the questions are.
    pub fn name(self) -> &'static str {
        COLOUR_NAMES[self.0]
    }
}

/// A shape word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    Star,
    Heart,
    Cross,
    Rectangle,
    Pentagon,
    Hexagon,
    Trapezoid,
}

/// The shapes of pretraining and of every topic.
pub const SHAPES: [Shape; 7] =
    [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Diamond, Shape::Star, Shape::Heart, Shape::Cross];

impl Shape {
    /// The word for it, in American spelling as the questions are.
    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Triangle => "triangle",
            Self::Diamond => "diamond",
            Self::Star => "star",
            Self::Heart => "heart",
            Self::Cross => "cross",
            Self::Rectangle => "rectangle",
            Self::Pentagon => "pentagon",
            Self::Hexagon => "hexagon",
            Self::Trapezoid => "trapezoid",
        }
    }

    /// The word for several of them.
    pub fn plural(self) -> String {
        let ending = if self == Self::Cross { "es" } else { "s" };
        format!("{}{ending}", self.name())
    }

    /// The outline of the shape around a centre, `size` pixels across, turned by `turn` (a share of a full turn).
    pub fn path(self, centre: Point, size: f32, turn: f32) -> Option<Path> {
        let place = |points: &[Point]| polygon(&points.iter().map(|&p| turned(centre, p, size, turn)).collect::<Vec<_>>());
        match self {
            Self::Circle => PathBuilder::from_circle(centre.0, centre.1, size / 2.0),
            Self::Square => place(&[(-0.44, -0.44), (0.44, -0.44), (0.44, 0.44), (-0.44, 0.44)]),
            Self::Triangle => place(&[(0.0, -0.5), (0.52, 0.42), (-0.52, 0.42)]),
            Self::Diamond => place(&[(0.0, -0.55), (0.38, 0.0), (0.0, 0.55), (-0.38, 0.0)]),
            Self::Rectangle => place(&[(-0.5, -0.27), (0.5, -0.27), (0.5, 0.27), (-0.5, 0.27)]),
            Self::Trapezoid => place(&[(-0.26, -0.36), (0.26, -0.36), (0.5, 0.36), (-0.5, 0.36)]),
            Self::Pentagon => place(&regular(5)),
            Self::Hexagon => place(&regular(6)),
            Self::Star => place(&star()),
            Self::Cross => place(&cross()),
            Self::Heart => heart(centre, size, turn),
        }
    }
}

fn turned(centre: Point, (x, y): Point, size: f32, turn: f32) -> Point {
    let (sin, cos) = (turn * std::f32::consts::TAU).sin_cos();
    (centre.0 + size * (x * cos - y * sin), centre.1 + size * (x * sin + y * cos))
}

fn regular(corners: usize) -> Vec<Point> {
    (0..corners).map(|i| at_turn((0.0, 0.0), 0.52, i as f32 / corners as f32)).collect()
}

fn star() -> Vec<Point> {
    (0..10).map(|i| at_turn((0.0, 0.03), if i % 2 == 0 { 0.56 } else { 0.23 }, i as f32 / 10.0)).collect()
}

fn cross() -> Vec<Point> {
    let (a, b) = (0.17, 0.5);
    vec![(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]
}

fn heart(centre: Point, size: f32, turn: f32) -> Option<Path> {
    let at = |x, y| turned(centre, (x, y), size, turn);
    let mut path = PathBuilder::new();
    let (start, tip) = (at(0.0, -0.22), at(0.0, 0.5));
    path.move_to(start.0, start.1);
    for side in [1.0, -1.0] {
        let (first, second) = (at(side * 0.18, -0.62), at(side * 0.85, -0.3));
        let end = if side > 0.0 { tip } else { start };
        if side > 0.0 {
            path.cubic_to(first.0, first.1, second.0, second.1, end.0, end.1);
        } else {
            path.cubic_to(second.0, second.1, first.0, first.1, end.0, end.1);
        }
    }
    path.close();
    path.finish()
}

/// Which family of looks a picture belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Pretraining: saturated flat colours, plain or two-tone grounds, round fonts.
    Plain,
    /// IconGen: softer colours, ruled or framed paper, angular leaning fonts.
    Icon,
    /// SciGen: textbook grounds and boards.
    Science,
}

/// What each colour word looks like in pretraining, and in the benchmark.
const PLAIN: [Rgb; 8] =
    [[222, 28, 36], [255, 132, 0], [250, 214, 20], [22, 158, 60], [30, 84, 228], [140, 40, 190], [16, 16, 16], [140, 140, 140]];
const SOFT: [Rgb; 8] =
    [[204, 56, 60], [238, 142, 50], [240, 204, 70], [64, 160, 92], [62, 112, 204], [134, 74, 168], [36, 34, 40], [142, 146, 150]];

/// What was drawn where, in words: the truth that a vision tower is first taught (`pretrain`).
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Its centre, in pixels.
    pub centre: Point,
    /// One word for each thing there is to know: its shape, its colour.
    pub words: Vec<&'static str>,
}

/// A picture with its look: paper, ink, palette, outline and font.
#[derive(Debug, Clone)]
pub struct Page {
    /// What [`Page::shape`] and [`Page::mark`] noted, in the order of drawing.
    pub marks: Vec<Mark>,
    /// What has been drawn.
    pub canvas: Canvas,
    /// A colour that stands out from the paper, for lines and letters.
    pub ink: Rgb,
    /// The colour of the ground, before it is decorated.
    pub paper: Rgb,
    /// How letters are drawn.
    pub font: Font,
    palette: [Rgb; 8],
    outline: Option<f32>,
    wobble: f32,
}

impl Page {
    /// An empty page in some look of the theme.
    pub fn new(theme: Theme, s: &mut Stream) -> Self {
        let dark = s.chance(if theme == Theme::Icon { 0.0 } else { 0.14 });
        let paper = paper(theme, dark, s);
        let ink = if dark { [235, 235, 225] } else { [30, 30, 40] };
        let mut page = Self {
            marks: Vec::new(),
            canvas: Canvas::new(paper),
            ink,
            paper,
            font: font(theme, s),
            palette: palette(theme, s),
            outline: None,
            wobble: if theme == Theme::Plain { 0.05 } else { 0.045 },
        };
        page.outline = page.draw_outline(theme, dark, s);
        page.decorate(theme, s);
        page
    }

    /// What a colour word looks like on this page.
    pub fn rgb(&self, colour: Colour) -> Rgb {
        self.palette[colour.0]
    }

    /// A shape in a colour, slightly turned.
    pub fn shape(&mut self, s: &mut Stream, shape: Shape, colour: Colour, centre: Point, size: f32) {
        let turn = s.range(-1.0, 1.0) as f32 * self.wobble;
        self.shape_turned(shape, self.rgb(colour), centre, size, turn);
        self.mark(centre, &[shape.name(), colour.name()]);
    }

    /// Notes what stands at a place.
    pub fn mark(&mut self, centre: Point, words: &[&'static str]) {
        self.marks.push(Mark { centre, words: words.to_vec() });
    }

    /// A shape turned by an exact share of a full turn.
    pub fn shape_turned(&mut self, shape: Shape, rgb: Rgb, centre: Point, size: f32, turn: f32) {
        self.canvas.fill(shape.path(centre, size, turn), rgb);
        if let Some(width) = self.outline {
            self.canvas.stroke(shape.path(centre, size, turn), self.ink, width);
        }
    }

    /// A text centred on a point, in ink.
    pub fn text(&mut self, text: &str, centre: Point, height: f32) {
        self.font.write(&mut self.canvas, text, centre, height, self.ink);
    }

    fn draw_outline(&self, theme: Theme, dark: bool, s: &mut Stream) -> Option<f32> {
        let share = if theme == Theme::Plain { 0.5 } else { 0.7 };
        let wanted = s.chance(share);
        let width = s.range(0.8, 1.6) as f32;
        (wanted || dark).then_some(width)
    }

    fn decorate(&mut self, theme: Theme, s: &mut Stream) {
        let side = SIDE as f32;
        let faint = mix(self.paper, self.ink, 0.1);
        match (theme, s.below(4)) {
            (Theme::Plain, 0) => self.canvas.rect((0.0, side / 2.0), side, side / 2.0, mix(self.paper, self.ink, 0.06)),
            (Theme::Plain, 1) => self.specks(s, faint),
            (Theme::Icon, 0) => self.rules(s.between(7, 11) as f32, false, faint),
            (Theme::Icon, 1) => self.canvas.frame((1.0, 1.0), side - 2.0, side - 2.0, mix(self.paper, self.ink, 0.5), 1.5),
            (Theme::Science, 0) => self.rules(s.between(8, 12) as f32, true, faint),
            (Theme::Science, 1) => self.canvas.rect((0.0, side - 3.0), side, 3.0, mix(self.paper, self.ink, 0.25)),
            _ => {}
        }
    }

    /// Faint dots all over, as of coarse paper.
    fn specks(&mut self, s: &mut Stream, rgb: Rgb) {
        for _ in 0..s.between(6, 24) {
            let centre = (s.range(0.0, f64::from(SIDE)) as f32, s.range(0.0, f64::from(SIDE)) as f32);
            self.canvas.disc(centre, s.range(0.6, 1.6) as f32, rgb);
        }
    }

    fn rules(&mut self, gap: f32, both: bool, rgb: Rgb) {
        let side = SIDE as f32;
        for i in 1..(side / gap).ceil() as usize {
            let at = i as f32 * gap;
            self.canvas.line((0.0, at), (side, at), rgb, 0.8);
            if both {
                self.canvas.line((at, 0.0), (at, side), rgb, 0.8);
            }
        }
    }
}

fn paper(theme: Theme, dark: bool, s: &mut Stream) -> Rgb {
    let mut channel = |low: usize, high: usize| s.between(low, high) as u8;
    match (theme, dark) {
        (Theme::Plain, true) => [channel(5, 50), channel(5, 50), channel(5, 60)],
        (Theme::Plain, false) => [channel(208, 255), channel(208, 255), channel(208, 255)],
        (Theme::Icon, _) => [channel(244, 255), channel(240, 252), channel(222, 248)],
        (Theme::Science, true) => [channel(20, 40), channel(58, 78), channel(48, 66)],
        (Theme::Science, false) => [channel(214, 240), channel(226, 246), channel(232, 255)],
    }
}

fn font(theme: Theme, s: &mut Stream) -> Font {
    let mut draw = |low: f64, high: f64| s.range(low, high) as f32;
    if theme == Theme::Plain {
        let (weight, slant, aspect) = (draw(0.13, 0.24), draw(-0.05, 0.08), draw(0.5, 0.68));
        return Font { weight, slant, aspect, round: true };
    }
    let (weight, slant, aspect) = (draw(0.1, 0.2), draw(-0.1, 0.24), draw(0.48, 0.74));
    Font { weight, slant, aspect, round: false }
}

/// The theme's palette, every colour shifted in brightness and a little in hue.
fn palette(theme: Theme, s: &mut Stream) -> [Rgb; 8] {
    let (base, spread) = if theme == Theme::Plain { (PLAIN, 22.0) } else { (SOFT, 20.0) };
    base.map(|rgb| {
        let light = s.range(-spread, spread);
        rgb.map(|channel| (f64::from(channel) + light + s.range(-8.0, 8.0)).clamp(0.0, 255.0) as u8)
    })
}

/// The colour `share` of the way from `a` to `b`.
pub fn mix(a: Rgb, b: Rgb, share: f32) -> Rgb {
    std::array::from_fn(|i| (f32::from(a[i]) + (f32::from(b[i]) - f32::from(a[i])) * share) as u8)
}

/// Some colours, all different.
pub fn some_colours(s: &mut Stream, count: usize) -> Vec<Colour> {
    s.sample(COLOUR_NAMES.len(), count).into_iter().map(Colour).collect()
}

/// Some of the shared shapes, all different.
pub fn some_shapes(s: &mut Stream, count: usize) -> Vec<Shape> {
    s.sample(SHAPES.len(), count).into_iter().map(|i| SHAPES[i]).collect()
}

/// The words of [`Colour::all`], in its order.
pub fn colour_words() -> &'static [&'static str] {
    &COLOUR_NAMES
}

/// The words of the shared shapes.
pub fn shape_words() -> Vec<&'static str> {
    SHAPES.iter().map(|shape| shape.name()).collect()
}
