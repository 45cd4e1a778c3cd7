//! A flat table for programs: named columns of one length, written as CSV or parquet, values exact.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt32Array};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

/// Named columns of one length, left to right.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    columns: Vec<(String, Values)>,
}

/// The values of a column, of one type in parquet.
#[derive(Debug, Clone)]
pub enum Values {
    /// Words: strings in parquet.
    Text(Vec<String>),
    /// Whole numbers below 2^32: unsigned ones in parquet.
    Counts(Vec<usize>),
    /// Numbers that are always there: doubles in parquet.
    Numbers(Vec<f64>),
    /// Numbers that may be missing: empty cells in CSV, nulls in parquet.
    Optional(Vec<Option<f64>>),
}

impl Sheet {
    /// A column more, to the right.
    pub fn with(mut self, name: impl Into<String>, values: Values) -> Self {
        self.columns.push((name.into(), values));
        self
    }

    /// A column of words more: one for each of these rows.
    pub fn text<T>(self, name: &str, rows: &[T], of: impl Fn(&T) -> &str) -> Self {
        self.with(name, Values::Text(rows.iter().map(|row| of(row).into()).collect()))
    }

    /// Rows below the header.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, |(_, values)| values.len())
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As CSV; a number that is missing is an empty cell.
    pub fn csv(&self) -> String {
        let header = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let row = |row: usize| self.columns.iter().map(|(_, values)| values.cell(row)).collect();
        csv_text(&std::iter::once(header).chain((0..self.len()).map(row)).collect::<Vec<Vec<String>>>())
    }

    /// As parquet; a number that is missing is null.
    pub fn parquet(&self) -> Vec<u8> {
        let columns = self.columns.iter().map(|(name, values)| (name, values.array(), matches!(values, Values::Optional(_))));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
        let properties =
            WriterProperties::builder().set_compression(Compression::SNAPPY).set_created_by("fedbench".into()).build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).expect("flat columns");
        writer.write(&batch).expect("a buffer in memory takes all");
        writer.close().expect("a buffer in memory takes all");
        bytes
    }
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Counts(values) => values.len(),
            Self::Numbers(values) => values.len(),
            Self::Optional(values) => values.len(),
        }
    }

    fn cell(&self, row: usize) -> String {
        match self {
            Self::Text(values) => values[row].clone(),
            Self::Counts(values) => values[row].to_string(),
            Self::Numbers(values) => values[row].to_string(),
            Self::Optional(values) => values[row].map(|value| value.to_string()).unwrap_or_default(),
        }
    }

    fn array(&self) -> ArrayRef {
        match self {
            Self::Text(values) => Arc::new(StringArray::from_iter_values(values)),
            Self::Counts(values) => Arc::new(UInt32Array::from_iter_values(values.iter().map(|&value| value as u32))),
            Self::Numbers(values) => Arc::new(Float64Array::from_iter_values(values.iter().copied())),
            Self::Optional(values) => Arc::new(Float64Array::from_iter(values.iter().copied())),
        }
    }
}

/// Rows with names as CSV; what one row leaves out and another has is an empty cell.
pub fn csv_of_named(rows: &[impl serde::Serialize], more: impl Fn(usize) -> Vec<(String, String)>) -> String {
    let with_more = |(at, row)| fields(row).into_iter().chain(more(at)).collect();
    let rows: Vec<Vec<(String, String)>> = rows.iter().enumerate().map(with_more).collect();
    let Some(longest) = rows.iter().max_by_key(|row| row.len()) else { return String::new() };
    let mut header: Vec<&String> = longest.iter().map(|(name, _)| name).collect();
    for (name, _) in rows.iter().flatten() {
        if !header.contains(&name) {
            header.push(name);
        }
    }
    let cell = |row: &[(String, String)], name: &String| {
        row.iter().find(|(other, _)| other == name).map(|(_, cell)| cell.clone()).unwrap_or_default()
    };
    let cells = rows.iter().map(|row| header.iter().map(|name| cell(row, name)).collect());
    let names = header.iter().map(|name| (*name).clone()).collect();
    csv_text(&std::iter::once(names).chain(cells).collect::<Vec<Vec<String>>>())
}

/// A row's names and cells.
fn fields(row: &impl serde::Serialize) -> Vec<(String, String)> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(row).expect("a flat row in memory");
    let text = written(writer);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let mut lines = reader.records().map(|line| line.expect("written above").iter().map(String::from).collect::<Vec<_>>());
    let (names, cells) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    names.into_iter().zip(cells).collect()
}

/// Rows as CSV. No cell is a spreadsheet's formula (`cell_text`).
pub fn csv_text(rows: &[impl serde::Serialize]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).expect("flat rows in memory");
    }
    let plain = written(writer);
    // What is text and what a number is known only where a row is serialized: the cells are gone over once more.
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(plain.as_bytes());
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in reader.records() {
        writer.write_record(row.expect("written above").iter().map(cell_text)).expect("as many cells in every row");
    }
    written(writer)
}

fn written(writer: csv::Writer<Vec<u8>>) -> String {
    let bytes = writer.into_inner().expect("a buffer in memory can be flushed");
    String::from_utf8(bytes).expect("made of strings")
}

/// A cell that a spreadsheet would take for a formula, behind an apostrophe, which makes it text there (OWASP, CSV injection). A
/// number stays a number, and what a terminal would obey is spelled out.
fn cell_text(cell: &str) -> String {
    let opens = |c| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠');
    let shown = guard::text::line(cell, usize::MAX);
    if cell.starts_with(opens) && cell.parse::<f64>().is_err() { format!("'{shown}") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_empty() {
        let sheet = Sheet::default()
            .text("method", &["local", "a,b"], |name| name)
            .with("seeds", Values::Counts(vec![3, 2]))
            .with("rounds", Values::Optional(vec![Some(4.5), None]));
        assert_eq!(sheet.csv(), "method,seeds,rounds\nlocal,3,4.5\n\"a,b\",2,\n");
        assert_eq!((sheet.len(), sheet.is_empty(), Sheet::default().is_empty()), (2, false, true));
    }

    /// A field that some rows skip neither shifts a cell nor ends the program, wherever it is missing.
    #[test]
    fn a_row_may_leave_a_field_out() {
        #[derive(serde::Serialize)]
        struct Row {
            method: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            judged: Option<u32>,
            accuracy: f64,
        }
        let rows = [("a", None, 0.5), ("b,c", Some(3), 1e-7), ("d", None, 1.0)];
        let rows = rows.map(|(method, judged, accuracy)| Row { method, judged, accuracy });
        let none = |_| Vec::new();
        assert_eq!(csv_of_named(&rows, none), "method,judged,accuracy\na,,0.5\n\"b,c\",3,1e-7\nd,,1.0\n");
        assert_eq!(csv_of_named(&rows[..1], none), "method,accuracy\na,0.5\n");
        assert_eq!(csv_of_named(&rows[..0], none), "");
        let more = |row: usize| vec![("key/rank".to_string(), format!("{row}"))];
        assert_eq!(csv_of_named(&rows[..1], more), "method,accuracy,key/rank\na,0.5,0\n");
    }

    #[test]
    fn no_text_is_a_formula_and_every_number_a_number() {
        let names = [
            "=cmd|' /C calc'!A0",
            "+1+1",
            "-2+3",
            "@SUM(1)",
            "\t=1",
            "\r=1",
            "＝1",
            "-1.5",
            "+2",
            "a=b",
            "a\"b",
            "",
            "-inf",
            "'",
            "a\u{1b}[31m\0\u{202e}\nb",
        ];
        let numbers = [-1.5, f64::NAN, f64::NEG_INFINITY, 1e-300, 0.1, -0.0, 1e300, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        let sheet = Sheet::default().text("name", &names, |name| name).with("value", Values::Numbers(numbers.into()));
        let csv = sheet.csv();
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        for ((row, name), number) in reader.records().zip(names).zip(numbers) {
            let row = row.expect("a row");
            let formula = name.starts_with(['=', '+', '-', '@', '\t', '\r', '＝']) && name.parse::<f64>().is_err();
            let shown = guard::text::line(name, 80);
            assert_eq!(row[0], if formula { format!("'{shown}") } else { shown }, "{csv}");
            let read: f64 = row[1].parse().expect("a number");
            assert!(read == number || read.is_nan() && number.is_nan(), "{read} {number}");
        }
    }
}
