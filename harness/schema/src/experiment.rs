//! One experiment (a configuration), and a suite (experiments x seeds).
//!
//! Every key has a default but the dataset and the method, unknown keys are errors, and the *resolved* experiment, defaults filled
//! in, is what a run folder keeps and what its name is the hash of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::activations::Activations;
pub use crate::backbone::{BackboneConfig, Checkpoint};
pub use crate::data_config::{DataConfig, Dedup};
pub use crate::optimizer::{Course, OptimizerConfig};
pub use crate::test_rows::TestRows;
pub use crate::tuned::Tuned;

/// One configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// A name for people; not part of the run's identity.
    #[serde(default)]
    pub name: String,
    /// The seed of every random stream.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The frozen model, and where it computes.
    #[serde(default)]
    pub backbone: BackboneConfig,
    /// Which examples are trained on and judged.
    pub data: DataConfig,
    /// How they are split over clients.
    #[serde(default)]
    pub partition: PartitionConfig,
    /// Rounds and local work.
    #[serde(default)]
    pub federation: FederationConfig,
    /// The local optimizer (AdamW).
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// What is trained.
    #[serde(default)]
    pub adapter: AdapterConfig,
    /// The method's name and its own keys.
    pub method: MethodConfig,
    /// When and how to evaluate.
    #[serde(default)]
    pub evaluation: EvaluationConfig,
    /// Differential privacy of whole clients; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<PrivacyConfig>,
    /// Where values come from that were searched for; not part of the run's identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned: Option<Tuned>,
}

/// The largest seed: TOML's integers end there, so a run folder can hold no larger one.
pub const MOST_SEED: u64 = i64::MAX as u64;

fn default_seed() -> u64 {
    1
}

impl Experiment {
    /// The run's name: `<label>-<method>-s<seed>-<hash>`, the hash over everything that can change a number: this experiment, resolved,
    /// and `materials`, which names by content all that the experiment names by path or name ([`crate::Inputs::identity`]). `label`, for
    /// people, is the dataset's name.
    pub fn run_name(&self, label: &str, materials: &str) -> String {
        let mut json = serde_json::to_vec(&self.without_names()).expect("an experiment is plain data");
        json.extend(materials.as_bytes());
        let hash = &crate::sha256_hex(&json)[..12];
        format!("{}-{}-s{}-{hash}", file_name(label), file_name(&self.method.name), self.seed)
    }

    /// The same with 0 where a number is -0, which computes the same: one configuration has one hash.
    pub fn with_plain_zeros(self) -> Self {
        let mut value = serde_json::to_value(&self).expect("an experiment is plain data");
        plain_zeros(&mut value);
        // No experiment that was read holds NaN or an infinity, which would be null by now (`toml_file::from_table`).
        serde_json::from_value(value).unwrap_or(self)
    }

    /// The same without what is only a name or a place, or says where values come from: its own name, and those of the dataset, the
    /// backbone, the partition's file and the adapters to start from; and without what changes time and memory alone.
    pub fn without_names(&self) -> Self {
        let mut bare = Self { name: String::new(), tuned: None, ..self.clone() };
        bare.data.dataset = String::new();
        bare.backbone.name = String::new();
        bare.backbone.weights = None;
        bare.backbone.checkpoint = Checkpoint::None;
        bare.federation.decoder = None;
        bare.partition.file = None;
        bare.adapter.start = None;
        bare
    }
}

fn plain_zeros(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Number(number) if number.is_f64() && number.as_f64() == Some(0.0) => *value = 0.0.into(),
        serde_json::Value::Array(values) => values.iter_mut().for_each(plain_zeros),
        serde_json::Value::Object(entries) => entries.values_mut().for_each(plain_zeros),
        _ => {}
    }
}

/// A part of a folder's name is at most so many bytes long: systems allow 255 for the whole.
const LONGEST_PART: usize = 80;

/// A name as a part of a folder's name: letters, digits and `._-+`, anything else a `-`; never empty, and never hidden, an option or a
/// folder above.
fn file_name(name: &str) -> String {
    let mut safe = String::new();
    for character in name.chars() {
        let kept = if character.is_alphanumeric() || "._-+".contains(character) { character } else { '-' };
        // Brackets and blanks beside each other are one break.
        if kept != character && safe.ends_with('-') {
            continue;
        }
        if safe.len() + kept.len_utf8() > LONGEST_PART {
            break;
        }
        safe.push(kept);
    }
    let trimmed = safe.trim_start_matches(['-', '.', '+']).trim_end_matches(['-', '.']);
    if trimmed.is_empty() { "data".into() } else { trimmed.into() }
}

/// How the examples are split over clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PartitionConfig {
    /// The number of clients (for `natural` by a column: the number of its values, and this key is not used).
    pub clients: usize,
    /// How examples are dealt out.
    pub scheme: PartitionScheme,
    /// The label to split by, for `dirichlet`, `pathological` and `natural`: `answer` or a tag of the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Concentration, for `dirichlet` and `quantity`.
    pub alpha: f64,
    /// Labels per client, for `pathological`.
    pub classes_per_client: usize,
    /// Every client gets at least so many training examples.
    pub min_examples: usize,
    /// A saved partition to use instead of drawing one: of this dataset, and of what else is said here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Default for PartitionConfig {
    fn default() -> Self {
        Self {
            clients: 5,
            scheme: PartitionScheme::Iid,
            key: None,
            alpha: 1.0,
            classes_per_client: 2,
            min_examples: 2,
            file: None,
        }
    }
}

/// The partition schemes, named as in Flower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionScheme {
    /// Shuffled, equal sizes.
    Iid,
    /// Per label, a Dirichlet(alpha) draw over clients (Hsu et al., arXiv 1909.06335).
    Dirichlet,
    /// `classes_per_client` labels per client (McMahan et al., arXiv 1602.05629).
    Pathological,
    /// Shuffled, sizes by one Dirichlet(alpha) draw over clients.
    Quantity,
    /// One client per value of the key's column.
    Natural,
}

/// Rounds and local work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FederationConfig {
    /// Communication rounds.
    pub rounds: usize,
    /// Passes over a client's shard in a round; `local_steps` wins where it is given.
    pub local_epochs: usize,
    /// Optimizer steps of a client in a round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_steps: Option<usize>,
    /// Examples in a batch.
    pub batch_size: usize,
    /// What is the same for all methods: steps, or the work of steps.
    pub budget: Budget,
    /// The share of clients sampled in each round, in (0, 1].
    pub cohort: f64,
    /// The share of a round's cohort, in [0, 1), that receives and then fails: its update never arrives. One client always answers.
    pub dropout: f64,
    /// The share of a round's cohort, in [0, 1], that is slow: it stops after `straggler_steps` of its steps, and sends what it
    /// has.
    pub stragglers: f64,
    /// The share of its steps, in (0, 1], that a slow client takes; at least one step.
    pub straggler_steps: f64,
    /// How updates are encoded on their way up.
    pub uplink: Wire,
    /// In the split setting: where the loss is computed, hence whether labels or logits cross the link.
    pub loss_at: LossAt,
    /// In the split setting: how hidden states, logits and their gradients are encoded, both ways; as they are without it.
    #[serde(skip_serializing_if = "Activations::is_plain")]
    #[schemars(extend("default" = "f32"))]
    pub activations: Activations,
    /// Where a process holds the decoder (`fedbench decoder`), as `tcp://HOST:PORT`, `tls://HOST:PORT` or `unix:PATH`; in this one
    /// without it. A place, and no part of the run's identity: no number depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
}

impl Default for FederationConfig {
    fn default() -> Self {
        Self {
            rounds: 10,
            local_epochs: 1,
            local_steps: None,
            batch_size: 16,
            budget: Budget::Steps,
            cohort: 1.0,
            dropout: 0.0,
            stragglers: 0.0,
            straggler_steps: 0.5,
            uplink: Wire::F32,
            loss_at: LossAt::Server,
            activations: Activations::F32,
            decoder: None,
        }
    }
}

/// What is the same for all methods of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// Optimizer steps of every tensor in training: whoever trains two adapters in turn computes twice as much.
    Steps,
    /// Computation: a method whose step costs c steps of plain tuning takes one c-th of them, at least one.
    Flops,
}

/// How the numbers of an update are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Wire {
    /// As they are.
    F32,
    /// Half precision.
    F16,
    /// Whole multiples, at most 127, of a scale for each 64.
    Int8,
    /// Whole multiples, at most 7, of a scale for each 64; two in a byte.
    Int4,
}

/// In the split setting: where the loss is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LossAt {
    /// Answer labels travel up.
    Server,
    /// Answer-position logits travel down and their gradients up; labels never leave the client.
    Client,
}

/// What is trained.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdapterConfig {
    /// The kind of adapters, one that the method can tune (`fedbench list methods`); the method's own without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The rank r (of a prompt, its tokens); the kind's default without it. Biases and norms have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// Instead of a rank, how many parameters are trained, a head's among them: the rank that comes nearest is taken, and kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// The scale's numerator (scale = alpha / r); the kind's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Where it attaches: `image`, `text`, projections such as `q_proj`, `ffn`, norms such as `norm`, or `prompt`; the kind's default
    /// without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sites: Option<Vec<String>>,
    /// Whether a head that is trained beside them is every client's own or the federation's: `private` without it, `shared` wherever data
    /// are pooled. Only a backbone with such a head takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Sharing>,
    /// A file of saved adapters that everybody starts from, a run's `adapters.safetensors` for one; drawn ones without it. Of a run whose
    /// clients have adapters of their own it is what they share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// How many classes that head tells apart; 100 without it. Only a backbone that answers by class takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
}

/// Whose a trained head is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Each client's own: it never leaves it.
    #[default]
    Private,
    /// The federation's: it travels and is averaged as adapters are.
    Shared,
}

/// The method's name and its own keys, which the method itself reads (and refuses, where it does not know them).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MethodConfig {
    /// A method's name (`fedbench list methods`).
    pub name: String,
    /// The method's own keys.
    #[serde(flatten)]
    pub options: BTreeMap<String, serde_json::Value>,
}

/// When and how to evaluate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Evaluate after every so many rounds; the last round always is. 0 means the last round only.
    pub every: usize,
    /// Examples in a batch; changes speed, never a prediction.
    pub batch_size: usize,
    /// The longest generated answer, for `generation` scoring.
    pub max_new_tokens: usize,
    /// Whether the global adapters are judged once more at the end, every picture replaced by the test split's mean picture.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub blind: bool,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self { every: 1, batch_size: 32, max_new_tokens: 16, blind: false }
    }
}

/// Differential privacy of whole clients: clipped updates under Gaussian noise (McMahan et al., arXiv 1710.06963).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrivacyConfig {
    /// Who adds the noise.
    pub mode: PrivacyMode,
    /// C: what a client has learnt in a round is at most so long (Euclidean, over all it sends).
    pub clip: f64,
    /// z: the noise's standard deviation, over C.
    pub noise_multiplier: f64,
    /// The delta at which epsilon is stated.
    #[serde(default = "default_delta")]
    pub delta: f64,
}

fn default_delta() -> f64 {
    1e-5
}

/// Who adds the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PrivacyMode {
    /// Each client, to its own update.
    Local,
    /// A trusted server, to the sum of a round's updates.
    Central,
}

/// A list of experiments x seeds: every member is `base` with the keys of `experiments` laid over it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// A name for people.
    pub name: String,
    /// What the suite is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The seeds each experiment runs with.
    pub seeds: Vec<u64>,
    /// What all experiments share.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub base: toml::Table,
    /// Axes: every combination of one table of each axis, laid over `base` in the order of the axes' names.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Vec<BTreeMap<String, serde_json::Value>>>")]
    pub axes: BTreeMap<String, Vec<toml::Table>>,
    /// Single experiments, laid over `base`; used where there are no axes, or beside them.
    #[serde(default)]
    #[schemars(with = "Vec<BTreeMap<String, serde_json::Value>>")]
    pub experiments: Vec<toml::Table>,
}

#[cfg(test)]
mod tests {
    use super::{Experiment, file_name};
    use crate::toml_file::{from_table, parse_table};

    #[test]
    fn zero_has_no_sign() {
        let read = |zero: &str| -> Experiment {
            let text = format!(
                "data.dataset = \"d\"\nmethod = {{ name = \"m\", mu = {zero}, n = 3, list = [{zero}, 0.1] }}\n[optimizer]\nweight_decay = {zero}"
            );
            from_table("x", parse_table("x", &text).expect("TOML")).expect("an experiment")
        };
        let (plain, signed) = (read("0.0"), read("-0.0"));
        assert_ne!(plain.run_name("d", ""), signed.run_name("d", ""));
        assert_eq!(plain.run_name("d", ""), signed.with_plain_zeros().run_name("d", ""));
        assert_eq!(plain.clone().with_plain_zeros(), plain);
    }

    #[test]
    fn a_folders_name_is_plain() {
        for (name, expect) in [
            ("icongen", "icongen"),
            ("scienceqa-img+iconqa", "scienceqa-img+iconqa"),
            ("my vqa (v2)", "my-vqa-v2"),
            ("Prüfung-数据", "Prüfung-数据"),
            ("../../etc/passwd", "etc-passwd"),
            ("-rf", "rf"),
            (".hidden", "hidden"),
            ("", "data"),
            ("\u{1b}[31m\n", "31m"),
            ("a\u{202e}b", "a-b"),
        ] {
            assert_eq!(file_name(name), expect, "{name:?}");
        }
        let long = file_name(&"数".repeat(1000));
        assert_eq!((long.len(), long.chars().count()), (78, 26));
    }
}
