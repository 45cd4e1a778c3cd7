//! Averages that a few wild clients cannot move (Yin et al., arXiv 1803.01498): coordinate by coordinate, the median, or the mean
//! of what is left once the largest and smallest values have been cut off. Unweighted, as there.

use std::collections::BTreeMap;

use federation::registry::{keys_of, options};
use federation::{ADAPTERS, Client, Method, Plain, Round, Sets, Update, aggregate};
use federation::{Error, Result};
use models::adapter::Adapters;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::tuned;

/// The coordinate-wise median.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedMedian {
    /// All of the round: no running sum would do.
    #[serde(skip)]
    updates: Vec<Update>,
}

/// The coordinate-wise trimmed mean.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedTrimmedMean {
    /// The share of clients that is cut off at either end, below a half; rounded down.
    pub trim: f64,
    /// All of the round: no running sum would do.
    #[serde(skip)]
    updates: Vec<Update>,
}

impl Default for FedTrimmedMean {
    fn default() -> Self {
        Self { trim: 0.2, updates: Vec::new() }
    }
}

impl FedMedian {
    /// Reads its keys, of which there are none.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        Ok(Box::new(options::<Self>("fedmedian", given)?))
    }
}

impl FedTrimmedMean {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("fedtrimmedmean", given)?;
        if !(0.0..0.5).contains(&method.trim) {
            let what = format!("[method] name = \"fedtrimmedmean\": trim = {}: expected a share in [0, 0.5)", method.trim);
            return Err(Error::Usage(what));
        }
        Ok(Box::new(method))
    }
}

impl Method for FedMedian {
    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        tuned(client, received, &mut Plain)
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        self.updates.push(update);
        Ok(())
    }

    fn aggregate(&mut self, _global: &Adapters, _round: Round) -> Result<Adapters> {
        let updates = std::mem::take(&mut self.updates);
        aggregate::trimmed_mean(&updates, ADAPTERS, aggregate::median_trim(updates.len()))
    }
}

impl Method for FedTrimmedMean {
    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        tuned(client, received, &mut Plain)
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        self.updates.push(update);
        Ok(())
    }

    fn aggregate(&mut self, _global: &Adapters, _round: Round) -> Result<Adapters> {
        let updates = std::mem::take(&mut self.updates);
        aggregate::trimmed_mean(&updates, ADAPTERS, (self.trim * updates.len() as f64) as usize)
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(self)
    }
}
