//! `fedbench list`: what there is, a sentence and a source each.

use anyhow::Result;
use clap::{Args, ValueEnum};
use data_scripts::cards;
use harness::backbone::BACKBONES;
use harness::metrics::METRICS;
use serde::Serialize;

use super::say;
use crate::session::Session;

/// What there is: methods, backbones, datasets, metrics.
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
    Backbones,
    Datasets,
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
}

impl List {
    pub(crate) fn run(self, session: &Session) -> Result<()> {
        let items = match self.what {
            What::Methods => items(session.registry().methods(), |row| (row.name, row.sentence, row.source)),
            What::Backbones => items(BACKBONES, |row| (row.name, row.sentence, row.source)),
            What::Metrics => items(METRICS, |row| (row.name, row.sentence, row.source)),
            What::Datasets => datasets()?,
        };
        match self.format {
            ListFormat::Json => say(&serde_json::to_string_pretty(&items)?),
            ListFormat::Text => {
                items.iter().for_each(|item| say(&format!("{}\n    {}\n    source: {}", item.name, item.sentence, item.source)))
            }
        }
        Ok(())
    }
}

fn items<T>(rows: &[T], parts: impl Fn(&T) -> (&'static str, &'static str, &'static str)) -> Vec<Item> {
    let item = |row: &T| {
        let (name, sentence, source) = parts(row);
        Item { name: name.into(), sentence: sentence.into(), source: source.into() }
    };
    rows.iter().map(item).collect()
}

fn datasets() -> Result<Vec<Item>, harness::Error> {
    let item = |name: &str| {
        let card = cards::card(name).map_err(harness::Error::Usage)?;
        Ok(Item { name: card.name, sentence: format!("{} Licence: {}.", card.description, card.license), source: card.source })
    };
    cards::CARDS.iter().map(|(name, _)| item(name)).collect()
}
