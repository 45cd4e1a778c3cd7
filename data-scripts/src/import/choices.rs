//! Options that are no list yet: columns `A`, `B`, `C` or `option_1`, `option_2`, or a text with a mark between them.

use super::table::{Record, Table, TableError, Value};

/// The column they become.
const CHOICES: &str = "choices";
/// What parts options in a text; a comma is left to the card.
const MARKS: [char; 2] = ['|', ';'];
/// What the columns of single options are called, before a letter or a number.
const BEFORE: [&str; 9] = ["", "option", "option_", "choice", "choice_", "opt_", "answer_", "option ", "choice "];

/// Makes the options a list, by the columns that were named or by their usual names. What was done, in words.
pub fn gather(table: &mut Table, named: &[String]) -> Result<Option<String>, TableError> {
    let columns = match named {
        [] if table.column(CHOICES).is_some() => vec![CHOICES.to_owned()],
        [] => usual(table),
        named => named.to_vec(),
    };
    let places = columns.iter().map(|name| table.expect(name)).collect::<Result<Vec<_>, _>>()?;
    match &places[..] {
        [] => Ok(None),
        [one] => part(table, *one),
        several => {
            merge(table, several)?;
            Ok(Some(format!("the options of `{}` are the list `{CHOICES}`", columns.join("`, `"))))
        }
    }
}

/// Columns of single options by their usual names: two at least, from the first on.
fn usual(table: &Table) -> Vec<String> {
    let lower: Vec<String> = table.columns.iter().map(|name| name.to_lowercase()).collect();
    // Alone, a small letter or a number is a name like any other.
    let is_alone = |name: &str| name.len() == 1 && !name.starts_with(|c: char| c.is_ascii_uppercase());
    let series: [Vec<String>; 3] = [
        ('a'..='z').map(String::from).collect(),
        (1..=26).map(|number: u8| number.to_string()).collect(),
        (0..=25).map(|number: u8| number.to_string()).collect(),
    ];
    for before in BEFORE {
        for marks in &series {
            let place = |mark: &String| {
                let at = lower.iter().position(|name| *name == format!("{before}{mark}"))?;
                Some(at).filter(|&at| !is_alone(&table.columns[at]))
            };
            let found: Vec<usize> = marks.iter().map_while(place).collect();
            if found.len() > 1 {
                return found.into_iter().map(|at| table.columns[at].clone()).collect();
            }
        }
    }
    Vec::new()
}

/// Several columns become one; a row may have fewer options than others, but none missing between two.
fn merge(table: &mut Table, places: &[usize]) -> Result<(), TableError> {
    let mut lists = Vec::with_capacity(table.rows.len());
    for record in &table.rows {
        let texts: Vec<Option<String>> = places.iter().map(|&at| text(&record.cells[at])).collect();
        let count = texts.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let list: Option<Vec<String>> = texts.into_iter().take(count).collect();
        let message = "an option is empty between two others, so that places and letters would shift";
        lists.push(list.ok_or_else(|| table.wrong(record, message))?);
    }
    table.remove(places);
    if table.column(CHOICES).is_some() {
        return Err(TableError::file(&table.path, format!("there is a column `{CHOICES}` beside those of single options")));
    }
    table.columns.push(CHOICES.into());
    for (record, list) in table.rows.iter_mut().zip(lists) {
        record.cells.push(if list.is_empty() { Value::Null } else { Value::List(list) });
    }
    Ok(())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::List(_) => None,
        Value::Text(text) => Some(text.trim().to_owned()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Flag(flag) => Some(flag.to_string()),
    }
}

/// A text in every row of which a mark parts options becomes a list.
fn part(table: &mut Table, at: usize) -> Result<Option<String>, TableError> {
    let texts = || table.rows.iter().filter(|record| record.cells[at] != Value::Null);
    let has = |record: &Record, mark: char| matches!(&record.cells[at], Value::Text(text) if text.contains(mark));
    let Some(mark) = MARKS.into_iter().find(|&mark| texts().all(|record| has(record, mark))) else { return Ok(None) };
    if texts().next().is_none() {
        return Ok(None);
    }
    for record in &mut table.rows {
        if let Value::Text(text) = &record.cells[at] {
            record.cells[at] = Value::List(text.split(mark).map(|option| option.trim().to_owned()).collect());
        }
    }
    Ok(Some(format!("`{mark}` parts the options of `{}`", table.columns[at])))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::import::csv;

    fn table(text: &str) -> Table {
        let (columns, rows) = csv::read(Path::new("x.csv"), text, None).unwrap();
        Table { path: "x.csv".into(), folder: ".".into(), columns, rows }
    }

    fn list(table: &Table, row: usize) -> Vec<String> {
        match &table.rows[row].cells[table.expect(CHOICES).unwrap()] {
            Value::List(list) => list.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_become_a_list() {
        let mut letters = table("q,A,B,C,answer\nx,red,blue,,A\ny,1,2,3,C\n");
        assert!(gather(&mut letters, &[]).unwrap().unwrap().contains("`A`, `B`, `C`"));
        assert_eq!(letters.columns, ["q", "answer", "choices"]);
        assert_eq!(
            (list(&letters, 0), list(&letters, 1)),
            (vec!["red".into(), "blue".into()], vec!["1".into(), "2".into(), "3".into()])
        );
        let mut marked = table("q,choices\nx,red | blue\ny,1|2\n");
        assert!(gather(&mut marked, &[]).unwrap().is_some());
        assert_eq!(list(&marked, 0), ["red", "blue"]);
        let mut small = table("q,a,b\nx,1,2\n");
        assert_eq!(gather(&mut small, &[]).unwrap(), None);
        let mut commas = table("q,choices\nx,\"red,blue\"\n");
        assert_eq!(gather(&mut commas, &[]).unwrap(), None);
    }

    #[test]
    fn a_gap_and_a_wrong_name_are_refused() {
        let error = gather(&mut table("q,A,B,C\nx,red,,blue\n"), &[]).unwrap_err().to_string();
        assert!(error.starts_with("x.csv: line 2: an option is empty"), "{error}");
        let error = gather(&mut table("q,opts\nx,a\n"), &["options".into()]).unwrap_err().to_string();
        assert!(error.contains("no column `options`; nearest first, there are: `opts`"), "{error}");
    }
}
