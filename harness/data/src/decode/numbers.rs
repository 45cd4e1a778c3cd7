//! Numbers as they lie in a file.

/// So many bytes of a file.
pub fn bytes<const N: usize>(encoded: &[u8], at: usize) -> Option<[u8; N]> {
    encoded.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// A number of two bytes, the lower one first.
pub fn u16_le(encoded: &[u8], at: usize) -> Option<u16> {
    bytes(encoded, at).map(u16::from_le_bytes)
}
