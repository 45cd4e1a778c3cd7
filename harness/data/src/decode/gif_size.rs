//! How large a GIF is, from its blocks alone.

use super::numbers::{bytes, u16_le};

/// Width, height and whether the first picture has its end: goes from block to block up to there. Where that leaves the screen, the
/// screen grows.
pub fn of(encoded: &[u8]) -> Option<(u32, u32, bool)> {
    let (mut width, mut height) = (u16_le(encoded, 6)?, u16_le(encoded, 8)?);
    let colours = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut at = 13 + colours(*encoded.get(10)?);
    loop {
        match encoded.get(at)? {
            b'!' => at = blocks_end(encoded, at + 2)?,
            b',' => break,
            _ => return None,
        }
    }
    let [left, top, wide, high] = [1, 3, 5, 7].map(|field| u16_le(encoded, at + field));
    width = width.max(left?.checked_add(wide?)?);
    height = height.max(top?.checked_add(high?)?);
    let [flags] = bytes(encoded, at + 9)?;
    // Flags, colours, the width of a code, then the picture.
    let ends = blocks_end(encoded, at + 11 + colours(flags)).is_some();
    Some((u32::from(width), u32::from(height), ends))
}

/// Where a chain of blocks ends, each with its length in front; the last one is empty.
fn blocks_end(encoded: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*encoded.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}
