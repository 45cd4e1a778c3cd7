//! A page whose tables are renewed.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::table::{Read, table};
use super::wanted::Wanted;
use crate::blocks::Block;
use crate::{ReportError, markdown};

/// What opens a table's comment.
const OPENS: &str = "<!-- table";
/// What ends it.
const ENDS: &str = "-->";
/// What stands behind the table.
const CLOSES: &str = "<!-- /table -->";
/// The longest page.
const MOST_BYTES: u64 = 1 << 24;

/// A page as it is, and as it should be.
#[derive(Debug)]
pub struct Page {
    path: PathBuf,
    text: String,
    renewed: String,
    /// The tables, from the top.
    pub tables: Vec<Quoted>,
    /// How many of the runs were written before there were manifests.
    pub unverified: usize,
}

/// A table of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// The line of its comment, from 1.
    pub line: usize,
    /// Whether the runs no longer give what stands there.
    pub is_stale: bool,
}

impl Page {
    /// Reads a page and makes each of its tables from the runs that its comment names; nothing is written.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let bad = |line: usize, what: String| ReportError::Page { path: path.into(), line, what };
        let text = guard::files::read_text_here(path, MOST_BYTES);
        let text = text.map_err(|source| ReportError::Read { path: path.into(), source })?;
        let (folder, fenced) = (path.parent().unwrap_or(Path::new("")), fenced(&text));
        // A checkout may have the line ends of its system.
        let ends = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let (mut renewed, mut tables, mut read) = (String::new(), Vec::new(), Read::default());
        let mut rest = &*text;
        while let Some(at) = opening(rest, text.len() - rest.len(), &fenced) {
            let line = 1 + text[..text.len() - rest.len() + at].matches('\n').count();
            let comment = &rest[at + OPENS.len()..];
            let (asked, below) =
                comment.split_once(ENDS).ok_or_else(|| bad(line, format!("the table's comment has no end (`{ENDS}`)")))?;
            let (old, _) = below
                .split_once(CLOSES)
                .filter(|(old, _)| opening(old, text.len() - below.len(), &fenced).is_none())
                .ok_or_else(|| bad(line, format!("no `{CLOSES}` ends the table below this comment")))?;
            let new = made(asked, folder, &mut read).map_err(|what| bad(line, what))?.replace('\n', ends);
            let table_at = rest.len() - below.len();
            renewed.push_str(&rest[..table_at]);
            renewed.push_str(&new);
            tables.push(Quoted { line, is_stale: old != new });
            rest = &below[old.len()..];
        }
        renewed.push_str(rest);
        if tables.is_empty() {
            return Err(bad(1, format!("no table in it is made from runs (`{OPENS}`)")));
        }
        Ok(Self { path: path.into(), text, renewed, tables, unverified: read.unverified() })
    }

    /// The tables that the runs no longer give.
    pub fn stale(&self) -> impl Iterator<Item = &Quoted> {
        self.tables.iter().filter(|table| table.is_stale)
    }

    /// Writes the page with its tables renewed, unless nothing changed; whoever might read it before may read it then, and nobody else.
    pub fn renew(&self) -> Result<(), ReportError> {
        if self.text == self.renewed {
            return Ok(());
        }
        let written = std::fs::metadata(&self.path).and_then(|before| {
            if before.permissions().readonly() {
                return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, "it is read-only"));
            }
            guard::files::write_unlocked(&self.path, self.renewed.as_bytes())?;
            std::fs::set_permissions(&self.path, before.permissions())
        });
        written.map_err(|source| ReportError::Write { path: self.path.clone(), source })
    }
}

/// Where a table's comment opens in a page's text from `from` on: at a line's beginning, and in no block of code.
fn opening(text: &str, from: usize, fenced: &[Range<usize>]) -> Option<usize> {
    let is_opening = |at: &usize| {
        let before = text[..*at].chars().next_back();
        let after = text[at + OPENS.len()..].chars().next();
        let alone = before.is_none_or(|c| matches!(c, '\n' | '\u{feff}')) && after.is_none_or(char::is_whitespace);
        alone && !fenced.iter().any(|block| block.contains(&(from + at)))
    };
    text.match_indices(OPENS).map(|(at, _)| at).find(is_opening)
}

/// Blocks of code between fences; one without an end goes to the page's.
fn fenced(text: &str) -> Vec<Range<usize>> {
    let (mut blocks, mut open, mut at) = (Vec::new(), None::<(usize, &str)>, 0);
    for line in text.split_inclusive('\n') {
        let fence = ["```", "~~~"].into_iter().find(|fence| line.trim_start_matches('\u{feff}').trim_start().starts_with(fence));
        match (open, fence) {
            (None, Some(fence)) => open = Some((at, fence)),
            (Some((from, opened)), Some(fence)) if opened == fence => {
                blocks.push(from..at + line.len());
                open = None;
            }
            _ => {}
        }
        at += line.len();
    }
    blocks.extend(open.map(|(from, _)| from..text.len()));
    blocks
}

fn made(asked: &str, folder: &Path, read: &mut Read) -> Result<String, String> {
    const ORIGIN: &str = "the table's comment";
    let asked = schema::toml_file::parse_table(ORIGIN, asked).and_then(|asked| schema::toml_file::from_table(ORIGIN, asked));
    let wanted: Wanted = asked.map_err(|error| error.to_string())?;
    let table = table(&wanted, folder, read)?;
    Ok(format!("\n{}", markdown::render(&[Block::Table(table)])))
}
