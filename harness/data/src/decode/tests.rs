//! What is no picture, half a picture, or far more than one.

use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::*;

const MANY: u64 = 1_000_000;

/// The fixtures that are read in other tests, by name.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/preprocess");
    let paths = std::fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("entry").path());
    let kind = |path: &PathBuf| path.extension().is_some_and(|kind| kind != "rgb" && kind != "py");
    let mut all: Vec<_> =
        paths.filter(kind).map(|path| (path.display().to_string(), std::fs::read(&path).expect("read"))).collect();
    all.sort();
    all
}

fn fixture(name: &str) -> Vec<u8> {
    fixtures().into_iter().find(|(path, _)| path.ends_with(name)).expect(name).1
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let checksum = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    };
    let named = [&kind[..], data].concat();
    [&(data.len() as u32).to_be_bytes(), &named[..], &checksum(&named).to_be_bytes()].concat()
}

/// A PNG of one colour with chunks behind its header.
fn png_with(chunks: &[u8]) -> Vec<u8> {
    let plain = crate::testing::png(8, 8);
    let header = 8 + 25;
    [&plain[..header], chunks, &plain[header..]].concat()
}

fn zeros_packed(count: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    (0..count >> 20).for_each(|_| encoder.write_all(&vec![0; 1 << 20]).expect("packed"));
    encoder.finish().expect("packed")
}

fn refused(encoded: &[u8], says: &str) {
    for error in [check(encoded, MANY).expect_err(says), decode(encoded, MANY).expect_err(says)] {
        assert!(error.contains(says), "`{says}` is not in: {error}");
        assert!(error.len() < 400, "{} bytes", error.len());
    }
}

#[test]
fn what_is_no_picture_is_named() {
    for (bytes, what) in [
        (&b"\0\0\0\x1cftypavif\0\0\0\0"[..], "is an AVIF picture; PNG, JPEG, WebP, GIF, BMP and TIFF are read"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "is a HEIC picture"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "is a film (MP4)"),
        (b"\n <?xml version=\"1.0\"?>\n<!-- made --><svg width=\"3\"/>", "is an SVG drawing"),
        (b"\xef\xbb\xbf<!DOCTYPE HTML><html><svg></svg></html>", "is an HTML page"),
        (b"<html>404", "is an HTML page"),
        (b"%PDF-1.7\n", "is a PDF document"),
        (b"{\"error\": \"Not Found\"}", "is a JSON text"),
        (b"Not Found", "is a text"),
        (b"iVBORw0KGgoAAAANSUhEUgAA", "is a PNG picture written as base64 text"),
        (b"https://example.org/1.png", "is an address"),
        (b"P6\n3 3\n255\n", "is a PNM picture"),
        (b"II+\0\x08\0\0\0", "is a BigTIFF picture"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer, not the file itself"),
        (&[0; 100], "is nothing but zeros"),
        (b"\x01\x02\x1b[31m\xff\xfe", "the 9 bytes (`\\u{1}\\u{2}\\u{1b}[31m"),
        (b"", "has no bytes"),
    ] {
        refused(bytes, what);
    }
}

/// Pillow's `convert("RGB")` clips it to 255: neither that nor another reading is taken without a word.
#[test]
fn gray_of_16_bits_is_refused() {
    let gray = image::ImageBuffer::<image::Luma<u16>, _>::from_fn(8, 8, |x, y| image::Luma([(4000 * x + y) as u16]));
    for (format, name) in [(image::ImageFormat::Png, "PNG"), (image::ImageFormat::Tiff, "TIFF")] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        gray.write_to(&mut bytes, format).expect("written");
        refused(bytes.get_ref(), &format!("is a {name} of gray in 16 bits, which Pillow 13"));
    }
}

/// A picture that was cut anywhere is refused, unless only what nobody needs is gone.
#[test]
fn half_a_picture_is_refused() {
    for (name, whole) in fixtures() {
        let sound = decode(&whole, MANY).expect(&name);
        let step = (whole.len() / 60).max(1);
        for cut in (0..whole.len()).step_by(step) {
            match decode(&whole[..cut], MANY) {
                Err(reason) => assert!(reason.len() < 400, "{name}: {reason}"),
                Ok(decoded) => assert!(decoded == sound, "{name} cut at {cut} of {}", whole.len()),
            }
        }
    }
}

/// Bytes changed anywhere end in a picture or a reason, never in a panic that gets out.
#[test]
fn damage_anywhere_is_borne() {
    for (name, whole) in fixtures() {
        for at in (0..whole.len()).step_by((whole.len() / 100).max(1)) {
            for change in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= change;
                if let Err(reason) = decode(&damaged, MANY) {
                    assert!(reason.len() < 400, "{name}: {reason}");
                }
            }
        }
    }
}

/// Profiles and texts that unpack to far more than the picture are not unpacked; a library would need the memory.
#[test]
fn what_a_png_holds_besides_is_not_unpacked() {
    let bomb = zeros_packed(64 << 20);
    let sound = decode(&png_with(&[]), MANY).expect("sound");
    for (kind, head) in [
        (b"iCCP", &b"x\0\0"[..]),
        (b"zTXt", b"Raw profile type exif\0\0"),
        (b"zTXt", b"Comment\0\0"),
        (b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0"),
    ] {
        let encoded = png_with(&chunk(kind, &[head, &bomb[..]].concat()));
        assert!(decode(&encoded, MANY).expect("sound") == sound);
        assert!(png::essential(&encoded).len() < 200, "only pixels reach the library");
    }
}

#[test]
fn a_file_is_no_longer_than_its_pixels_allow() {
    let tail = |count: usize| [png_with(&[]), vec![0; count]].concat();
    assert!(check(&tail(1 << 20), MANY).is_ok());
    refused(&tail(17 << 20), "the image of 8 x 8 pixels takes 17825");
    refused(&tail(17 << 20), "8 a pixel and 16777216 besides are the most");
    refused(&png_with(&chunk(b"eXIf", &vec![0; 17 << 20])), "16777216 besides");
}

/// The first picture of a GIF may be larger than its screen, and pretend to be of any size.
#[test]
fn sizes_are_checked_before_anything_is_decoded() {
    let mut gif = b"GIF89a\x08\0\x08\0\0\0\0,\0\0\0\0\xff\xff\xff\xff\x80".to_vec();
    gif.extend([0; 6]);
    gif.extend(b"\x02\x02\x44\x01\0;");
    refused(&gif, "the image is 65535 x 65535 = 4294836225 pixels, more than `max_image_pixels` = 1000000");
    let mut png = png_with(&[]);
    png[16..20].copy_from_slice(&50_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&50_000u32.to_be_bytes());
    refused(&png, "50000 x 50000 = 2500000000 pixels");
    refused(&fixture("one-bit.tiff")[..40], "");
}

/// Where libraries do not agree what a TIFF looks like, it is refused with a reason.
#[test]
fn a_tiff_of_no_plain_kind_is_refused() {
    let tiff = fixture("gray.tiff");
    let directory = u32::from_le_bytes(tiff[4..8].try_into().expect("four bytes")) as usize;
    let entries = tiff[directory + 2..].chunks_exact(12).map(|entry| u16::from_le_bytes([entry[0], entry[1]]));
    let place = |tag: u16| directory + 2 + 12 * entries.clone().position(|found| found == tag).expect("the tag") + 8;
    for (tag, value, says) in [
        (262, 3, "a TIFF with a palette, which is not read; save it as PNG"),
        (262, 6, "neither gray, RGB nor CMYK"),
        (258, 32, "of 32 bits a sample"),
        (258, 12, "of 12 bits a sample"),
    ] {
        let mut other = tiff.clone();
        other[place(tag)] = value;
        refused(&other, says);
    }
}

/// Such a TIFF may lack any tag: what is said is that it was cut.
#[test]
fn a_tiff_cut_off_is_said_to_be() {
    for name in ["gray.tiff", "one-bit.tiff", "rgba.tiff", "cmyk.tiff", "turned-7.tiff"] {
        let whole = fixture(name);
        let sound = decode(&whole, MANY).expect(name);
        for cut in 8..whole.len() {
            match check(&whole[..cut], MANY) {
                Err(reason) => assert!(reason.contains("truncated") || reason.contains("cut off"), "{name} at {cut}: {reason}"),
                // What was cut off may be a tag that nobody needs.
                Ok(()) => {
                    let decoded = decode(&whole[..cut], MANY).unwrap_or_else(|_| sound.clone());
                    assert!(decoded == sound, "{name} at {cut}");
                }
            }
        }
    }
}

/// A JPEG cut in its data, with an end marker behind: other decoders make up the rest, each in its own way.
#[test]
fn a_jpeg_whose_data_end_too_early_is_refused() {
    for name in ["photo-420.jpg", "photo-444.jpg", "gray.jpg", "cmyk.jpg", "turned-6.jpg", "progressive.jpg"] {
        let whole = fixture(name);
        let sound = decode(&whole, MANY).expect(name);
        // Of a progressive picture the first scan: where one of several ends, it is a picture of fewer scans.
        let scans: Vec<usize> = (0..whole.len()).filter(|at| whole[*at..].starts_with(b"\xff\xda")).collect();
        let start = *if name == "progressive.jpg" { scans.first() } else { scans.last() }.expect("a scan") + 20;
        let until = scans.get(1).copied().unwrap_or(whole.len() - 2);
        let mut bad = 0;
        for cut in (start..until).step_by(((until - start) / 40).max(1)).filter(|cut| whole[cut - 1] != 0xff) {
            match decode(&[&whole[..cut], b"\xff\xd9"].concat(), MANY) {
                Err(reason) => bad += usize::from(reason.contains("end too early") || reason.contains("behind its first scan")),
                Ok(decoded) => assert!(decoded == sound, "{name} cut at {cut} of {}", whole.len()),
            }
        }
        assert!(bad > 10, "{name}: {bad}");
    }
}

#[test]
fn a_png_whose_pixels_are_not_as_they_were_written_is_refused() {
    let plain = crate::testing::png(8, 8);
    let length = u32::from_be_bytes(plain[33..37].try_into().expect("four bytes")) as usize;
    let data = &plain[41..41 + length];
    assert_eq!(&plain[37..41], b"IDAT");
    let with = |chunks: &[&[u8]]| [&plain[..33], &chunks.concat(), &chunk(b"IEND", &[])].concat();
    let (first, second) = (chunk(b"IDAT", &data[..9]), chunk(b"IDAT", &data[9..]));
    assert!(decode(&with(&[&first, &second, &chunk(b"tEXt", b"a\0b")]), MANY) == decode(&plain, MANY));
    let between = decode(&with(&[&first, &chunk(b"tEXt", b"a\0b"), &second]), MANY).expect_err("between");
    assert!(between.contains("other chunks stand between"), "{between}");
    let mut changed = data.to_vec();
    changed[length - 1] ^= 1;
    let changed = decode(&with(&[&chunk(b"IDAT", &changed)]), MANY).expect_err("another checksum");
    assert!(changed.contains("do not unpack to what their checksum says"), "{changed}");
}

#[test]
fn a_bmp_of_run_lengths_is_refused() {
    let bmp = fixture("palette.bmp");
    for compression in [1, 2] {
        let mut runs = bmp.clone();
        runs[30] = compression;
        refused(&runs, "a BMP of run lengths (RLE), which is not read; save it as PNG");
    }
}
