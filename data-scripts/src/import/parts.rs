//! Which rows are trained on and which are judged on.

use std::collections::BTreeMap;

use guard::text::line;
use seed::Seed;

use super::names::split;
use super::table::{Record, Table, TableError, Value};

/// Tables by split: by a column `split`, or drawn, a share of the rows to `test`.
pub fn parts(mut table: Table, share: f64, seed: u64) -> Result<BTreeMap<String, Table>, TableError> {
    let column = table.columns.iter().position(|name| name.eq_ignore_ascii_case("split"));
    let rows = std::mem::take(&mut table.rows);
    let parts = match column {
        Some(at) => by_column(&table, at, rows)?,
        None => drawn(&table, rows, share, seed)?,
    };
    let mut tables = BTreeMap::new();
    for (name, rows) in parts {
        let mut part = Table { rows, ..table.clone() };
        part.remove(&column.into_iter().collect::<Vec<_>>());
        tables.insert(name, part);
    }
    match (tables.contains_key("train"), tables.contains_key("test")) {
        (true, true) => Ok(tables),
        (has_train, _) => {
            let missing = if has_train { "test" } else { "train" };
            Err(TableError::file(&table.path, format!("no row is of split `{missing}`; an experiment needs both")))
        }
    }
}

fn by_column(table: &Table, at: usize, rows: Vec<Record>) -> Result<BTreeMap<String, Vec<Record>>, TableError> {
    let mut parts: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for record in rows {
        let written = if let Value::Text(text) = &record.cells[at] { text.as_str() } else { "" };
        let Some(name) = split(written) else {
            let message = format!("column `split` holds `{}`; expected `train`, `test` or `validation`", line(written, 80));
            return Err(table.wrong(&record, message));
        };
        parts.entry(name.into()).or_default().push(record);
    }
    Ok(parts)
}

/// The rows of each part stay in their order.
fn drawn(table: &Table, rows: Vec<Record>, share: f64, seed: u64) -> Result<BTreeMap<String, Vec<Record>>, TableError> {
    if rows.len() < 2 {
        return Err(TableError::file(&table.path, "one row cannot be parted into those to train on and those to judge on"));
    }
    let count = ((rows.len() as f64 * share).round() as usize).clamp(1, rows.len() - 1);
    let mut places: Vec<usize> = (0..rows.len()).collect();
    Seed::new(seed).stream("import/test rows").shuffle(&mut places);
    let mut is_test = vec![false; rows.len()];
    places[..count].iter().for_each(|&place| is_test[place] = true);
    let (mut train, mut test) = (Vec::new(), Vec::new());
    rows.into_iter().zip(is_test).for_each(|(record, is_test)| if is_test { test.push(record) } else { train.push(record) });
    Ok(BTreeMap::from([("train".into(), train), ("test".into(), test)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(splits: &[&str]) -> Table {
        let rows = splits.iter().zip(2..).map(|(split, line)| Record { line, cells: vec![Value::Text((*split).into())] });
        Table { path: "x.csv".into(), folder: ".".into(), columns: vec!["split".into()], rows: rows.collect() }
    }

    #[test]
    fn a_column_or_a_draw_parts_the_rows() {
        let by_column = parts(table(&["train", "Test", "val", "train"]), 0.2, 0).unwrap();
        let counts: Vec<(&str, usize)> = by_column.iter().map(|(name, part)| (name.as_str(), part.rows.len())).collect();
        assert_eq!(counts, [("test", 1), ("train", 2), ("validation", 1)]);
        let plain = || Table { columns: vec!["q".into()], ..table(&["x"; 10]) };
        let drawn = parts(plain(), 0.2, 0).unwrap();
        assert_eq!((drawn["test"].rows.len(), drawn["train"].rows.len()), (2, 8));
        assert_eq!(parts(plain(), 0.2, 0).unwrap(), drawn);
        assert!(parts(plain(), 0.0, 0).unwrap()["test"].rows.len() == 1);
    }

    #[test]
    fn a_split_that_is_none_or_missing_is_refused() {
        let error = parts(table(&["train", "tset"]), 0.2, 0).unwrap_err().to_string();
        assert!(error.starts_with("x.csv: line 3: column `split` holds `tset`"), "{error}");
        assert!(parts(table(&["train", "train"]), 0.2, 0).unwrap_err().to_string().contains("no row is of split `test`"));
    }
}
