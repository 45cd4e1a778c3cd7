//! An encoded picture becomes red, green and blue, as a person sees it: turned upright, what is transparent on white.
//!
//! That is what Pillow and `transformers` make of it: `ImageOps.exif_transpose` turns a picture by its orientation, and the image
//! processors (5.23) put transparency on white. `tests/fixtures/preprocess/make.py` writes what they give, and a test of `image.rs`
//! compares. Gray of 16 bits is refused: Pillow 13's `convert("RGB")`, and so the image processors, clip it to 255, which makes most
//! such pictures white. One departure: a colour
//! that a PNG of fewer or more than 8 bits declares transparent is compared before it is brought to 8 bits, as the format says.
//!
//! Of an animation, the first picture counts. A picture comes from outside: its size is checked before anything is decoded, what
//! its file holds besides pixels is left out where a library would read it, and a library that panics over it is an error.
//!
//! - `format`: which format, or what else it is; - `head`: sizes, and whether the end is there, without decoding; `png` (its
//!   chunks), `exif` (the orientation, and the directories of TIFF), `gif` (its first picture), `jpeg`;
//! - `colours`: what was decoded becomes red, green and blue.

mod colours;
mod exif;
mod format;
mod gif;
mod gif_size;
mod head;
mod jpeg;
mod numbers;
mod png;

use std::io::Cursor;

use guard::panics::caught;
use image::codecs::{bmp::BmpDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use image::{DynamicImage, ImageDecoder, ImageResult, Limits, RgbImage};
use rayon::prelude::*;

pub(super) use self::format::Format;
use self::head::Head;

/// A card may allow no more: decoded from four channels of 16 bits, such a picture takes 1.5 GB with its copy in 8 bits.
pub(super) const MAX_IMAGE_PIXELS: u64 = 1 << 27;

/// A picture more than so many times as long as wide would become huge when its shortest edge is resized.
const MAX_ASPECT: u32 = 100;

/// Bytes that a pixel may take in a file: four channels of 16 bits, as they are.
const BYTES_A_PIXEL: u64 = 8;

/// Bytes that a file may hold besides: profiles, thumbnails, a film behind the picture. More is no picture's.
const BYTES_BESIDES: u64 = 16 << 20;

/// How long the file of a picture of so many pixels may be.
pub(super) fn most_bytes(pixels: u64) -> u64 {
    pixels.saturating_mul(BYTES_A_PIXEL).saturating_add(BYTES_BESIDES)
}

/// Width and height of the picture, upright, by the header alone. The error is a reason.
pub(super) fn dimensions(encoded: &[u8]) -> Result<(u32, u32), String> {
    Ok(Head::read(encoded)?.upright())
}

/// Checks what can be checked without decoding: format, size, and that the file has an end. The error is a reason.
pub(super) fn check(encoded: &[u8], max_image_pixels: u64) -> Result<(), String> {
    checked(encoded, max_image_pixels).map(drop)
}

fn checked(encoded: &[u8], max_image_pixels: u64) -> Result<Head, String> {
    let head = Head::read(encoded)?;
    let ((width, height), pixels) = (head.upright(), head.pixels());
    if pixels > max_image_pixels {
        return Err(format!(
            "the image is {width} x {height} = {pixels} pixels, more than `max_image_pixels` = {max_image_pixels}"
        ));
    }
    let (short, long) = (width.min(height), width.max(height));
    if short == 0 || long / short > MAX_ASPECT {
        return Err(format!("the image is {width} x {height}: one side must be at most {MAX_ASPECT} times the other"));
    }
    if encoded.len() as u64 > most_bytes(pixels) {
        return Err(format!(
            "the image of {width} x {height} pixels takes {} bytes; {BYTES_A_PIXEL} a pixel and {BYTES_BESIDES} besides are the most",
            encoded.len()
        ));
    }
    if !head.ends {
        return Err(format!("the image is truncated: {} bytes without its end", encoded.len()));
    }
    Ok(head)
}

/// Decodes a picture. The error is a reason.
pub(super) fn decode(encoded: &[u8], max_image_pixels: u64) -> Result<RgbImage, String> {
    let head = checked(encoded, max_image_pixels)?;
    let decoded = caught("image", || pixels(encoded, &head)).and_then(|decoded| decoded);
    let decoded = decoded.map_err(|reason| format!("the image cannot be decoded: {reason}"))?;
    if (decoded.width(), decoded.height()) != (head.width, head.height) {
        return Err("the image cannot be decoded: its header names another size than its pixels have".into());
    }
    let mut upright =
        DynamicImage::ImageRgb8(colours::on_white(decoded).map_err(|reason| format!("the image is not read: {reason}"))?);
    upright.apply_orientation(head.orientation);
    Ok(upright.into_rgb8())
}

/// Decodes pictures on trial, side by side, but never more pixels at a time than one picture may have.
pub(super) fn try_all(pictures: &[&[u8]], max_image_pixels: u64) -> Vec<Result<(), String>> {
    let pixels = |encoded: &[u8]| Head::read(encoded).map_or(0, |head| head.pixels());
    let mut tried = Vec::with_capacity(pictures.len());
    while tried.len() < pictures.len() {
        let rest = &pictures[tried.len()..];
        let mut sum = 0u64;
        let together = rest.iter().take_while(|encoded| {
            sum = sum.saturating_add(pixels(encoded));
            sum <= max_image_pixels
        });
        let together = &rest[..together.count().max(1)];
        tried.par_extend(together.par_iter().map(|encoded| decode(encoded, max_image_pixels).map(drop)));
    }
    tried
}

/// Decodes a picture as runs do, and lets it go. The error is a reason.
pub fn try_picture(encoded: &[u8], max_image_pixels: u64) -> Result<(), String> {
    decode(encoded, max_image_pixels).map(drop)
}

fn pixels(encoded: &[u8], head: &Head) -> Result<DynamicImage, String> {
    let cursor = Cursor::new(encoded);
    let mut limits = Limits::no_limits();
    // At most 4 channels of 16 bits, and as much again for the decoder.
    limits.max_alloc = Some(head.pixels().saturating_mul(16).saturating_add(1 << 20));
    let decoded = match head.format {
        Format::Png => {
            png::sound(encoded, head.pixels())?;
            PngDecoder::with_limits(Cursor::new(png::essential(encoded)), limits.clone()).and_then(|png| read(png, limits))
        }
        Format::Jpeg => return jpeg::decode(encoded),
        Format::WebP => WebPDecoder::new(cursor).and_then(|webp| read(webp, limits)),
        Format::Gif => return gif::first(encoded, head),
        Format::Bmp => BmpDecoder::new(cursor).and_then(|bmp| read(bmp, limits)),
        Format::Tiff => TiffDecoder::new(cursor).and_then(|tiff| read(tiff, limits)),
    };
    decoded.map_err(|error| guard::text::line(&error.to_string(), 200))
}

fn read(mut decoder: impl ImageDecoder, limits: Limits) -> ImageResult<DynamicImage> {
    decoder.set_limits(limits)?;
    DynamicImage::from_decoder(decoder)
}

#[cfg(test)]
mod tests;
