//! What a page's header does not settle: how far it unpacks, how long the values of its dictionary are, how many values it says
//! it has. Asked only where it could be too much.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use guard::panics::caught;
use guard::parquet::{Doubt, Packed, ROWS_AT_ONCE};
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

/// Looks into the pages of a doubtful chunk; an error is what is said of the file.
pub(super) fn settle(file: &File, metadata: &ParquetMetaData, doubt: &Doubt) -> Result<(), String> {
    let column = metadata.row_group(doubt.group).column(doubt.leaf);
    let place = format!("row group {}, column `{}`", doubt.group, guard::text::line(&column.column_path().string(), 80));
    for page in &doubt.unpacking {
        unpacks(file, column.compression(), *page).map_err(|what| format!("{place}: {what}"))?;
    }
    if doubt.values == 0 && !doubt.counts {
        return Ok(());
    }
    let rows = usize::try_from(metadata.row_group(doubt.group).num_rows()).unwrap_or_default();
    let walked = caught("parquet", || walk(file, column, rows, doubt)).map_err(|panic| format!("{place}: {panic}"))?;
    match walked {
        Err(error) => Err(format!("{place}: is damaged ({}); get it again", guard::text::line(&error.to_string(), 300))),
        Ok(Some(what)) => Err(format!("{place}: {what}")),
        Ok(None) => Ok(()),
    }
}

/// Unpacks a page to nowhere, as far as its header says that it goes.
pub(super) fn unpacks(file: &File, codec: Compression, page: Packed) -> Result<(), String> {
    let packed = At { file, at: page.at, left: page.packed };
    let most = page.unpacked.saturating_add(1);
    let unpacked = match codec {
        Compression::GZIP(_) => io::copy(&mut flate2::read::MultiGzDecoder::new(packed).take(most), &mut io::sink()),
        Compression::BROTLI(_) => io::copy(&mut brotli::Decompressor::new(packed, 1 << 16).take(most), &mut io::sink()),
        _ => frames(file, page).map(|frames| if frames { most } else { 0 }),
    };
    match unpacked {
        Ok(bytes) if bytes > page.unpacked => {
            Err(format!("is damaged (a page unpacks to more than the {} bytes that its header says)", page.unpacked))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("is damaged (a page does not unpack: {error})")),
    }
}

/// Whether an LZ4 page is written as frames, which the library unpacks without bound; hardly any writer does.
fn frames(file: &File, page: Packed) -> io::Result<bool> {
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic[..usize::try_from(page.packed.min(4)).unwrap_or(4)], page.at)?;
    Ok(magic == 0x184D_2204_u32.to_le_bytes())
}

/// A part of a file.
struct At<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Goes through a chunk's pages; what is wrong with one of them, if anything is.
fn walk(file: &File, column: &ColumnChunkMetaData, rows: usize, doubt: &Doubt) -> Result<Option<String>, ParquetError> {
    let mut pages = SerializedPageReader::new(Arc::new(file.try_clone()?), column, rows, None)?;
    while let Some(page) = pages.get_next_page()? {
        if let Page::DictionaryPage { buf, .. } = &page {
            let longest = longest(column.column_type(), buf);
            let most = longest.saturating_mul(doubt.values);
            if most > ROWS_AT_ONCE {
                return Ok(Some(format!(
                    "asks for too much ({} values in lists, each of up to {longest} bytes, may be one row's: {most} bytes, the limit is \
                     {ROWS_AT_ONCE}; write smaller row groups, or without dictionaries)",
                    doubt.values
                )));
            }
            if !doubt.counts {
                return Ok(None);
            }
        } else if !counted(column, &page) {
            return Ok(Some("is damaged (a page says that it has more values than its header does)".into()));
        }
    }
    Ok(None)
}

/// The longest value of a dictionary of texts or binaries.
fn longest(kind: Type, mut values: &[u8]) -> u64 {
    if kind != Type::BYTE_ARRAY {
        return values.len() as u64;
    }
    let mut longest = 0;
    while let Some((length, rest)) = values.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some(next) = rest.get(length..) else { break };
        longest = longest.max(length as u64);
        values = next;
    }
    longest
}

/// Whether a page of a DELTA encoding says no more values than its header.
fn counted(column: &ColumnChunkMetaData, page: &Page) -> bool {
    let most = page.num_values() as u64;
    let Some(values) = values(column, page) else { return false };
    match page.encoding() {
        Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY => behind_deltas(values, most).is_some(),
        Encoding::DELTA_BYTE_ARRAY => behind_deltas(values, most).and_then(|rest| behind_deltas(rest, most)).is_some(),
        _ => true,
    }
}

/// A data page's bytes behind its levels.
fn values<'a>(column: &ColumnChunkMetaData, page: &'a Page) -> Option<&'a [u8]> {
    let bytes: &[u8] = page.buffer();
    match page {
        Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
            bytes.get(*def_levels_byte_len as usize + *rep_levels_byte_len as usize..)
        }
        _ => {
            let descriptor = column.column_descr();
            let levels = usize::from(descriptor.max_rep_level() > 0) + usize::from(descriptor.max_def_level() > 0);
            (0..levels).try_fold(bytes, |bytes, _| {
                let (length, rest) = bytes.split_first_chunk::<4>()?;
                rest.get(u32::from_le_bytes(*length) as usize..)
            })
        }
    }
}

/// What follows a run of DELTA_BINARY_PACKED numbers, of which there are at most so many.
fn behind_deltas(bytes: &[u8], most: u64) -> Option<&[u8]> {
    let (block, rest) = varint(bytes)?;
    let (parts, rest) = varint(rest)?;
    let (count, rest) = varint(rest)?;
    let (_first, mut rest) = varint(rest)?;
    if count > most || parts == 0 || block % parts != 0 {
        return None;
    }
    let (each, mut left) = (block / parts, count.saturating_sub(1));
    while left > 0 {
        let (_least, after) = varint(rest)?;
        let (widths, mut data) = after.split_at_checked(usize::try_from(parts).ok()?)?;
        for width in widths.iter().filter(|_| each > 0) {
            if left > 0 {
                data = data.get(usize::try_from(u64::from(*width).checked_mul(each)? / 8).ok()?..)?;
            }
            left = left.saturating_sub(each);
        }
        rest = if each == 0 { return None } else { data };
    }
    Some(rest)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().take(10).position(|byte| *byte < 0x80)? + 1;
    let value = bytes[..length].iter().rev().fold(0u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
    Some((value, &bytes[length..]))
}
