//! FlexLoRA (Bai et al., arXiv 2402.11505): the server averages products, `W = sum_k p_k B_k A_k`, of whatever ranks, and sends
//! client k the best pair of rank r_k: by `W = U S V^T`, `B = U[:, :r_k] S[:r_k]`, `A = V^T[:r_k]`, all singular values in B as in
//! the public code.
//!
//! The scale is `alpha / adapter.rank` at every client, so that products can be averaged as they are; the public code has `alpha /
//! r_k`. The decomposition is of the stacked factors, `W = [p_k B_k] [A_k]`, by two QR and one small SVD: W itself is never made. A
//! shared head beside the pairs is averaged.

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::{keys_of, options};
use federation::{ADAPTERS, Client, Method, Plain, Round, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::tuned;
use crate::pairs::{Pair, Sites, check_ranks, rank_of};
use crate::weights::Weights;

/// Averages of products, split anew.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlexLora {
    /// The clients' ranks, in turn; all have `adapter.rank` without any.
    pub ranks: Vec<usize>,
    /// `examples` or `uniform`.
    pub weights: Weights,
    /// All of the round: no running sum would do.
    #[serde(skip)]
    updates: Vec<Update>,
    #[serde(skip)]
    sites: Sites,
}

impl FlexLora {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("flexlora", given)?;
        check_ranks("flexlora", &method.ranks)?;
        Ok(Box::new(method))
    }
}

impl Method for FlexLora {
    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        self.sites = Sites::of(spec);
        initial
    }

    fn send(&self, client: usize, global: &Adapters, _round: Round) -> Result<Sets> {
        let rank = rank_of(&self.ranks, client, self.sites.spec()?);
        Ok(Sets::default().with(ADAPTERS, self.sites.map(global, |pair| pair.first(rank))?))
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        tuned(client, received, &mut Plain)
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        self.updates.push(update);
        Ok(())
    }

    fn aggregate(&mut self, _global: &Adapters, _round: Round) -> Result<Adapters> {
        let updates = std::mem::take(&mut self.updates);
        let weights = self.weights.of(&updates);
        let rank = self.sites.spec()?.rank;
        let merged = self.sites.merge(&updates, |pairs| {
            let weighted =
                pairs.iter().zip(&weights).map(|(pair, &weight)| Ok(Pair { a: pair.a.clone(), b: (&pair.b * weight)? }));
            Pair::stacked(&weighted.collect::<Result<Vec<_>>>()?)?.by_singular_values(rank)
        })?;
        Ok(merged.with(&self.sites.mean_head(&updates, &weights)?))
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(self)
    }
}
