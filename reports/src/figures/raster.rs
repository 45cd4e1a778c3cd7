//! Scenes as PNG, by tiny-skia: two pixels to a unit, on light ground, no font of the system.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use skrifa::outline::OutlinePen;
use tiny_skia::{Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, StrokeDash, Transform};

use super::font;
use super::scene::{Anchor, Form, Ink, Point, Scene};
use super::svg::{self, LIGHT};
use crate::ReportError;

/// Pixels to a unit: sharp in print at a column's width.
const SCALE: f32 = 2.0;

/// An RGB PNG of two pixels to a unit; an error where that would be no size for a picture.
pub fn png(scene: &Scene) -> Result<Vec<u8>, ReportError> {
    let (width, height) = ((scene.width as f32 * SCALE).ceil() as u32, (scene.height as f32 * SCALE).ceil() as u32);
    let mut pixmap =
        Pixmap::new(width, height).ok_or_else(|| ReportError::Picture { message: format!("{width} x {height} pixels") })?;
    pixmap.fill(Color::WHITE);
    for shape in &scene.shapes {
        draw(&mut pixmap, &shape.form, shape.ink);
    }
    let rgb: Vec<u8> = pixmap.pixels().iter().flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]).collect();
    let mut out = Vec::new();
    let encoded = PngEncoder::new(&mut out).write_image(&rgb, width, height, ExtendedColorType::Rgb8);
    encoded.map_err(|error| ReportError::Picture { message: error.to_string() })?;
    Ok(out)
}

fn draw(pixmap: &mut Pixmap, form: &Form, ink: Ink) {
    let scale = Transform::from_scale(SCALE, SCALE);
    match form {
        Form::Line { points, width, dash } => {
            let lengths = dash.lengths().to_vec();
            let dash = if lengths.is_empty() { None } else { StrokeDash::new(lengths, 0.0) };
            let stroke =
                Stroke { width: *width as f32, dash, line_cap: LineCap::Butt, line_join: LineJoin::Round, ..Stroke::default() };
            if let Some(path) = path(points, false) {
                pixmap.stroke_path(&path, &paint(ink, 1.0), &stroke, scale, None);
            }
        }
        Form::Area { points, opacity } => {
            if let Some(path) = path(points, true) {
                pixmap.fill_path(&path, &paint(ink, *opacity), FillRule::Winding, scale, None);
            }
        }
        Form::Text { at, text, size, anchor } => {
            let shift = match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => font::width(text, *size) / 2.0,
                Anchor::End => font::width(text, *size),
            };
            if let Some(path) = letters(text, (at.0 - shift, at.1), *size) {
                pixmap.fill_path(&path, &paint(ink, 1.0), FillRule::Winding, scale, None);
            }
        }
    }
}

fn path(points: &[Point], close: bool) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        match i {
            0 => builder.move_to(x as f32, y as f32),
            _ => builder.line_to(x as f32, y as f32),
        }
    }
    if close {
        builder.close();
    }
    builder.finish()
}

fn paint(ink: Ink, opacity: f64) -> Paint<'static> {
    let colour = match ink {
        Ink::Text => LIGHT.plain[0],
        Ink::Muted => LIGHT.plain[1],
        Ink::Grid => LIGHT.plain[2],
        Ink::Paper => LIGHT.plain[3],
        Ink::Heat => svg::HEAT,
        Ink::OnDark => svg::ON_DARK,
        Ink::Series(i) => LIGHT.series[i % LIGHT.series.len()],
    };
    let channel = |at: usize| colour.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0);
    let mut paint = Paint::default();
    paint.set_color_rgba8(channel(1), channel(3), channel(5), (255.0 * opacity).round() as u8);
    paint
}

/// A text's outlines as one path.
fn letters(text: &str, (x, y): Point, size: f64) -> Option<Path> {
    let scale = (size / font::units()) as f32;
    let mut pen = Letters { path: PathBuilder::new(), left: 0.0, base: y as f32, scale };
    let mut ems = 0.0;
    for c in text.chars() {
        pen.left = (x + ems * size) as f32;
        font::outline(c, &mut pen);
        ems += font::advance(c);
    }
    pen.path.finish()
}

/// Letters as they are drawn: from units of the font, y up, to units of the scene, y down.
struct Letters {
    path: PathBuilder,
    left: f32,
    base: f32,
    scale: f32,
}

impl Letters {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.left + self.scale * x, self.base - self.scale * y)
    }
}

impl OutlinePen for Letters {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_what_was_drawn() {
        let mut scene = Scene::new(20.0, 10.0);
        scene.rect((0.0, 0.0), (10.0, 10.0), Ink::Series(0), 1.0);
        scene.text((12.0, 9.0), "█l", 10.0, Ink::Text, Anchor::Start);
        let bytes = png(&scene).unwrap();
        assert_eq!(bytes, png(&scene).unwrap());
        let image = image::load_from_memory(&bytes).unwrap().to_rgb8();
        assert_eq!((image.dimensions(), image.get_pixel(5, 5).0), ((40, 20), [0x00, 0x72, 0xb2]));
        let dark = |x: u32| (0..20).any(|y| image.get_pixel(x, y).0[0] < 128);
        assert!((24..40).any(dark), "the text is there");
    }
}
