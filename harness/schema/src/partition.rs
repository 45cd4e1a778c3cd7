//! A partition on disk: which example belongs to which client.

use serde::{Deserialize, Serialize};

use crate::experiment::PartitionConfig;

/// A disjoint cover of a train and a test split by clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
        let mut text = String::new();
        for (client, shard) in shards.iter().enumerate() {
            text.push_str(&format!("client {client}\ntrain\n{}\ntest\n{}\n", shard.train.join("\n"), shard.test.join("\n")));
        }
        crate::sha256_hex(text.as_bytes())
    }
}
