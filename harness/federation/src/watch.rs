//! Who looks on.

use crate::link::Traffic;

/// What is known after a round.
#[derive(Debug, Clone, Copy)]
pub struct RoundReport {
    /// From 1; 0 is the evaluation before training.
    pub round: usize,
    /// Mean training loss over clients, weighted by their examples.
    pub loss: Option<f64>,
    /// Accuracy on the whole test split, where it was judged.
    pub accuracy: Option<f64>,
    /// Mean over clients on their own test shards, where it was judged.
    pub client_accuracy: Option<f64>,
    /// Adapter bytes up and down in this round.
    pub adapters: Traffic,
    /// Activation bytes up and down in this round.
    pub activations: Traffic,
}

/// Who watches a run: progress for people, nothing that could change a number.
pub trait Watch: Sync {
    /// A client finished its work of a round.
    fn client_done(&self, round: usize, client: usize) {
        let _ = (round, client);
    }

    /// A round is over.
    fn round_done(&self, report: &RoundReport) {
        let _ = report;
    }
}

/// Nobody watches.
pub struct Unwatched;

impl Watch for Unwatched {}
