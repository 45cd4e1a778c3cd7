//! FLoRA (Wang et al., arXiv 2409.05976): pairs are stacked, not averaged: `B = [B_1 .. B_K]`, `A = [p_1 A_1; ..; p_K A_K]`, so
//! that `B A = sum_k p_k B_k A_k` without noise and for unequal ranks. Clients merge what they receive into their frozen weights
//! and start from a fresh pair in every round.
//!
//! The scale is `alpha / adapter.rank` at every client. Frozen weights that change are kept beside the frozen ones, in full. A shared
//! head beside the pairs is averaged.

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::{keys_of, options};
use federation::{ADAPTERS, Client, Method, Round, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pairs::{Pair, Sites, WithFrozen, check_ranks, rank_of};
use crate::weights::Weights;

/// Stacks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flora {
    /// The clients' ranks, in turn; all have `adapter.rank` without any.
    pub ranks: Vec<usize>,
    /// `examples` or `uniform`.
    pub weights: Weights,
    /// All of the round: no running sum would do.
    #[serde(skip)]
    updates: Vec<Update>,
    #[serde(skip)]
    sites: Sites,
    #[serde(skip)]
    stack: Option<Adapters>,
}

/// The tensor set of stacked pairs.
const STACK: &str = "stack";
/// What a client keeps its changes to the frozen weights under.
pub(crate) const BASE: &str = "base";

impl Flora {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("flora", given)?;
        check_ranks("flora", &method.ranks)?;
        Ok(Box::new(method))
    }
}

impl Method for Flora {
    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        self.sites = Sites::of(spec);
        spec.head_of(&initial)
    }

    fn send(&self, _client: usize, global: &Adapters, _round: Round) -> Result<Sets> {
        let head = Some(self.sites.spec()?.head_of(global)).filter(|head| !head.is_empty());
        let sets = head.into_iter().fold(Sets::default(), |sets, head| sets.with(ADAPTERS, head));
        Ok(self.stack.iter().fold(sets, |sets, stack| sets.with(STACK, stack.clone())))
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let mut base = client.recall(BASE, Adapters::default);
        if let Ok(stack) = received.get(STACK) {
            base = self.sites.merged_into_base(&base, stack)?;
        }
        // Before it trains: what the others hold by now it holds, too, even if its own round is left out.
        client.memory.insert(BASE.into(), base.clone());
        let rank = rank_of(&self.ranks, client.id(), client.spec());
        let fresh = self.sites.map(&client.fresh()?, |pair| pair.first(rank))?;
        let start = received.get(ADAPTERS).map_or(fresh.clone(), |head| fresh.with(head));
        let fit = client.fit(&start, &mut WithFrozen(base))?;
        Ok(client.update(fit.work).with(ADAPTERS, fit.adapters))
    }

    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        self.updates.push(update);
        Ok(())
    }

    fn aggregate(&mut self, global: &Adapters, _round: Round) -> Result<Adapters> {
        let updates = std::mem::take(&mut self.updates);
        let weights = self.weights.of(&updates);
        let stack = self.sites.merge(&updates, |pairs| {
            let weighted =
                pairs.iter().zip(&weights).map(|(pair, &weight)| Ok(Pair { a: (&pair.a * weight)?, b: pair.b.clone() }));
            Pair::stacked(&weighted.collect::<Result<Vec<_>>>()?)
        })?;
        let merged = self.sites.merged_into_base(global, &stack)?;
        self.stack = Some(stack);
        Ok(merged.with(&self.sites.mean_head(&updates, &weights)?))
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(self)
    }

    fn state(&self) -> Result<Sets> {
        Ok(Sets::default().with_some(STACK, self.stack.as_ref()))
    }

    fn resume(&mut self, mut state: Sets) -> Result<()> {
        self.stack = state.take(STACK);
        state.nothing_left()
    }
}
