//! Which test examples a limit leaves.

use serde::{Deserialize, Serialize};

/// Which test examples a limit leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TestRows {
    /// The first of the file: of a file in some order, all of one kind.
    #[default]
    First,
    /// Drawn from all of them, the same for every seed.
    Sample,
}

impl TestRows {
    pub(crate) fn is_first(&self) -> bool {
        *self == Self::First
    }
}
