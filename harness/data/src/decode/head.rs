//! What an encoded picture says of itself: size, orientation, and whether its end is there. Nothing is decoded.

use image::metadata::Orientation;

use super::exif::{self, Directory};
use super::format::Format;
use super::numbers::{bytes, u16_le};
use super::{gif_size, png};

/// What is refused although it could be read.
const GRAY_16: &str =
    "of gray in 16 bits, which Pillow 13 (and so transformers) clips to 255, white for the most part; save it with 8 bits";

/// What is known of a picture without decoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its format.
    pub format: Format,
    /// Width as stored.
    pub width: u32,
    /// Height as stored.
    pub height: u32,
    /// How it is to be turned.
    pub orientation: Orientation,
    /// Whether the file has its end.
    pub ends: bool,
}

impl Head {
    /// The error is a reason.
    pub fn read(encoded: &[u8]) -> Result<Self, String> {
        let format = Format::of(encoded)?;
        let read = match format {
            // Depth and kind of colour in IHDR.
            Format::Png if encoded.get(24..26) == Some(&[16, 0]) => return Err(format!("the image is a PNG {GRAY_16}")),
            Format::Png => of_png(encoded),
            Format::Jpeg => of_jpeg(encoded),
            Format::WebP => of_webp(encoded),
            Format::Gif => gif_size::of(encoded).map(|(width, height, ends)| Head {
                format,
                width,
                height,
                orientation: Orientation::NoTransforms,
                ends,
            }),
            Format::Bmp => of_bmp(encoded)?,
            Format::Tiff => of_tiff(encoded)?,
        };
        read.ok_or_else(|| format!("the image's header is damaged or cut off: {} bytes of {}", encoded.len(), format.name()))
    }

    /// Width and height as a person sees it.
    pub fn upright(&self) -> (u32, u32) {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        match self.orientation {
            Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH => (self.height, self.width),
            _ => (self.width, self.height),
        }
    }

    /// How many pixels.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

fn u32_le(encoded: &[u8], at: usize) -> Option<u32> {
    bytes(encoded, at).map(u32::from_le_bytes)
}

fn u32_be(encoded: &[u8], at: usize) -> Option<u32> {
    bytes(encoded, at).map(u32::from_be_bytes)
}

fn of_png(encoded: &[u8]) -> Option<Head> {
    if encoded.get(12..16) != Some(b"IHDR") {
        return None;
    }
    let (width, height) = (u32_be(encoded, 16)?, u32_be(encoded, 20)?);
    let (orientation, ends) = png::orientation_and_end(encoded);
    Some(Head { format: Format::Png, width, height, orientation, ends })
}

/// Goes from segment to segment up to the first scan: a thumbnail in one of them has sizes and an end of its own.
fn of_jpeg(encoded: &[u8]) -> Option<Head> {
    let (mut size, mut exif, mut xmp) = (None, Vec::new(), None);
    let mut at = 2;
    loop {
        let [lead, marker] = bytes(encoded, at)?;
        // Padding, and what stands between segments by mistake.
        if lead != 0xff || matches!(marker, 0 | 0xff) {
            at += 1;
            continue;
        }
        at += 2;
        if matches!(marker, 0x01 | 0xd0..=0xd8) {
            continue;
        }
        let length = usize::from(u16::from_be_bytes(bytes(encoded, at)?)).max(2);
        if marker == 0xda {
            break;
        }
        let segment = encoded.get(at + 2..at + length)?;
        match marker {
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let [_, high, low, wide, narrow] = bytes(segment, 0)?;
                size = Some((u32::from(u16::from_be_bytes([wide, narrow])), u32::from(u16::from_be_bytes([high, low]))));
            }
            // A long record is cut into several segments.
            0xe1 if segment.starts_with(exif::PREFIX) => exif.extend_from_slice(&segment[exif::PREFIX.len()..]),
            0xe1 if segment.starts_with(b"http://ns.adobe.com/xap/1.0/\0") => xmp = Some(segment),
            0xd9 => return None,
            _ => {}
        }
        at += length;
    }
    let (width, height) = size?;
    let ends = encoded[at..].windows(2).any(|pair| pair == [0xff, 0xd9]);
    let orientation = exif::orientation((!exif.is_empty()).then_some(&exif), xmp);
    Some(Head { format: Format::Jpeg, width, height, orientation, ends })
}

fn of_webp(encoded: &[u8]) -> Option<Head> {
    let ends = u64::from(u32_le(encoded, 4)?) + 8 <= encoded.len() as u64;
    let u24 = |at: usize| bytes(encoded, at).map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]));
    let (width, height) = match encoded.get(12..16)? {
        b"VP8 " => (u32::from(u16_le(encoded, 26)? & 0x3fff), u32::from(u16_le(encoded, 28)? & 0x3fff)),
        b"VP8L" => {
            let packed = u32_le(encoded, 21)?;
            ((packed & 0x3fff) + 1, (packed >> 14 & 0x3fff) + 1)
        }
        b"VP8X" => (u24(24)? + 1, u24(27)? + 1),
        _ => return None,
    };
    let (mut exif, mut xmp) = (None, None);
    let mut at = if encoded.get(12..16) == Some(b"VP8X") { 12 } else { usize::MAX };
    while let (Some(kind), Some(length)) = (bytes::<4>(encoded, at), u32_le(encoded, at.saturating_add(4))) {
        let data = encoded.get(at + 8..).and_then(|rest| rest.get(..length as usize));
        match &kind {
            b"EXIF" => exif = exif.or(data),
            b"XMP " => xmp = xmp.or(data),
            _ => {}
        }
        at = at.saturating_add(8).saturating_add(length as usize).saturating_add(length as usize & 1);
    }
    Some(Head { format: Format::WebP, width, height, orientation: exif::orientation(exif, xmp), ends })
}

fn of_bmp(encoded: &[u8]) -> Result<Option<Head>, String> {
    let Some((head, compression)) = of_any_bmp(encoded) else { return Ok(None) };
    match compression {
        // Decoders do not agree what a picture looks like whose runs end before it does.
        1 | 2 => Err("the image is a BMP of run lengths (RLE), which is not read; save it as PNG".into()),
        _ => Ok(Some(head)),
    }
}

fn of_any_bmp(encoded: &[u8]) -> Option<(Head, u32)> {
    let (pixels_at, header) = (u32_le(encoded, 10)?, u32_le(encoded, 14)?);
    let (width, height, bits, compression) = match header {
        12 => (u32::from(u16_le(encoded, 18)?), u32::from(u16_le(encoded, 20)?), u16_le(encoded, 24)?, 0),
        // Where rows go from the top down, the height is negative.
        _ => {
            let signed = |at: usize| u32_le(encoded, at).map(|number| number.cast_signed());
            let (width, height) = (u32::try_from(signed(18)?).ok()?, signed(22)?.unsigned_abs());
            (width, height, u16_le(encoded, 28)?, u32_le(encoded, 30)?)
        }
    };
    let row = (u64::from(width) * u64::from(bits)).div_ceil(32) * 4;
    let ends = u64::from(pixels_at) + row * u64::from(height) <= encoded.len() as u64;
    Some((Head { format: Format::Bmp, width, height, orientation: Orientation::NoTransforms, ends }, compression))
}

/// Tags of a TIFF.
mod tag {
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS: u16 = 258;
    pub const PHOTOMETRIC: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const SAMPLE_FORMAT: u16 = 339;
    pub const XMP: u16 = 700;
    /// Where strips and tiles are, and how long.
    pub const PARTS: [(u16, u16); 2] = [(273, 279), (324, 325)];
}

fn of_tiff(encoded: &[u8]) -> Result<Option<Head>, String> {
    let Some(directory) = Directory::read(encoded) else { return Ok(None) };
    match of_plain_tiff(encoded, &directory) {
        // What is missed may stand in the part that is gone.
        Err(_) | Ok(None) if !directory.whole => {
            Err(format!("the image is truncated: {} bytes of TIFF without the whole of its directory", encoded.len()))
        }
        read => read,
    }
}

/// A TIFF may hold anything; the plain kinds are read, of which libraries agree what they look like.
fn of_plain_tiff(encoded: &[u8], directory: &Directory) -> Result<Option<Head>, String> {
    let first = |tag: u16| directory.numbers(tag).next();
    let refused = |what: &str| Err(format!("the image is a TIFF {what}, which is not read; save it as PNG"));
    let bits = first(tag::BITS).unwrap_or(1);
    match first(tag::PHOTOMETRIC) {
        Some(0 | 1) if bits == 16 => return Err(format!("the image is a TIFF {GRAY_16}")),
        Some(0 | 1) if matches!(bits, 1 | 8) => {}
        Some(2) if matches!(bits, 8 | 16) => {}
        Some(5) if bits == 8 => {}
        Some(0 | 1 | 2 | 5) => return refused(&format!("of {bits} bits a sample")),
        Some(3) => return refused("with a palette"),
        _ => return refused("of colours that are neither gray, RGB nor CMYK"),
    }
    if directory.numbers(tag::SAMPLE_FORMAT).any(|format| format != 1) {
        return refused("of floating or signed numbers");
    }
    if directory.numbers(tag::EXTRA_SAMPLES).any(|kind| kind != 2) {
        return refused("with a channel besides its colours that is no plain transparency");
    }
    if directory.numbers(tag::EXTRA_SAMPLES).next().is_some() && first(tag::PHOTOMETRIC) != Some(2) {
        return refused("with transparency that is not of RGB");
    }
    if first(tag::FILL_ORDER).is_some_and(|order| order != 1) {
        return refused("whose bits are in reverse order");
    }
    let (Some(width), Some(height)) = (first(tag::WIDTH), first(tag::HEIGHT)) else { return Ok(None) };
    let mut parts = 0;
    let mut ends = true;
    for (at, length) in tag::PARTS {
        for (at, length) in directory.numbers(at).zip(directory.numbers(length)) {
            parts += 1;
            ends &= u64::from(at) + u64::from(length) <= encoded.len() as u64;
        }
    }
    let orientation = directory.orientation(directory.data(tag::XMP));
    Ok(Some(Head { format: Format::Tiff, width, height, orientation, ends: ends && parts > 0 }))
}
