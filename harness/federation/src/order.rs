//! What the server asks of a client, and what comes back.

use models::flops::Flops;
use schema::Prediction;
use schema::metrics::Variant;
use serde::{Deserialize, Serialize};

use crate::exact::bits;
use crate::link::{Carried, Traffic};
use crate::{Payload, Round, Sets, Update};

/// What the server asks of a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Whom it asks.
    pub client: usize,
    /// Where the run stands.
    pub round: Round,
    /// The last round of which the server has its reply, 0 before the first: it works on from what it remembered then, since an update
    /// that never arrived leaves no trace.
    pub after: usize,
    /// What it is to do.
    pub kind: Kind,
    /// What it gets: to train with, what the method sends; otherwise the global adapters.
    pub payload: Payload,
}

/// What a client is to do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Kind {
    /// To train for a round.
    Train {
        /// The share of its steps that it takes: less than 1 for a straggler.
        #[serde(with = "bits")]
        share_of_steps: f64,
    },
    /// To answer test examples with adapters of its own.
    Judge {
        /// Those of the whole test split, and those of its own test shard with each variant too; otherwise its own shard's alone.
        everywhere: bool,
    },
    /// To give adapters of its own away, for the run folder, and forget the rest: it is the last order, and nobody holds them twice.
    Own,
}

/// What comes back of an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// Who was asked.
    pub client: usize,
    /// The order's round.
    pub round: usize,
    /// Whether what it remembered was gone, so that it began anew.
    pub state_lost: bool,
    /// What the client's passes computed for it.
    pub flops: Flops,
    /// What became of it.
    pub done: Done,
}

/// What became of an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Done {
    /// A round's update.
    Trained(Trained),
    /// A client's answers with adapters of its own.
    Judged(Judged),
    /// A client's own adapters, if it has any.
    Own(Option<Payload>),
    /// Training went astray.
    Diverged {
        /// The loss that is not finite.
        #[serde(with = "bits")]
        loss: f64,
    },
    /// Nothing came back, or nothing that could be read: why.
    Lost(String),
}

/// An update as it left its client: [`Update`] with its sets encoded.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trained {
    /// [`Update::num_examples`].
    pub num_examples: usize,
    /// [`Update::loss`].
    #[serde(with = "bits")]
    pub loss: f64,
    /// [`Update::steps`].
    pub steps: usize,
    /// [`Update::examples`].
    pub examples: usize,
    /// What split training moved.
    pub activations: Traffic,
    /// The same as it was measured, where the decoder was elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
    /// Whether it was cut to length.
    pub clipped: bool,
    /// Whether all numbers were finite before they were encoded: few bits may turn what is not into a number like others.
    pub finite: bool,
    /// The tensors.
    pub payload: Payload,
}

/// A client's answers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// With its own adapters; none of a client without.
    pub own: Option<Vec<Prediction>>,
    /// With what else it can answer with.
    pub variants: Vec<(Variant, Vec<Prediction>)>,
}

/// More than anybody does in a round: sums of such numbers would overflow.
const MOST: f64 = 1e15;
/// The same of operations.
const MOST_FLOPS: f64 = 1e30;

impl Trained {
    /// An update without its sets, which are in this payload.
    pub(crate) fn new(update: &Update, activations: Traffic, clipped: bool, finite: bool, payload: Payload) -> Self {
        let Update { num_examples, loss, steps, examples, .. } = *update;
        Self { num_examples, loss, steps, examples, activations, carried: None, clipped, finite, payload }
    }

    /// The update again, with the sets that its payload held.
    pub(crate) fn with(&self, client: usize, sets: Sets) -> Update {
        let Self { num_examples, loss, steps, examples, .. } = *self;
        Update { client, num_examples, loss, steps, examples, sets }
    }

    fn counts(&self) -> [(&'static str, f64); 9] {
        let Carried { payload, socket } = self.carried.unwrap_or_default();
        [
            ("training examples", self.num_examples as f64),
            ("steps", self.steps as f64),
            ("examples in them", self.examples as f64),
            ("bytes of activations up", self.activations.uplink as f64),
            ("bytes of activations down", self.activations.downlink as f64),
            ("bytes of payload up", payload.uplink as f64),
            ("bytes of payload down", payload.downlink as f64),
            ("bytes on sockets up", socket.uplink as f64),
            ("bytes on sockets down", socket.downlink as f64),
        ]
    }
}

impl Reply {
    /// Nothing came back.
    pub fn lost(order: &Order, why: impl Into<String>) -> Self {
        let (client, round, flops) = (order.client, order.round.index, Flops::default());
        Self { client, round, state_lost: false, flops, done: Done::Lost(why.into()) }
    }

    /// Fails if it speaks of what nobody could have done; the error completes "its message ...".
    pub(crate) fn check(&self) -> Result<(), String> {
        let counts = match &self.done {
            Done::Trained(trained) => trained.counts().to_vec(),
            _ => Vec::new(),
        };
        let flops = [self.flops.before_decoder, self.flops.decoder].map(|count| ("operations", count, MOST_FLOPS));
        let all = counts.into_iter().map(|(what, count)| (what, count, MOST)).chain(flops);
        match all.into_iter().find(|(_, count, most)| !(0.0..=*most).contains(count)) {
            Some((what, count, most)) => Err(format!("speaks of {count} {what}; expected at most {most:e}")),
            None => Ok(()),
        }
    }
}
