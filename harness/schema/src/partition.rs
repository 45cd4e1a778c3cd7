//! A partition on disk: which example belongs to which client.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::experiment::PartitionConfig;

/// A disjoint cover of a train and a test split by clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// The dataset's name.
    pub dataset: String,
    /// The seed it was drawn with.
    pub seed: u64,
    /// The scheme and its parameters.
    pub config: PartitionConfig,
    /// One shard per client, in client-id order.
    pub shards: Vec<Shard>,
    /// SHA-256 over the ids of all shards in order: two partitions with one hash are the same.
    pub hash: String,
}

/// One client's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// The label whose examples these are, where there is one client per label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Ids of its training examples.
    pub train: Vec<String>,
    /// Ids of its test examples, split by the same proportions of labels.
    pub test: Vec<String>,
}

impl Partition {
    /// The hash of these shards.
    pub fn hash_of(shards: &[Shard]) -> String {
        let lines = |ids: &[String]| ids.iter().map(|id| line(id)).collect::<Vec<_>>().join("\n");
        let mut text = String::new();
        for (client, shard) in shards.iter().enumerate() {
            text.push_str(&format!("client {client}\ntrain\n{}\ntest\n{}\n", lines(&shard.train), lines(&shard.test)));
        }
        crate::sha256_hex(text.as_bytes())
    }
}

/// An id as one line that no other id has, nor any line around the ids. Ordinary ids are their own line; what could be taken for
/// something else is escaped behind a control character, which ordinary ids do not hold.
fn line(id: &str) -> Cow<'_, str> {
    let taken = id.is_empty() || id == "train" || id == "test" || id.starts_with("client ");
    if taken || id.contains(char::is_control) { format!("\u{1}{}", id.escape_default()).into() } else { id.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(shards: &[(&[&str], &[&str])]) -> String {
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
        let shards: Vec<Shard> =
            shards.iter().map(|(train, test)| Shard { label: None, train: ids(train), test: ids(test) }).collect();
        Partition::hash_of(&shards)
    }

    #[test]
    fn ordinary_ids_have_the_hash_that_they_always_had() {
        let text = "client 0\ntrain\na\nb\u{e9}\ntest\nc\nclient 1\ntrain\nd\ntest\n\n";
        assert_eq!(hash(&[(&["a", "b\u{e9}"], &["c"]), (&["d"], &[])]), crate::sha256_hex(text.as_bytes()));
    }

    #[test]
    fn other_partitions_have_other_hashes() {
        let all = [
            hash(&[(&["a", "b"], &["c"])]),
            hash(&[(&["a\nb"], &["c"])]),
            hash(&[(&["a\\nb"], &["c"])]),
            hash(&[(&["\u{1}a\\nb"], &["c"])]),
            hash(&[(&["a", "test", "b"], &["c"])]),
            hash(&[(&["a"], &["b", "test", "c"])]),
            hash(&[(&["a"], &["c", "client 1", "train", "b", "test", "d"])]),
            hash(&[(&["a"], &["c"]), (&["b"], &["d"])]),
            hash(&[(&["a"], &[""])]),
            hash(&[(&["a"], &[])]),
        ];
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
