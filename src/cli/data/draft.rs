//! `fedbench data inspect` and `fedbench data card` of parquet files that have no card.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use data::draft::{Draft, Found, Glance, draft, found};

use super::{say, say_json};
use crate::locate::known_card;

/// Draft a card for parquet files that have none.
#[derive(Args)]
pub(crate) struct DraftCard {
    /// A folder of parquet files, or one such file.
    path: PathBuf,
    /// What the dataset is called; the folder's name without it.
    #[arg(long)]
    name: Option<String>,
}

impl DraftCard {
    pub(crate) fn run(self) -> Result<()> {
        let mut found = found(&self.path).map_err(study::Error::from)?;
        found.name = self.name.unwrap_or(found.name);
        let draft = draft(&found).map_err(study::Error::from)?;
        say(toml_of(&draft)?.trim_end());
        Ok(())
    }
}

/// The path of parquet files that have no card; none of a dataset that has one, or is known by its name.
pub(super) fn without_card(dataset: &str) -> Option<&Path> {
    let path = Path::new(dataset);
    if path.is_file() {
        return path.extension().is_some_and(|end| end == "parquet").then_some(path);
    }
    let is_plain_name = !dataset.contains(std::path::MAIN_SEPARATOR) && known_card(dataset).is_ok();
    let own_name = path.canonicalize().ok()?.file_name()?.to_string_lossy().into_owned();
    let has_card = path.join("card.toml").symlink_metadata().is_ok() || known_card(&own_name).is_ok();
    (path.is_dir() && !is_plain_name && !has_card).then_some(path)
}

/// Columns, types, examples, and a draft of a card.
pub(super) fn inspect(path: &Path, as_json: bool) -> Result<()> {
    let found = found(path).map_err(study::Error::from)?;
    let draft = draft(&found).map_err(study::Error::from)?;
    if as_json {
        say_json(&serde_json::to_string_pretty(&draft)?);
        return Ok(());
    }
    say(&described(path, &found, &draft)?);
    Ok(())
}

fn described(path: &Path, found: &Found, draft: &Draft) -> Result<String> {
    let mut text = format!("{}: no card\n", path.display());
    for (split, rows) in &draft.rows {
        let files = &found.splits[split];
        writeln!(text, "  {rows} rows of `{split}` in {}{}", files[0], more(files.len()))?;
    }
    writeln!(text, "  columns")?;
    let width = draft.columns.iter().map(|column| column.name.chars().count()).max().unwrap_or(0).min(30);
    for column in &draft.columns {
        writeln!(text, "    {:width$}  {}", guard::text::line(&column.name, 60), glance(column))?;
        column.first.iter().try_for_each(|cell| writeln!(text, "    {:width$}    {}", "", guard::text::line(cell, 60)))?;
    }
    let folder = if path.is_dir() { path } else { &found.folder };
    let (shown, folder) = (path.display(), folder.display());
    writeln!(text, "\nA draft of its card; `fedbench data card {shown} > {folder}/card.toml` keeps it:\n")?;
    text.push_str(toml_of(draft)?.trim_end());
    Ok(text)
}

fn more(count: usize) -> String {
    if count > 1 { format!(" and {} more files", count - 1) } else { String::new() }
}

fn glance(column: &Glance) -> String {
    let nulls = if column.nulls == 0 { String::new() } else { format!(", {} of {} null", column.nulls, column.rows) };
    let values = column.values.map(|values| format!(", {values} different values")).unwrap_or_default();
    format!("{}{nulls}{values}", guard::text::line(&column.kind, 60))
}

/// The card as TOML, under what was guessed.
pub(super) fn toml_of(draft: &Draft) -> Result<String> {
    let mut text = String::from("# Drafted by `fedbench data card`, from the columns. What was guessed:\n");
    for note in &draft.notes {
        writeln!(text, "# - {}", guard::text::line(note, 2_000))?;
    }
    text.push_str(&toml::to_string(&draft.card).context("a card is plain data")?);
    Ok(text)
}
