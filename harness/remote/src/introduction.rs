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
            ("weights", &self.backbone_sha256, &worker.backbone_sha256),
            ("the partition", &self.partition_sha256, &worker.partition_sha256),
            ("the run", &self.run, &worker.run),
        ];
        match same.into_iter().find(|(_, here, there)| here != there) {
            Some((what, here, there)) => {
                let (here, there) = (here.clone(), guard::text::line(there, 120));
                Err(Error::Other { at: at.into(), what, here, there })
            }
            None => Ok(()),
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
