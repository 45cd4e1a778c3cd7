//! SCAFFOLD (Karimireddy et al., arXiv 1910.06378): control variates, the federation's `c` and each client's `c_k`, correct every
//! local gradient, `g - c_k + c`.
//!
//! A client's new `c_k` is the mean of its uncorrected gradients along the round. With plain gradient descent that is the paper's
//! option II, `c_k - c + (w_t - w_k) / (steps * lr)`, exactly; written so, it does not depend on the optimizer, and ours is AdamW.
//! Server: `w <- sum_k p_k w_k`, `c <- c + 1/K sum_k (c_k' - c_k)` over the cohort, K all clients.

use std::collections::BTreeMap;

use federation::Result;
use federation::aggregate::Sum;
use federation::registry::options;
use federation::{ADAPTERS, Client, Method, Objective, Round, Sets, Step, Update};
use models::adapter::Adapters;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::Averaging;
use crate::weights::Weights;

/// The weighted mean of clients whose gradients were corrected for their drift.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scaffold {
    /// `examples` or `uniform`.
    pub weights: Weights,
    #[serde(skip)]
    control: Option<Adapters>,
    /// The next round's, as far as updates have come.
    #[serde(skip)]
    next_control: Sum,
}

impl Scaffold {
    /// Reads its keys.
    pub fn build(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        Ok(options::<Self>("scaffold", given)?.averaged())
    }
}

/// The tensor set of control variates, and what a client keeps its own under.
const CONTROL: &str = "control";

struct Corrected {
    /// `c - c_k`.
    correction: Adapters,
    sum: Sum,
    steps: usize,
}

impl Objective for Corrected {
    fn gradients(&mut self, _step: Step, gradients: Adapters) -> Result<Adapters> {
        let corrected = gradients.add(&self.correction)?;
        self.sum.add(gradients)?;
        self.steps += 1;
        Ok(corrected)
    }

    fn wants_gradients(&self) -> bool {
        true
    }
}

impl Averaging for Scaffold {
    fn weights(&self) -> Weights {
        self.weights
    }

    fn send(&self, global: &Adapters, _round: Round) -> Result<Sets> {
        let control = self.control.clone().map_or_else(|| global.zeros_like(), Ok)?;
        Ok(Sets::default().with(ADAPTERS, global.clone()).with(CONTROL, control))
    }

    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let control = received.get(CONTROL)?;
        let zeros = control.zeros_like()?;
        let own = client.recall(CONTROL, || zeros);
        let mut objective = Corrected { correction: control.sub(&own)?, sum: Sum::default(), steps: 0 };
        let fit = client.fit(received.get(ADAPTERS)?, &mut objective)?;
        let new = match objective.sum.total() {
            Some(sum) => sum.scale(1.0 / objective.steps as f64)?,
            None => own.clone(),
        };
        let change = new.sub(&own)?;
        client.memory.insert(CONTROL.into(), new);
        Ok(client.update(fit.work).with(ADAPTERS, fit.adapters).with(CONTROL, change))
    }

    fn sends(&self) -> &'static [&'static str] {
        &[ADAPTERS, CONTROL]
    }

    fn notice(&mut self, update: &Update, _global: &Adapters, round: Round) -> Result<()> {
        self.next_control.add(update.set(CONTROL)?.scale(1.0 / round.clients as f64)?)
    }

    fn next(&mut self, mean: Adapters, _global: &Adapters) -> Result<Adapters> {
        let mut control = std::mem::take(&mut self.next_control);
        if let Some(before) = self.control.take() {
            control.add(before)?;
        }
        self.control = control.total();
        Ok(mean)
    }

    fn state(&self) -> Result<Sets> {
        Ok(Sets::default().with_some(CONTROL, self.control.as_ref()))
    }

    fn resume(&mut self, mut state: Sets) -> Result<()> {
        self.control = state.take(CONTROL);
        state.nothing_left()
    }
}
