//! Small pictures in the page itself, decoded and encoded anew: no byte of a dataset's file reaches the page as it is.

use std::io::Cursor;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

/// No side is longer.
const SIDE: u32 = 240;
/// What a picture may be before it is made small: larger ones are not decoded.
const LARGEST: u32 = 16_384;

/// A picture to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// `data:image/...;base64,...`.
    pub uri: String,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
}

/// The thumbnail of an encoded picture; none where it is none, or too large to be one.
pub fn of(encoded: &[u8]) -> Option<Thumbnail> {
    guard::panics::caught("image", || made(encoded)).ok()?
}

fn made(encoded: &[u8]) -> Option<Thumbnail> {
    let mut reader = ImageReader::new(Cursor::new(encoded)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST);
    limits.max_image_height = Some(LARGEST);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let orientation = decoder.orientation().ok()?;
    let mut image = DynamicImage::from_decoder(decoder).ok()?;
    image.apply_orientation(orientation);
    let small = if image.width().max(image.height()) > SIDE { image.thumbnail(SIDE, SIDE) } else { image };
    let rgb = on_white(&small);
    let (png, jpeg) = (png(&rgb)?, jpeg(&rgb)?);
    // Diagrams are smaller as PNG, photographs as JPEG.
    let (kind, bytes) = if png.len() <= jpeg.len() { ("png", png) } else { ("jpeg", jpeg) };
    let uri = format!("data:image/{kind};base64,{}", BASE64_STANDARD.encode(bytes));
    Some(Thumbnail { uri, width: rgb.width(), height: rgb.height() })
}

/// Transparent parts become white, as paper would have them.
fn on_white(image: &DynamicImage) -> RgbImage {
    let rgba = image.to_rgba8();
    let over = |value: u8, alpha: u8| ((u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha))) / 255) as u8;
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0;
        image::Rgb([over(r, a), over(g, a), over(b, a)])
    })
}

fn png(image: &RgbImage) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    image.write_with_encoder(PngEncoder::new(&mut out)).ok()?;
    Some(out)
}

fn jpeg(image: &RgbImage) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    image.write_with_encoder(JpegEncoder::new_with_quality(&mut out, 82)).ok()?;
    Some(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pictures_become_small_and_their_own_bytes_are_not_kept() {
        let large = RgbImage::from_fn(480, 120, |x, _| image::Rgb([(x / 2) as u8, 0, 0]));
        let mut encoded = png(&large).unwrap();
        encoded.extend(b"<script>");
        let made = of(&encoded).unwrap();
        assert_eq!((made.width, made.height), (240, 60));
        assert!(made.uri.starts_with("data:image/") && !made.uri.contains('<'));
        assert_eq!(of(b"<svg onload=alert(1)>"), None);
    }
}
