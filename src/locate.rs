//! Finds datasets by name, card or folder.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use data_scripts::{cards, generators};
use federation::registry::DatasetRow;
use schema::{Card, toml_file};

use crate::held::nothing_there;
use crate::located::{Located, data_root};
use crate::{generate, hub};

/// Finds the datasets of a federation: one, or several with a `+` between their names.
pub fn locate_all(datasets: &str) -> Result<Vec<Located>> {
    if Path::new(datasets).exists() {
        return Ok(vec![locate(datasets)?]);
    }
    datasets.split('+').map(str::trim).map(locate).collect()
}

/// Finds a dataset: a card's path, a folder (with a `card.toml`, or named as a known card), or a known card's name, whose files
/// are generated, lie in `$FEDBENCH_DATA/<name>` (without the variable, `data/<name>`) or in the Hub's cache (`name@revision` takes
/// another revision than the card's).
pub fn locate(dataset: &str) -> Result<Located> {
    let path = Path::new(dataset);
    if path.extension().is_some_and(|extension| extension == "toml") {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let card: Card = toml_file::read(path).map_err(study::Error::from)?;
        return if card.hub.is_some() { hub::dataset(card, None) } else { Ok(Located { folder, card, download: None }) };
    }
    // A known name has neither folder nor extension, whatever lies here.
    let is_path = dataset.contains(std::path::MAIN_SEPARATOR) || path.extension().is_some();
    if (is_path && path.is_file()) || path.extension().is_some_and(|extension| extension == "parquet") {
        let shown = guard::text::line(dataset, 200);
        let what = if path.is_file() { "is a file" } else { "does not exist, and would be a file" };
        return Err(study::Error::Usage(format!(
            "dataset `{shown}` {what}: a dataset is a folder with a `card.toml`, a card (a `.toml` file, which names its parquet files), or a \
             known name"
        ))
        .into());
    }
    if path.is_dir() && (dataset.contains(std::path::MAIN_SEPARATOR) || path.join("card.toml").symlink_metadata().is_ok()) {
        return in_folder(path);
    }
    if let Some(generator) = generators::find(dataset) {
        return generate::located(generator);
    }
    if dataset.contains(std::path::MAIN_SEPARATOR) && !path.exists() {
        return Err(nothing_there("dataset", path).into());
    }
    let (name, revision) = dataset.split_once('@').map_or((dataset, None), |(name, revision)| (name, Some(revision)));
    let card = known_card(name)?;
    let folder = data_root().join(card.folder_name());
    if revision.is_some() || (card.hub.is_some() && !folder.is_dir()) {
        return hub::dataset(card, revision);
    }
    if !folder.is_dir() {
        return Err(study::Error::Usage(format!(
            "dataset `{dataset}` is not at hand: expected its parquet files in {} (FEDBENCH_DATA names the folder above); it comes from {}",
            folder.display(),
            card.source
        ))
        .into());
    }
    Ok(Located { folder, card, download: None })
}

fn in_folder(folder: &Path) -> Result<Located> {
    let own = folder.join("card.toml");
    // `..` and links have no name of their own.
    let named = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = named.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // Whatever has this name is meant: a pipe is said to be one where it is read.
    let card = match own.symlink_metadata().is_ok() && !own.is_dir() {
        true => toml_file::read(&own).map_err(study::Error::from)?,
        false => known_card(&name)
            .with_context(|| {
                let shown = folder.display();
                format!(
                    "{shown} holds no card.toml, and its name is no known dataset's; `fedbench data card {shown} > {shown}/card.toml` drafts \
                     one from its parquet files"
                )
            })?,
    };
    Ok(Located { folder: folder.into(), card, download: None })
}

/// Datasets that a program of somebody's own adds, in the order of their rows.
static ADDED: OnceLock<Vec<Card>> = OnceLock::new();

/// Adds datasets to those that are known by name, once in a process; refuses a name that is there already, and a card that is none.
pub(crate) fn add(rows: &[DatasetRow]) -> Result<(), study::Error> {
    let mut added = Vec::new();
    for row in rows {
        let wrong = |what: String| study::Error::Usage(format!("dataset `{}`: {what}", row.name));
        if cards::CARDS.iter().any(|(known, _)| *known == row.name) {
            return Err(study::Error::Usage(format!("two datasets are called `{}`; give yours another name", row.name)));
        }
        let card: Card = toml_file::from_table(row.name, toml_file::parse_table(row.name, row.card)?)?;
        if card.name != row.name {
            return Err(wrong(format!("its card is called `{}`", card.name)));
        }
        data::check_card(&card)?;
        added.push(card);
    }
    // A second session of one process has the same rows.
    ADDED.get_or_init(|| added);
    Ok(())
}

/// The names that are known.
pub(crate) fn known_names() -> impl Iterator<Item = &'static str> {
    let added = ADDED.get().into_iter().flatten().map(|card| card.name.as_str());
    cards::CARDS.iter().map(|(name, _)| *name).chain(added)
}

pub(crate) fn known_card(name: &str) -> Result<Card> {
    if let Some(card) = ADDED.get().into_iter().flatten().find(|card| card.name == name) {
        return Ok(card.clone());
    }
    match cards::CARDS.iter().any(|(known, _)| *known == name) {
        true => cards::card(name).map_err(|message| study::Error::Usage(message).into()),
        false => Err(study::Error::unknown("dataset", name, known_names()).into()),
    }
}
