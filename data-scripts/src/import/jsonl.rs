//! JSON lines: an object a line; or a file that is one list of objects.

use std::path::Path;

use guard::text::line;
use serde_json::{Map, Value as Json};

use super::table::{MOST_COLUMNS, Record, TableError, Value};

pub(super) fn read(path: &Path, text: &str) -> Result<(Vec<String>, Vec<Record>), TableError> {
    let mut objects: Vec<(u64, Map<String, Json>)> = Vec::new();
    let whole = text.trim_start().starts_with('[');
    if whole {
        let list: Vec<Map<String, Json>> = serde_json::from_str(text).map_err(|error| {
            TableError::row(path, error.line() as u64, format!("{}; expected a list of objects", line(&error.to_string(), 200)))
        })?;
        objects.extend((1..).zip(list));
    } else {
        for (at, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let object = serde_json::from_str(text).map_err(|error| {
                TableError::row(path, at as u64 + 1, format!("{}; expected one object a line", line(&error.to_string(), 200)))
            })?;
            objects.push((at as u64 + 1, object));
        }
    }
    let mut columns: Vec<String> = Vec::new();
    for (at, object) in &objects {
        for key in object.keys().filter(|key| !columns.contains(key)).cloned().collect::<Vec<_>>() {
            columns.push(key);
        }
        if columns.len() > MOST_COLUMNS {
            return Err(TableError::row(path, *at, format!("over {MOST_COLUMNS} different keys up to here")));
        }
    }
    let cells = |object: &Map<String, Json>| columns.iter().map(|key| object.get(key).map_or(Value::Null, value)).collect();
    let rows = objects.iter().map(|(line, object)| Record { line: *line, cells: cells(object) }).collect();
    Ok((columns, rows))
}

/// What a cell holds. What is neither text, number, truth nor list is kept as it is written.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Flag(*flag),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::Text(number.to_string()), Value::Integer),
        Json::String(text) if text.trim().is_empty() => Value::Null,
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(item).collect()),
        Json::Object(_) => Value::Text(json.to_string()),
    }
}

/// An item of a list; of VQA's `{"answer": "red", ...}`, the answer.
fn item(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Object(entries) => match entries.get("answer").and_then(Json::as_str) {
            Some(answer) => answer.into(),
            None => json.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_kept_and_missing_keys_are_null() {
        let text = "{\"q\": \"Red?\", \"n\": 3, \"choices\": [\"a\", 1]}\n\n{\"q\": \"Blue?\", \"ok\": true, \"answers\": [{\"answer\": \"x\"}]}\n";
        let (columns, rows) = read(Path::new("x.jsonl"), text).unwrap();
        assert_eq!(columns, ["q", "n", "choices", "ok", "answers"]);
        assert_eq!(rows[0].cells[1..3], [Value::Integer(3), Value::List(vec!["a".into(), "1".into()])]);
        assert_eq!((rows[1].line, &rows[1].cells[3], &rows[1].cells[1]), (3, &Value::Flag(true), &Value::Null));
        assert_eq!(rows[1].cells[4], Value::List(vec!["x".into()]));
        let error = read(Path::new("x.jsonl"), "{\"q\": 1}\n{\"q\": \n").unwrap_err().to_string();
        assert!(error.starts_with("x.jsonl: line 2: "), "{error}");
        assert_eq!(read(Path::new("x.json"), "[{\"q\": 1}, {\"q\": 2}]").unwrap().1.len(), 2);
    }
}
