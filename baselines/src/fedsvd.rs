//! FedSVD (Lee et al., arXiv 2505.12805): B is trained and averaged while A is every client's, as in FFA-LoRA; after every round the
//! server splits the product anew by its singular values, `B A = U S V^T`, `A = V^T`, `B = U S`, which loses nothing. So A follows what
//! is learnt, its rows orthonormal, and with noise on B alone no product of two noises arises: it is meant for `[privacy]`.

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::options;
use federation::{ADAPTERS, Client, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::Averaging;
use crate::pairs::{Sites, WithFrozen, only_a, without_a};
use crate::weights::Weights;

/// FedAvg of B, and a new A.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedSvd {
    /// `examples` or `uniform`.
    pub weights: Weights,
    #[serde(skip)]
    sites: Sites,
}

impl FedSvd {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn federation::Method>> {
        Ok(options::<Self>("fedsvd", given)?.averaged())
    }
}

impl Averaging for FedSvd {
    fn weights(&self) -> Weights {
        self.weights
    }

    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        self.sites = Sites::of(spec);
        initial
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let (spec, received) = (client.spec(), received.get(ADAPTERS)?);
        let fit = client.fit(&without_a(spec, received), &mut WithFrozen(only_a(spec, received)))?;
        Ok(client.update(fit.work).with(ADAPTERS, fit.adapters))
    }

    fn next(&mut self, mean: Adapters, global: &Adapters) -> Result<Adapters> {
        let rank = self.sites.spec()?.rank;
        self.sites.map(&global.with(&mean), |pair| pair.by_singular_values(rank))
    }
}
