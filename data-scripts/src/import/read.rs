//! A file becomes rows, by its name.

use std::path::Path;

use guard::text::line;

use super::table::{MOST_COLUMNS, Table, TableError};
use super::{csv, jsonl};

/// Bytes of a file of rows.
const LARGEST: u64 = 2 << 30;

/// Reads a table by its file's name: `.csv` and `.tsv`, or `.jsonl` and `.ndjson`.
pub fn read(path: &Path, delimiter: Option<u8>) -> Result<Table, TableError> {
    let bytes = guard::files::read(path, LARGEST).map_err(TableError::io(path))?;
    if guard::files::is_lfs_pointer(&bytes) {
        return Err(TableError::file(path, guard::files::LFS_ADVICE));
    }
    let text = text(path, &bytes)?;
    let is_lines = path.extension().is_some_and(|end| end == "jsonl" || end == "ndjson" || end == "json");
    let (columns, rows) = if is_lines { jsonl::read(path, text)? } else { csv::read(path, text, delimiter)? };
    if let Some(twice) = columns.iter().enumerate().find(|(at, name)| columns[..*at].contains(name)) {
        return Err(TableError::file(path, format!("two columns are called `{}`", line(twice.1, 80))));
    }
    if columns.len() > MOST_COLUMNS {
        return Err(TableError::file(path, format!("{} columns; at most {MOST_COLUMNS} are read", columns.len())));
    }
    if rows.is_empty() {
        return Err(TableError::file(path, "it has no rows"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(Table { path: path.into(), folder: folder.into(), columns, rows })
}

/// UTF-8, with or without a byte order mark; another encoding is named by its first wrong line.
fn text<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, TableError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(TableError::file(path, "it is text in UTF-16; save it as UTF-8 (in Excel: \"CSV UTF-8\")"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        let message = format!("the byte 0x{:02x} is no UTF-8; save the file as UTF-8 (in Excel: \"CSV UTF-8\")", bytes[at]);
        TableError::row(path, line as u64, message)
    })
}
