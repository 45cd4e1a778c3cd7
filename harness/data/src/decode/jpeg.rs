//! JPEG, strictly: what other decoders make up where data are missing is an error.

use image::{DynamicImage, GrayImage, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Behind the data of a scan come so many bytes of ones. No Huffman code consists of ones: a decoder that lacks data and goes on
/// to read finds an error there, where it would make up zeros at once. The longest value in the making ends in them.
const ONES: usize = 16;

/// The error is a reason.
pub fn decode(encoded: &[u8]) -> Result<DynamicImage, String> {
    let error = |error: zune_jpeg::errors::DecodeErrors| guard::text::line(&error.to_string(), 200);
    let encoded = followed_by_ones(encoded)?;
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&encoded[..]), options);
    decoder.decode_headers().map_err(error)?;
    let gray = decoder.input_colorspace() == Some(ColorSpace::Luma);
    decoder.set_options(options.jpeg_set_out_colorspace(if gray { ColorSpace::Luma } else { ColorSpace::RGB }));
    let bytes = decoder.decode().map_err(|failed| format!("its data are damaged or end too early ({})", error(failed)))?;
    let (width, height) = decoder.dimensions().ok_or("it has no size")?;
    let (width, height) = (width as u32, height as u32);
    let decoded = match gray {
        true => GrayImage::from_raw(width, height, bytes).map(DynamicImage::ImageLuma8),
        false => RgbImage::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8),
    };
    decoded.ok_or_else(|| "its pixels are not as many as its size says".into())
}

/// The file with ones behind the data of its scans. A picture that is whole never reads them.
fn followed_by_ones(encoded: &[u8]) -> Result<Vec<u8>, String> {
    let ends = ends(encoded).ok_or("the data of its scans have no end")?;
    if ends.progressive && ends.scans < 2 {
        return Err("it is progressive and ends behind its first scan".into());
    }
    let mut followed = Vec::with_capacity(encoded.len() + 2 * ONES * ends.places.len());
    let mut done = 0;
    for place in ends.places {
        followed.extend_from_slice(&encoded[done..place]);
        followed.extend([0xff, 0].repeat(ONES));
        done = place;
    }
    followed.extend_from_slice(&encoded[done..]);
    Ok(followed)
}

/// Where coded data end, be it before a restart marker.
struct Ends {
    progressive: bool,
    scans: usize,
    places: Vec<usize>,
}

/// Goes from marker to marker to the picture's end. Left out are scans behind which the decoder must find the next marker at
/// once: the first of a progressive picture, and all but the last of another.
fn ends(encoded: &[u8]) -> Option<Ends> {
    let mut ends = Ends { progressive: false, scans: 0, places: Vec::new() };
    let mut at = 2;
    loop {
        let (lead, marker) = (*encoded.get(at)?, *encoded.get(at + 1)?);
        if lead != 0xff || matches!(marker, 0 | 0xff) {
            at += 1;
            continue;
        }
        at += 2;
        match marker {
            0xd9 => return Some(ends),
            0x01 | 0xd0..=0xd8 => continue,
            0xc2 | 0xc6 => ends.progressive = true,
            _ => {}
        }
        at += usize::from(u16::from_be_bytes([*encoded.get(at)?, *encoded.get(at + 1)?])).max(2);
        if marker == 0xda {
            ends.scans += 1;
            at = ends.scan(encoded, at)?;
        }
    }
}

impl Ends {
    /// Takes down the ends within a scan; gives where the marker behind it begins.
    fn scan(&mut self, encoded: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            at += encoded.get(at..)?.iter().position(|byte| *byte == 0xff)?;
            let filling = encoded[at..].iter().position(|byte| *byte != 0xff)?;
            let (marker, behind) = (encoded[at + filling], at + filling + 1);
            let restart = matches!(marker, 0xd0..=0xd7);
            if restart || marker == 0xd9 || marker != 0 && self.progressive && self.scans > 1 {
                self.places.push(at);
            }
            if marker != 0 && !restart {
                return Some(at);
            }
            at = behind;
        }
    }
}
