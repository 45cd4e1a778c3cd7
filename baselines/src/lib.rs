//! The methods under test: one file each, one row each in [`METHODS`].

pub mod centralized;
pub mod fedavg;
pub mod fednano;
pub mod local;
pub mod zero_shot;

use std::collections::BTreeMap;

use harness::Result;
use harness::federation::{Method, Scope};
use harness::registry::{MethodRow, options};
use serde::Deserialize;
use serde_json::Value;

/// Experiments and suites that ship with the program, by name.
pub const SUITES: &[(&str, &str)] = &[
    ("quickstart", include_str!("../configs/suites/quickstart.toml")),
    ("easy-vqa", include_str!("../configs/suites/easy-vqa.toml")),
    ("scienceqa-img-resplit", include_str!("../configs/suites/scienceqa-img-resplit.toml")),
];

/// A method without keys of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

/// Builds a method that has no keys of its own, refusing any.
fn plain<M: Method + 'static>(name: &str, given: &BTreeMap<String, Value>, method: M) -> Result<Box<dyn Method>> {
    let NoOptions {} = options(name, given)?;
    Ok(Box::new(method))
}

const DEFAULTS: MethodRow = MethodRow {
    name: "",
    sentence: "",
    source: "",
    adapter: "nano",
    any_adapter: false,
    uploads: 1,
    downloads: 1,
    scope: Scope::Shard,
    build: |_| Err(harness::Error::Usage("a method row without a builder".into())),
};

/// The methods there are, lower references first and upper references last.
pub const METHODS: &[MethodRow] = &[
    MethodRow {
        name: "zero-shot",
        sentence: "The untouched backbone: the lower reference.",
        source: "reference row (METHODS: zero-shot)",
        any_adapter: true,
        uploads: 0,
        downloads: 0,
        scope: Scope::Nothing,
        build: |given| plain("zero-shot", given, zero_shot::ZeroShot),
        ..DEFAULTS
    },
    MethodRow {
        name: "local",
        sentence: "Each client tunes its own adapters on its own shard and sends nothing (LocFT).",
        source: "FedNano, arXiv 2506.14824, baselines",
        any_adapter: true,
        uploads: 0,
        downloads: 0,
        build: |given| plain("local", given, local::Local),
        ..DEFAULTS
    },
    MethodRow {
        name: "fedavg-lora",
        sentence: "LoRA inside the decoder, A and B averaged separately by data share (FedIT).",
        source: "McMahan et al., arXiv 1602.05629; Zhang et al., arXiv 2305.05644",
        adapter: "lora",
        build: |given| plain("fedavg-lora", given, fedavg::FedAvg),
        ..DEFAULTS
    },
    MethodRow {
        name: "fedavg-nano",
        sentence: "NanoAdapters before the decoder, averaged by data share.",
        source: "McMahan et al., arXiv 1602.05629; adapters of arXiv 2506.14824",
        build: |given| plain("fedavg-nano", given, fedavg::FedAvg),
        ..DEFAULTS
    },
    MethodRow {
        name: "fednano",
        sentence: "NanoAdapters merged by the diagonal Fisher of each client's shard, squared per example.",
        source: "FedNano, arXiv 2506.14824",
        uploads: 2,
        build: fednano::FedNano::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "fednano-ef",
        sentence: "FedNano with the Fisher accumulated from the last local epoch's own gradients, squared per batch: no extra pass.",
        source: "FedNano, arXiv 2506.14824",
        uploads: 2,
        build: fednano::FedNanoEf::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "centralized-nano",
        sentence: "NanoAdapters tuned on all shards pooled, with every client's steps: an upper reference.",
        source: "FedNano, arXiv 2506.14824, baselines",
        uploads: 0,
        downloads: 0,
        scope: Scope::Pooled,
        build: |given| plain("centralized-nano", given, centralized::Centralized),
        ..DEFAULTS
    },
    MethodRow {
        name: "centralized-lora",
        sentence: "LoRA tuned on all shards pooled, with every client's steps: an upper reference.",
        source: "FedNano, arXiv 2506.14824, baselines",
        adapter: "lora",
        uploads: 0,
        downloads: 0,
        scope: Scope::Pooled,
        build: |given| plain("centralized-lora", given, centralized::Centralized),
        ..DEFAULTS
    },
];
