//! Questions, labels and pictures for a report's page, from the data that its runs read, where those are still at hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use harness::data::{Dataset, Example};
use reports::library::{Examples, Library, Part};
use reports::{Run, library};
use schema::{Card, run_dir, toml_file};

use crate::session::{self, card_of, locate_all};

/// A split with more rows is not read for a few pictures.
const MOST_ROWS: usize = 50_000;

/// A dataset's name, a split, and how many rows of it.
type Key = (String, String, Option<usize>);

/// The data of this machine, each split read once.
#[derive(Default)]
pub struct AtHand {
    loaded: BTreeMap<Key, Result<Arc<Dataset>, String>>,
}

impl Library for AtHand {
    fn examples(&mut self, run: &Run, part: Part) -> Result<Examples, String> {
        let data = &run.experiment.data;
        let (split, limit) = match part {
            Part::Train => (&data.train_split, None),
            Part::Test => (&data.test_split, data.test_limit),
        };
        let key = (data.dataset.clone(), split.clone(), limit);
        let dataset = self.loaded.entry(key).or_insert_with(|| load(run, split, limit).map(Arc::new)).clone()?;
        check_card(run, &dataset.card)?;
        let named = run.experiment.partition.key.clone().or_else(|| dataset.card.partition_keys.first().cloned());
        let key = named.unwrap_or_else(|| "answer".into());
        Ok(Examples { examples: dataset.examples.iter().map(|e| example(&dataset, e, &key)).collect(), key })
    }
}

fn load(run: &Run, split: &str, limit: Option<usize>) -> Result<Dataset, String> {
    let located = locate_all(&run.experiment.data.dataset).map_err(|error| format!("{error:#}"))?;
    check_card(run, &card_of(&located).map_err(|error| error.to_string())?)?;
    let rows = located.iter().filter_map(|located| located.card.splits.get(split)?.rows).max().unwrap_or(0);
    if rows as usize > MOST_ROWS {
        return Err(format!("the split `{split}` has {rows} rows; a page reads at most {MOST_ROWS}"));
    }
    session::load(&located, split, limit).map_err(|error| error.to_string())
}

/// Ids mean something in the version that the run read, and in no other.
fn check_card(run: &Run, card: &Card) -> Result<(), String> {
    let read: Card = toml_file::read(&run.dir.join(run_dir::CARD)).map_err(|error| error.to_string())?;
    match read == *card {
        true => Ok(()),
        false => Err(format!("the {} at hand is another version than the run read", run.experiment.data.dataset)),
    }
}

fn example(dataset: &Dataset, example: &Example, key: &str) -> library::Example {
    library::Example {
        id: example.id.clone(),
        question: [example.hint.as_str(), &example.question].join(" ").trim().into(),
        choices: example.choices.clone(),
        label: dataset.label(example, key),
        pictures: example.images.iter().map(|&image| dataset.images[image].clone()).collect(),
    }
}
