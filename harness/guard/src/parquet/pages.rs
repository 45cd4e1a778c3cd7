//! Page headers: how much memory the pages of some columns take, and how far their rows may expand.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::codecs::{CODECS, LZO};
use super::footer::{Chunk, Footer, Leaf};
use super::problem::{Problem, what_it_is};
use super::thrift::{Broken, Kind, Walker};

/// Bytes of the pages that are unpacked at one time, one of each column, beyond twice the file's own length: pages of ordinary files
/// have a megabyte, those of pictures up to hundreds.
const PAGES_AT_ONCE: u64 = 256 << 20;
/// Bytes that some rows may take when they are decoded together.
pub const ROWS_AT_ONCE: u64 = 128 << 20;
/// Bytes that all rows of a file may take decoded, beyond [`EXPANSION`] times its length: a value that stands in a file once may be
/// every row's.
const DECODED: u64 = 1 << 30;
/// How often a file's length its rows may take.
const EXPANSION: u64 = 32;
/// Values of a list column in a row group: all of them may be one row's.
const MAX_LIST_VALUES: u64 = 1 << 24;
/// Pages of the columns that are read, in all row groups.
const MAX_PAGES: u64 = 2_000_000;
/// Bytes of a page's header; statistics may hold a value of the page.
const MAX_HEADER: usize = 16 << 20;

/// How a file's columns may be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Rows to decode at a time, at least 1.
    pub rows: usize,
    /// Bytes that all rows together may take decoded.
    pub budget: u64,
    /// What page headers alone do not settle.
    pub doubts: Vec<Doubt>,
}

/// A chunk of a column whose pages have to be looked into before they are decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The row group, from 0.
    pub group: usize,
    /// The column among all without columns in them.
    pub leaf: usize,
    /// Values of a list column that may each be any of the dictionary: its longest value, these times, must stay within
    /// [`ROWS_AT_ONCE`].
    pub values: u64,
    /// Pages that could unpack to more than their headers say.
    pub unpacking: Vec<Packed>,
    /// Whether some page counts its values itself (DELTA encodings).
    pub counts: bool,
}

/// What is compressed of a page, as it lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Its first byte in the file, behind the header and what stands uncompressed in front.
    pub at: u64,
    /// Its length in the file.
    pub packed: u64,
    /// Bytes that it unpacks to, if its header is right.
    pub unpacked: u64,
}

/// What a chunk's page headers say.
#[derive(Default)]
struct Pages {
    /// The largest page, unpacked.
    largest: u64,
    /// All pages together, unpacked.
    unpacked: u64,
    /// The most bytes that a page has for each of its values.
    each: u64,
    /// The longest value that several rows may share.
    shared: u64,
    /// Values that may be such.
    sharing: u64,
    unpacking: Vec<Packed>,
    counts: bool,
    /// How many pages there are.
    count: u64,
}

impl Pages {
    /// Counts a page that has been checked.
    fn add(&mut self, header: &Header, leaf: &Leaf) -> Result<(), Problem> {
        self.count += 1;
        if self.count > MAX_PAGES {
            return Err(Problem::Limit(format!("over {MAX_PAGES} pages, the limit")));
        }
        self.largest = self.largest.max(header.unpacked);
        self.unpacked = self.unpacked.saturating_add(header.unpacked);
        if header.dictionary {
            if leaf.width.is_none() && header.values > header.unpacked / 4 {
                return Err(Problem::Damaged(format!("a dictionary of {} texts in {} bytes", header.values, header.unpacked)));
            }
            self.shared = self.shared.max(header.unpacked);
            return Ok(());
        }
        self.counts |= counts(header.encoding);
        self.each = self.each.max(header.unpacked / header.values.max(1));
        if shares(header.encoding) {
            self.sharing = self.sharing.saturating_add(header.values);
        }
        if header.encoding == DELTA_BYTE_ARRAY {
            self.shared = self.shared.max(header.unpacked);
        }
        Ok(())
    }

    /// Bytes of a row, at most or on average.
    fn row(&self, leaf: &Leaf, rows: u64) -> u64 {
        match leaf.width {
            Some(width) => width,
            None if leaf.repeated => self.unpacked / rows.max(1),
            None => self.each.max(self.shared),
        }
    }

    fn doubt(self, group: usize, index: usize, leaf: &Leaf) -> Option<Doubt> {
        let expands = leaf.repeated && leaf.width.is_none() && self.shared.saturating_mul(self.sharing) > ROWS_AT_ONCE;
        let values = if expands { self.sharing } else { 0 };
        let any = expands || self.counts || !self.unpacking.is_empty();
        any.then_some(Doubt { group, leaf: index, values, unpacking: self.unpacking, counts: self.counts })
    }
}

impl Footer {
    /// How the columns of some names may be read: at most `most` rows at a time, and fewer where they may expand. Walks the headers
    /// of all their pages, and checks them.
    pub fn plan(&self, file: &File, columns: &[&str], most: usize) -> Result<Plan, Problem> {
        let length = file.metadata()?.len();
        let mut plan =
            Plan { rows: most.max(1), budget: DECODED.saturating_add(length.saturating_mul(EXPANSION)), doubts: vec![] };
        let (mut unpacked, mut count) = (0u64, 0u64);
        for (group, found) in self.groups.iter().enumerate() {
            let (mut at_once, mut row): (u64, u64) = (0, 0);
            let chunks = self.leaves.iter().zip(&found.chunks).enumerate();
            for (index, (leaf, chunk)) in chunks.filter(|(_, (leaf, _))| columns.contains(&leaf.root.as_str())) {
                let pages = pages(file, leaf, chunk).map_err(|problem| {
                    named(problem, &format!("row group {group}, column `{}`", crate::text::line(&leaf.root, 80)))
                })?;
                (unpacked, count) = (unpacked.saturating_add(pages.unpacked), count.saturating_add(pages.count));
                if unpacked > plan.budget || count > MAX_PAGES {
                    return Err(Problem::Limit(format!(
                        "up to row group {group}, {count} pages that unpack to {unpacked} bytes; the limits are {MAX_PAGES} and {}",
                        plan.budget
                    )));
                }
                // A row of lists may be all of its column.
                at_once = at_once.saturating_add(if leaf.repeated { pages.unpacked } else { pages.largest });
                row = row.saturating_add(pages.row(leaf, found.rows));
                plan.doubts.extend(pages.doubt(group, index, leaf));
            }
            let most = PAGES_AT_ONCE.saturating_add(length.saturating_mul(2));
            if at_once > most {
                return Err(Problem::Limit(format!(
                    "the pages of row group {group} that are unpacked at one time take {at_once} bytes, the limit is {most}"
                )));
            }
            let fit = usize::try_from(ROWS_AT_ONCE / row.max(1)).unwrap_or(usize::MAX);
            plan.rows = plan.rows.min(fit.max(1));
        }
        Ok(plan)
    }
}

fn named(problem: Problem, place: &str) -> Problem {
    match problem {
        Problem::Damaged(what) => Problem::Damaged(format!("{place}: {what}")),
        Problem::Limit(what) => Problem::Limit(format!("{place}: {what}")),
        other => other,
    }
}

/// The encoding of texts that begin as the one before does.
const DELTA_BYTE_ARRAY: i64 = 7;

/// Whether values may share their bytes in the file: PLAIN_DICTIONARY, DELTA_BYTE_ARRAY, RLE_DICTIONARY.
fn shares(encoding: i64) -> bool {
    matches!(encoding, 2 | DELTA_BYTE_ARRAY | 8)
}

/// Whether a page says itself how many values it has: DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY.
fn counts(encoding: i64) -> bool {
    matches!(encoding, 5..=DELTA_BYTE_ARRAY)
}

fn pages(file: &File, leaf: &Leaf, chunk: &Chunk) -> Result<Pages, Problem> {
    let codec = usize::try_from(chunk.codec).ok().and_then(|codec| CODECS.get(codec));
    let Some((name, ratio)) = codec.filter(|_| chunk.codec != LZO) else {
        let codec = codec.map_or_else(|| format!("number {}", chunk.codec), |(name, _)| (*name).to_owned());
        return Err(Problem::Codec { column: leaf.root.clone(), codec });
    };
    if leaf.repeated && chunk.values > MAX_LIST_VALUES {
        return Err(Problem::Limit(format!(
            "a list column of {} values in one row group, the limit is {MAX_LIST_VALUES}: write smaller row groups",
            chunk.values
        )));
    }
    let (mut found, mut at, mut values) = (Pages::default(), chunk.start, 0u64);
    while at < chunk.end {
        let (header, size) = match header(file, at, chunk.end) {
            Ok(found) => found,
            // Behind the last value some writers leave a few bytes.
            Err(Problem::Damaged(_)) if values >= chunk.values => break,
            Err(problem) => return Err(problem),
        };
        if !header.whole && values >= chunk.values {
            break;
        }
        let body = header.check(chunk.end - at - size, *name == "none")?;
        values = values.saturating_add(if header.dictionary { 0 } else { header.values });
        let packed = header.packed_values(at + size);
        found
            .unpacking
            .extend(packed.filter(|page| ratio.is_some_and(|ratio| page.packed.saturating_mul(ratio) > PAGES_AT_ONCE)));
        found.add(&header, leaf)?;
        at += size + body;
    }
    match values.cmp(&chunk.values) {
        std::cmp::Ordering::Equal => Ok(found),
        _ => Err(Problem::Damaged(format!("{values} values in its pages, the footer says {}", chunk.values))),
    }
}

/// A page's header.
#[derive(Default)]
struct Header {
    dictionary: bool,
    unpacked: u64,
    packed: u64,
    values: u64,
    encoding: i64,
    /// Bytes of levels, which a page of the second version has in front of its values and outside of the compression.
    levels: u64,
    /// Whether the values are as they are, whatever the column's compression: a page of the second version may say so.
    plain: bool,
    negative: bool,
    /// Whether it has its type and both sizes.
    whole: bool,
}

impl Header {
    /// The length of what follows the header, which has to fit into `left`.
    fn check(&self, left: u64, as_is: bool) -> Result<u64, Problem> {
        let bad = |what: String| Err(Problem::Damaged(format!("a page {what}")));
        if !self.whole {
            return bad("without type or size".into());
        }
        if self.negative {
            return bad("with a negative size".into());
        }
        if self.packed > left {
            return bad(format!("of {} bytes, where {left} are left", self.packed));
        }
        if (as_is || self.plain) && self.unpacked != self.packed {
            return bad(format!("of {} bytes that is said to unpack to {}, without compression", self.packed, self.unpacked));
        }
        if self.levels > self.unpacked.min(self.packed) {
            return bad(format!("of {} bytes with {} bytes of levels", self.unpacked.min(self.packed), self.levels));
        }
        Ok(self.packed)
    }

    /// What is compressed of a page whose body begins at a place; none where nothing is.
    fn packed_values(&self, body: u64) -> Option<Packed> {
        let (packed, unpacked) = (self.packed - self.levels, self.unpacked - self.levels);
        (!self.plain && packed > 0).then_some(Packed { at: body + self.levels, packed, unpacked })
    }
}

/// Reads the header at a place, and how long it is.
fn header(file: &File, at: u64, end: u64) -> Result<(Header, u64), Problem> {
    let left = usize::try_from(end - at).unwrap_or(usize::MAX).min(MAX_HEADER);
    let mut length = left.min(256);
    loop {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, at)?;
        match read(&bytes) {
            Ok((header, size)) => return Ok((header, size as u64)),
            Err(Broken::Short) if length < left => length = length.saturating_mul(16).min(left),
            Err(Broken::Short) => return Err(Problem::Damaged("a page's header does not end".into())),
            Err(Broken::Wrong(what) | Broken::Many(what)) => {
                return Err(Problem::Damaged(format!("a page's header has {what}; it {}", what_it_is(&bytes))));
            }
        }
    }
}

fn read(bytes: &[u8]) -> Result<(Header, usize), Broken> {
    let mut found = Header::default();
    let mut walker = Walker::new(bytes);
    let (mut negative, mut stated) = (false, 0);
    let mut whole = |number: i64| {
        negative |= number < 0;
        u64::try_from(number).unwrap_or_default()
    };
    walker.fields(|walker, id, kind| {
        stated += usize::from((1..=3).contains(&id));
        match (id, kind) {
            (1, kind) => found.dictionary = walker.integer(kind)? == 2,
            (2, kind) => found.unpacked = whole(walker.integer(kind)?),
            (3, kind) => found.packed = whole(walker.integer(kind)?),
            // The headers of a data page, a dictionary and a data page of the second version: values first.
            (5 | 7 | 8, Kind::STRUCT) => walker.fields(|walker, field, kind| {
                match (id, field) {
                    (_, 1) => found.values = whole(walker.integer(kind)?),
                    (5 | 7, 2) | (8, 4) => found.encoding = walker.integer(kind)?,
                    (8, 2 | 3) => drop(whole(walker.integer(kind)?)),
                    (8, 5 | 6) => found.levels = found.levels.saturating_add(whole(walker.integer(kind)?)),
                    (8, 7) => found.plain = kind == Kind::FALSE,
                    _ => return Ok(false),
                }
                Ok(true)
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    (found.negative, found.whole) = (negative, stated == 3);
    Ok((found, walker.walked()))
}
