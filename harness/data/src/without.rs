//! A split without the rows that another one has, too.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schema::experiment::Dedup;
use schema::record::Skipped;
use sha2::{Digest, Sha256};

use super::error::brief;
use super::{DataError, Dataset, Example};

/// What a question is known by: its dataset, its text, and its options in order of the alphabet.
type Asked<'a> = (&'a str, &'a str, Vec<&'a str>);

fn asked(example: &Example) -> Asked<'_> {
    let mut choices: Vec<&str> = example.choices.iter().map(String::as_str).collect();
    choices.sort_unstable();
    (&example.card.name, &example.question, choices)
}

/// Of each picture, by its bytes, the first row that shows it.
fn pictures(dataset: &Dataset) -> HashMap<[u8; 32], &Example> {
    let of_images: Vec<[u8; 32]> = dataset.images.iter().map(|image| Sha256::digest(image).into()).collect();
    let mut first = HashMap::new();
    for (example, &image) in dataset.examples.iter().flat_map(|example| example.images.iter().map(move |image| (example, image)))
    {
        first.entry(of_images[image]).or_insert(example);
    }
    first
}

impl Dataset {
    /// The rows that do not stand in `train`; those that do are left out, listed with the training row that they repeat, and named by
    /// their ids. An error where that leaves a dataset no row.
    pub fn without(&self, train: &Self, dedup: Dedup) -> Result<Self, DataError> {
        let twins = match dedup {
            Dedup::Question => self.asked_in(train),
            Dedup::Picture => self.shown_in(train),
        };
        let left: BTreeSet<&str> =
            self.examples.iter().zip(&twins).filter(|(_, twin)| twin.is_none()).map(|(row, _)| &*row.card.name).collect();
        if let Some(none) = self.examples.iter().find(|example| !left.contains(&*example.card.name)) {
            return Err(DataError::Duplicates { dataset: none.card.name.clone(), split: self.split.clone(), what: what(dedup) });
        }
        let mut kept = Self { examples: Vec::new(), ..self.clone() };
        for (example, twin) in self.examples.iter().zip(twins) {
            match twin {
                None => kept.examples.push(example.clone()),
                Some(twin) => {
                    let (split, row) = (self.named(example), example.row);
                    let reason = format!("{}: training row {} (`{}`)", what(dedup), twin.row, brief(&twin.id));
                    kept.skipped.push(Skipped { split, row, reason });
                    kept.deduplicated.push(example.id.clone());
                }
            }
        }
        Ok(kept)
    }

    /// The split's name as its list of rows left out has it: with the dataset's, where there are several.
    fn named(&self, example: &Example) -> String {
        match self.card.parts.is_empty() {
            true => self.split.clone(),
            false => format!("{}/{}", example.card.name, self.split),
        }
    }

    fn asked_in<'t>(&self, train: &'t Self) -> Vec<Option<&'t Example>> {
        let mut first: BTreeMap<Asked<'_>, &Example> = BTreeMap::new();
        for example in &train.examples {
            first.entry(asked(example)).or_insert(example);
        }
        self.examples.iter().map(|example| first.get(&asked(example)).copied()).collect()
    }

    fn shown_in<'t>(&self, train: &'t Self) -> Vec<Option<&'t Example>> {
        let first = pictures(train);
        let twin = |example: &Example| {
            let mut hashes = example.images.iter().map(|&image| <[u8; 32]>::from(Sha256::digest(&self.images[image])));
            hashes.find_map(|hash| first.get(&hash).copied())
        };
        self.examples.iter().map(twin).collect()
    }
}

/// Why a row is left out, in words.
pub(super) fn what(dedup: Dedup) -> &'static str {
    match dedup {
        Dedup::Question => "its question and options are asked in training, too (`data.dedup = \"question\"`)",
        Dedup::Picture => "a picture of it is shown in training, too (`data.dedup = \"picture\"`)",
    }
}
