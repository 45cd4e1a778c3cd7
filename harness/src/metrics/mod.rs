//! Metrics: what is measured, in which unit, and which direction is better.

pub mod breakdown;
pub mod evaluate;
pub mod vqa;

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
        "Share of test examples answered right: the likeliest option is the right one (its tokens and the one that ends an answer; without the latter where the card says `option_end = false`, as lm-evaluation-harness counts), or the normalised generated text equals the answer.",
        "ScienceQA tools/evaluate_acc.py; IconQA tools/sub_acc.py",
    ),
    metric(
        VQA_ACCURACY,
        "share in 0..1",
        true,
        "Mean soft score against ten people's answers: over the sets that leave one person out, min(1, people who said it / 3), so with fewer than four people none reaches 1; recorded as `accuracy`.",
        "visualqa.org/evaluation; vqaEval.py",
    ),
    metric(
        DIRECT_ANSWER,
        "share in 0..1",
        true,
        "Mean of min(1, people who said exactly this / 3), nothing normalised; recorded as `accuracy`.",
        "allenai/aokvqa evaluation/eval_predictions.py",
    ),
    metric(
        "accuracy/<tag>=<value>",
        "share in 0..1",
        true,
        "The card's metric on the test examples of that kind, after the last round, for every tag in its `breakdowns`; tag `context` is IMG (a picture), TXT (a hint), NO (neither), `grade_band` is grade1-6 or grade7-12.",
        "ScienceQA tools/evaluate_acc.py; IconQA tools/sub_acc.py",
    ),
    metric("examples/<tag>=<value>", "examples", true, "How many test examples are of that kind.", OURS),
    metric(
        "unparsed_rate",
        "share in 0..1",
        false,
        "Share of generated answers that could not be parsed; in summary.json and evaluation.json.",
        OURS,
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

/// A metric that a card may name as its score; it is recorded as `accuracy` wherever scores are, so that tables have one column.
#[derive(Debug, Clone, Copy)]
pub struct Score {
    /// Its name.
    pub name: &'static str,
    /// Whether it weighs several people's answers.
    pub of_people: bool,
}

/// The metrics a card may name as its score.
pub const SCORES: &[Score] = &[
    Score { name: "accuracy", of_people: false },
    Score { name: VQA_ACCURACY, of_people: true },
    Score { name: DIRECT_ANSWER, of_people: true },
];

/// See [`vqa::soft_accuracy`].
pub const VQA_ACCURACY: &str = "vqa-accuracy";
/// See [`vqa::direct_answer`].
pub const DIRECT_ANSWER: &str = "direct-answer";

/// The score of an answer against several people's, by the card's metric.
pub fn score(metric: &str, answer: &str, people: &[String]) -> f64 {
    match metric {
        DIRECT_ANSWER => vqa::direct_answer(answer, people),
        _ => vqa::soft_accuracy(answer, people),
    }
}
