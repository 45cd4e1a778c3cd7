//! A CSV: the first line names the columns, texts may be quoted, an empty cell is none.

use std::path::Path;

use csv::{ReaderBuilder, Trim};
use guard::text::line;

use super::table::{Record, TableError, Value};

/// What may part the cells.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

pub(super) fn read(path: &Path, text: &str, delimiter: Option<u8>) -> Result<(Vec<String>, Vec<Record>), TableError> {
    let delimiter = delimiter.unwrap_or_else(|| likeliest(text));
    let mut reader = ReaderBuilder::new().delimiter(delimiter).trim(Trim::Headers).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| TableError::file(path, line(&error.to_string(), 200)))?;
    let columns: Vec<String> = headers.iter().map(str::to_owned).collect();
    if let Some(at) = columns.iter().position(String::is_empty) {
        return Err(TableError::file(path, format!("column {} has no name in the first line", at + 1)));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let at = error.position().map_or(0, csv::Position::line);
            let parts = format!("cells are parted by `{}`, and a cell with one in it stands in quotes", char::from(delimiter));
            TableError::row(path, at, format!("{} ({parts})", line(&error.to_string(), 200)))
        })?;
        let at = record.position().map_or(0, csv::Position::line);
        let cells = record.iter().map(|cell| if cell.trim().is_empty() { Value::Null } else { Value::Text(cell.to_owned()) });
        rows.push(Record { line: at, cells: cells.collect() });
    }
    Ok((columns, rows))
}

/// What the first line has most of.
fn likeliest(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    let count = |delimiter: &u8| first.bytes().filter(|byte| byte == delimiter).count();
    // The first of equals: a comma.
    DELIMITERS.iter().rev().max_by_key(|delimiter| count(delimiter)).copied().unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<(Vec<String>, Vec<Record>), TableError> {
        read(Path::new("x.csv"), text, None)
    }

    #[test]
    fn cells_are_texts_and_lines_are_counted() {
        let (columns, rows) =
            rows("image, question ,answer\na.png,\"Red,\nor blue?\",red\nb.png,\"He said \"\"no\"\".\",\n").unwrap();
        assert_eq!(columns, ["image", "question", "answer"]);
        assert_eq!(rows[0].cells[1], Value::Text("Red,\nor blue?".into()));
        assert_eq!((rows[1].line, &rows[1].cells[2]), (4, &Value::Null));
        assert_eq!(rows[1].cells[1], Value::Text("He said \"no\".".into()));
    }

    #[test]
    fn other_delimiters_are_seen_and_odd_rows_are_named() {
        assert_eq!(rows("a;b\n1,5;2\n").unwrap().1[0].cells[0], Value::Text("1,5".into()));
        assert_eq!(rows("a\tb\n1\t2\n").unwrap().0, ["a", "b"]);
        let error = rows("a,b\n1,2\n1,2,3\n").unwrap_err().to_string();
        assert!(error.starts_with("x.csv: line 3: ") && error.contains("parted by `,`"), "{error}");
        assert!(rows("a,,c\n1,2,3\n").unwrap_err().to_string().contains("column 2 has no name"));
    }
}
