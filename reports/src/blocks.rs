//! Headings, sentences, lists, tables and pictures: what [`crate::markdown`], [`crate::terminal`], [`crate::latex`] and
//! [`crate::page`] draw.

use crate::figures::Figure;
use crate::shown::cell;

/// A piece of a report, in no format yet: text is as it is, to be escaped by whoever draws it.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A heading: its level, from 1, and its text.
    Heading(usize, String),
    /// A paragraph.
    Text(String),
    /// A list, a sentence each.
    List(Vec<String>),
    /// A table under the heading or sentence before it.
    Table(Table),
    /// A picture with its words; formats without pictures leave it out or name it.
    Figure(Figure),
}

/// Cells of text, and whose numbers they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// How many leading columns are text, aligned to the left.
    pub text_columns: usize,
    /// The names of the columns, with units.
    pub header: Vec<String>,
    /// The cells, row by row, each row as long as the header.
    pub rows: Vec<Vec<String>>,
    /// Whose numbers a cell holds, or names in front of a row: row, column, and a place in [`crate::Report::groups`].
    pub subjects: Vec<(usize, usize, usize)>,
}

impl Table {
    /// With cells no longer than all formats show.
    pub(crate) fn bounded(&self) -> Self {
        let all = |cells: &Vec<String>| cells.iter().map(|text| cell(text).into_owned()).collect();
        Self { header: all(&self.header), rows: self.rows.iter().map(all).collect(), ..self.clone() }
    }
}
