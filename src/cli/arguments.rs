//! Arguments that several commands take.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use data_scripts::hub::HubId;
use line::Security;
use schema::experiment::MOST_SEED;
use schema::{Experiment, toml_file};

use super::document::Document;

/// An experiment's file and what is changed of it.
#[derive(Args)]
pub(crate) struct ExperimentFile {
    /// The experiment.
    pub(super) experiment: PathBuf,
    #[command(flatten)]
    pub(super) overrides: Overrides,
}

/// Changes to a config.
#[derive(Args, Clone)]
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

impl Overrides {
    /// As they are typed.
    pub(super) fn arguments(&self) -> Vec<String> {
        let of = |option: &str, value: &str| [option.to_owned(), value.to_owned()];
        let set = self.set.iter().flat_map(|assignment| of("--set", assignment));
        let limit = self.limit.iter().flat_map(|limit| of("--limit", &limit.to_string()));
        set.chain(limit).chain(self.device.iter().flat_map(|device| of("--device", device))).collect()
    }
}

impl ExperimentFile {
    /// The experiment with its changes.
    pub(super) fn resolve(&self) -> Result<Experiment, study::Error> {
        let mut table = toml_file::read_table(&self.experiment)?;
        Document::expect(&self.experiment.display().to_string(), &table, Document::Experiment)?;
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

/// What protects a line to other processes.
#[derive(Args)]
pub(crate) struct Protection {
    /// A folder with `ca.pem`, `cert.pem` and `key.pem`, for `tls://`: both sides show certificates of one authority.
    #[arg(long)]
    tls: Option<PathBuf>,
    /// A file with a token (16 characters or more, readable by its owner alone) that both sides have.
    #[arg(long)]
    token: Option<PathBuf>,
}

impl Protection {
    pub(super) fn security(&self) -> Security {
        Security { tls: self.tls.clone(), token: self.token.clone() }
    }
}

/// Client ids as people type them: `0,2,5-9`.
pub(crate) fn clients(text: &str) -> Result<Clients, String> {
    let mut ids = Vec::new();
    for part in text.split(',').map(str::trim) {
        let number =
            |text: &str| text.trim().parse::<usize>().map_err(|_| format!("`{part}` is no client id; expected `0,2,5-9`"));
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if last < first || last - first >= MOST_CLIENTS {
            return Err(format!("`{part}` is no range of clients; expected `0,2,5-9`"));
        }
        ids.extend(first..=last);
    }
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("client {} is there twice", pair[0])),
        None => Ok(Clients(ids)),
    }
}

/// A longer range is a typing error.
const MOST_CLIENTS: usize = 1 << 20;

/// Clients by their ids, in order, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clients(pub(super) Vec<usize>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_ids_and_ranges() {
        assert_eq!(clients("3,0-1, 7 - 8"), Ok(Clients(vec![0, 1, 3, 7, 8])));
        for wrong in ["", "a", "1,,2", "5-3", "0-99999999", "-1"] {
            assert!(clients(wrong).is_err_and(|why| why.contains("expected `0,2,5-9`")), "{wrong}");
        }
        assert_eq!(clients("0-2,1"), Err("client 1 is there twice".into()));
    }
}
