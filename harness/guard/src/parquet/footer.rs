//! The footer: schema, row groups and where their columns lie.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::codecs::CODECS;
use super::problem::{Problem, what_it_is};
use super::thrift::{Broken, Kind, Walker, wrong};

/// Bytes of a footer: what describes a hundred thousand chunks fits; more would only be held in memory.
pub const MAX_FOOTER_BYTES: u64 = 64 << 20;
/// Elements of a schema: columns and the groups around them.
const MAX_ELEMENTS: usize = 20_000;
/// Columns within columns: what is built of a schema recurses.
const MAX_NESTING: usize = 32;
/// Row groups, and columns in all of them together.
const MAX_CHUNKS: usize = 250_000;

/// What a footer says, as far as it matters for reading safely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// Rows of all row groups together.
    pub rows: u64,
    pub(super) leaves: Vec<Leaf>,
    pub(super) groups: Vec<Group>,
    /// Where the pages end and the footer begins.
    pub(super) end: u64,
}

/// A column without columns in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    /// The top-level column that it belongs to.
    pub root: String,
    /// Whether a row may have several values.
    pub repeated: bool,
    /// Bytes of a value: none where values have lengths of their own.
    pub width: Option<u64>,
}

/// A row group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub rows: u64,
    pub chunks: Vec<Chunk>,
}

/// A column of a row group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chunk {
    pub codec: i64,
    pub values: u64,
    pub start: u64,
    pub end: u64,
}

/// Reads and checks the footer of an open file.
pub fn footer(file: &File) -> Result<Footer, Problem> {
    let length = file.metadata()?.len();
    let mut head = vec![0; usize::try_from(length.min(512)).unwrap_or(512)];
    file.read_exact_at(&mut head, 0)?;
    if head.starts_with(b"PARE") {
        return Err(Problem::Encrypted);
    }
    if !head.starts_with(b"PAR1") {
        return Err(Problem::Other(what_it_is(&head)));
    }
    let mut tail = [0; 8];
    if length < 12 {
        return Err(Problem::CutOff);
    }
    file.read_exact_at(&mut tail, length - 8)?;
    let [a, b, c, d, magic @ ..] = tail;
    match &magic {
        b"PAR1" => {}
        b"PARE" => return Err(Problem::Encrypted),
        _ => return Err(Problem::CutOff),
    }
    let size = u64::from(u32::from_le_bytes([a, b, c, d]));
    let Some(end) = (length - 8).checked_sub(size).filter(|end| *end >= 4) else {
        return Err(damaged(format!("its footer is said to have {size} bytes, the whole file has {length}")));
    };
    if size > MAX_FOOTER_BYTES {
        return Err(Problem::Limit(format!("a footer of {size} bytes, the limit is {MAX_FOOTER_BYTES}")));
    }
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| damaged("the footer's length".into()))?];
    file.read_exact_at(&mut bytes, end)?;
    read(&bytes, end)
}

impl Footer {
    /// Rows of each row group, in order.
    pub fn group_rows(&self) -> impl Iterator<Item = u64> {
        self.groups.iter().map(|group| group.rows)
    }

    /// What it says of some row groups alone; those that it does not have are none.
    pub fn of_groups(&self, groups: std::ops::Range<usize>) -> Self {
        let groups: Vec<Group> = self.groups.iter().take(groups.end).skip(groups.start).cloned().collect();
        Self { rows: groups.iter().map(|group| group.rows).sum(), groups, leaves: self.leaves.clone(), end: self.end }
    }
}

/// Checks a footer whose pages end where it begins, at `end`.
fn read(bytes: &[u8], end: u64) -> Result<Footer, Problem> {
    let mut raw = Raw::default();
    let (mut schema, mut chunks) = (Vec::new(), 0);
    let mut walker = Walker::new(bytes);
    let walked = walker.fields(|walker, id, kind| {
        match (id, kind) {
            (2, Kind::LIST) => {
                walker.list(MAX_ELEMENTS, Kind::STRUCT, |walker| element(walker).map(|found| schema.push(found)))?
            }
            (3, kind) => raw.rows = walker.integer(kind)?,
            (4, Kind::LIST) => walker.list(MAX_CHUNKS, Kind::STRUCT, |walker| {
                raw.groups.push(group(walker, &mut chunks)?);
                Ok(())
            })?,
            (8, _) => raw.encrypted = true,
            _ => return Ok(false),
        }
        Ok(id != 8)
    });
    walked.map_err(|broken| match broken {
        Broken::Short => damaged("its footer ends within a value".into()),
        Broken::Wrong(what) => damaged(format!("its footer has {what}")),
        Broken::Many(what) => Problem::Limit(format!("its footer has {what}")),
    })?;
    if raw.encrypted {
        return Err(Problem::Encrypted);
    }
    let leaves = leaves(&schema)?;
    let groups = raw.groups.into_iter().enumerate().map(|(index, group)| checked(index, group, &leaves, end));
    let groups: Vec<Group> = groups.collect::<Result<_, _>>()?;
    let rows = groups.iter().try_fold(0u64, |sum, group| sum.checked_add(group.rows));
    let rows = rows.filter(|rows| u64::try_from(raw.rows) == Ok(*rows));
    let rows = rows.ok_or_else(|| damaged(format!("it says {} rows, its row groups another number", raw.rows)))?;
    Ok(Footer { rows, leaves, groups, end })
}

fn damaged(what: String) -> Problem {
    Problem::Damaged(what)
}

#[derive(Default)]
struct Raw {
    rows: i64,
    groups: Vec<RawGroup>,
    encrypted: bool,
}

#[derive(Default)]
struct RawGroup {
    rows: i64,
    chunks: Vec<RawChunk>,
}

#[derive(Default)]
struct RawChunk {
    codec: i64,
    values: i64,
    uncompressed: i64,
    compressed: i64,
    data_page: i64,
    dictionary_page: Option<i64>,
    encrypted: bool,
    elsewhere: bool,
    described: bool,
}

#[derive(Default)]
struct Element {
    name: String,
    kind: Option<i64>,
    length: i64,
    repetition: i64,
    children: i64,
}

fn element(walker: &mut Walker<'_>) -> Result<Element, Broken> {
    let mut found = Element::default();
    walker.fields(|walker, id, kind| {
        match id {
            1 => found.kind = Some(walker.integer(kind)?),
            2 => found.length = walker.integer(kind)?,
            3 => found.repetition = walker.integer(kind)?,
            4 => found.name = String::from_utf8(walker.binary(kind)?.to_vec()).map_err(|_| wrong("a column's name"))?,
            5 => found.children = walker.integer(kind)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(found)
}

fn group(walker: &mut Walker<'_>, chunks: &mut usize) -> Result<RawGroup, Broken> {
    let mut found = RawGroup::default();
    walker.fields(|walker, id, kind| {
        match (id, kind) {
            (1, Kind::LIST) => walker.list(MAX_CHUNKS - *chunks, Kind::STRUCT, |walker| {
                *chunks += 1;
                found.chunks.push(chunk(walker)?);
                Ok(())
            })?,
            (3, kind) => found.rows = walker.integer(kind)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(found)
}

fn chunk(walker: &mut Walker<'_>) -> Result<RawChunk, Broken> {
    let mut found = RawChunk::default();
    walker.fields(|walker, id, kind| {
        match (id, kind) {
            (1, kind) => found.elsewhere = !walker.binary(kind)?.is_empty(),
            (3, Kind::STRUCT) => column(walker, &mut found)?,
            (8, _) => {
                found.encrypted = true;
                return Ok(false);
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(found)
}

fn column(walker: &mut Walker<'_>, found: &mut RawChunk) -> Result<(), Broken> {
    found.described = true;
    walker.fields(|walker, id, kind| {
        match id {
            4 => found.codec = walker.integer(kind)?,
            5 => found.values = walker.integer(kind)?,
            6 => found.uncompressed = walker.integer(kind)?,
            7 => found.compressed = walker.integer(kind)?,
            9 => found.data_page = walker.integer(kind)?,
            11 => found.dictionary_page = Some(walker.integer(kind)?),
            _ => return Ok(false),
        }
        Ok(true)
    })
}

/// The columns without columns in them, in the order of a row group's chunks.
fn leaves(schema: &[Element]) -> Result<Vec<Leaf>, Problem> {
    let Some((top, rest)) = schema.split_first() else { return Err(damaged("it has no schema".into())) };
    let mut leaves = Vec::new();
    // Children still to come of the groups that are open, outermost first, and whether a row may have several of each.
    let mut open = vec![(top.children, false)];
    let mut root = "";
    for element in rest {
        while open.last().is_some_and(|(left, _)| *left == 0) {
            open.pop();
        }
        let depth = open.len();
        let Some((left, repeated)) = open.last_mut() else {
            return Err(damaged("its schema has more columns than it says".into()));
        };
        *left -= 1;
        if depth == 1 {
            root = &element.name;
        }
        let repeated = *repeated || element.repetition == 2;
        match (element.children, element.kind) {
            (0, Some(kind)) => leaves.push(Leaf { root: root.into(), repeated, width: width(kind, element.length)? }),
            (0, None) => return Err(damaged(format!("column `{}` has no type", crate::text::line(&element.name, 80)))),
            (children, _) if children < 0 || usize::try_from(children).is_ok_and(|children| children > schema.len()) => {
                return Err(damaged(format!("a column of {children} columns, of {} in all", schema.len())));
            }
            (children, _) => open.push((children, repeated)),
        }
        if open.len() > MAX_NESTING {
            return Err(Problem::Limit(format!("columns nested over {MAX_NESTING} deep")));
        }
    }
    if top.children < 0 || open.iter().any(|(left, _)| *left != 0) {
        return Err(damaged("its schema has fewer columns than it says".into()));
    }
    Ok(leaves)
}

/// Bytes of a value of a physical type, as it is decoded; none of texts and binaries.
fn width(kind: i64, length: i64) -> Result<Option<u64>, Problem> {
    match (kind, length) {
        (0, _) => Ok(Some(1)),
        (1 | 4, _) => Ok(Some(4)),
        (2 | 5, _) => Ok(Some(8)),
        (3, _) => Ok(Some(12)),
        (6, _) => Ok(None),
        (7, 0..=1024) => Ok(Some(length.unsigned_abs())),
        // As long as a text may be.
        (7, 1025..) => Ok(None),
        (7, _) => Err(damaged(format!("a column of values of {length} bytes each"))),
        _ => Err(damaged(format!("a column of an unknown type ({kind})"))),
    }
}

fn checked(index: usize, raw: RawGroup, leaves: &[Leaf], end: u64) -> Result<Group, Problem> {
    let at = |what: &str| damaged(format!("row group {index}: {what}"));
    let rows = u64::try_from(raw.rows).map_err(|_| at("a negative number of rows"))?;
    if raw.chunks.len() != leaves.len() {
        return Err(at(&format!("{} columns, the schema has {}", raw.chunks.len(), leaves.len())));
    }
    let mut chunks = Vec::with_capacity(leaves.len());
    for (raw, leaf) in raw.chunks.into_iter().zip(leaves) {
        let at = |what: &str| damaged(format!("row group {index}, column `{}`: {what}", crate::text::line(&leaf.root, 80)));
        if raw.encrypted {
            return Err(Problem::Encrypted);
        }
        if raw.elsewhere {
            return Err(at("its pages lie in another file"));
        }
        if !raw.described {
            return Err(at("nothing is said of it"));
        }
        let whole = |number: i64, what: &str| u64::try_from(number).map_err(|_| at(&format!("{what} is {number}")));
        let (values, data_page) = (whole(raw.values, "the number of values")?, whole(raw.data_page, "the place of its data")?);
        whole(raw.uncompressed, "its size unpacked")?;
        let compressed = whole(raw.compressed, "its size")?;
        let dictionary = raw.dictionary_page.map(|place| whole(place, "the place of its dictionary")).transpose()?;
        // As the library takes it: where a dictionary is named, the pages begin there.
        let start = dictionary.unwrap_or(data_page);
        let stop = start.checked_add(compressed).filter(|stop| *stop <= end);
        let stop = stop.ok_or_else(|| at(&format!("{compressed} bytes at {start}, its pages end at {end}")))?;
        if !leaf.repeated && values != rows {
            return Err(at(&format!("{values} values in {rows} rows")));
        }
        if usize::try_from(raw.codec).map_or(true, |codec| codec >= CODECS.len()) {
            // The library does not open a file with it, whatever columns are read.
            return Err(Problem::Codec { column: leaf.root.clone(), codec: format!("number {}", raw.codec) });
        }
        chunks.push(Chunk { codec: raw.codec, values, start, end: stop });
    }
    Ok(Group { rows, chunks })
}
