//! Metrics: what is measured, in which unit, and which direction is better.

pub mod evaluate;

use serde::Serialize;

/// A row of `fedbench list metrics`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Metric {
    /// Its name in records and cards.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// What it is, in a sentence.
    pub sentence: &'static str,
    /// Where its definition comes from.
    pub source: &'static str,
}

const fn metric(
    name: &'static str,
    unit: &'static str,
    higher_is_better: bool,
    sentence: &'static str,
    source: &'static str,
) -> Metric {
    Metric { name, unit, higher_is_better, sentence, source }
}

const OURS: &str = "ARCHITECTURE.md, Accounting";

/// The metrics there are.
pub const METRICS: &[Metric] = &[
    metric(
        "accuracy",
        "share in 0..1",
        true,
        "Share of test examples answered right: the likeliest option is the right one, or the normalised generated text equals the answer.",
        "ScienceQA tools/evaluate_acc.py; IconQA tools/sub_acc.py",
    ),
    metric("client_accuracy", "share in 0..1", true, "A client's accuracy on its own test shard.", OURS),
    metric("client_accuracy_mean", "share in 0..1", true, "Mean of client_accuracy over clients.", OURS),
    metric(
        "shared_client_accuracy_mean",
        "share in 0..1",
        true,
        "The same, answered with what the clients share alone; for methods whose clients have adapters of their own, too.",
        OURS,
    ),
    metric(
        "local_client_accuracy_mean",
        "share in 0..1",
        true,
        "The same, answered with the adapters that never leave the client alone.",
        OURS,
    ),
    metric(
        "left_out",
        "clients",
        false,
        "1 for a client whose update held a number that is not finite, or a tensor of a wrong name or shape; it was not averaged in.",
        OURS,
    ),
    metric("dropped_out", "clients", false, "1 for a client that received and never answered (`federation.dropout`).", OURS),
    metric("clipped", "clients", false, "1 for a client whose update was longer than `privacy.clip`, and was clipped.", OURS),
    metric(
        "privacy_epsilon",
        "nats",
        false,
        "The epsilon, at `privacy.delta`, that the client with the most rounds has spent.",
        "Dong et al., arXiv 1905.02383; Balle & Wang, arXiv 1805.06530",
    ),
    metric(
        "train_loss",
        "nats per answer token",
        false,
        "Mean negative log-likelihood of the answer tokens over a client's steps of a round.",
        OURS,
    ),
    metric("optimizer_steps", "steps", false, "Optimizer steps a client took in a round.", OURS),
    metric("uplink_bytes", "bytes", false, "Encoded adapter payload a client sent in a round.", OURS),
    metric("downlink_bytes", "bytes", false, "Encoded adapter payload a client received in a round.", OURS),
    metric(
        "activation_uplink_bytes",
        "bytes",
        false,
        "Hidden states and labels (or logit gradients) a client sent while training, or raw rows sent once.",
        OURS,
    ),
    metric("activation_downlink_bytes", "bytes", false, "Gradients (and logits) a client received while training.", OURS),
];

/// The metrics a card may name as its score.
pub const SCORES: &[&str] = &["accuracy"];
