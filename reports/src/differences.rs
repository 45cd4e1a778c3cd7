//! In which keys runs differ, and what names that stand for several contents are called.

use std::collections::{BTreeMap, BTreeSet};

use schema::Inputs;

use crate::Run;
use crate::identity::{NAMES, SHOWN, shortened};

/// The key in which a run that says what it read differs from one that does not.
pub const RECORDED: &str = "inputs";

/// Digits of a checksum behind a name.
const MARK: usize = 8;

/// The dotted keys in which two experiments differ. Where one of them does not say what it read, what both say is compared: the names
/// of their datasets, cards and weights; and the two differ in [`RECORDED`], too.
pub fn differing_keys(a: &Run, b: &Run) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = a.settings.keys().chain(b.settings.keys()).cloned().collect();
    if a.inputs().is_some() != b.inputs().is_some() {
        let of_inputs = |key: &String| NAMES.contains(&key.as_str()) || a.is_checksum(key) || b.is_checksum(key);
        all.retain(|key| !of_inputs(key));
        all.extend([RECORDED, "data.dataset", "partition.file", Inputs::CARD, Inputs::BACKBONE].map(String::from));
        all.retain(|key| a.common(key) != b.common(key));
        return all;
    }
    all.retain(|key| a.settings.get(key) != b.settings.get(key));
    all
}

/// The same as a person is told: key, the first one's value and the second one's, and the file where it is one.
pub fn differences_in_words(a: &Run, b: &Run, keys: &BTreeSet<String>) -> String {
    const MOST: usize = 6;
    let word = |key: &String| {
        let [a_value, b_value] = [a, b].map(|run| guard::text::line(&run.said(key), 40));
        let file = match (a.inputs(), b.inputs()) {
            (Some(a), Some(b)) => a.differing_files(b).find(|file| belongs(key, &file.part)),
            _ => None,
        };
        let file = file.map_or_else(String::new, |file| format!(": {} differs", guard::text::line(&file.path, 60)));
        format!("{key} ({a_value}, here {b_value}{file})")
    };
    let mut words: Vec<String> = keys.iter().take(MOST).map(word).collect();
    words.extend((keys.len() > MOST).then(|| format!("and {} more", keys.len() - MOST)));
    words.join(", ")
}

/// Whether a file of this part is behind this checksum.
fn belongs(key: &str, part: &str) -> bool {
    match key.strip_prefix(Inputs::ROWS) {
        Some(split) => part.strip_prefix("split ") == Some(split),
        None => key.strip_suffix(".sha256") == Some(part),
    }
}

impl Run {
    /// What it read, by content; none of an old run.
    pub fn inputs(&self) -> Option<&Inputs> {
        self.environment.inputs.as_ref()
    }

    fn is_checksum(&self, key: &str) -> bool {
        self.inputs().is_some_and(|inputs| inputs.keys().contains_key(key))
    }

    /// A key's value as old and new runs both have it.
    fn common(&self, key: &str) -> Option<String> {
        match key {
            RECORDED => Some(self.inputs().is_some().to_string()),
            "data.dataset" => Some(self.dataset.clone()),
            "partition.file" => self.experiment.partition.file.is_some().then(|| "a file".into()),
            Inputs::CARD => self.card.clone(),
            Inputs::BACKBONE => Some(self.environment.backbone_sha256.clone()),
            _ => self.settings.get(key).cloned(),
        }
    }

    /// A key's value as a table shows it; none of a key that it does not have.
    pub(crate) fn value(&self, key: &str) -> Option<String> {
        self.settings.get(key).cloned().or_else(|| match key {
            RECORDED => Some(if self.inputs().is_some() { "recorded" } else { "not recorded" }.into()),
            "backbone.name" => Some(self.summary.backbone.clone()),
            Inputs::CARD | Inputs::BACKBONE => self.common(key).map(|text| shortened(&text, SHOWN)),
            _ => self.common(key),
        })
    }

    /// The same where something has to stand.
    pub fn said(&self, key: &str) -> String {
        self.value(key).unwrap_or_else(|| "unset".into())
    }
}

/// Names the metric behind the dataset where that is none of VQA's scores, so that every table, picture and message says what is counted.
pub(crate) fn name_metrics(runs: &mut [Run]) {
    for run in runs {
        if let Some(title) = run.summary.metric_title() {
            run.summary.dataset = format!("{} [{title}]", run.summary.dataset);
        }
    }
}

/// Names that stood for several contents, and what these are called now.
pub(crate) type Told = BTreeMap<String, BTreeSet<String>>;

/// Calls one backbone by one name, whatever its folder was called, and marks names that stand for several contents, so that no table
/// takes them for one: datasets whose rows differ, backbones that differ.
pub(crate) fn tell_apart(runs: &mut [Run]) -> [Told; 2] {
    let mut name_of: BTreeMap<String, String> = BTreeMap::new();
    let mut rows: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for run in runs.iter() {
        let Some(inputs) = run.inputs() else { continue };
        let name = name_of.entry(inputs.backbone_sha256.clone()).or_insert_with(|| run.summary.backbone.clone());
        if run.summary.backbone < *name {
            name.clone_from(&run.summary.backbone);
        }
        for (split, sha256) in &inputs.splits {
            rows.entry((run.dataset.clone(), split.clone())).or_default().insert(sha256.clone());
        }
    }
    let shared = |name: &String| name_of.values().filter(|other| *other == name).count() > 1;
    let mut told = [Told::new(), Told::new()];
    for run in runs {
        let Some(inputs) = run.environment.inputs.clone() else { continue };
        let name = &name_of[&inputs.backbone_sha256];
        run.summary.backbone.clone_from(name);
        if shared(name) {
            run.summary.backbone = format!("{name} [{}]", shortened(&inputs.backbone_sha256, MARK));
            told[1].entry(name.clone()).or_default().insert(run.summary.backbone.clone());
        }
        let several = |(split, _): &(&String, &String)| rows[&(run.dataset.clone(), (*split).clone())].len() > 1;
        let differing: String =
            inputs.splits.iter().filter(several).map(|(split, sha256)| format!("{split} {sha256}\n")).collect();
        if !differing.is_empty() {
            run.summary.dataset =
                format!("{} [rows {}]", run.dataset, shortened(&schema::sha256_hex(differing.as_bytes()), MARK));
            told[0].entry(run.dataset.clone()).or_default().insert(run.summary.dataset.clone());
        }
    }
    told
}
