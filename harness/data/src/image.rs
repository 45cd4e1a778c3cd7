//! An encoded picture becomes the pixels that a backbone's image processor makes of it.
//!
//! The steps are those of `transformers`' processors over Pillow: decode, turn upright, RGB on white (`decode`), resize with antialiasing, crop, scale, normalise,
//! channels first. CLIP's brings the shortest edge to a size and crops the centre; BLIP's stretches to a square; Idefics3's brings
//! the longest edge to a size and then stretches to a square, or cuts into squares; ViLT's keeps the ratio and cuts into patches. `tests/fixtures/preprocess/make.py` writes what
//! Pillow gives, and a test here compares.
//!
//! The resize is Pillow's bit for bit (`pillow.rs`), but for `nano`'s, whose is a library's: runs were made with it. Measured for
//! that one against Pillow 13.0.0 at size 224 on 131 pictures of ScienceQA, TabMWP and IconQA, share of values within 1 of 255: PNG
//! 99.9998%, JPEG (quality 90) 99.97% without and 97.8% with halved colours (4:2:0, worst 25), which the decoders blow up
//! differently.

use fast_image_resize as fir;
use fir::images::{Image, ImageRef};
use image::RgbImage;

use super::pillow::{self, Filter};
use super::tiles::{self, Tiles};
use super::{DataError, decode};

/// A picture that would have more pixels than this when its shortest edge is resized is refused.
const MAX_RESIZED: u64 = 1 << 27;

/// How a picture is brought to its square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// The shortest edge becomes so many pixels, then the centre is cropped.
    CropCentre(u32),
    /// The same by a library's resize, faster and within 1 of 255: what `nano` and its runs were made with.
    CropCentreFast(u32),
    /// Both edges become the square's, whatever their ratio was.
    Stretch,
    /// The longest edge becomes so many pixels, enlarged if need be, then both edges become the square's.
    LongestThenStretch(u32),
    /// The longest edge becomes so many pixels, then both edges multiples of the square's, by which the picture is cut; the whole as
    /// one square comes last.
    LongestThenCut(u32),
    /// ViLT's: the shortest edge becomes so many pixels, but the longest no more than this; both are rounded down to multiples of the
    /// square's, one at least, by which the picture is cut; the whole as one square comes last.
    ShortestThenCut {
        /// The shortest edge.
        shortest: u32,
        /// The longest edge at most.
        longest: u32,
    },
}

/// An image processor.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocess {
    /// Side of the square that comes out, pixels.
    pub size: usize,
    /// How a picture is brought to it.
    pub fit: Fit,
    /// By which filter.
    pub filter: Filter,
    /// What a value of 0 to 255 is multiplied with.
    pub rescale: f32,
    /// Mean of each channel (red, green, blue), after rescaling.
    pub mean: [f32; 3],
    /// Standard deviation of each channel, after rescaling.
    pub std: [f32; 3],
}

impl Preprocess {
    /// CLIP's, with its own mean and standard deviation, fast.
    pub fn clip(size: usize) -> Self {
        // 0.26130258 and 0.27577711 in the original: the same 32-bit numbers.
        let mean = [0.481_454_66, 0.457_827_5, 0.408_210_73];
        let std = [0.268_629_54, 0.261_302_6, 0.275_777_1];
        let fit = Fit::CropCentreFast(u32::try_from(size).unwrap_or(u32::MAX));
        Self { size, fit, filter: Filter::Bicubic, rescale: 1.0 / 255.0, mean, std }
    }

    /// How an encoded picture is cut, by its header alone.
    pub fn tiles(&self, encoded: &[u8]) -> Result<Tiles, DataError> {
        match self.fit {
            Fit::LongestThenCut(edge) => Ok(Tiles::of(
                self.cuttable(edge, decode::dimensions(encoded).map_err(|reason| DataError::Image { reason })?)?,
                self.side()?,
            )),
            Fit::ShortestThenCut { shortest, longest } => {
                let dimensions = decode::dimensions(encoded).map_err(|reason| DataError::Image { reason })?;
                let side = self.side()?;
                Ok(Tiles::grid(tiles::within(shortest, longest, side, dimensions), side))
            }
            _ => Ok(Tiles::WHOLE),
        }
    }

    /// The pixels of an encoded picture, square by square ([`Self::tiles`] says how many) and channel by channel: each
    /// `3 x size x size`, row-major, normalised.
    pub fn pixels(&self, encoded: &[u8], max_image_pixels: u64) -> Result<Vec<f32>, DataError> {
        let squares = self.squares(encoded, max_image_pixels)?;
        let mut pixels = Vec::with_capacity(squares.len() * 3 * self.size * self.size);
        for (square, channel) in squares.iter().flat_map(|square| (0..3).map(move |channel| (square, channel))) {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            pixels.extend(square.pixels().map(|pixel| (self.rescaled(pixel.0[channel]) - mean) / std));
        }
        Ok(pixels)
    }

    fn side(&self) -> Result<u32, DataError> {
        u32::try_from(self.size).ok().filter(|&side| side > 0).ok_or_else(|| image_error("the size is 0 or too large"))
    }

    /// Width and height of the picture that is cut.
    fn cuttable(&self, edge: u32, dimensions: (u32, u32)) -> Result<(u32, u32), DataError> {
        Ok(tiles::to_multiples(longest_edge_to(edge, dimensions), self.side()?))
    }

    fn rescaled(&self, value: u8) -> f32 {
        // Division is the more exact of the two, and what the embedded backbone's runs have.
        if self.rescale == 1.0 / 255.0 { f32::from(value) / 255.0 } else { f32::from(value) * self.rescale }
    }

    /// The picture resized and cropped or cut, each square `size` x `size`, before normalisation.
    pub fn squares(&self, encoded: &[u8], max_image_pixels: u64) -> Result<Vec<RgbImage>, DataError> {
        let rgb = decode::decode(encoded, max_image_pixels).map_err(|reason| DataError::Image { reason })?;
        let size = self.side()?;
        let to = |rgb: &RgbImage, (width, height): (u32, u32)| pillow::resize(rgb, width, height, self.filter);
        Ok(match self.fit {
            Fit::CropCentre(edge) => vec![crop_centre(&to(&rgb, shortest_edge_to(edge, rgb.dimensions())?), size)],
            Fit::CropCentreFast(edge) => {
                let (width, height) = shortest_edge_to(edge, rgb.dimensions())?;
                vec![crop_centre(&resize(&rgb, width, height, self.filter)?, size)]
            }
            Fit::Stretch => vec![to(&rgb, (size, size))],
            Fit::LongestThenStretch(edge) => {
                vec![to(&to(&rgb, longest_edge_to(edge, rgb.dimensions())), (size, size))]
            }
            Fit::LongestThenCut(edge) => {
                let cuttable = self.cuttable(edge, rgb.dimensions())?;
                let resized = to(&to(&rgb, longest_edge_to(edge, rgb.dimensions())), cuttable);
                let mut squares = tiles::cut(&resized, Tiles::of(cuttable, size), size);
                squares.push(to(&resized, (size, size)));
                squares
            }
            Fit::ShortestThenCut { shortest, longest } => {
                let edges = tiles::within(shortest, longest, size, rgb.dimensions());
                let resized = to(&rgb, edges);
                let mut squares = tiles::cut(&resized, Tiles::grid(edges, size), size);
                squares.push(to(&resized, (size, size)));
                squares
            }
        })
    }
}

fn image_error(reason: impl std::fmt::Display) -> DataError {
    DataError::Image { reason: reason.to_string() }
}

/// The square of `size` pixels in the middle.
fn crop_centre(rgb: &RgbImage, size: u32) -> RgbImage {
    let (left, top) = (rgb.width().saturating_sub(size) / 2, rgb.height().saturating_sub(size) / 2);
    image::imageops::crop_imm(rgb, left, top, size, size).to_image()
}

/// Width and height with the shortest edge `size`, the other rounded down, as `transformers` does.
fn shortest_edge_to(size: u32, (width, height): (u32, u32)) -> Result<(u32, u32), DataError> {
    let (short, long) = (width.min(height), width.max(height));
    let scaled = u64::from(size) * u64::from(long) / u64::from(short);
    if u64::from(size) * scaled > MAX_RESIZED {
        return Err(image_error(format!(
            "{width} x {height} pixels would become {size} x {scaled} where the shortest edge is resized to {size}; at most \
             {MAX_RESIZED} pixels are made"
        )));
    }
    Ok(if width <= height { (size, scaled as u32) } else { (scaled as u32, size) })
}

/// Width and height with the longest edge `size`, as `transformers` has it for Idefics3: the other is rounded down, then up to an
/// even number, and nothing may be longer than 4096.
fn longest_edge_to(size: u32, (width, height): (u32, u32)) -> (u32, u32) {
    const LONGEST: u32 = 4096;
    let ratio = f64::from(width) / f64::from(height);
    let even = |edge: f64| (edge as u32).next_multiple_of(2).max(1);
    let (width, height) = match width >= height {
        true => (size, even(f64::from(size) / ratio)),
        false => (even(f64::from(size) * ratio), size),
    };
    let ratio = f64::from(width) / f64::from(height);
    match (width >= height, width.max(height) > LONGEST) {
        (_, false) => (width, height),
        (true, true) => (LONGEST, ((f64::from(LONGEST) / ratio) as u32).max(1)),
        (false, true) => (((f64::from(LONGEST) * ratio) as u32).max(1), LONGEST),
    }
}

/// Antialiased interpolation of 8-bit values, as Pillow's.
///
/// Two calls, first the width and then the height: Pillow clips to 8 bits in between, and the library alone starts with the
/// height.
fn resize(rgb: &RgbImage, width: u32, height: u32, filter: Filter) -> Result<RgbImage, DataError> {
    stretch(&stretch(rgb, width, rgb.height(), filter)?, width, height, filter)
}

fn stretch(rgb: &RgbImage, width: u32, height: u32, filter: Filter) -> Result<RgbImage, DataError> {
    if rgb.dimensions() == (width, height) {
        return Ok(rgb.clone());
    }
    let filter = match filter {
        Filter::Bilinear => fir::FilterType::Bilinear,
        Filter::Bicubic => fir::FilterType::CatmullRom,
        Filter::Lanczos => fir::FilterType::Lanczos3,
    };
    let source = ImageRef::new(rgb.width(), rgb.height(), rgb.as_raw(), fir::PixelType::U8x3).map_err(image_error)?;
    let mut target = Image::new(width, height, fir::PixelType::U8x3);
    let options = fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(filter));
    fir::Resizer::new().resize(&source, &mut target, &options).map_err(image_error)?;
    Ok(RgbImage::from_raw(width, height, target.into_vec()).expect("the buffer has the size it was made with"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn fixtures() -> PathBuf {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/preprocess");
        here.canonicalize().expect("fixtures of the repository")
    }

    /// The names of the pictures of a kind.
    fn pictures(kind: &str) -> Vec<String> {
        let entries = std::fs::read_dir(fixtures()).expect("fixtures");
        let names = entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(kind)).collect();
        names.sort();
        names
    }

    /// Differences to Pillow of one picture, byte by byte.
    fn differences(name: &str, fit: Fit) -> Vec<u8> {
        let encoded = std::fs::read(fixtures().join(name)).expect(name);
        let expect = std::fs::read(fixtures().join(format!("{name}.rgb"))).expect(name);
        let preprocess = Preprocess { fit, ..Preprocess::clip(16) };
        let ours = preprocess.squares(&encoded, 10_000).expect(name)[0].as_raw().clone();
        assert_eq!(ours.len(), expect.len(), "{name}");
        ours.iter().zip(&expect).map(|(ours, theirs)| ours.abs_diff(*theirs)).collect()
    }

    /// Checks that 99.9% of all values are within 1 of 255, and none further than `worst`.
    fn check_near(names: &[String], worst: u8) {
        let all: Vec<u8> = names.iter().flat_map(|name| differences(name, Fit::CropCentreFast(16))).collect();
        let near = all.iter().filter(|by| **by <= 1).count();
        assert!(near as f64 >= 0.999 * all.len() as f64, "{near} of {} within 1", all.len());
        assert!(all.iter().all(|by| *by <= worst), "worst {:?}", all.iter().max());
    }

    /// What they decode to is fixed (WebP's with loss, too), so Pillow's resize gives Pillow's pixels: all eight orientations,
    /// transparency of every kind on white, first pictures of animations.
    #[test]
    fn pixels_are_pillows() {
        let mut count = 0;
        for kind in [".png", ".webp", ".gif", ".bmp", ".tiff"] {
            for name in pictures(kind) {
                let worst = differences(&name, Fit::CropCentre(16)).into_iter().max();
                assert_eq!(worst, Some(0), "{name}");
                count += 1;
            }
        }
        assert_eq!(count, 36);
    }

    /// By the library's resize, the interpolation's rounding is left.
    #[test]
    fn fast_pixels_of_png_are_nearly_pillows() {
        check_near(&pictures(".png"), 3);
    }

    /// The header alone gives the size of the upright picture.
    #[test]
    fn sizes_are_those_of_the_upright_picture() {
        for name in [".png", ".jpg", ".webp", ".gif", ".bmp", ".tiff"].into_iter().flat_map(pictures) {
            let encoded = std::fs::read(fixtures().join(&name)).expect("fixture");
            let decoded = decode::decode(&encoded, 10_000).expect("sound");
            assert_eq!(decode::dimensions(&encoded), Ok(decoded.dimensions()), "{name}");
        }
    }

    /// JPEG decoders round their transforms, and blow up halved colours, as they like.
    #[test]
    fn pixels_of_jpeg_are_nearly_pillows() {
        let names = pictures(".jpg");
        assert_eq!(names.len(), 6);
        check_near(&names, 3);
    }

    #[test]
    fn pixels_are_normalised_channel_by_channel() {
        let encoded = crate::testing::png(8, 8);
        let pixels = Preprocess::clip(4).pixels(&encoded, 1000).expect("pixels");
        assert_eq!(pixels.len(), 3 * 4 * 4);
        for (channel, (value, mean, std)) in
            [(200.0, 0.481_454_66, 0.268_629_54), (30.0, 0.457_827_5, 0.261_302_6), (60.0, 0.408_210_73, 0.275_777_1)]
                .into_iter()
                .enumerate()
        {
            let expect: f32 = (value / 255.0 - mean) / std;
            assert!(pixels[channel * 16..][..16].iter().all(|pixel| (pixel - expect).abs() < 1e-6));
        }
    }

    #[test]
    fn sizes_round_down_as_in_transformers() {
        let to = |size, dimensions| shortest_edge_to(size, dimensions).expect("small");
        assert_eq!(to(16, (61, 40)), (24, 16));
        assert_eq!(to(224, (100, 333)), (224, 745));
        let error = shortest_edge_to(16_384, (10, 1000)).expect_err("a hundred times as long").to_string();
        assert!(error.contains("10 x 1000 pixels would become 16384 x 1638400"), "{error}");
        assert_eq!(longest_edge_to(2048, (61, 40)), (2048, 1342));
        assert_eq!(longest_edge_to(2048, (40, 61)), (1342, 2048));
        assert_eq!(longest_edge_to(64, (640, 6)), (64, 1));
        assert_eq!(longest_edge_to(8192, (100, 50)), (4096, 2048));
    }

    #[test]
    fn a_picture_damaged_inside_is_an_error_when_decoded() {
        let mut encoded = crate::testing::png(40, 40);
        let middle = encoded.len() / 2;
        encoded[middle] ^= 0xff;
        let error = Preprocess::clip(4).pixels(&encoded, 10_000).expect_err("damaged").to_string();
        assert!(error.contains("cannot be decoded"), "{error}");
    }
}
