//! TensorBoard: an event file a run, every recorded number as a scalar at its round. Clients' own are under `<metric>/client-<id>`.
//!
//! A file is a sequence of TFRecords (length, masked CRC32C of it, the bytes, masked CRC32C of these), each a protocol buffer `Event`:
//! wall time (1, double), step (2, int64), file version (3, string) or summary (5) of values (1): tag (1), simple value (2, float). Rounds
//! lie as far apart as the clock said they took, where a run says so.

use std::path::{Path, PathBuf};

use schema::record::Timings;
use schema::run_dir;

use super::files::{records, started, write as write_file};
use crate::source::MOST_BYTES;
use crate::{ReportError, Run};

/// The first event's file version, which TensorBoard asks for.
const VERSION: &str = "brain.Event:2";

/// What TFRecord adds to a rotated checksum.
const MASK: u32 = 0xa282_ead8;

/// Wire types of protocol buffers.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// Writes a run's event file into a folder of its own.
pub fn write(run: &Run, out: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let began = started(run);
    let timings: Option<Timings> = run.source.optional_json(run_dir::TIMINGS, MOST_BYTES)?;
    let mut ends = vec![began];
    for round in timings.iter().flat_map(|timings| &timings.rounds) {
        let last = ends.last().copied().unwrap_or(began);
        ends.push(last + round.train_seconds + round.aggregate_seconds + round.evaluate_seconds);
    }
    let mut file = framed(&event(began, 0, &field(3, VERSION.as_bytes())));
    for record in records(run)? {
        let tag = match record.client {
            Some(client) => format!("{}/client-{client}", record.metric.name()),
            None => record.metric.name().to_string(),
        };
        let mut value = field(1, tag.as_bytes());
        value.push(2 << 3 | FIXED32);
        value.extend((record.value as f32).to_le_bytes());
        let at = ends.get(record.round as usize).or(ends.last()).copied().unwrap_or(began);
        file.extend(framed(&event(at, u64::from(record.round), &field(5, &field(1, &value)))));
    }
    let name = format!("events.out.tfevents.{}.fedbench", began as u64);
    Ok(vec![write_file(out.join(&run.summary.run).join(name), &file)?])
}

fn event(wall_time: f64, step: u64, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1 << 3 | FIXED64];
    bytes.extend(wall_time.to_le_bytes());
    bytes.push(2 << 3 | VARINT);
    bytes.extend(varint(step));
    bytes.extend(rest);
    bytes
}

/// A field of a number below 16 that holds bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | BYTES];
    bytes.extend(varint(content.len() as u64));
    bytes.extend(content);
    bytes
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn framed(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked(&length).to_le_bytes());
    bytes.extend(content);
    bytes.extend(masked(content).to_le_bytes());
    bytes
}

fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK)
}

#[cfg(test)]
pub(super) fn known_event() -> Vec<u8> {
    event(0.0, 300, &[])
}
