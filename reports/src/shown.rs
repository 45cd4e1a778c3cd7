//! How much of somebody's text is shown, whatever the format.

use std::borrow::Cow;

use guard::text::cut;
pub(crate) use guard::text::is_treacherous as breaks;

/// A cell loses its middle beyond so many characters: a name may be a megabyte, and every other row is as wide.
const LONGEST_CELL: usize = 300;
/// The same of a heading, a sentence or an item, which may name hundreds of runs.
const LONGEST_TEXT: usize = 20_000;

/// A cell as all formats show it.
pub(crate) fn cell(text: &str) -> Cow<'_, str> {
    cut(text, LONGEST_CELL)
}

/// A text outside of tables as all formats show it.
pub(crate) fn sentence(text: &str) -> Cow<'_, str> {
    cut(text, LONGEST_TEXT)
}
