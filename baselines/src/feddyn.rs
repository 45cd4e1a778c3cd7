//! FedDyn (Acar et al., arXiv 2111.04263): each client's loss carries a linear term that remembers where it pulled before, so that
//! the clients' optima agree with the federation's.
//!
//! Client: descend `f_k(w) - <g_k, w> + alpha/2 ||w - w_t||^2`, then `g_k <- g_k - alpha (w_k - w_t)`. Server: `h <- h - alpha/K
//! sum_k (w_k - w_t)` over the cohort, K all clients, and `w <- mean_k w_k - h / alpha`, the mean unweighted. All terms are in the
//! loss, none in AdamW's decoupled weight decay.

use std::collections::BTreeMap;

use candle_core::Tensor;
use federation::Result;
use federation::aggregate::Sum;
use federation::registry::options;
use federation::{ADAPTERS, Client, Method, Objective, Round, Sets, Update};
use models::adapter::Adapters;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::Averaging;
use crate::keys;
use crate::weights::Weights;

/// The mean of the clients and of where they have been pulling.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedDyn {
    /// The regulariser's strength.
    pub alpha: f64,
    #[serde(skip)]
    h: Sum,
}

impl Default for FedDyn {
    fn default() -> Self {
        Self { alpha: 0.01, h: Sum::default() }
    }
}

impl FedDyn {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("feddyn", given)?;
        keys::positive("feddyn", "alpha", method.alpha)?;
        Ok(method.averaged())
    }
}

/// What a client keeps its gradient g_k under.
const PULL: &str = "pull";

struct Dynamic<'a> {
    alpha: f64,
    anchor: &'a Adapters,
    pull: &'a Adapters,
}

impl Objective for Dynamic<'_> {
    fn loss(&mut self, loss: Tensor, trained: &Adapters) -> Result<Tensor> {
        let away = trained.sub(self.anchor)?;
        let near = (away.dot(&away)? * (self.alpha / 2.0))?;
        Ok(((loss - self.pull.dot(trained)?)? + near)?)
    }
}

impl Averaging for FedDyn {
    fn weights(&self) -> Weights {
        Weights::Uniform
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let anchor = received.get(ADAPTERS)?;
        let zeros = anchor.zeros_like()?;
        let pull = client.recall(PULL, || zeros);
        let fit = client.fit(anchor, &mut Dynamic { alpha: self.alpha, anchor, pull: &pull })?;
        let moved = fit.adapters.sub(anchor)?;
        client.memory.insert(PULL.into(), pull.sub(&moved.scale(self.alpha)?)?);
        Ok(client.update(fit.work).with(ADAPTERS, fit.adapters))
    }

    fn notice(&mut self, update: &Update, global: &Adapters, round: Round) -> Result<()> {
        self.h.add(update.set(ADAPTERS)?.sub(global)?.scale(-self.alpha / round.clients as f64)?)
    }

    fn next(&mut self, mean: Adapters, _global: &Adapters) -> Result<Adapters> {
        match self.h.so_far() {
            Some(h) => Ok(mean.sub(&h.scale(1.0 / self.alpha)?)?),
            None => Ok(mean),
        }
    }

    fn state(&self) -> Result<Sets> {
        Ok(Sets::default().with_some("h", self.h.so_far()))
    }

    fn resume(&mut self, mut state: Sets) -> Result<()> {
        self.h = Sum::from(state.take("h"));
        state.nothing_left()
    }
}
