//! Rows that two files of a split have: files of other bytes may hold the same.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The rows so far, by a hash of what they hold, each with the first file that has it.
#[derive(Default)]
pub(super) struct Repeated {
    file: usize,
    rows: BTreeMap<u64, usize>,
}

impl Repeated {
    /// The rows that follow are another file's.
    pub(super) fn next_file(&mut self) {
        self.file += 1;
    }

    /// Whether an earlier file has a row that holds the same. (Within a file, rows may well be the same.)
    pub(super) fn has(&mut self, row: &impl Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        row.hash(&mut hasher);
        *self.rows.entry(hasher.finish()).or_insert(self.file) != self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_repeated_where_another_file_has_it() {
        let mut repeated = Repeated::default();
        repeated.next_file();
        assert!(!repeated.has(&("a", 1)) && !repeated.has(&("a", 1)) && !repeated.has(&("b", 1)));
        repeated.next_file();
        assert!(repeated.has(&("a", 1)) && !repeated.has(&("a", 2)) && !repeated.has(&("c", 1)));
    }
}
