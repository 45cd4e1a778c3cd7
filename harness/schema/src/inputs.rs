//! What a run read, by content.
//!
//! A path says where something lay on one machine on one day. Two runs are the same configuration if they read the same bytes through
//! the same card, wherever these lay, and two that did not are not, whatever they are called.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Card, Experiment};

/// The checksums of all that a run read, a part of `environment.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Inputs {
    /// SHA-256 of the dataset's card (as the card says it: without comments, defaults filled in), of several datasets of their joint
    /// one.
    pub card_sha256: String,
    /// By split: SHA-256 over the checksums of its files in the order they are read, whatever their names are.
    pub splits: BTreeMap<String, String>,
    /// SHA-256 over all that makes the backbone: weights, config, tokenizer, image processor.
    pub backbone_sha256: String,
    /// SHA-256 of the partition's file, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_sha256: Option<String>,
    /// SHA-256 of the file of adapters that everybody starts from, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_sha256: Option<String>,
    /// The version of the method's code, where it is not the first: what an older one gave is another run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method_version: Option<u32>,
    /// Every file that was read, each with what it is part of.
    pub files: Vec<InputFile>,
}

/// One file that was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InputFile {
    /// What it is part of: a split's name behind `split `, `backbone`, `partition` or `start`.
    pub part: String,
    /// Its path below the folder of what it is part of.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes.
    pub sha256: String,
}

/// Whether a run is judged on the very rows that it was trained on: one split for both, or two of the same files and all of their rows.
pub fn judged_on_training_rows(experiment: &Experiment, inputs: Option<&Inputs>, card: Option<&Card>) -> bool {
    let names = [&experiment.data.train_split, &experiment.data.test_split];
    let rows = inputs.map(|inputs| names.map(|name| inputs.splits.get(name)));
    let of_one = |card: &Card| names.iter().all(|name| card.splits.get(*name).is_some_and(|split| split.fold.is_none()));
    let is_whole = |card: &Card| if card.parts.is_empty() { of_one(card) } else { card.parts.iter().all(of_one) };
    names[0] == names[1] || (rows.is_some_and(|[train, test]| train.is_some() && train == test) && card.is_some_and(is_whole))
}

impl Inputs {
    /// What the run's name is the hash of: everything but the files, whose checksums are in it.
    pub fn identity(&self) -> String {
        self.keys().into_iter().map(|(key, sha256)| format!("{key} {sha256}\n")).collect()
    }

    /// Adds files that the rows of a split name themselves, by path: another content under one path is another input.
    pub fn add_pictures(&mut self, split: &str, pictures: BTreeSet<InputFile>) {
        let Some(sha256) = self.splits.get_mut(split).filter(|_| !pictures.is_empty()) else { return };
        let named: String = pictures.iter().map(|file| format!("{} {}\n", file.sha256, file.path)).collect();
        *sha256 = crate::sha256_hex(format!("{sha256}\n{named}").as_bytes());
        self.files.extend(pictures);
    }

    /// The same as keys and values, named as a report names them.
    pub fn keys(&self) -> BTreeMap<String, String> {
        let mut keys = BTreeMap::from([
            (Self::CARD.into(), self.card_sha256.clone()),
            (Self::BACKBONE.into(), self.backbone_sha256.clone()),
        ]);
        keys.extend(self.splits.iter().map(|(split, sha256)| (format!("{}{split}", Self::ROWS), sha256.clone())));
        keys.extend(self.partition_sha256.iter().map(|sha256| (Self::PARTITION.into(), sha256.clone())));
        keys.extend(self.start_sha256.iter().map(|sha256| (Self::START.into(), sha256.clone())));
        keys.extend(self.method_version.iter().map(|version| (Self::METHOD_VERSION.into(), version.to_string())));
        keys
    }

    /// The key of the card's checksum.
    pub const CARD: &str = "card.sha256";
    /// The key of the backbone's checksum.
    pub const BACKBONE: &str = "backbone.sha256";
    /// The key of the partition file's checksum.
    pub const PARTITION: &str = "partition.sha256";
    /// The key of the checksum of the adapters to start from.
    pub const START: &str = "start.sha256";
    /// The key of the version of the method's code.
    pub const METHOD_VERSION: &str = "method.version";
    /// What a split's name follows in the key of its files' checksum.
    pub const ROWS: &str = "data.sha256.";

    /// The files in which two runs' inputs differ, those of this one first; none where their files are the same.
    pub fn differing_files<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a InputFile> {
        let same = |a: &InputFile, b: &InputFile| (&a.part, &a.sha256) == (&b.part, &b.sha256);
        let lacking = move |from: &'a [InputFile], all: &'a [InputFile]| {
            from.iter().filter(move |file| !all.iter().any(|other| same(other, file)))
        };
        lacking(&self.files, &other.files).chain(lacking(&other.files, &self.files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(part: &str, path: &str, sha256: &str) -> InputFile {
        InputFile { part: part.into(), path: path.into(), bytes: 1, sha256: sha256.into() }
    }

    fn inputs(rows: &str) -> Inputs {
        Inputs {
            card_sha256: "c".into(),
            splits: BTreeMap::from([("test".into(), rows.into())]),
            backbone_sha256: "b".into(),
            partition_sha256: None,
            start_sha256: None,
            method_version: None,
            files: vec![file("split test", "a.parquet", rows), file("backbone", "config.json", "b")],
        }
    }

    #[test]
    fn the_content_is_the_identity() {
        let (a, b) = (inputs("1"), inputs("2"));
        assert_eq!(a.identity(), "backbone.sha256 b\ncard.sha256 c\ndata.sha256.test 1\n");
        assert_ne!(a.identity(), b.identity());
        assert_eq!(a.differing_files(&b).next().map(|file| file.path.as_str()), Some("a.parquet"));
        let edited = Inputs { method_version: Some(2), ..a.clone() };
        assert_eq!(edited.identity(), "backbone.sha256 b\ncard.sha256 c\ndata.sha256.test 1\nmethod.version 2\n");
        let mut elsewhere = a.clone();
        elsewhere.files[0].path = "moved.parquet".into();
        assert_eq!((a.identity(), a.differing_files(&elsewhere).count()), (elsewhere.identity(), 0));
    }
}
