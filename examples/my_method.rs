//! A method of your own, outside the suite's crates: FedNova (Wang et al., arXiv 2007.07481), which weighs what a client has learnt by
//! its number of local steps, so that clients with more steps do not pull harder.
//!
//! ```text
//! cargo run --release --example my_method -- run experiment.toml
//! ```
//!
//! with `method = { name = "fednova" }` in the experiment: beside it stand all methods, datasets, suites and reports of fedbench.

use std::collections::BTreeMap;
use std::process::ExitCode;

use harness::Result;
use harness::adapter::Adapters;
use harness::federation::{ADAPTERS, Client, Method, Plain, Round, Scope, Sets, Update, aggregate};
use harness::registry::{MethodRow, Registry, keys_of, options};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Its own keys: an experiment sets them in `[method]`, and unknown ones are refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FedNova {
    /// The share of the way to the new adapters that the server goes.
    server_rate: f64,
}

impl Default for FedNova {
    fn default() -> Self {
        Self { server_rate: 1.0 }
    }
}

impl Method for FedNova {
    /// The client half: tune what was received, send it back.
    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let fit = client.fit(received.get(ADAPTERS)?, &mut Plain)?;
        Ok(Update::new(client, fit.work).with(ADAPTERS, fit.adapters))
    }

    /// The server half: `theta + rate * tau * sum_k p_k (theta_k - theta) / tau_k`, with `tau = sum_k p_k tau_k`.
    fn aggregate(&mut self, global: &Adapters, updates: &[Update], _round: Round) -> Result<Adapters> {
        let shares = aggregate::data_weights(updates);
        let steps = |update: &Update| update.steps.max(1) as f64;
        let tau: f64 = updates.iter().zip(&shares).map(|(update, share)| share * steps(update)).sum();
        let weights: Vec<f64> = updates.iter().zip(&shares).map(|(update, share)| share * tau / steps(update)).collect();
        let total: f64 = weights.iter().sum();
        let learnt = aggregate::weighted_mean(updates, ADAPTERS, &weights)?.sub(&global.scale(total)?)?;
        Ok(global.add(&learnt.scale(self.server_rate)?)?)
    }

    fn config(&self) -> BTreeMap<String, Value> {
        keys_of(self)
    }
}

/// What the suite should know of it.
const ROW: MethodRow = MethodRow {
    name: "fednova",
    sentence: "FedAvg of what each client has learnt per local step.",
    source: "Wang et al., arXiv 2007.07481",
    adapter: "lora",
    any_adapter: true,
    traffic: |spec, _| [spec.parameters(); 2],
    compute: 1.0,
    needs_all_clients: false,
    mean_only: false,
    scope: Scope::Shard,
    build: |given| Ok(Box::new(options::<FedNova>("fednova", given)?)),
};

fn main() -> ExitCode {
    fedbench::cli::main(Registry::new(baselines::METHODS).method(ROW))
}
