//! Arguments that several commands take.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use data_scripts::hub::HubId;
use schema::experiment::MOST_SEED;
use schema::{Experiment, toml_file};

/// An experiment's file and what is changed of it.
#[derive(Args)]
pub(crate) struct ExperimentFile {
    /// The experiment.
    pub(super) experiment: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
}

/// Changes to a config.
#[derive(Args)]
pub(crate) struct Overrides {
    /// Set a key: `--set federation.rounds=3`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// At most so many training and so many test examples: a quick look, marked as such in the report.
    #[arg(long)]
    pub(super) limit: Option<usize>,
    /// `cpu` or `cuda:N`.
    #[arg(long)]
    pub(super) device: Option<String>,
}

impl Overrides {
    /// Lays the changes over a config.
    pub(super) fn apply(&self, table: &mut toml::Table) -> Result<(), study::Error> {
        for assignment in &self.set {
            toml_file::set(table, assignment)?;
        }
        if let Some(limit) = self.limit {
            toml_file::set(table, &format!("data.train_limit={limit}"))?;
            toml_file::set(table, &format!("data.test_limit={limit}"))?;
        }
        if let Some(device) = &self.device {
            toml_file::set(table, &format!("backbone.device={device:?}"))?;
        }
        Ok(())
    }
}

impl ExperimentFile {
    /// The experiment with its changes.
    pub(super) fn resolve(&self) -> Result<Experiment, study::Error> {
        let mut table = toml_file::read_table(&self.experiment)?;
        self.overrides.apply(&mut table)?;
        Ok(toml_file::from_table(&self.experiment.display().to_string(), table)?)
    }
}

/// An id with the revision of `--revision`, where there is one.
pub(crate) fn with_revision(id: HubId, revision: Option<String>) -> Result<HubId> {
    Ok(match revision {
        Some(revision) => HubId::new(id.kind, &id.name, &revision)?,
        None => id,
    })
}

/// A seed as TOML can hold it: a larger one could be run, and its folder never read.
pub(crate) fn seed() -> RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(..=MOST_SEED)
}
