//! Which rows an experiment reads.

use serde::{Deserialize, Serialize};

use crate::test_rows::TestRows;

/// Which examples are trained on and judged, and how many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// A dataset's name (`fedbench list datasets`), a card's path, or a folder with a `card.toml`; several for one federation with a
    /// `+` between them, told apart by the partition key `dataset`.
    pub dataset: String,
    /// The card's prompt variant.
    #[serde(default = "default_prompt")]
    pub prompt: String,
    /// The split that clients train on.
    #[serde(default = "default_train_split")]
    pub train_split: String,
    /// The split that everybody is judged on.
    #[serde(default = "default_test_split")]
    pub test_split: String,
    /// At most so many training examples of each dataset (a seeded sample); all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_limit: Option<usize>,
    /// At most so many test examples of each dataset (the same for every seed); all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_limit: Option<usize>,
    /// Which they are.
    #[serde(default, skip_serializing_if = "TestRows::is_first")]
    #[schemars(extend("default" = "first"))]
    pub test_rows: TestRows,
    /// Test rows that stand in the training split, too, and are left out, counted and listed; none is without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup: Option<Dedup>,
    /// A prompt longer than this loses the beginning of its hint, then of its question; counted and recorded.
    #[serde(default = "default_max_prompt_tokens")]
    pub max_prompt_tokens: usize,
}

fn default_prompt() -> String {
    "default".into()
}

fn default_train_split() -> String {
    "train".into()
}

fn default_test_split() -> String {
    "test".into()
}

fn default_max_prompt_tokens() -> usize {
    512
}

/// What makes a test row one that was trained on, of the whole training split, whatever a run trains on of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dedup {
    /// A training row of its dataset asks the same question over the same options, in whatever order.
    Question,
    /// A training row shows one of its pictures, byte by byte.
    Picture,
}
