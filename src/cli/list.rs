//! `fedbench list`: what there is, a sentence and a source each.

use anyhow::Result;
use clap::{Args, ValueEnum};
use data_scripts::generators;
use federation::Family;
use federation::registry::{Alias, MethodRow, Registry};
use models::adapter::Kinds;
use schema::metrics;
use serde::Serialize;

use super::{say, say_json};
use crate::hub;
use crate::locate::{known_card, known_names};
use crate::located::data_root;
use crate::session::Session;

/// What there is: methods, adapters, backbones, datasets, suites, tasks, metrics.
#[derive(Args)]
pub(crate) struct List {
    /// What to list.
    what: What,
    /// How to print it.
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    Methods,
    Adapters,
    Backbones,
    Datasets,
    Suites,
    Tasks,
    Metrics,
}

#[derive(Clone, Copy, ValueEnum)]
enum ListFormat {
    Text,
    Json,
}

/// A thing, what it is and where it comes from.
#[derive(Serialize)]
struct Item {
    name: String,
    sentence: String,
    source: String,
    /// Whether a dataset is at hand, and what brings it.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<String>,
    /// What is known of a method besides.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    method: Option<OfMethod>,
}

/// A method's family, the adapters that it can tune, and its names there.
#[derive(Serialize)]
struct OfMethod {
    family: Family,
    adapter: &'static str,
    other_adapters: Vec<&'static str>,
    aliases: Vec<Alias>,
}

impl OfMethod {
    fn of(row: &MethodRow, known: &Kinds) -> Self {
        let other_adapters = row.adapters(known).map(|kind| kind.name).filter(|kind| *kind != row.adapter.name).collect();
        Self { family: row.family, adapter: row.adapter.name, other_adapters, aliases: row.aliases.to_vec() }
    }

    fn lines(&self) -> Vec<String> {
        let others = match self.other_adapters.is_empty() {
            true => "no others".into(),
            false => format!("or {}", self.other_adapters.join(", ")),
        };
        let alias = |alias: &Alias| format!("{} on {}", alias.name, alias.adapter);
        let aliases = self.aliases.iter().map(alias).collect::<Vec<_>>().join(", ");
        let mut lines = vec![format!("family: {}", self.family.name()), format!("adapters: {}, {others}", self.adapter)];
        lines.extend((!aliases.is_empty()).then(|| format!("called: {aliases}")));
        lines
    }
}

impl List {
    pub(crate) fn run(self, session: &Session) -> Result<()> {
        let items = match self.what {
            What::Methods => methods(session.registry()),
            What::Adapters => items(session.registry().adapters().rows(), |row| (row.name, row.sentence, row.source)),
            What::Backbones => items(session.registry().backbones().rows(), |row| (row.name, row.sentence, row.source)),
            What::Tasks => items(session.registry().tasks().rows(), |row| (row.name, row.sentence, row.source)),
            What::Metrics => items(&metrics::listed(), |row| (row.name, row.sentence, row.source)),
            What::Datasets => datasets()?,
            What::Suites => suites()?,
        };
        match self.format {
            ListFormat::Json => say_json(&serde_json::to_string_pretty(&items)?),
            ListFormat::Text => {
                for item in items {
                    say(&format!("{}\n    {}\n    source: {}", item.name, item.sentence, item.source));
                    item.files.iter().for_each(|files| say(&format!("    files: {files}")));
                    item.method.iter().flat_map(OfMethod::lines).for_each(|line| say(&format!("    {line}")));
                }
            }
        }
        Ok(())
    }
}

fn items<T>(rows: &[T], parts: impl Fn(&T) -> (&'static str, &'static str, &'static str)) -> Vec<Item> {
    let item = |row: &T| {
        let (name, sentence, source) = parts(row);
        Item { name: name.into(), sentence: sentence.into(), source: source.into(), files: None, method: None }
    };
    rows.iter().map(item).collect()
}

fn methods(registry: &Registry) -> Vec<Item> {
    let item = |row: &MethodRow| {
        let [name, sentence, source] = [row.name, row.sentence, row.source].map(String::from);
        Item { name, sentence, source, files: None, method: Some(OfMethod::of(row, registry.adapters())) }
    };
    registry.methods().iter().map(item).collect()
}

/// The suites that ship with the program.
fn suites() -> Result<Vec<Item>> {
    let item = |name: &str| {
        let (_, suite) = super::suite::read(name)?;
        let runs = super::suite::experiments_of(name)?.len();
        let sentence = format!("{} {runs} runs.", suite.description);
        Ok(Item {
            name: name.into(),
            sentence,
            source: format!("baselines/configs/suites/{name}.toml"),
            files: None,
            method: None,
        })
    };
    baselines::SUITES.iter().map(|(name, _)| item(name)).collect()
}

fn datasets() -> Result<Vec<Item>> {
    let item = |name: &str| {
        let card = known_card(name)?;
        let (files, sentence) = (Some(files(&card)?), format!("{} Licence: {}.", card.description, card.license));
        Ok(Item { name: card.name, sentence, source: card.source, files, method: None })
    };
    known_names().map(item).collect()
}

/// Whether a dataset is at hand, and what brings it.
fn files(card: &schema::Card) -> Result<String> {
    let folder = data_root().join(card.folder_name());
    if generators::find(&card.name).is_some() {
        return Ok("made on the spot".into());
    }
    if folder.is_dir() {
        return Ok(format!("at hand in {}", folder.display()));
    }
    Ok(match &card.hub {
        Some(_) if hub::has_dataset(card)? => "at hand in the Hub's cache".into(),
        Some(id) => format!("need a download of {id}: `fedbench data fetch {}`", card.name),
        None => format!("not at hand: they belong in {}", folder.display()),
    })
}
