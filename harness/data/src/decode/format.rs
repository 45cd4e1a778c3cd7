//! Which format an encoded picture has, by its first bytes, or what else it is.

use guard::text::line;

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// PNG, of an animated one the picture for those who show no animations.
    Png,
    /// JPEG, baseline or progressive.
    Jpeg,
    /// WebP, with loss or without.
    WebP,
    /// GIF.
    Gif,
    /// BMP.
    Bmp,
    /// TIFF.
    Tiff,
}

/// What a message says is read.
const READ: &str = "PNG, JPEG, WebP, GIF, BMP and TIFF are read";

/// How many bytes of something unknown a message shows.
const SHOWN: usize = 24;

impl Format {
    /// As messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
        }
    }

    /// By the first bytes; the error is a reason that names what they are.
    pub fn of(encoded: &[u8]) -> Result<Self, String> {
        if let Some(format) = Self::known(encoded) {
            return Ok(format);
        }
        if encoded.is_empty() {
            return Err("the image has no bytes".into());
        }
        if guard::files::is_lfs_pointer(encoded) {
            return Err(format!("the image {}", guard::files::LFS_ADVICE));
        }
        Err(match other(encoded) {
            Some(what) => format!("the image is {what}; {READ}"),
            None => {
                let head = String::from_utf8_lossy(&encoded[..encoded.len().min(SHOWN)]);
                format!("the {} bytes (`{}`) are no picture that is known here; {READ}", encoded.len(), line(&head, 80))
            }
        })
    }

    fn known(encoded: &[u8]) -> Option<Self> {
        let begins = |with: &[u8]| encoded.starts_with(with);
        Some(match () {
            () if begins(b"\x89PNG\r\n\x1a\n") => Self::Png,
            () if begins(b"\xff\xd8\xff") => Self::Jpeg,
            () if begins(b"RIFF") && encoded.get(8..12) == Some(b"WEBP") => Self::WebP,
            () if begins(b"GIF87a") || begins(b"GIF89a") => Self::Gif,
            () if begins(b"BM") && encoded.get(6..10) == Some(&[0; 4]) => Self::Bmp,
            () if begins(b"II*\0") || begins(b"MM\0*") => Self::Tiff,
            () => return None,
        })
    }
}

/// Files that are found in the place of a picture, by their first bytes.
const OTHERS: [(&[u8], &str); 24] = [
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"II+\0", "a BigTIFF picture"),
    (b"MM\0+", "a BigTIFF picture"),
    (b"\0\0\x01\0", "an icon (ICO)"),
    (b"8BPS", "a Photoshop picture"),
    (b"DDS ", "a DDS picture"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"qoif", "a QOI picture"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"PAR1", "a parquet file"),
    (b"\x93NUMPY", "an array of numpy"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1a\x45\xdf\xa3", "a film (Matroska or WebM)"),
    (b"RIFF", "a RIFF file that is no WebP"),
    (b"iVBORw0KGgo", "a PNG picture written as base64 text"),
    (b"/9j/", "a JPEG picture written as base64 text"),
    (b"data:image/", "a picture written as a data address (base64 text)"),
    (b"http", "an address"),
];

fn other(encoded: &[u8]) -> Option<&'static str> {
    if let Some((_, what)) = OTHERS.iter().find(|(head, _)| encoded.starts_with(head)) {
        return Some(what);
    }
    if encoded.get(4..8) == Some(b"ftyp") {
        return Some(match encoded.get(8..12) {
            Some(b"avif" | b"avis") => "an AVIF picture",
            Some(b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1") => "a HEIC picture",
            _ => "a film (MP4)",
        });
    }
    if matches!(encoded, [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t', ..]) {
        return Some("a PNM picture");
    }
    if encoded.iter().all(|byte| *byte == 0) {
        return Some("nothing but zeros");
    }
    text(encoded)
}

fn text(encoded: &[u8]) -> Option<&'static str> {
    /// What a page or a drawing has at its beginning is found in so many bytes.
    const LOOKED_AT: usize = 1024;
    let head = &encoded[..encoded.len().min(LOOKED_AT)];
    let head = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character may have been cut.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let head = head.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let begins = |with: &str| head.starts_with(with);
    Some(match () {
        () if begins("<!doctype html") || begins("<html") || begins("<head") || begins("<body") => "an HTML page",
        () if begins("<svg") || (begins("<?xml") || begins("<!")) && head.contains("<svg") => "an SVG drawing",
        () if begins("<") => "an XML document",
        () if begins("{") || begins("[") => "a JSON text",
        () if !head.is_empty() && !head.contains(|character: char| character.is_control() && !character.is_whitespace()) => {
            "a text"
        }
        () => return None,
    })
}
