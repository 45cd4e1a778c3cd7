//! PNG's chunks.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::read::ZlibDecoder;
use image::metadata::Orientation;

use super::exif;

/// Bytes of a text in which an orientation is looked for; whatever it unpacks to.
const LONGEST_TEXT: u64 = 1 << 20;

const SIGNATURE: usize = 8;

/// Bytes that a pixel unpacks to at most: four channels of 16 bits, and with one pixel a row a filter's number.
const MOST_UNPACKED: u64 = 9;

struct Chunk<'a> {
    kind: &'a [u8],
    data: &'a [u8],
    whole: &'a [u8],
}

/// The chunks that are there whole, up to the end.
fn chunks(encoded: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = encoded.get(SIGNATURE..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        // Length, kind, data, checksum.
        let whole = rest.get(..length.checked_add(12)?)?;
        let chunk = Chunk { kind: &whole[4..8], data: &whole[8..8 + length], whole };
        rest = if chunk.kind == b"IEND" { &[] } else { &rest[whole.len()..] };
        Some(chunk)
    })
}

/// The file without what is neither pixels nor needed for them: profiles and texts may unpack to gigabytes, and nothing here reads
/// them.
pub fn essential(encoded: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(encoded.len());
    kept.extend_from_slice(&encoded[..SIGNATURE]);
    let wanted = chunks(encoded).filter(|chunk| chunk.kind[0].is_ascii_uppercase() || chunk.kind == b"tRNS");
    wanted.for_each(|chunk| kept.extend_from_slice(chunk.whole));
    kept
}

/// Whether the data of the pixels are in one piece and agree with their checksum: the library asks for neither. The error is a
/// reason.
pub fn sound(encoded: &[u8], pixels: u64) -> Result<(), String> {
    let mut data = Vec::with_capacity(encoded.len());
    let mut ended = false;
    for chunk in chunks(encoded) {
        match chunk.kind {
            b"IDAT" if ended => return Err("other chunks stand between those of its pixels (IDAT)".into()),
            b"IDAT" => data.extend_from_slice(chunk.data),
            _ => ended = !data.is_empty(),
        }
    }
    // What lies behind the pixels is nobody's; a picture that ends too early is the library's to find.
    let most = pixels.saturating_mul(MOST_UNPACKED).saturating_add(1 << 16);
    match io::copy(&mut ZlibDecoder::new(&data[..]).take(most), &mut io::sink()) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            Err(format!("its pixels do not unpack to what their checksum says ({error})"))
        }
        _ => Ok(()),
    }
}

/// How the picture is to be turned, and whether it has its end.
pub fn orientation_and_end(encoded: &[u8]) -> (Orientation, bool) {
    let (mut exif, mut raw, mut xmp, mut ends) = (None, None, None, false);
    for chunk in chunks(encoded) {
        match chunk.kind {
            b"eXIf" => exif = Some(Cow::Borrowed(chunk.data)),
            b"IEND" => ends = true,
            b"tEXt" | b"zTXt" | b"iTXt" => match text(&chunk) {
                Some((b"Raw profile type exif", text)) => raw = Some(text),
                Some((b"XML:com.adobe.xmp", text)) => xmp = Some(text),
                _ => {}
            },
            _ => {}
        }
    }
    let exif = exif.or_else(|| raw.map(|text| from_hex(&text).into()));
    (exif::orientation(exif, xmp.as_deref()), ends)
}

/// The keyword and the text of a chunk of text; only keywords that are asked for are unpacked.
fn text<'a>(chunk: &Chunk<'a>) -> Option<(&'a [u8], Cow<'a, [u8]>)> {
    let (keyword, rest) = split(chunk.data)?;
    if !matches!(keyword, b"Raw profile type exif" | b"XML:com.adobe.xmp") {
        return None;
    }
    let (packed, text) = match (chunk.kind, rest) {
        (b"tEXt", text) => (false, text),
        (b"zTXt", [0, text @ ..]) => (true, text),
        (b"iTXt", [packed, 0, rest @ ..]) => (*packed == 1, split(split(rest)?.1)?.1),
        _ => return None,
    };
    if !packed {
        return Some((keyword, text.into()));
    }
    let mut unpacked = Vec::new();
    ZlibDecoder::new(text).take(LONGEST_TEXT).read_to_end(&mut unpacked).ok()?;
    Some((keyword, unpacked.into()))
}

/// What stands before the first zero, and behind it.
fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = data.iter().position(|byte| *byte == 0)?;
    Some((&data[..at], &data[at + 1..]))
}

/// A record as ImageMagick writes it: a line break, its name, its length, and from the fourth line on its bytes in hexadecimal.
fn from_hex(text: &[u8]) -> Vec<u8> {
    let lines = text.split(|byte| *byte == b'\n').skip(3).flatten();
    let digits: Option<Vec<u8>> = lines
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| char::from(*byte).to_digit(16).map(|digit| digit as u8))
        .collect();
    digits.unwrap_or_default().chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
