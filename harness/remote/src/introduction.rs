//! Who a worker is, and whether it may take part.

use std::collections::BTreeMap;

use schema::record::HostFacts;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What a worker and the server must agree on, and who the worker is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introduction {
    /// The run's name: a hash of the experiment and all that it reads.
    pub run: String,
    /// Of the backbone.
    pub backbone_sha256: String,
    /// Of the partition.
    pub partition_sha256: String,
    /// The rest, which is recorded.
    pub host: HostFacts,
}

impl Introduction {
    /// Fails if a worker speaks of another run than this.
    pub fn check(&self, worker: &Self, at: &str) -> Result<()> {
        let same = [
            ("of other weights", &self.backbone_sha256, &worker.backbone_sha256),
            ("of another partition", &self.partition_sha256, &worker.partition_sha256),
            ("by another version of fedbench", &self.host.version, &worker.host.version),
            ("of another name", &self.run, &worker.run),
        ];
        let differs: Vec<&str> = same.into_iter().filter(|(_, here, there)| here != there).map(|(what, ..)| what).collect();
        match differs.is_empty() {
            true => Ok(()),
            false => {
                let (here, there) = (self.run.clone(), guard::text::line(&worker.run, 120));
                Err(Error::Other { at: at.into(), differs: differs.join(", "), here, there })
            }
        }
    }
}

/// Which of several workers has which client, so that each of `clients` has one.
pub(crate) fn assign<'w>(
    workers: impl IntoIterator<Item = (&'w str, &'w Introduction)>,
    clients: usize,
) -> Result<BTreeMap<usize, usize>> {
    let (mut found, mut names) = (BTreeMap::new(), Vec::new());
    for (at, (name, worker)) in workers.into_iter().enumerate() {
        names.push(name);
        for &client in &worker.host.clients {
            if client >= clients {
                return Err(Error::NoSuchClient { at: name.into(), client, clients });
            }
            if let Some(other) = found.insert(client, at) {
                return Err(Error::Twice { client, at: [names[other].into(), name.into()] });
            }
        }
    }
    let missing: Vec<usize> = (0..clients).filter(|client| !found.contains_key(client)).collect();
    if missing.is_empty() { Ok(found) } else { Err(Error::NoWorker { clients: missing }) }
}
