//! How a picture is to be turned: the orientation in its EXIF record or, where that says nothing, in its XMP. Both are read as Pillow
//! reads them; a broken record turns nothing.

use std::borrow::Cow;

use image::metadata::Orientation;

/// What an EXIF record in a JPEG begins with.
pub const PREFIX: &[u8] = b"Exif\0\0";

const ORIENTATION: u16 = 274;

/// By an EXIF record and an XMP packet, where there are any.
pub fn orientation(exif: Option<impl AsRef<[u8]>>, xmp: Option<&[u8]>) -> Orientation {
    match exif.as_ref().map(|exif| Directory::read(without_prefix(exif.as_ref()))) {
        Some(Some(directory)) => directory.orientation(xmp),
        Some(None) => Orientation::NoTransforms,
        None => turned(xmp.and_then(of_xmp)),
    }
}

fn without_prefix(exif: &[u8]) -> &[u8] {
    let once = exif.strip_prefix(PREFIX).unwrap_or(exif);
    once.strip_prefix(PREFIX).unwrap_or(once)
}

fn turned(orientation: Option<u32>) -> Orientation {
    let known = orientation.and_then(|number| Orientation::from_exif(u8::try_from(number).ok()?));
    known.unwrap_or(Orientation::NoTransforms)
}

/// `tiff:Orientation="6"` or `tiff:Orientation>6`: the first one.
fn of_xmp(xmp: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"tiff:Orientation";
    let found = xmp.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    let mut digits = found.filter_map(|(at, _)| match &xmp[at + NAME.len()..] {
        [b'=', b'"', digit @ b'0'..=b'9', ..] | [b'>', digit @ b'0'..=b'9', ..] => Some(u32::from(digit - b'0')),
        _ => None,
    });
    digits.next()
}

/// A directory of tags: the first of a TIFF file, which an EXIF record is.
pub struct Directory<'a> {
    little: bool,
    entries: Vec<Entry<'a>>,
    /// Whether it is there up to its last tag.
    pub whole: bool,
}

struct Entry<'a> {
    tag: u16,
    kind: u16,
    data: Cow<'a, [u8]>,
}

impl<'a> Directory<'a> {
    /// The tags up to the first that is cut off; none where the header is no TIFF's.
    pub fn read(file: &'a [u8]) -> Option<Self> {
        let little = match file.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        let mut directory = Self { little, entries: Vec::new(), whole: false };
        // A directory cut off holds what could be read.
        directory.whole = directory.fill(file).unwrap_or(false);
        Some(directory)
    }

    /// Whether all tags are there; none where what one of them refers to is not.
    fn fill(&mut self, file: &'a [u8]) -> Option<bool> {
        let start = self.number(file.get(4..8)?)? as usize;
        let count = self.number(file.get(start..start.checked_add(2)?)?)? as usize;
        let mut known = [false; 1 << 16];
        let mut besides = 0u64;
        let entries = file.get(start + 2..)?.chunks_exact(12).take(count);
        let whole = entries.len() == count;
        for entry in entries {
            let (tag, kind) = (self.number(&entry[..2])? as u16, self.number(&entry[2..4])? as u16);
            let Some(unit) = size_of(kind).filter(|_| !known[usize::from(tag)]) else { continue };
            let size = u64::from(unit) * u64::from(self.number(&entry[4..8])?);
            let data = if size <= 4 {
                &entry[8..8 + size as usize]
            } else {
                besides += size;
                if besides > file.len() as u64 {
                    continue;
                }
                let at = self.number(&entry[8..])? as usize;
                file.get(at..at.checked_add(size as usize)?)?
            };
            if !data.is_empty() {
                known[usize::from(tag)] = true;
                self.entries.push(Entry { tag, kind, data: data.into() });
            }
        }
        Some(whole)
    }

    /// What stands under a tag.
    pub fn data(&self, tag: u16) -> Option<&[u8]> {
        self.entry(tag).map(|entry| &*entry.data)
    }

    fn entry(&self, tag: u16) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// The whole numbers under a tag; none where there are no such.
    pub fn numbers(&self, tag: u16) -> impl Iterator<Item = u32> {
        let (data, size) = match self.entry(tag) {
            Some(entry) if matches!(entry.kind, 3 | 4 | 8 | 9) => (&*entry.data, size_of(entry.kind).unwrap_or(1)),
            _ => (&[][..], 1),
        };
        data.chunks_exact(size as usize).filter_map(|number| self.number(number))
    }

    /// The orientation under its tag or, where there is none, in an XMP packet.
    pub fn orientation(&self, xmp: Option<&[u8]>) -> Orientation {
        turned(match self.entry(ORIENTATION) {
            Some(_) => self.numbers(ORIENTATION).next(),
            None => xmp.and_then(of_xmp),
        })
    }

    fn number(&self, bytes: &[u8]) -> Option<u32> {
        let ordered = |number: u32, byte: &u8| number << 8 | u32::from(*byte);
        Some(match (bytes.len(), self.little) {
            (1..=4, true) => bytes.iter().rev().fold(0, ordered),
            (1..=4, false) => bytes.iter().fold(0, ordered),
            _ => return None,
        })
    }
}

/// Bytes of a value of a type; none for a type that is not known.
fn size_of(kind: u16) -> Option<u32> {
    Some(match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 => 8,
        _ => return None,
    })
}
