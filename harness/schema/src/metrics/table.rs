//! The table: the one place where a metric is named.

use std::collections::BTreeMap;

use super::row::{Direction, Per, Row, Unit, named};
use super::rule::{Field, Rule, Value, summary};
use super::shown::{Column, Held, Section, Shown, shown};
use crate::card::Scoring;
use crate::of_dataset::OfDataset;

/// Where metrics come from that nobody else defines.
const OURS: &str = "ARCHITECTURE.md, Accounting";
/// Where the score of a right option or answer comes from.
const ACCURACY: &str = "ScienceQA tools/evaluate_acc.py; IconQA tools/sub_acc.py";

/// Where scores of captions come from.
const CAPTIONS: &str = "tylin/coco-caption (pycocoevalcap)";

/// What stands before a kind in the name of its accuracy.
pub(super) const ACCURACY_OF: &str = "accuracy/";
/// What stands before a kind in the name of its number of examples.
pub(super) const EXAMPLES_OF: &str = "examples/";
/// What stands before a score's name where a task has more than the one that its card names.
pub(super) const SCORE_OF: &str = "score/";
/// What stands before a tensor's name in the name of a client's share of the weight there.
pub(super) const SHARE_OF: &str = "weight_share/";

named! {
/// A metric that a card may name as its score; it is recorded as `accuracy` wherever scores are, so that tables have one column.
Score {
    Accuracy = "accuracy", Fraction, Higher,
        "Share of test examples answered right: the likeliest option is the right one (its tokens and the one that ends an \
         answer; without the latter where the card says `option_end = false`, as lm-evaluation-harness counts), or the \
         normalised generated text equals the answer.",
        ACCURACY;
    VqaAccuracy = "vqa-accuracy", Fraction, Higher,
        "Mean soft score against ten people's answers: over the sets that leave one person out, min(1, people who said it / \
         3), so with fewer than four people none reaches 1; recorded as `accuracy`.",
        "visualqa.org/evaluation; vqaEval.py";
    DirectAnswer = "direct-answer", Fraction, Higher,
        "Mean of min(1, people who said exactly this / 3), nothing normalised; recorded as `accuracy`.",
        "allenai/aokvqa evaluation/eval_predictions.py";
    MacroF1 = "macro-f1", Fraction, Higher,
        "The mean over labels, right or said, of each one's F1; one number of all answers.",
        "scikit-learn f1_score(average=\"macro\")";
    BalancedAccuracy = "balanced-accuracy", Fraction, Higher,
        "The mean over right labels of the share of each one's rows that were answered right; one number of all answers.",
        "scikit-learn balanced_accuracy_score";
    Cider = "cider", UpToTen, Higher,
        "CIDEr-D against all references, from 0 to 10 and shown a hundredfold; the mean over examples. How much a run of words \
         weighs goes by the references of all test rows of the dataset that are judged, for one client's rows, too.",
        "arXiv 1411.5726; tylin/coco-caption (pycocoevalcap)";
    Bleu1 = "bleu-1", Fraction, Higher,
        "BLEU of single words with the closest reference's length; one number of all answers, nothing smoothed.",
        CAPTIONS;
    Bleu2 = "bleu-2", Fraction, Higher, "The same of runs of up to two words.", CAPTIONS;
    Bleu3 = "bleu-3", Fraction, Higher, "The same of runs of up to three words.", CAPTIONS;
    Bleu4 = "bleu-4", Fraction, Higher, "The same of runs of up to four words.", CAPTIONS;
    RougeL = "rouge-l", Fraction, Higher,
        "ROUGE-L with recall weighing 1.2 times as much as precision, each by its best reference; the mean over examples.",
        CAPTIONS;
    BoxAccuracy = "acc-iou-50", Fraction, Higher,
        "Share of test examples whose box shares at least half of what it and the right box cover together.",
        "RefCOCO, arXiv 1608.00272";
    MeanIou = "mean-iou", Fraction, Higher,
        "The mean of what box and right box share, over what they cover together.",
        "RefCOCO, arXiv 1608.00272";
} }

named! {
/// What a run may record: per round of the whole federation, or per client and round.
Metric {
    Accuracy = "accuracy" per Federation, Fraction, Higher,
        "The card's [`Score`] on the whole test split.",
        ACCURACY;
    AccuracyOf(String) = "accuracy/<tag>=<value>" per Federation, Fraction, Higher,
        "The card's metric on the test examples of that kind, after the last round, for every tag in its `breakdowns`; tag \
         `context` is IMG (a picture), TXT (a hint), NO (neither), `grade_band` is grade1-6 or grade7-12.",
        ACCURACY;
    ExamplesOf(String) = "examples/<tag>=<value>" per Federation, Examples, Higher,
        "How many test examples are of that kind.",
        OURS;
    ScoreOf(String) = "score/<score>" per Federation, Own, None,
        "Another score of the card's task on the whole test split, after the last round, as the task aggregates it; in its own \
         unit, for tasks that have more scores than one.",
        OURS;
    BlindAccuracy = "blind_accuracy" per Federation, Fraction, None,
        "The same after the last round, every picture replaced by the split's mean picture (`evaluation.blind`); of global adapters \
         alone.",
        OURS;
    ClientAccuracy = "client_accuracy" per Client, Fraction, Higher,
        "A client's accuracy on its own test shard.",
        OURS;
    ClientAccuracyMean = "client_accuracy_mean" per Federation, Fraction, Higher,
        "Mean of client_accuracy over clients.",
        OURS;
    SharedClientAccuracyMean = "shared_client_accuracy_mean" per Federation, Fraction, Higher,
        "The same, answered with what the clients share alone; for methods whose clients have adapters of their own, too.",
        OURS;
    LocalClientAccuracyMean = "local_client_accuracy_mean" per Federation, Fraction, Higher,
        "The same, answered with the adapters that never leave the client alone.",
        OURS;
    LeftOut = "left_out" per Client, Clients, Lower,
        "1 for a client whose update held a number that is not finite, or a tensor of a wrong name or shape; it was not \
         averaged in.",
        OURS;
    DroppedOut = "dropped_out" per Client, Clients, Lower,
        "1 for a client that received and never answered: it dropped out (`federation.dropout`), or its host was lost.",
        OURS;
    StateLost = "state_lost" per Client, Clients, Lower,
        "1 for a client whose host began again and no longer knew what the client remembered of earlier rounds: it began anew.",
        OURS;
    NotJudged = "not_judged" per Client, Clients, Lower,
        "1 for a client with adapters of its own that could not be reached to be judged with them, or to give them away.",
        OURS;
    Clipped = "clipped" per Client, Clients, Lower,
        "1 for a client whose update was longer than `privacy.clip`, and was clipped.",
        OURS;
    PrivacyEpsilon = "privacy_epsilon" per Federation, Nats, Lower,
        "The epsilon, at `privacy.delta`, that the client with the most rounds has spent.",
        "Dong et al., arXiv 1905.02383; Balle & Wang, arXiv 1805.06530";
    TrainLoss = "train_loss" per Client, Nats, Lower,
        "Mean negative log-likelihood of the answer tokens over a client's steps of a round.",
        OURS;
    OptimizerSteps = "optimizer_steps" per Client, Steps, Lower,
        "Optimizer steps a client took in a round.",
        OURS;
    WeightShare = "weight_share" per Client, Fraction, None,
        "How much a client counted in a round's merge by Fisher: p_k F_k / sum_j p_j F_j (p_k where that sum is below the floor), \
         the mean over all numbers.",
        OURS;
    WeightShareOf(String) = "weight_share/<tensor>" per Client, Fraction, None,
        "The same over one tensor's numbers; at most 4,096 of them, at even distances.",
        OURS;
    UplinkBytes = "uplink_bytes" per Client, Bytes, Lower,
        "Encoded adapter payload a client sent in a round.",
        OURS;
    DownlinkBytes = "downlink_bytes" per Client, Bytes, Lower,
        "Encoded adapter payload a client received in a round.",
        OURS;
    ActivationUplinkBytes = "activation_uplink_bytes" per Client, Bytes, Lower,
        "Hidden states and labels (or logit gradients) a client sent while training, or raw rows sent once.",
        OURS;
    ActivationDownlinkBytes = "activation_downlink_bytes" per Client, Bytes, Lower,
        "Gradients (and logits) a client received while training.",
        OURS;
    ActivationUplinkPayloadBytes = "activation_uplink_payload_bytes" per Client, Bytes, Lower,
        "What a client really sent to a decoder elsewhere while training: the numbers and labels of its messages.",
        OURS;
    ActivationDownlinkPayloadBytes = "activation_downlink_payload_bytes" per Client, Bytes, Lower,
        "What it received of it.",
        OURS;
    ActivationUplinkSocketBytes = "activation_uplink_socket_bytes" per Client, Bytes, Lower,
        "What its sockets carried to the decoder for that: lengths, layouts and TLS included.",
        OURS;
    ActivationDownlinkSocketBytes = "activation_downlink_socket_bytes" per Client, Bytes, Lower,
        "What its sockets carried from it.",
        OURS;
}
    /// One that is on disk and not in the table: of a later version.
    Unknown(String),
}

/// The row of what a summary says and no record.
pub(super) const UNPARSED_RATE: Row = Row {
    name: "unparsed_rate",
    per: None,
    unit: Unit::Fraction,
    direction: Direction::Lower,
    sentence: "Share of generated answers that could not be parsed; in summary.json and evaluation.json.",
    source: OURS,
};

summary! {
    gives {
        /// The run folder's name.
        run: String,
        /// The experiment's name for people.
        experiment: String,
        /// The method's name.
        method: String,
        /// The adapter kind (`nano`, `lora`), or `none`.
        adapter: String,
        /// The backbone's name.
        backbone: String,
        /// The dataset's name.
        dataset: String,
        /// The seed.
        seed: u64,
        /// Communication rounds.
        rounds: u32,
        /// Clients.
        clients: u32,
        /// Training examples over all clients.
        train_examples: u64,
        /// Test examples.
        test_examples: u64,
    }
    follows {
        /// Optimizer steps over all clients and rounds.
        optimizer_steps: u64 = Sum(OptimizerSteps),
    }
    gives {
        /// How examples with choices were answered: as the card says, or `class` by a backbone that answers by class.
        scoring: Scoring,
    }
    follows {
        /// The card's metric on the whole test split, in [0, 1]; for methods whose clients end with their own adapters, the mean over
        /// clients.
        #[serde(default = "unknown", skip_serializing_if = "is_unknown")]
        accuracy: f64 = Last(Accuracy),
        /// The same without pictures, each replaced by the split's mean picture; none where that was not asked for, or clients end with
        /// their own adapters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blind_accuracy: Option<f64> = Last(BlindAccuracy),
        /// Mean over clients of each client's accuracy on its own test shard, in [0, 1].
        #[serde(default = "unknown", skip_serializing_if = "is_unknown")]
        client_accuracy_mean: f64 = ClientMean(ClientAccuracy),
        /// How many clients that is the mean of, where some have no test example.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clients_judged: Option<u32> = SomeClients(ClientAccuracy),
        /// The worst client's accuracy on its own test shard.
        #[serde(default = "unknown", skip_serializing_if = "is_unknown")]
        client_accuracy_min: f64 = ClientMin(ClientAccuracy),
        /// Standard deviation (n - 1) over clients of the same.
        #[serde(default = "unknown", skip_serializing_if = "is_unknown")]
        client_accuracy_std: f64 = ClientStd(ClientAccuracy),
        /// Mean over clients of the same, answered with what the clients share alone; for methods whose clients have more than that.
        shared_client_accuracy_mean: Option<f64> = Last(SharedClientAccuracyMean),
        /// Mean over clients of the same, answered with the adapters that never leave the client alone.
        local_client_accuracy_mean: Option<f64> = Last(LocalClientAccuracyMean),
    }
    gives {
        /// What `accuracy` and all like it are of: the card's metric, where that is none of VQA's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metric: Option<String>,
        /// Of a federation whose datasets are judged by several metrics, each dataset's numbers, by its name: there is no accuracy over
        /// all of them, nor a mean over clients.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        parts: BTreeMap<String, OfDataset>,
        /// Expected accuracy of a uniform guess among the options.
        #[serde(default = "unknown", skip_serializing_if = "is_unknown")]
        chance_accuracy: f64,
        /// Accuracy of always giving the most frequent option position or answer of the test split.
        #[serde(default = "unknown", skip_serializing_if = "is_unknown")]
        majority_accuracy: f64,
        /// Accuracy by the question's text and the training rows alone (`harness/tasks/src/lookup.rs`); none in old runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lookup_accuracy: Option<f64>,
        /// Share of right answers over all clients' own test rows, so that a client counts as often as it has rows; none where no client
        /// has one. Reports work it out for old runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_accuracy_over_rows: Option<f64>,
        /// Mean over clients with adapters of their own, and over the other clients, of what a client's adapters are worth on the other
        /// one's test shard; reports work it out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        others_accuracy_mean: Option<f64>,
        /// The accuracy if options were ranked by their log-likelihood over the bytes of their texts; none where none were ranked, and in
        /// old runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accuracy_per_byte: Option<f64>,
        /// Share of ranked answers that are the shortest option, of the rows whose options are not all equally long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shortest_option_chosen: Option<f64>,
        /// Share of these rows whose right answer is the shortest option.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shortest_option_right: Option<f64>,
        /// Share of generated answers that could not be parsed.
        unparsed_rate: f64,
    }
    follows {
        /// Adapter payload bytes sent by all clients in all rounds.
        uplink_bytes: u64 = Sum(UplinkBytes),
        /// Adapter payload bytes sent to all clients in all rounds.
        downlink_bytes: u64 = Sum(DownlinkBytes),
        /// Hidden states, labels or logit gradients sent by all clients while training (split setting), or raw data sent once
        /// (centralized).
        activation_uplink_bytes: u64 = Sum(ActivationUplinkBytes),
        /// Gradients (and logits) sent to all clients while training (split setting).
        activation_downlink_bytes: u64 = Sum(ActivationDownlinkBytes),
        /// The same as really sent to a decoder elsewhere, the numbers and labels of messages; none where it was in the same process.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation_uplink_payload_bytes: Option<f64> = SomeSum(ActivationUplinkPayloadBytes),
        /// The same of what was received.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation_downlink_payload_bytes: Option<f64> = SomeSum(ActivationDownlinkPayloadBytes),
        /// Bytes on the sockets to that decoder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation_uplink_socket_bytes: Option<f64> = SomeSum(ActivationUplinkSocketBytes),
        /// Bytes on the sockets from it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation_downlink_socket_bytes: Option<f64> = SomeSum(ActivationDownlinkSocketBytes),
        /// Updates that were not averaged in: a number in them was not finite, or a tensor of a wrong name or shape.
        #[serde(default)]
        updates_left_out: u64 = Sum(LeftOut),
        /// Updates that never arrived (`federation.dropout`).
        #[serde(default)]
        updates_lost: u64 = Sum(DroppedOut),
        /// Clients that began anew, since their host no longer knew what they remembered.
        #[serde(default, skip_serializing_if = "is_zero")]
        states_lost: u64 = Sum(StateLost),
        /// Clients that could not be reached when they were to be judged with adapters of their own.
        #[serde(default, skip_serializing_if = "is_zero")]
        judgings_lost: u64 = Sum(NotJudged),
        /// The epsilon that differential privacy has cost the client with the most rounds, at the experiment's delta.
        privacy_epsilon: Option<f64> = Last(PrivacyEpsilon),
    }
    gives {
        /// Parameters a client stores, as FedNano's table counts them.
        client_parameters_paper: u64,
        /// Parameters a client must hold in a deployment.
        client_parameters_deployed: u64,
        /// Parameters of the whole model with adapters.
        model_parameters: u64,
        /// Trainable parameters.
        trainable_parameters: u64,
        /// Parameters (or equally large statistics) that a client uploads in a round.
        uploaded_parameters_per_round: u64,
        /// Floating-point operations of all clients' training, from shapes (`harness/models/src/flops.rs`); none in old runs.
        client_train_flops: Option<f64>,
        /// The same of the server's part of split training, or of pooled training.
        server_train_flops: Option<f64>,
        /// Seconds from the first round's start to the last evaluation's end.
        wall_seconds: f64,
        /// Peak resident memory of the process, bytes; 0 where the system does not tell.
        peak_memory_bytes: u64,
        /// Training examples per second of training time.
        train_examples_per_second: f64,
    }
    follows {}
}

shown! {
/// A number that every run has, as reports show it.
Reported of f64 {
    Accuracy = accuracy, Fraction, Higher;
    ChanceAccuracy = chance_accuracy, Fraction, None;
    MajorityAccuracy = majority_accuracy, Fraction, None;
    UnparsedRate = unparsed_rate, Fraction, Lower;
    ClientAccuracyMean = client_accuracy_mean, Fraction, Higher;
    ClientAccuracyMin = client_accuracy_min, Fraction, Higher;
    ClientAccuracyStd = client_accuracy_std, Fraction, Lower;
    ClientParametersPaper = client_parameters_paper, Parameters, Lower;
    ClientSharePaper = client_share_paper, Fraction, Lower
        => |s| share(s.client_parameters_paper, s.model_parameters);
    ClientParametersDeployed = client_parameters_deployed, Parameters, Lower;
    ClientShareDeployed = client_share_deployed, Fraction, Lower
        => |s| share(s.client_parameters_deployed, s.model_parameters);
    ModelParameters = model_parameters, Parameters, None;
    TrainableParameters = trainable_parameters, Parameters, Lower;
    UploadedParametersPerRound = uploaded_parameters_per_round, Parameters, Lower;
    UplinkBytes = uplink_bytes, Bytes, Lower;
    DownlinkBytes = downlink_bytes, Bytes, Lower;
    ActivationUplinkBytes = activation_uplink_bytes, Bytes, Lower;
    ActivationDownlinkBytes = activation_downlink_bytes, Bytes, Lower;
    TotalBytes = total_bytes, Bytes, Lower
        => total_bytes;
    OptimizerSteps = optimizer_steps, Steps, None;
    WallSeconds = wall_seconds, Seconds, Lower;
    TrainExamplesPerSecond = train_examples_per_second, ExamplesPerSecond, Higher;
    PeakMemoryBytes = peak_memory_bytes, Bytes, Lower;
} }

shown! {
/// A number that not every run has; reports show it where some run has it.
Optional of Option<f64> {
    LookupAccuracy = lookup_accuracy, Fraction, None;
    BlindAccuracy = blind_accuracy, Fraction, None, in Pictures "without pictures (%)";
    PicturesWorth = pictures_worth, Fraction, None
        => |s| s.blind_accuracy.map(|blind| s.accuracy - blind), in Pictures "with minus without (points)";
    AccuracyPerByte = accuracy_per_byte, Fraction, Higher, in Ranking "per byte (% ↑)";
    ShortestOptionChosen = shortest_option_chosen, Fraction, None, in Ranking "shortest option taken (%)";
    ShortestOptionRight = shortest_option_right, Fraction, None, in Ranking "shortest option right (%)";
    ClientAccuracyOverRows = client_accuracy_over_rows, Fraction, Higher, in Clients "all clients' rows (% ↑)";
    OthersAccuracyMean = others_accuracy_mean, Fraction, Higher, in Clients "others: own adapters on other clients' rows (% ↑)";
    SharedClientAccuracyMean = shared_client_accuracy_mean, Fraction, Higher, in Clients "mean, shared adapters alone (% ↑)";
    LocalClientAccuracyMean = local_client_accuracy_mean, Fraction, Higher, in Clients "mean, own adapters alone (% ↑)";
    PrivacyEpsilon = privacy_epsilon, Nats, Lower, in Clients "privacy spent (epsilon ↓)";
    ClientTrainFlops = client_train_flops, Flops, Lower, in Cost "clients' training (FLOPs ↓)";
    ServerTrainFlops = server_train_flops, Flops, Lower, in Cost "server's training (FLOPs ↓)";
    ActivationUplinkPayloadBytes = activation_uplink_payload_bytes, Bytes, Lower, in Cost "activations sent, payload (bytes ↓)";
    ActivationDownlinkPayloadBytes = activation_downlink_payload_bytes, Bytes, Lower, in Cost "activations received, payload (bytes ↓)";
    ActivationUplinkSocketBytes = activation_uplink_socket_bytes, Bytes, Lower, in Cost "activations sent, socket (bytes ↓)";
    ActivationDownlinkSocketBytes = activation_downlink_socket_bytes, Bytes, Lower, in Cost "activations received, socket (bytes ↓)";
} }

/// What is no number since there is none: a run of several metrics has no accuracy.
fn unknown() -> f64 {
    f64::NAN
}

fn is_unknown(value: &f64) -> bool {
    value.is_nan()
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// What all clients moved in all rounds, up and down.
fn total_bytes(summary: &Summary) -> f64 {
    (summary.uplink_bytes + summary.downlink_bytes + summary.activation_uplink_bytes + summary.activation_downlink_bytes) as f64
}
