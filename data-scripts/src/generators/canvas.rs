//! A 64x64 picture and the few strokes every generator draws with (tiny-skia underneath, antialiased).

use std::f32::consts::TAU;

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use tiny_skia::{Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};

/// Width and height of every generated picture, in pixels.
pub const SIDE: u32 = 64;

/// Red, green and blue, 0 to 255, without transparency.
pub type Rgb = [u8; 3];

/// A point in pixels, x to the right and y down.
pub type Point = (f32, f32);

/// A picture of [`SIDE`] times [`SIDE`] opaque pixels; later strokes cover earlier ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Canvas {
    pixmap: Pixmap,
}

impl Canvas {
    /// A picture of one colour.
    pub fn new(background: Rgb) -> Self {
        let mut pixmap = Pixmap::new(SIDE, SIDE).expect("64x64 is a valid size");
        pixmap.fill(Color::from_rgba8(background[0], background[1], background[2], 255));
        Self { pixmap }
    }

    /// Fills a path; a path without extent draws nothing.
    pub fn fill(&mut self, path: Option<Path>, rgb: Rgb) {
        if let Some(path) = path {
            self.pixmap.fill_path(&path, &paint(rgb), FillRule::Winding, Transform::identity(), None);
        }
    }

    /// Draws the line of a path, with round ends.
    pub fn stroke(&mut self, path: Option<Path>, rgb: Rgb, width: f32) {
        if let Some(path) = path {
            let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
            self.pixmap.stroke_path(&path, &paint(rgb), &stroke, Transform::identity(), None);
        }
    }

    /// A filled circle.
    pub fn disc(&mut self, (x, y): Point, radius: f32, rgb: Rgb) {
        self.fill(PathBuilder::from_circle(x, y, radius), rgb);
    }

    /// The line of a circle, `width` pixels wide, half of it within the radius.
    pub fn ring(&mut self, (x, y): Point, radius: f32, rgb: Rgb, width: f32) {
        self.stroke(PathBuilder::from_circle(x, y, radius), rgb, width);
    }

    /// A filled rectangle, from its top left corner.
    pub fn rect(&mut self, (x, y): Point, width: f32, height: f32, rgb: Rgb) {
        self.fill(rect_path((x, y), width, height), rgb);
    }

    /// The line of a rectangle, from its top left corner; half of the line lies outside.
    pub fn frame(&mut self, (x, y): Point, width: f32, height: f32, rgb: Rgb, line: f32) {
        self.stroke(rect_path((x, y), width, height), rgb, line);
    }

    /// A straight line with round ends, `width` pixels wide.
    pub fn line(&mut self, from: Point, to: Point, rgb: Rgb, width: f32) {
        self.stroke(polyline(&[from, to]), rgb, width);
    }

    /// A line with a filled head at its end.
    pub fn arrow(&mut self, from: Point, to: Point, rgb: Rgb, width: f32) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = (dx * dx + dy * dy).sqrt().max(1e-3);
        let (ux, uy) = (dx / length, dy / length);
        let head = (width * 2.2 + 1.5).min(length);
        let neck = (to.0 - ux * head, to.1 - uy * head);
        let half = head * 0.7;
        self.line(from, neck, rgb, width);
        self.fill(polygon(&[to, (neck.0 - uy * half, neck.1 + ux * half), (neck.0 + uy * half, neck.1 - ux * half)]), rgb);
    }

    /// A slice of a disc between two turns (0 is up, 0.25 is right).
    pub fn sector(&mut self, centre: Point, radius: f32, from: f32, to: f32, rgb: Rgb) {
        self.fill(sector_path(centre, radius, from, to), rgb);
    }

    /// The pixels, row by row, three bytes each.
    pub fn rgb(&self) -> Vec<u8> {
        // Everything is opaque, so premultiplied and plain colours are the same bytes.
        self.pixmap.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
    }

    /// The picture as a PNG file: 8-bit RGB: equal pixels are equal bytes.
    pub fn png(&self) -> Vec<u8> {
        png(&self.rgb())
    }
}

/// A canvas's pixels as a PNG file.
pub fn png(rgb: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(rgb, SIDE, SIDE, ExtendedColorType::Rgb8)
        .expect("a 64x64 RGB picture encodes into memory");
    bytes
}

/// The point `radius` away from `centre` at a turn (0 is up, 0.25 is right, 0.5 is down).
pub fn at_turn(centre: Point, radius: f32, turn: f32) -> Point {
    let angle = turn * TAU;
    (centre.0 + radius * angle.sin(), centre.1 - radius * angle.cos())
}

/// A closed path through points.
pub fn polygon(points: &[Point]) -> Option<Path> {
    let mut path = PathBuilder::new();
    trace(&mut path, points);
    path.close();
    path.finish()
}

/// An open path through points; none of fewer than two.
pub fn polyline(points: &[Point]) -> Option<Path> {
    let mut path = PathBuilder::new();
    trace(&mut path, points);
    path.finish()
}

fn trace(path: &mut PathBuilder, points: &[Point]) {
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 {
            path.move_to(x, y);
        } else {
            path.line_to(x, y);
        }
    }
}

fn rect_path((x, y): Point, width: f32, height: f32) -> Option<Path> {
    Rect::from_xywh(x, y, width, height).map(PathBuilder::from_rect)
}

fn sector_path(centre: Point, radius: f32, from: f32, to: f32) -> Option<Path> {
    let steps = ((to - from) * 48.0).ceil().max(1.0) as usize;
    let arc = (0..=steps).map(|i| at_turn(centre, radius, from + (to - from) * i as f32 / steps as f32));
    polygon(&std::iter::once(centre).chain(arc).collect::<Vec<_>>())
}

fn paint(rgb: Rgb) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(rgb[0], rgb[1], rgb[2], 255);
    paint.anti_alias = true;
    paint
}
