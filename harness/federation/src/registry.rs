//! What a config may name: a table of methods, handed down by whoever links them in.
//!
//! The harness knows no method by name; `baselines` fills this table, and a user's own crate can add rows to it.

use std::collections::BTreeMap;

use models::adapter::AdapterSpec;
use schema::Experiment;
use schema::experiment::PrivacyMode;
use serde_json::Value;

use crate::{Error, Method, Placement, Result, Scope};

/// Builds a method from its own config keys.
pub type BuildMethod = fn(&BTreeMap<String, Value>) -> Result<Box<dyn Method>>;

/// A row of `fedbench list methods`.
#[derive(Clone, Copy)]
pub struct MethodRow {
    /// The name a config uses.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub sentence: &'static str,
    /// Its paper, and the section followed.
    pub source: &'static str,
    /// The adapter kind it is defined on; an experiment may choose another only where `any_adapter`.
    pub adapter: &'static str,
    /// Whether the adapter kind is free.
    pub any_adapter: bool,
    /// Numbers that cross the link for one client in a round, up and down, from the adapters and the number of clients.
    pub traffic: fn(&AdapterSpec, usize) -> [u64; 2],
    /// What a step costs, in steps of plain tuning: 2 for two adapters trained one after the other.
    pub compute: f64,
    /// Whether it needs every client in every round, because clients' own weights drift apart otherwise.
    pub needs_all_clients: bool,
    /// Whether the server uses nothing of a round's updates but their mean, so that noise on the mean protects them all.
    pub mean_only: bool,
    /// Whether updates may be of other ranks than the experiment's.
    pub unequal_ranks: bool,
    /// Whose examples it trains on.
    pub scope: Scope,
    /// Builds it.
    pub build: BuildMethod,
}

impl MethodRow {
    /// Where the model lives when this method trains adapters of a kind whose sites all lie before the decoder, or do not.
    pub fn placement(&self, split: bool) -> Placement {
        match (self.scope, split) {
            (Scope::Shard, true) => Placement::Split,
            (Scope::Shard, false) => Placement::Client,
            (Scope::Pooled | Scope::Nothing, _) => Placement::Server,
        }
    }

    /// Checks an experiment against what the method can do.
    pub fn check(&self, experiment: &Experiment) -> Result<()> {
        let federation = &experiment.federation;
        if self.needs_all_clients && (federation.cohort < 1.0 || federation.dropout > 0.0) {
            return Err(Error::Usage(format!(
                "federation.cohort = {}, federation.dropout = {}: method `{}` changes the clients' frozen weights in every round and needs all of them: expected 1.0 and 0.0",
                federation.cohort, federation.dropout, self.name
            )));
        }
        match &experiment.privacy {
            Some(_) if self.scope == Scope::Pooled => {
                return Err(Error::Usage(format!(
                    "privacy: method `{}` collects its clients' raw rows; leave it out",
                    self.name
                )));
            }
            Some(privacy) if privacy.mode == PrivacyMode::Central && !self.mean_only => {
                return Err(Error::Usage(format!(
                    "privacy.mode = \"central\": the server of method `{}` uses more of the updates than their mean, so noise on \
                     the mean would not protect them; expected \"local\"",
                    self.name
                )));
            }
            _ => {}
        }
        match experiment.adapter.kind.as_deref() {
            Some(kind) if kind != self.adapter && !self.any_adapter => Err(Error::Usage(format!(
                "adapter.kind = \"{kind}\": method `{}` is defined on adapter kind \"{}\"; leave the key out or choose another method",
                self.name, self.adapter
            ))),
            _ => Ok(()),
        }
    }
}

/// The methods there are.
#[derive(Clone, Default)]
pub struct Registry {
    methods: Vec<MethodRow>,
}

impl Registry {
    /// A registry over these rows.
    pub fn new(methods: &[MethodRow]) -> Self {
        Self { methods: methods.to_vec() }
    }

    /// Adds a row.
    pub fn method(mut self, row: MethodRow) -> Self {
        self.methods.push(row);
        self
    }

    /// All rows, in order.
    pub fn methods(&self) -> &[MethodRow] {
        &self.methods
    }

    /// The row of this name.
    pub fn find(&self, name: &str) -> Result<&MethodRow> {
        let names = || self.methods.iter().map(|row| row.name);
        self.methods.iter().find(|row| row.name == name).ok_or_else(|| Error::unknown("method", name, names()))
    }
}

/// Reads a method's own keys, refusing those it does not know.
pub fn options<T: serde::de::DeserializeOwned>(method: &str, options: &BTreeMap<String, Value>) -> Result<T> {
    // TOML has NaN and infinities, JSON has not: they arrive as nothing, which would be the key's default.
    if let Some((key, _)) = options.iter().find(|(_, value)| value.is_null()) {
        return Err(Error::Usage(format!("[method] name = \"{method}\": {key}: expected a finite number")));
    }
    let table = Value::Object(options.clone().into_iter().collect());
    serde_json::from_value(table).map_err(|error| {
        Error::Usage(format!("[method] name = \"{method}\": {}", schema::toml_file::explain(&error.to_string())))
    })
}

/// A method's own keys with their values, leaving out those that are not set.
pub fn keys_of<T: serde::Serialize>(method: &T) -> BTreeMap<String, Value> {
    match serde_json::to_value(method) {
        Ok(Value::Object(keys)) => keys.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => BTreeMap::new(),
    }
}
