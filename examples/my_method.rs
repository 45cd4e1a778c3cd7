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

use federation::Result;
use federation::aggregate::Mean;
use federation::registry::{MethodRow, Registry, keys_of, options};
use federation::{ADAPTERS, Client, Family, Method, Plain, Round, Scope, Sets, Update};
use models::adapter::{Adapters, lora};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Its own keys: an experiment sets them in `[method]`, and unknown ones are refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FedNova {
    /// The share of the way to the new adapters that the server goes.
    server_rate: f64,
    /// `theta_k`, weighted by `n_k / tau_k`.
    #[serde(skip)]
    mean: Mean,
    /// `sum_k n_k tau_k`, `sum_k n_k`.
    #[serde(skip)]
    sums: [f64; 2],
}

impl Default for FedNova {
    fn default() -> Self {
        Self { server_rate: 1.0, mean: Mean::default(), sums: [0.0; 2] }
    }
}

impl Method for FedNova {
    /// The client half: tune what was received, send it back.
    fn train(&self, client: &mut Client, received: &Sets) -> Result<Update> {
        let fit = client.fit(received.get(ADAPTERS)?, &mut Plain)?;
        Ok(client.update(fit.work).with(ADAPTERS, fit.adapters))
    }

    /// The server half, for each update: what is needed of it goes into running sums.
    fn receive(&mut self, update: Update, _global: &Adapters, _round: Round) -> Result<()> {
        let (examples, steps) = (update.num_examples as f64, update.steps.max(1) as f64);
        self.sums[0] += examples * steps;
        self.sums[1] += examples;
        self.mean.add(update.set(ADAPTERS)?, examples / steps)
    }

    /// The server half, at the end of a round: `theta + rate * tau * sum_k p_k (theta_k - theta) / tau_k`, with `p_k = n_k / n` and
    /// `tau = sum_k p_k tau_k`.
    fn aggregate(&mut self, global: &Adapters, _round: Round) -> Result<Adapters> {
        let (mean, weight) = self.mean.take_weighed()?;
        let [steps, examples] = std::mem::take(&mut self.sums);
        let pull = steps / examples * (weight / examples);
        Ok(global.add(&mean.sub(global)?.scale(self.server_rate * pull)?)?)
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
    version: 1,
    family: Family::Federated,
    adapter: &lora::KIND,
    refuses: |_| None,
    aliases: &[],
    traffic: |spec, _| [spec.set_parameters(); 2],
    compute: 1.0,
    needs_all_clients: false,
    mean_only: false,
    unequal_ranks: false,
    personal: false,
    scope: Scope::Shard,
    build: |given| Ok(Box::new(options::<FedNova>("fednova", given)?)),
};

fn main() -> ExitCode {
    fedbench::cli::main(Registry::new(baselines::METHODS).method(ROW))
}
