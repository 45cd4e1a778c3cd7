//! The methods under test: one file each, one row each in [`METHODS`].

pub mod centralized;
pub mod ditto;
pub mod fedavg;
pub mod feddat;
pub mod feddpa;
pub mod feddyn;
pub mod fedex_lora;
pub mod fednano;
pub mod fedopt;
pub mod fedprox;
pub mod fedsa_lora;
pub mod ffa_lora;
pub mod flexlora;
pub mod flora;
pub mod hetlora;
mod keys;
pub mod local;
mod pairs;
pub mod robust;
pub mod scaffold;
pub mod weights;
pub mod zero_shot;

use std::collections::BTreeMap;

use federation::Result;
use federation::registry::{MethodRow, options};
use federation::{Method, Scope};
use models::adapter::AdapterSpec;
use serde::Deserialize;
use serde_json::Value;

/// Experiments and suites that ship with the program, by name.
pub const SUITES: &[(&str, &str)] = &[
    ("quickstart", include_str!("../configs/suites/quickstart.toml")),
    ("scigen", include_str!("../configs/suites/scigen.toml")),
    ("easy-vqa", include_str!("../configs/suites/easy-vqa.toml")),
    ("headroom", include_str!("../configs/suites/headroom.toml")),
    ("methods", include_str!("../configs/suites/methods.toml")),
    ("domains", include_str!("../configs/suites/domains.toml")),
    ("main-table", include_str!("../configs/suites/main-table.toml")),
    ("heterogeneity", include_str!("../configs/suites/heterogeneity.toml")),
    ("ci", include_str!("../configs/suites/ci.toml")),
    ("fednano-ablation", include_str!("../configs/suites/fednano-ablation.toml")),
    ("smol-scienceqa", include_str!("../configs/suites/smol-scienceqa.toml")),
    ("scienceqa-img-resplit", include_str!("../configs/suites/scienceqa-img-resplit.toml")),
];

/// Papers' comparisons: a shipped suite and the claims that its runs are judged by.
pub const REPRODUCTIONS: &[(&str, &str)] = &[
    ("main-table", include_str!("../configs/reproduce/main-table.toml")),
    ("ablation-fisher", include_str!("../configs/reproduce/ablation-fisher.toml")),
    ("heterogeneity", include_str!("../configs/reproduce/heterogeneity.toml")),
    ("feddat-domain", include_str!("../configs/reproduce/feddat-domain.toml")),
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

/// What crosses the link for one client in a round: numbers up, numbers down.
type Traffic = fn(&AdapterSpec, usize) -> [u64; 2];

const NOTHING: Traffic = |_, _| [0, 0];
/// The adapters both ways: N up, N down.
const ADAPTERS: Traffic = |spec, _| [spec.parameters(); 2];
/// As much again up: a Fisher.
const TWICE_UP: Traffic = |spec, _| [2 * spec.parameters(), spec.parameters()];
/// As much again both ways: control variates.
const TWICE: Traffic = |spec, _| [2 * spec.parameters(); 2];
/// The matrices A alone.
const A_ALONE: Traffic = |spec, _| [spec.sites.iter().map(|site| (spec.rank * site.d_in) as u64).sum(); 2];
/// The matrices B alone.
const B_ALONE: Traffic = |spec, _| [spec.sites.iter().map(|site| (spec.rank * site.d_out) as u64).sum(); 2];
/// N up, every client's pairs down.
const STACK_DOWN: Traffic = |spec, clients| [spec.parameters(), clients as u64 * spec.parameters()];
/// N up; N and a residual of every client's pairs down.
const RESIDUAL_DOWN: Traffic = |spec, clients| [spec.parameters(), (1 + clients as u64) * spec.parameters()];

const DEFAULTS: MethodRow = MethodRow {
    name: "",
    sentence: "",
    source: "",
    adapter: "nano",
    any_adapter: false,
    traffic: ADAPTERS,
    compute: 1.0,
    needs_all_clients: false,
    mean_only: true,
    unequal_ranks: false,
    scope: Scope::Shard,
    build: |_| Err(federation::Error::Usage("a method row without a builder".into())),
};

/// A method on LoRA unless an experiment asks for other adapters.
const FREE: MethodRow = MethodRow { adapter: "lora", any_adapter: true, ..DEFAULTS };

/// The methods there are, lower references first and upper references last.
pub const METHODS: &[MethodRow] = &[
    MethodRow {
        name: "zero-shot",
        sentence: "The untouched backbone: the lower reference.",
        source: "reference row (METHODS: zero-shot)",
        any_adapter: true,
        traffic: NOTHING,
        scope: Scope::Nothing,
        build: |given| plain("zero-shot", given, zero_shot::ZeroShot),
        ..DEFAULTS
    },
    MethodRow {
        name: "local",
        sentence: "Each client tunes its own adapters on its own shard and sends nothing (LocFT).",
        source: "FedNano, arXiv 2506.14824, baselines",
        any_adapter: true,
        traffic: NOTHING,
        build: |given| plain("local", given, local::Local),
        ..DEFAULTS
    },
    MethodRow {
        name: "fedavg-lora",
        sentence: "LoRA inside the decoder, A and B averaged separately by data share (FedIT).",
        source: "McMahan et al., arXiv 1602.05629; Zhang et al., arXiv 2305.05644",
        adapter: "lora",
        build: |given| fedavg::FedAvg::build("fedavg-lora", given),
        ..DEFAULTS
    },
    MethodRow {
        name: "fedavg-nano",
        sentence: "NanoAdapters before the decoder, averaged by data share.",
        source: "McMahan et al., arXiv 1602.05629; adapters of arXiv 2506.14824",
        build: |given| fedavg::FedAvg::build("fedavg-nano", given),
        ..DEFAULTS
    },
    MethodRow {
        name: "fednano",
        sentence: "NanoAdapters merged by the diagonal Fisher of each client's shard, squared per example.",
        source: "FedNano, arXiv 2506.14824",
        traffic: TWICE_UP,
        compute: 2.0,
        mean_only: false,
        build: fednano::FedNano::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "fednano-ef",
        sentence: "FedNano with the Fisher accumulated from the last local epoch's own gradients, squared per batch: no extra pass.",
        source: "FedNano, arXiv 2506.14824",
        traffic: TWICE_UP,
        mean_only: false,
        build: fednano::FedNanoEf::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "fedprox",
        sentence: "FedAvg whose clients are held near what they received by a quadratic term.",
        source: "Li et al., arXiv 1812.06127",
        build: fedprox::FedProx::build,
        ..FREE
    },
    MethodRow {
        name: "feddyn",
        sentence: "Clients whose losses remember where they pulled before, so that local and global optima agree.",
        source: "Acar et al., arXiv 2111.04263",
        build: feddyn::FedDyn::build,
        ..FREE
    },
    MethodRow {
        name: "scaffold",
        sentence: "Local gradients corrected by control variates, the federation's and the client's own.",
        source: "Karimireddy et al., arXiv 1910.06378",
        traffic: TWICE,
        build: scaffold::Scaffold::build,
        ..FREE
    },
    MethodRow {
        name: "fedavgm",
        sentence: "FedAvg with momentum at the server.",
        source: "Hsu et al., arXiv 1909.06335",
        build: fedopt::FedOpt::momentum,
        ..FREE
    },
    MethodRow {
        name: "fedadagrad",
        sentence: "Adagrad at the server, on what FedAvg would change.",
        source: "Reddi et al., arXiv 2003.00295, algorithm 2",
        build: |given| fedopt::FedOpt::adaptive("fedadagrad", fedopt::Rule::Adagrad, given),
        ..FREE
    },
    MethodRow {
        name: "fedadam",
        sentence: "Adam at the server, on what FedAvg would change.",
        source: "Reddi et al., arXiv 2003.00295, algorithm 2",
        build: |given| fedopt::FedOpt::adaptive("fedadam", fedopt::Rule::Adam, given),
        ..FREE
    },
    MethodRow {
        name: "fedyogi",
        sentence: "Yogi at the server, on what FedAvg would change.",
        source: "Reddi et al., arXiv 2003.00295, algorithm 2",
        build: |given| fedopt::FedOpt::adaptive("fedyogi", fedopt::Rule::Yogi, given),
        ..FREE
    },
    MethodRow {
        name: "fedmedian",
        sentence: "The coordinate-wise median of the clients' adapters.",
        source: "Yin et al., arXiv 1803.01498",
        mean_only: false,
        build: robust::FedMedian::build,
        ..FREE
    },
    MethodRow {
        name: "fedtrimmedmean",
        sentence: "The coordinate-wise mean of the clients' adapters without the largest and smallest values.",
        source: "Yin et al., arXiv 1803.01498",
        mean_only: false,
        build: robust::FedTrimmedMean::build,
        ..FREE
    },
    MethodRow {
        name: "feddpa-f",
        sentence: "FedAvg first; in the last round each client goes on alone from the global adapters.",
        source: "Yang et al., arXiv 2403.19211",
        build: feddpa::FedDpaF::build,
        ..FREE
    },
    MethodRow {
        name: "feddpa-t",
        sentence: "A local adapter beside the global one in every round; answers mix the two.",
        source: "Yang et al., arXiv 2403.19211",
        compute: 2.0,
        build: feddpa::FedDpaT::build,
        ..FREE
    },
    MethodRow {
        name: "ditto",
        sentence: "FedAvg, and beside it each client's own adapters, held near the global ones.",
        source: "Li et al., arXiv 2012.04221",
        compute: 2.0,
        build: ditto::Ditto::build,
        ..FREE
    },
    MethodRow {
        name: "feddat",
        sentence: "A shared adapter and a local one; their mean is a teacher, and the two teach each other.",
        source: "Chen et al., arXiv 2308.12305",
        adapter: "bottleneck",
        compute: 2.5,
        build: feddat::FedDat::build,
        ..FREE
    },
    MethodRow {
        name: "ffa-lora",
        sentence: "LoRA with A frozen as drawn; B is trained and averaged, which is exact.",
        source: "Sun et al., arXiv 2403.12313",
        adapter: "lora",
        traffic: B_ALONE,
        build: ffa_lora::FfaLora::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "fedsa-lora",
        sentence: "LoRA whose A is averaged and whose B stays at its client.",
        source: "Guo et al., arXiv 2410.01463",
        adapter: "lora",
        traffic: A_ALONE,
        build: fedsa_lora::FedSaLora::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "hetlora",
        sentence: "LoRA of unequal ranks: truncated down, padded up, weighed by the norm of the product, self-pruning.",
        source: "Cho et al., arXiv 2401.06432",
        adapter: "lora",
        mean_only: false,
        unequal_ranks: true,
        build: hetlora::HetLora::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "flexlora",
        sentence: "LoRA of unequal ranks: products are averaged and split anew by singular values.",
        source: "Bai et al., arXiv 2402.11505",
        adapter: "lora",
        mean_only: false,
        unequal_ranks: true,
        build: flexlora::FlexLora::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "flora",
        sentence: "LoRA pairs stacked, not averaged, and merged into every client's frozen weights.",
        source: "Wang et al., arXiv 2409.05976",
        adapter: "lora",
        traffic: STACK_DOWN,
        needs_all_clients: true,
        mean_only: false,
        unequal_ranks: true,
        build: flora::Flora::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "fedex-lora",
        sentence: "FedAvg on LoRA; what that leaves out of the mean product is merged into every client's frozen weights.",
        source: "Singhal et al., arXiv 2410.09432",
        adapter: "lora",
        traffic: RESIDUAL_DOWN,
        needs_all_clients: true,
        mean_only: false,
        build: fedex_lora::FedExLora::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "centralized-nano",
        sentence: "NanoAdapters tuned on all shards pooled, with every client's steps: an upper reference.",
        source: "FedNano, arXiv 2506.14824, baselines",
        traffic: NOTHING,
        scope: Scope::Pooled,
        build: |given| plain("centralized-nano", given, centralized::Centralized::default()),
        ..DEFAULTS
    },
    MethodRow {
        name: "centralized-lora",
        sentence: "LoRA tuned on all shards pooled, with every client's steps: an upper reference.",
        source: "FedNano, arXiv 2506.14824, baselines",
        adapter: "lora",
        traffic: NOTHING,
        scope: Scope::Pooled,
        build: |given| plain("centralized-lora", given, centralized::Centralized::default()),
        ..DEFAULTS
    },
];
