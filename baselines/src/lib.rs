//! The methods under test: one file each, one row each in [`METHODS`].

pub mod averaging;
pub mod centralized;
pub mod ditto;
pub mod fedalt;
pub mod fedavg;
pub mod feddat;
pub mod feddpa;
pub mod feddyn;
pub mod fedex_lora;
pub mod fednano;
pub mod fedopt;
pub mod fedprox;
pub mod fedsa_lora;
pub mod fedsvd;
pub mod ffa_lora;
pub mod flexlora;
pub mod flora;
pub mod hetlora;
mod keys;
pub mod local;
pub mod lora_fair;
mod pairs;
pub mod robust;
pub mod rolora;
pub mod scaffold;
pub mod weights;
pub mod zero_shot;

use federation::registry::{Alias, MethodRow};
use federation::{Family, Scope};
use models::SiteSpec;
use models::adapter::{self, AdapterSpec, Head};

/// Experiments and suites that ship with the program, by name.
pub const SUITES: &[(&str, &str)] = &[
    ("quickstart", include_str!("../configs/suites/quickstart.toml")),
    ("scigen", include_str!("../configs/suites/scigen.toml")),
    ("easy-vqa", include_str!("../configs/suites/easy-vqa.toml")),
    ("headroom", include_str!("../configs/suites/headroom.toml")),
    ("methods", include_str!("../configs/suites/methods.toml")),
    ("domains", include_str!("../configs/suites/domains.toml")),
    ("feddat-domain", include_str!("../configs/suites/feddat-domain.toml")),
    ("tasks", include_str!("../configs/suites/tasks.toml")),
    ("main-table", include_str!("../configs/suites/main-table.toml")),
    ("main-table-equal", include_str!("../configs/suites/main-table-equal.toml")),
    ("placement", include_str!("../configs/suites/placement.toml")),
    ("heterogeneity", include_str!("../configs/suites/heterogeneity.toml")),
    ("ci", include_str!("../configs/suites/ci.toml")),
    ("fednano-ablation", include_str!("../configs/suites/fednano-ablation.toml")),
    ("activations", include_str!("../configs/suites/activations.toml")),
    ("smol-scienceqa", include_str!("../configs/suites/smol-scienceqa.toml")),
    ("scienceqa-img-resplit", include_str!("../configs/suites/scienceqa-img-resplit.toml")),
    ("llava-7b", include_str!("../configs/suites/llava-7b.toml")),
];

/// Papers' comparisons: a shipped suite and the claims that its runs are judged by.
pub const REPRODUCTIONS: &[(&str, &str)] = &[
    ("main-table", include_str!("../configs/reproduce/main-table.toml")),
    ("main-table-equal", include_str!("../configs/reproduce/main-table-equal.toml")),
    ("placement", include_str!("../configs/reproduce/placement.toml")),
    ("ablation-fisher", include_str!("../configs/reproduce/ablation-fisher.toml")),
    ("heterogeneity", include_str!("../configs/reproduce/heterogeneity.toml")),
    ("feddat-domain", include_str!("../configs/reproduce/feddat-domain.toml")),
];

/// What crosses the link for one client in a round: numbers up, numbers down.
type Traffic = fn(&AdapterSpec, usize) -> [u64; 2];

const NOTHING: Traffic = |_, _| [0, 0];
/// The adapters both ways: N up, N down. N has a shared head's numbers in it, here and below.
const ADAPTERS: Traffic = |spec, _| [spec.set_parameters(); 2];
/// As much again up: a Fisher.
const TWICE_UP: Traffic = |spec, _| [2 * spec.set_parameters(), spec.set_parameters()];
/// As much again both ways: control variates.
const TWICE: Traffic = |spec, _| [2 * spec.set_parameters(); 2];
/// The matrices A alone, and a head.
const A_ALONE: Traffic = |spec, _| [of_sites(spec, |site| site.d_in) + of_head(spec); 2];
/// The matrices B alone, and a head.
const B_ALONE: Traffic = |spec, _| [of_sites(spec, |site| site.d_out) + of_head(spec); 2];
/// The matrices B up, a head with them; N down.
const B_UP: Traffic = |spec, _| [of_sites(spec, |site| site.d_out) + of_head(spec), spec.set_parameters()];
/// A or B up in turn, a head with them, and here the larger; N down.
const IN_TURN_UP: Traffic = |spec, clients| [A_ALONE(spec, clients)[0].max(B_ALONE(spec, clients)[0]), spec.set_parameters()];
/// N up, every client's pairs and one head down.
const STACK_DOWN: Traffic = |spec, clients| [spec.set_parameters(), clients as u64 * of_pairs(spec) + of_head(spec)];
/// N up; N and a residual of every client's pairs down.
const RESIDUAL_DOWN: Traffic = |spec, clients| [spec.set_parameters(), spec.set_parameters() + clients as u64 * of_pairs(spec)];

/// Numbers of the matrices of one side.
fn of_sites(spec: &AdapterSpec, side: fn(&SiteSpec) -> usize) -> u64 {
    spec.sites.iter().map(|site| (spec.rank * side(site)) as u64).sum()
}

fn of_head(spec: &AdapterSpec) -> u64 {
    spec.shared_head().map_or(0, Head::parameters)
}

fn of_pairs(spec: &AdapterSpec) -> u64 {
    spec.set_parameters() - of_head(spec)
}

const DEFAULTS: MethodRow = MethodRow {
    name: "",
    sentence: "",
    source: "",
    version: 1,
    family: Family::Federated,
    adapter: &adapter::lora::KIND,
    refuses: |_| None,
    aliases: &[],
    traffic: ADAPTERS,
    compute: 1.0,
    needs_all_clients: false,
    mean_only: true,
    unequal_ranks: false,
    personal: false,
    scope: Scope::Shard,
    build: |_| Err(federation::Error::Usage("a method row without a builder".into())),
};

/// A method that takes pairs of matrices apart.
const PAIRS: MethodRow = MethodRow { refuses: pairs::refuses, ..DEFAULTS };

/// A method that merges what it has learnt into every client's frozen weights.
const MERGING: MethodRow =
    MethodRow { refuses: pairs::refuses_without_weights, needs_all_clients: true, mean_only: false, ..DEFAULTS };

/// The methods there are, lower references first and upper references last.
pub const METHODS: &[MethodRow] = &[
    MethodRow {
        name: "zero-shot",
        sentence: "The untouched backbone: the lower reference.",
        source: "reference row (METHODS: zero-shot)",
        family: Family::ZeroShot,
        adapter: &adapter::nano::KIND,
        traffic: NOTHING,
        scope: Scope::Nothing,
        build: zero_shot::ZeroShot::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "local",
        sentence: "Each client tunes its own adapters on its own shard and sends nothing (LocFT).",
        source: "FedNano, arXiv 2506.14824, baselines",
        family: Family::Local,
        adapter: &adapter::nano::KIND,
        traffic: NOTHING,
        personal: true,
        build: local::Local::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "fedavg",
        sentence: "The clients' adapters averaged by data share, every tensor by itself (on LoRA: FedIT).",
        source: "McMahan et al., arXiv 1602.05629; on LoRA Zhang et al., arXiv 2305.05644",
        family: Family::FedAvg,
        aliases: &[Alias { name: "fedavg-lora", adapter: "lora" }, Alias { name: "fedavg-nano", adapter: "nano" }],
        build: fedavg::FedAvg::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "fednano",
        sentence: "Adapters merged by the diagonal Fisher of each client's shard, squared per example.",
        source: "FedNano, arXiv 2506.14824",
        adapter: &adapter::nano::KIND,
        traffic: TWICE_UP,
        compute: 2.0,
        mean_only: false,
        build: fednano::FedNano::with_a_pass,
        ..DEFAULTS
    },
    MethodRow {
        name: "fednano-ef",
        sentence: "FedNano with the Fisher accumulated from the last local epoch's own gradients, squared per batch: no extra pass.",
        source: "FedNano, arXiv 2506.14824",
        adapter: &adapter::nano::KIND,
        traffic: TWICE_UP,
        mean_only: false,
        build: fednano::FedNano::without,
        ..DEFAULTS
    },
    MethodRow {
        name: "fedprox",
        sentence: "FedAvg whose clients are held near what they received by a quadratic term.",
        source: "Li et al., arXiv 1812.06127",
        build: fedprox::FedProx::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "feddyn",
        sentence: "Clients whose losses remember where they pulled before, so that local and global optima agree.",
        source: "Acar et al., arXiv 2111.04263",
        build: feddyn::FedDyn::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "scaffold",
        sentence: "Local gradients corrected by control variates, the federation's and the client's own.",
        source: "Karimireddy et al., arXiv 1910.06378",
        traffic: TWICE,
        build: scaffold::Scaffold::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "fedavgm",
        sentence: "FedAvg with momentum at the server.",
        source: "Hsu et al., arXiv 1909.06335",
        build: fedopt::FedOpt::momentum,
        ..DEFAULTS
    },
    MethodRow {
        name: "fedadagrad",
        sentence: "Adagrad at the server, on what FedAvg would change.",
        source: "Reddi et al., arXiv 2003.00295, algorithm 2",
        build: |given| fedopt::FedOpt::adaptive("fedadagrad", fedopt::Rule::Adagrad, given),
        ..DEFAULTS
    },
    MethodRow {
        name: "fedadam",
        sentence: "Adam at the server, on what FedAvg would change.",
        source: "Reddi et al., arXiv 2003.00295, algorithm 2",
        build: |given| fedopt::FedOpt::adaptive("fedadam", fedopt::Rule::Adam, given),
        ..DEFAULTS
    },
    MethodRow {
        name: "fedyogi",
        sentence: "Yogi at the server, on what FedAvg would change.",
        source: "Reddi et al., arXiv 2003.00295, algorithm 2",
        build: |given| fedopt::FedOpt::adaptive("fedyogi", fedopt::Rule::Yogi, given),
        ..DEFAULTS
    },
    MethodRow {
        name: "fedmedian",
        sentence: "The coordinate-wise median of the clients' adapters.",
        source: "Yin et al., arXiv 1803.01498",
        mean_only: false,
        build: robust::Robust::median,
        ..DEFAULTS
    },
    MethodRow {
        name: "fedtrimmedmean",
        sentence: "The coordinate-wise mean of the clients' adapters without the largest and smallest values.",
        source: "Yin et al., arXiv 1803.01498",
        mean_only: false,
        build: robust::Robust::trimmed_mean,
        ..DEFAULTS
    },
    MethodRow {
        name: "feddpa-f",
        sentence: "FedAvg first; in the last round each client goes on alone from the global adapters.",
        source: "Yang et al., arXiv 2403.19211",
        personal: true,
        build: feddpa::FedDpaF::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "feddpa-t",
        sentence: "A local adapter beside the global one in every round; answers mix the two.",
        source: "Yang et al., arXiv 2403.19211",
        compute: 2.0,
        personal: true,
        build: feddpa::FedDpaT::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "ditto",
        sentence: "FedAvg, and beside it each client's own adapters, held near the global ones.",
        source: "Li et al., arXiv 2012.04221",
        compute: 2.0,
        personal: true,
        build: ditto::Ditto::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "feddat",
        sentence: "A shared adapter and a local one; their mean is a teacher, and the two teach each other.",
        source: "Chen et al., arXiv 2308.12305",
        adapter: &adapter::bottleneck::KIND,
        compute: 2.5,
        personal: true,
        build: feddat::FedDat::build,
        ..DEFAULTS
    },
    MethodRow {
        name: "ffa-lora",
        sentence: "LoRA with A frozen as drawn; B is trained and averaged, which is exact.",
        source: "Sun et al., arXiv 2403.12313",
        traffic: B_ALONE,
        build: ffa_lora::FfaLora::build,
        ..PAIRS
    },
    MethodRow {
        name: "rolora",
        sentence: "LoRA whose A and B are trained and averaged in turn, a round each, which is exact.",
        source: "Chen et al., arXiv 2502.01755",
        traffic: IN_TURN_UP,
        build: rolora::RoLora::build,
        ..PAIRS
    },
    MethodRow {
        name: "fedsvd",
        sentence: "LoRA whose B is trained and averaged; the product is split anew by singular values after every round.",
        source: "Lee et al., arXiv 2505.12805",
        traffic: B_UP,
        build: fedsvd::FedSvd::build,
        ..PAIRS
    },
    MethodRow {
        name: "lora-fair",
        sentence: "FedAvg on LoRA, and a correction of the mean B toward the mean product.",
        source: "Bian et al., arXiv 2411.14961",
        mean_only: false,
        build: lora_fair::LoraFair::build,
        ..PAIRS
    },
    MethodRow {
        name: "fedsa-lora",
        sentence: "LoRA whose A is averaged and whose B stays at its client.",
        source: "Guo et al., arXiv 2410.01463",
        traffic: A_ALONE,
        personal: true,
        build: fedsa_lora::FedSaLora::build,
        ..PAIRS
    },
    MethodRow {
        name: "fedalt",
        sentence: "A pair of one's own beside the mean of all others', weighed for each token by a router that stays at its client.",
        source: "Bian et al., AAAI 2026; jmbian/FedALT",
        mean_only: false,
        personal: true,
        build: fedalt::FedAlt::build,
        ..PAIRS
    },
    MethodRow {
        name: "hetlora",
        sentence: "LoRA of unequal ranks: truncated down, padded up, weighed by the norm of the product, self-pruning.",
        source: "Cho et al., arXiv 2401.06432",
        mean_only: false,
        unequal_ranks: true,
        build: hetlora::HetLora::build,
        ..PAIRS
    },
    MethodRow {
        name: "flexlora",
        sentence: "LoRA of unequal ranks: products are averaged and split anew by singular values.",
        source: "Bai et al., arXiv 2402.11505",
        mean_only: false,
        unequal_ranks: true,
        build: flexlora::FlexLora::build,
        ..PAIRS
    },
    MethodRow {
        name: "flora",
        sentence: "LoRA pairs stacked, not averaged, and merged into every client's frozen weights.",
        source: "Wang et al., arXiv 2409.05976",
        traffic: STACK_DOWN,
        unequal_ranks: true,
        build: flora::Flora::build,
        ..MERGING
    },
    MethodRow {
        name: "fedex-lora",
        sentence: "FedAvg on LoRA; what that leaves out of the mean product is merged into every client's frozen weights.",
        source: "Singhal et al., arXiv 2410.09432",
        traffic: RESIDUAL_DOWN,
        build: fedex_lora::FedExLora::build,
        ..MERGING
    },
    MethodRow {
        name: "centralized",
        sentence: "Adapters tuned on all shards pooled, with every client's steps: an upper reference.",
        source: "FedNano, arXiv 2506.14824, baselines",
        family: Family::Centralized,
        adapter: &adapter::nano::KIND,
        aliases: &[Alias { name: "centralized-nano", adapter: "nano" }, Alias { name: "centralized-lora", adapter: "lora" }],
        traffic: NOTHING,
        scope: Scope::Pooled,
        build: centralized::Centralized::build,
        ..DEFAULTS
    },
];
