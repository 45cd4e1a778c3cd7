//! Which runs are the same configuration: those of equal keys that read equal contents, wherever these lay.
//!
//! A run says by checksums what it read ([`schema::Inputs`]); old runs do not, and their names and paths stand for it.

use std::collections::BTreeMap;

use schema::{Experiment, Inputs};
use serde_json::Value;

/// Keys that are names or places. A run that says what it read needs none of them.
pub(crate) const NAMES: [&str; 4] = ["data.dataset", "backbone.name", "backbone.weights", "partition.file"];

/// Digits of a checksum that tell it from others in a table.
pub(crate) const SHOWN: usize = 12;

/// What an experiment and its inputs come to.
pub(crate) struct Identity {
    /// SHA-256 of the experiment without name and seed, and of what it read.
    pub sha256: String,
    /// The same as dotted keys and values.
    pub settings: BTreeMap<String, String>,
}

impl Identity {
    pub fn of(experiment: &Experiment, inputs: Option<&Inputs>) -> Self {
        let bare = if inputs.is_some() { experiment.without_names() } else { experiment.clone() };
        let value = serde_json::to_value(Experiment { name: String::new(), seed: 0, tuned: None, ..bare })
            .expect("an experiment is plain data");
        let mut settings = BTreeMap::new();
        flatten("", &value, &mut settings);
        let mut text = value.to_string();
        if let Some(inputs) = inputs {
            text.push_str(&inputs.identity());
            settings.retain(|key, _| !NAMES.contains(&key.as_str()));
            settings.extend(inputs.keys().into_iter().map(|(key, sha256)| (key, shortened(&sha256, SHOWN))));
        }
        Self { sha256: schema::sha256_hex(text.as_bytes()), settings }
    }
}

/// The first characters of a checksum.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

fn flatten(prefix: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, out);
            }
        }
        Value::String(text) => drop(out.insert(prefix.into(), text.clone())),
        other => drop(out.insert(prefix.into(), other.to_string())),
    }
}
