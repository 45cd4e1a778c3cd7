//! What a config and a card may name: tables of methods, adapter kinds, backbones and tasks, handed down by whoever links them in.
//!
//! The harness knows no method by name; `baselines` fills that table. A user's own crate can add rows to all of them.

use std::collections::BTreeMap;

use models::adapter::{AdapterKind, AdapterSpec, Kinds};
use models::{BackboneRow, Backbones, Spec};
use schema::Experiment;
use schema::experiment::{AdapterConfig, PrivacyMode};
use serde::Serialize;
use serde_json::Value;
use tasks::{TaskRow, Tasks};

use crate::{Error, Family, Method, Placement, Result, Scope};

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
    /// The version of its code, from 1. Whoever changes what it computes counts on: its runs are then others, and those of the version
    /// before are not taken for complete.
    pub version: u32,
    /// What kind of method it is.
    pub family: Family,
    /// The adapter kind that it tunes unless an experiment chooses another.
    pub adapter: &'static AdapterKind,
    /// Why it cannot tune adapters of a kind, in words about "it" and "these"; nothing where it can.
    pub refuses: fn(&AdapterKind) -> Option<&'static str>,
    /// The names that it has on adapters of some kinds: what its runs are called there.
    pub aliases: &'static [Alias],
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
    /// Whether its clients are judged with adapters of their own ([`Method::personalize`], [`Method::variants`]).
    pub personal: bool,
    /// Whose examples it trains on.
    pub scope: Scope,
    /// Builds it.
    pub build: BuildMethod,
}

/// A method's own name on adapters of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Alias {
    /// The name.
    pub name: &'static str,
    /// The kind.
    pub adapter: &'static str,
}

impl MethodRow {
    /// The same method on adapters of a kind, under the name that it has there; `known` are the kinds there are.
    pub fn on(&self, kind: &'static AdapterKind, known: &Kinds) -> Result<Self> {
        if let Some(why) = (self.refuses)(kind) {
            return Err(Error::Usage(format!(
                "adapter.kind = \"{}\": method `{}` cannot tune these adapters: {why}; expected {}",
                kind.name,
                self.name,
                self.adapters(known).map(|kind| format!("\"{}\"", kind.name)).collect::<Vec<_>>().join(" or ")
            )));
        }
        let alias = self.aliases.iter().find(|alias| alias.adapter == kind.name);
        Ok(Self { name: alias.map_or(self.name, |alias| alias.name), adapter: kind, ..*self })
    }

    /// The kinds of adapters, of those there are, that it can tune, its own first.
    pub fn adapters(&self, known: &Kinds) -> impl Iterator<Item = &'static AdapterKind> {
        let fit = known.rows().iter().copied().filter(|kind| (self.refuses)(kind).is_none());
        let (own, others): (Vec<_>, Vec<_>) = fit.partition(|kind| kind.name == self.adapter.name);
        own.into_iter().chain(others)
    }

    /// The adapters of a config on a backbone: with a head of their own for clients alone.
    pub fn resolve(&self, config: &AdapterConfig, backbone: &Spec) -> Result<AdapterSpec> {
        let adapters = AdapterSpec::of(self.adapter, config, backbone)?;
        Ok(if self.scope == Scope::Shard { adapters } else { adapters.pooled() })
    }

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
        if let (Some(start), Scope::Nothing) = (&experiment.adapter.start, self.scope) {
            let name = self.name;
            return Err(Error::Usage(format!("adapter.start = \"{start}\": method `{name}` trains nothing; leave it out")));
        }
        match &experiment.privacy {
            Some(_) if self.scope == Scope::Pooled => {
                Err(Error::Usage(format!("privacy: method `{}` collects its clients' raw rows; leave it out", self.name)))
            }
            Some(privacy) if privacy.mode == PrivacyMode::Central && !self.mean_only => Err(Error::Usage(format!(
                "privacy.mode = \"central\": the server of method `{}` uses more of the updates than their mean, so noise on \
                 the mean would not protect them; expected \"local\"",
                self.name
            ))),
            _ => Ok(()),
        }
    }
}

/// A dataset that a config may name: its card, as TOML. Its files are where the suite's own are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatasetRow {
    /// The name a config uses, which is the card's.
    pub name: &'static str,
    /// The card.
    pub card: &'static str,
}

/// The methods, adapter kinds, backbones and tasks there are, and datasets beside the suite's.
#[derive(Clone, Default)]
pub struct Registry {
    methods: Vec<MethodRow>,
    adapters: Kinds,
    backbones: Backbones,
    tasks: Tasks,
    datasets: Vec<DatasetRow>,
}

impl Registry {
    /// A registry over these rows, and the suite's own adapter kinds, backbones and tasks.
    pub fn new(methods: &[MethodRow]) -> Self {
        Self { methods: methods.to_vec(), ..Self::default() }
    }

    /// Adds a row.
    pub fn method(mut self, row: MethodRow) -> Self {
        self.methods.push(row);
        self
    }

    /// Adds a kind of adapter.
    pub fn adapter(mut self, row: &'static AdapterKind) -> Self {
        self.adapters = self.adapters.with(row);
        self
    }

    /// Adds a backbone, or an architecture of some.
    pub fn backbone(mut self, row: &'static BackboneRow) -> Self {
        self.backbones = self.backbones.with(row);
        self
    }

    /// Adds a task.
    pub fn task(mut self, row: &'static TaskRow) -> Self {
        self.tasks = self.tasks.with(row);
        self
    }

    /// Adds a dataset.
    pub fn dataset(mut self, row: DatasetRow) -> Self {
        self.datasets.push(row);
        self
    }

    /// Refuses two rows of one name, an adapter kind that nothing could attach, and a task that would be worth nothing.
    pub fn check(&self) -> Result<()> {
        if let Some(name) = schema::twice(self.names().map(|(name, ..)| name)) {
            return Err(Error::Usage(format!("two methods are called `{name}`; give yours another name")));
        }
        if let Some(name) = schema::twice(self.datasets.iter().map(|row| row.name)) {
            return Err(Error::Usage(format!("two datasets are called `{name}`; give yours another name")));
        }
        self.adapters.check()?;
        self.backbones.check()?;
        Ok(self.tasks.check()?)
    }

    /// The adapter kinds there are.
    pub fn adapters(&self) -> &Kinds {
        &self.adapters
    }

    /// The backbones there are.
    pub fn backbones(&self) -> &Backbones {
        &self.backbones
    }

    /// The tasks there are.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The datasets that were added.
    pub fn datasets(&self) -> &[DatasetRow] {
        &self.datasets
    }

    /// All rows, in order.
    pub fn methods(&self) -> &[MethodRow] {
        &self.methods
    }

    /// The family of every method, by all its names.
    pub fn families(&self) -> BTreeMap<String, Family> {
        self.names().map(|(name, row, _)| (name.into(), row.family)).collect()
    }

    /// The method of this name; of a name that it has on one kind of adapters, on these.
    pub fn find(&self, name: &str) -> Result<MethodRow> {
        match self.named(name)? {
            (row, Some(alias)) => row.on(self.adapters.find(alias.adapter)?, &self.adapters),
            (row, None) => Ok(*row),
        }
    }

    /// Settles which method an experiment has, on which adapters: it is renamed to what this method is called there, so that one
    /// choice has one spelling, and one hash. An error where the method cannot do what is asked.
    pub fn settle(&self, experiment: &mut Experiment) -> Result<MethodRow> {
        let row = self.choose(&experiment.method.name, experiment.adapter.kind.as_deref())?;
        row.check(experiment)?;
        experiment.method.name = row.name.into();
        Ok(row)
    }

    /// The method of this name on adapters of this kind, or of its own without one.
    pub fn choose(&self, name: &str, kind: Option<&str>) -> Result<MethodRow> {
        let (row, alias) = self.named(name)?;
        match (alias, kind) {
            (Some(alias), Some(kind)) if kind != alias.adapter => Err(Error::Usage(format!(
                "adapter.kind = \"{kind}\": method `{name}` is `{}` on adapter kind \"{}\"; leave the key out, or choose `{}`",
                row.name, alias.adapter, row.name
            ))),
            (Some(alias), _) => row.on(self.adapters.find(alias.adapter)?, &self.adapters),
            (None, Some(kind)) => row.on(self.adapters.find(kind)?, &self.adapters),
            (None, None) => row.on(row.adapter, &self.adapters),
        }
    }

    fn named(&self, name: &str) -> Result<(&MethodRow, Option<Alias>)> {
        let found = self.names().find(|(known, ..)| *known == name).map(|(_, row, alias)| (row, alias));
        found.ok_or_else(|| Error::unknown("method", name, self.names().map(|(known, ..)| known)))
    }

    /// All names, with the methods that have them.
    fn names(&self) -> impl Iterator<Item = (&'static str, &MethodRow, Option<Alias>)> {
        self.methods.iter().flat_map(|row| {
            let aliases = row.aliases.iter().map(move |alias| (alias.name, row, Some(*alias)));
            std::iter::once((row.name, row, None)).chain(aliases)
        })
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

#[cfg(test)]
mod tests {
    use models::{adapter, llava};

    use super::*;

    #[test]
    fn a_name_that_is_there_twice_is_refused() {
        static KIND: AdapterKind = AdapterKind { alpha_over_rank: 1.0, ..adapter::lora::KIND };
        let error = |registry: Registry| registry.check().expect_err("must be refused").to_string();
        assert!(Registry::default().check().is_ok());
        assert_eq!(error(Registry::default().adapter(&KIND)), "two adapter kinds are called `lora`; give yours another name");
        let twice = Registry::default().backbone(&llava::SHAPES);
        assert_eq!(error(twice), "two backbones are called `llava-1.5-7b`; give yours another name");
    }
}
