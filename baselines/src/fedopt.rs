//! Server optimizers: what FedAvg would change, `d = sum_k p_k w_k - w`, taken for a negative gradient.
//!
//! FedAvgM (Hsu et al., arXiv 1909.06335): `m <- beta1 m + d`, `w <- w + lr m`. FedAdagrad, FedYogi, FedAdam (Reddi et al., arXiv
//! 2003.00295, algorithm 2): `m <- beta1 m + (1 - beta1) d`, `v` as the name says, `w <- w + lr m / (sqrt(v) + tau)`, v from tau^2,
//! no bias correction.

use std::collections::BTreeMap;

use candle_core::Tensor;
use federation::registry::options;
use federation::{Method, Result, Sets};
use models::adapter::Adapters;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::averaging::Averaging;
use crate::keys;
use crate::weights::Weights;

/// How the second moment goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rule {
    /// There is none: momentum alone.
    #[default]
    Momentum,
    /// `v + d^2`.
    Adagrad,
    /// `v - (1 - beta2) d^2 sign(v - d^2)`.
    Yogi,
    /// `beta2 v + (1 - beta2) d^2`.
    Adam,
}

/// An optimizer at the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FedOpt {
    /// The server's learning rate.
    pub server_learning_rate: f64,
    /// First-moment decay.
    pub beta1: f64,
    /// Second-moment decay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// What keeps the denominator from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tau: Option<f64>,
    /// `examples` or `uniform`.
    pub weights: Weights,
    #[serde(skip)]
    rule: Rule,
    #[serde(skip)]
    moments: Option<(Adapters, Adapters)>,
}

impl Default for FedOpt {
    fn default() -> Self {
        Self {
            server_learning_rate: 1.0,
            beta1: 0.9,
            beta2: None,
            tau: None,
            weights: Weights::default(),
            rule: Rule::Momentum,
            moments: None,
        }
    }
}

/// The paper's beta2, where the rule has one.
const BETA2: f64 = 0.99;
/// The paper's tau.
const TAU: f64 = 1e-3;
/// A choice: the papers tune it.
const ADAPTIVE_RATE: f64 = 0.01;

impl FedOpt {
    /// Reads the keys of FedAvgM.
    pub fn momentum(given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let method: Self = options("fedavgm", given)?;
        for (key, value) in [("beta2", method.beta2), ("tau", method.tau)] {
            if value.is_some() {
                return Err(federation::Error::Usage(format!(
                    "[method] name = \"fedavgm\": {key}: momentum alone has none; leave it out"
                )));
            }
        }
        method.checked("fedavgm")
    }

    /// Reads the keys of an adaptive one.
    pub fn adaptive(name: &str, rule: Rule, given: &BTreeMap<String, Value>) -> Result<Box<dyn Method>> {
        let mut method: Self = options(name, given)?;
        if !given.contains_key("server_learning_rate") {
            method.server_learning_rate = ADAPTIVE_RATE;
        }
        if rule != Rule::Adagrad {
            method.beta2 = method.beta2.or(Some(BETA2));
        }
        method.tau = method.tau.or(Some(TAU));
        method.rule = rule;
        method.checked(name)
    }

    fn checked(self, name: &str) -> Result<Box<dyn Method>> {
        keys::positive(name, "server_learning_rate", self.server_learning_rate)?;
        keys::decay(name, "beta1", self.beta1)?;
        self.beta2.map_or(Ok(()), |beta2| keys::decay(name, "beta2", beta2))?;
        self.tau.map_or(Ok(()), |tau| keys::positive(name, "tau", tau))?;
        Ok(self.averaged())
    }

    fn second_moment(&self, v: &Tensor, d: &Tensor) -> candle_core::Result<Tensor> {
        let (square, rest) = (d.sqr()?, 1.0 - self.beta2.unwrap_or(BETA2));
        match self.rule {
            Rule::Momentum => Ok(v.clone()),
            Rule::Adagrad => v + square,
            Rule::Yogi => v - ((v - &square)?.sign()? * (square * rest)?)?,
            Rule::Adam => (v * (1.0 - rest))? + (square * rest)?,
        }
    }
}

impl Averaging for FedOpt {
    fn weights(&self) -> Weights {
        self.weights
    }

    fn next(&mut self, mean: Adapters, global: &Adapters) -> Result<Adapters> {
        let d = mean.sub(global)?;
        let tau = self.tau.unwrap_or(TAU);
        let (m, v) = match self.moments.take() {
            Some(moments) => moments,
            None => (d.zeros_like()?, d.map(|d| d.zeros_like()? + tau * tau)?),
        };
        let share = if self.rule == Rule::Momentum { 1.0 } else { 1.0 - self.beta1 };
        let m = m.scale(self.beta1)?.add(&d.scale(share)?)?;
        let v = v.zip(&d, |v, d| self.second_moment(v, d))?;
        let step = match self.rule {
            Rule::Momentum => m.clone(),
            _ => m.zip(&v, |m, v| m / (v.sqrt()? + tau)?)?,
        };
        self.moments = Some((m, v));
        Ok(global.add(&step.scale(self.server_learning_rate)?)?)
    }

    fn state(&self) -> Result<Sets> {
        let moments = self.moments.as_ref();
        Ok(Sets::default().with_some("first-moment", moments.map(|(m, _)| m)).with_some("second-moment", moments.map(|(_, v)| v)))
    }

    fn resume(&mut self, mut state: Sets) -> Result<()> {
        self.moments = state.take("first-moment").zip(state.take("second-moment"));
        state.nothing_left()
    }
}
