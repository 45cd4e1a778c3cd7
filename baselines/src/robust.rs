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

/// The coordinate-wise mean of what is left.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Robust {
    /// The share of clients that is cut off at either end, below a half; rounded down. None: all but the middle, the median.
    pub trim: Option<f64>,
    /// All of the round: no running sum would do.
    #[serde(skip)]
    updates: Vec<Update>,
}

/// The share that is cut off by default.
const TRIM: f64 = 0.2;

impl Robust {
    /// Reads the keys of the median, of which there are none.
    pub fn median(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("fedmedian", given)?;
        if given.contains_key("trim") {
            return Err(Error::Usage("[method] name = \"fedmedian\": trim: a median has none; leave it out".into()));
        }
        Ok(Box::new(method))
    }

    /// Reads the keys of the trimmed mean.
    pub fn trimmed_mean(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("fedtrimmedmean", given)?;
        let trim = method.trim.unwrap_or(TRIM);
        if !(0.0..0.5).contains(&trim) {
            let what = format!("[method] name = \"fedtrimmedmean\": trim = {trim}: expected a share in [0, 0.5)");
            return Err(Error::Usage(what));
        }
        Ok(Box::new(Self { trim: Some(trim), ..method }))
    }
}

impl Method for Robust {
    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        tuned(client, received, &mut Plain)
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        self.updates.push(update);
        Ok(())
    }

    fn aggregate(&mut self, _global: &Adapters, _round: Round) -> Result<Adapters> {
        let updates = std::mem::take(&mut self.updates);
        let cut = match self.trim {
            Some(trim) => (trim * updates.len() as f64) as usize,
            None => aggregate::median_trim(updates.len()),
        };
        aggregate::trimmed_mean(&updates, ADAPTERS, cut)
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(self)
    }
}
