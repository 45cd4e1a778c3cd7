//! Centralized tuning: all shards pooled at the server, with as many steps as all clients take together.

use std::collections::BTreeMap;

use federation::registry::options;
use federation::{Method, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::Averaging;
use crate::weights::Weights;

/// One trainer over all shards: what is averaged is its update alone.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Centralized {}

impl Centralized {
    /// Reads its keys, of which there are none.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        Ok(options::<Self>("centralized", given)?.averaged())
    }
}

impl Averaging for Centralized {
    fn weights(&self) -> Weights {
        Weights::Uniform
    }
}
