//! What several of these commands take and say.

use std::path::Path;

use super::super::say;

/// Training and test rows of `--rows`, where it is given.
pub(super) fn pair(rows: Option<&[usize]>) -> Option<(usize, usize)> {
    rows.and_then(|rows| Some((*rows.first()?, *rows.get(1)?)))
}

/// What was made, and where.
pub(super) fn say_splits(card: &schema::Card, out: &Path) {
    for (split, files) in &card.splits {
        say(&format!("{split}: {} rows in {}", files.rows.unwrap_or_default(), out.display()));
    }
}
