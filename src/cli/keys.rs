//! A JSON Schema as tables of keys.

use schemars::Schema;
use serde_json::{Map, Value};

/// The keys of a kind of file.
pub(super) struct Keys {
    root: Value,
}

impl Keys {
    pub(super) fn of(schema: &Schema) -> Self {
        Self { root: schema.as_value().clone() }
    }

    /// As a chapter of a page: its own keys, then a table for each section.
    pub(super) fn chapter(&self, title: &str, about: &str) -> String {
        format!("## {title}\n\n{about}\n{}", self.tables(3))
    }

    /// As a part of a chapter, for a file.
    pub(super) fn part(&self, file: &str, about: &str) -> String {
        format!("\n### `{file}`\n\n{about}\n{}", self.tables(4))
    }

    fn tables(&self, level: usize) -> String {
        let mut text = table(self, &self.root);
        let mut waiting = self.sections("", &self.root);
        let mut done: Vec<String> = Vec::new();
        while !waiting.is_empty() {
            let (path, name) = waiting.remove(0);
            if done.contains(&name) {
                continue;
            }
            let section = self.defined(&name);
            let about = paragraph(section.get("description"));
            text.push_str(&format!("\n{} `[{path}]`\n\n{about}\n{}", "#".repeat(level), table(self, &section)));
            waiting.extend(self.sections(&format!("{path}."), &section));
            done.push(name);
        }
        text
    }

    fn defined(&self, name: &str) -> Value {
        self.root.pointer(&format!("/$defs/{name}")).cloned().unwrap_or_default()
    }

    /// What a key's schema says once its name is looked up.
    fn resolved(&self, schema: &Value) -> Value {
        name(schema).map_or_else(|| schema.clone(), |name| self.defined(&name))
    }

    /// Sections below: keys whose values are tables with keys of their own.
    fn sections(&self, before: &str, schema: &Value) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (key, value) in properties(schema) {
            let (inner, mark) = inner(&value);
            if let Some(name) = name(&inner).filter(|name| self.defined(name).get("properties").is_some())
                && name != "Card"
            {
                found.push((format!("{before}{key}{mark}"), name));
            }
        }
        found
    }

    /// A type in words.
    fn kind(&self, schema: &Value) -> String {
        if let Some(name) = name(schema) {
            let defined = self.defined(&name);
            return if defined.get("properties").is_some() { "section".into() } else { self.kind(&defined) };
        }
        if let Some(several) = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array()) {
            let constants: Vec<String> = several.iter().flat_map(constants).collect();
            if !constants.is_empty() {
                return constants.join(", ");
            }
            let kinds: Vec<String> = several.iter().filter(|kind| !is_null(kind)).map(|kind| self.kind(kind)).collect();
            return kinds.join(" or ");
        }
        let constants = constants(schema);
        if !constants.is_empty() {
            return constants.join(", ");
        }
        match schema.get("type") {
            Some(Value::String(kind)) => self.plain(kind, schema),
            Some(Value::Array(kinds)) => {
                let kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
                kinds.map(|kind| self.plain(kind, schema)).collect::<Vec<_>>().join(" or ")
            }
            _ => "anything".into(),
        }
    }

    fn plain(&self, kind: &str, schema: &Value) -> String {
        match kind {
            "array" => format!("list of {}", schema.get("items").map_or("anything".into(), |items| self.kind(items))),
            "object" => match schema.get("additionalProperties") {
                Some(Value::Bool(_)) | None => "section".into(),
                Some(values) => match self.kind(values).as_str() {
                    "section" => "sections by name".into(),
                    kind => format!("section of {kind}"),
                },
            },
            "string" => "text".into(),
            "integer" => "whole number".into(),
            "number" => "number".into(),
            "boolean" => "true or false".into(),
            other => other.into(),
        }
    }

    /// What each value of a closed set means.
    fn values(&self, schema: &Value) -> Vec<(String, String)> {
        let (inner, _) = inner(schema);
        let resolved = self.resolved(&inner);
        let several = resolved.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
        several
            .iter()
            .flat_map(|one| constants(one).into_iter().map(|value| (value, paragraph(one.get("description")))))
            .filter(|(_, about)| !about.is_empty())
            .collect()
    }
}

/// A cell of a table: one line, no bar.
pub(super) fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn paragraph(text: Option<&Value>) -> String {
    cell(&unlinked(text.and_then(Value::as_str).unwrap_or_default()))
}

/// Documentation's links to items become the items' names.
fn unlinked(text: &str) -> String {
    text.replace("[`crate::", "[`").replace("[`Self::", "[`").replace("[`", "`").replace("`]", "`")
}

fn table(keys: &Keys, schema: &Value) -> String {
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = properties(schema);
    if properties.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n| key | type | default | what it is |\n|---|---|---|---|\n");
    for (key, value) in properties {
        let default = match value.get("default") {
            _ if required.contains(&key.as_str()) => "needed".into(),
            None | Some(Value::Null) => "none".into(),
            Some(Value::Object(_)) => "its defaults".into(),
            Some(value) => format!("`{value}`"),
        };
        let (inner, _) = inner(&value);
        let mut about = paragraph(value.get("description"));
        if about.is_empty() {
            about = paragraph(keys.resolved(&inner).get("description"));
        }
        let values: Vec<String> = keys.values(&value).into_iter().map(|(value, about)| format!("{value}: {about}")).collect();
        let values = if values.is_empty() { String::new() } else { format!("<br>{}", values.join("<br>")) };
        text.push_str(&format!("| `{key}` | {} | {} | {about}{values} |\n", cell(&keys.kind(&value)), cell(&default)));
    }
    text
}

fn properties(schema: &Value) -> Map<String, Value> {
    schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// What a key holds behind `null`, a list or a section of such: with a mark of how it is written.
fn inner(schema: &Value) -> (Value, &'static str) {
    if let Some(several) = schema.get("anyOf").and_then(Value::as_array)
        && let Some(one) = several.iter().find(|kind| !is_null(kind))
    {
        return inner(one);
    }
    if let Some(items) = schema.get("items") {
        return (items.clone(), "[]");
    }
    match schema.get("additionalProperties").filter(|values| values.is_object()) {
        Some(values) => (inner(values).0, ".NAME"),
        None => (schema.clone(), ""),
    }
}

fn name(schema: &Value) -> Option<String> {
    Some(schema.get("$ref")?.as_str()?.rsplit('/').next()?.to_owned())
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// The values of a closed set, in backquotes.
fn constants(schema: &Value) -> Vec<String> {
    let listed = schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
    let all = schema.get("const").cloned().into_iter().chain(listed);
    all.filter_map(|value| Some(format!("`{}`", value.as_str()?))).collect()
}
