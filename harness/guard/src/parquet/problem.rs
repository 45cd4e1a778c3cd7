//! Why a file cannot be read as parquet, and what it looks like instead.

use std::fmt;

use crate::files::{LFS_ADVICE, is_lfs_pointer};

/// Why a file cannot be read as parquet.
#[derive(Debug)]
pub enum Problem {
    /// The system would not let it be read.
    Io(std::io::Error),
    /// It is something else: what it looks like.
    Other(String),
    /// It begins as parquet does and does not end so.
    CutOff,
    /// The footer, or a column of it, is encrypted.
    Encrypted,
    /// A column is compressed in a way that is not read here.
    Codec {
        /// The column's name.
        column: String,
        /// The name of the codec, or its number where it has none.
        codec: String,
    },
    /// A number or name in it that cannot be: what, and where.
    Damaged(String),
    /// It asks for more than a limit allows.
    Limit(String),
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(out),
            Self::Other(what) => write!(out, "is no parquet file: it {what}"),
            Self::CutOff => out.write_str(
                "is cut off: it begins as a parquet file does, but does not end so; download, copy or generate it again",
            ),
            Self::Encrypted => out.write_str("is an encrypted parquet file, which is not read; write it without encryption"),
            Self::Codec { column, codec } => write!(
                out,
                "column `{}` is compressed with {codec}, which is not read; snappy, gzip, brotli, lz4 and zstd are",
                crate::text::line(column, 80)
            ),
            Self::Damaged(what) => write!(out, "is a damaged parquet file ({what}); get it again, or write it anew"),
            Self::Limit(what) => write!(out, "asks for too much ({what})"),
        }
    }
}

/// What a file that does not begin as parquet looks like, behind the word "it".
pub fn what_it_is(head: &[u8]) -> String {
    let text = std::str::from_utf8(head).or_else(|error| std::str::from_utf8(&head[..error.valid_up_to()])).unwrap_or("");
    let shown = text.trim_start_matches('\u{feff}').trim_start();
    let lower = shown.get(..shown.len().min(64)).unwrap_or(shown).to_lowercase();
    let starts = |magic: &[u8]| head.starts_with(magic);
    let known = match () {
        () if head.is_empty() => "is empty",
        () if is_lfs_pointer(head) => LFS_ADVICE,
        () if starts(b"ARROW1") || starts(b"FEA1") || starts(b"\xff\xff\xff\xff") => {
            "looks like Arrow IPC (Feather, or `save_to_disk` of the datasets library); write it as parquet (`to_parquet`)"
        }
        () if starts(b"PK\x03\x04") => "looks like a zip archive; unpack it first",
        () if starts(b"\x1f\x8b") => "looks like gzip; unpack it first",
        () if starts(b"\x28\xb5\x2f\xfd") => "looks like zstandard; unpack it first",
        () if starts(b"Obj\x01") => "looks like Avro; write it as parquet",
        () if starts(b"ORC") => "looks like ORC; write it as parquet",
        () if starts(b"\x89HDF") => "looks like HDF5; write it as parquet",
        () if starts(b"SQLite format") || starts(b"DUCK") => "looks like a database; export it as parquet",
        () if starts(b"\x89PNG") || starts(b"\xff\xd8\xff") => "is a picture",
        () if lower.starts_with("<!doctype html") || lower.starts_with("<html") => {
            "is a web page (HTML), perhaps the message of a download that failed; download the file itself"
        }
        () if lower.starts_with('{') || lower.starts_with('[') => "looks like JSON; write it as parquet",
        () if !text.is_empty() && !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => {
            let line = text.lines().next().unwrap_or_default();
            return match line.contains([',', ';', '\t']) {
                true => "looks like CSV or another table in text; write it as parquet".into(),
                false => format!("looks like text (`{}`)", crate::text::line(line, 60)),
            };
        }
        () => {
            let first: Vec<String> = head.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            return format!("begins with the bytes {}, where parquet has `PAR1`", first.join(" "));
        }
    };
    known.into()
}
