//! What a table's comment asks for, in TOML.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// A table: methods down, numbers across.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Run folders or packs, seen from the page's folder; a column may name others.
    #[serde(default)]
    pub runs: Vec<PathBuf>,
    /// The head of the first column.
    #[serde(default = "method")]
    pub head: String,
    /// The rows, from the top.
    pub rows: Vec<Row>,
    /// The columns, from the left.
    pub columns: Vec<Column>,
    /// Two rows more: what guessing would reach.
    #[serde(default)]
    pub guesses: bool,
}

/// A row: a method by its name alone, or one that needs more to be told from others.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Row {
    /// A method by its name, which is the row's title.
    Method(String),
    /// A method among several of one name.
    Chosen(Chosen),
}

/// A method among several of one name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// What the row is called.
    pub title: String,
    /// The method's name.
    pub method: String,
    /// Values of dotted keys of the experiment, as `fedbench report` shows them.
    #[serde(default)]
    pub r#where: BTreeMap<String, String>,
}

/// A column: one number of each method's runs, or its difference from another method's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// What the column is called, with its unit.
    pub title: String,
    /// Run folders or packs, where they are not the table's.
    pub runs: Option<Vec<PathBuf>>,
    /// The dataset, where the runs have several.
    pub dataset: Option<String>,
    /// Values of dotted keys of the experiment.
    #[serde(default)]
    pub r#where: BTreeMap<String, String>,
    /// The number, by its name in `report.csv`.
    #[serde(default = "accuracy")]
    pub metric: String,
    /// A row's title: the number less that row's, over the same seeds and examples.
    pub against: Option<String>,
}

impl Row {
    /// What the row is called.
    pub fn title(&self) -> &str {
        match self {
            Self::Method(name) => name,
            Self::Chosen(chosen) => &chosen.title,
        }
    }

    /// The method's name.
    pub fn method(&self) -> &str {
        match self {
            Self::Method(name) => name,
            Self::Chosen(chosen) => &chosen.method,
        }
    }

    /// What tells it from others of that name.
    pub fn keys(&self) -> impl Iterator<Item = (&String, &String)> {
        match self {
            Self::Method(_) => None,
            Self::Chosen(chosen) => Some(chosen.r#where.iter()),
        }
        .into_iter()
        .flatten()
    }
}

fn method() -> String {
    "method".into()
}

fn accuracy() -> String {
    "accuracy".into()
}
