//! The link between clients and the server: the one place where bytes are counted.
//!
//! Two channels, never mixed: *adapters* (what federated methods send, counted from the encoded sets of a [`crate::Payload`]; its head,
//! which says what they are, is not) and *activations* (what split training moves besides: hidden states up, their gradients down, labels or logits; and
//! the raw rows that centralized tuning collects once).

use models::crossing::{Crossing, row_bytes};
use models::{Backbone, Batch};
use schema::experiment::LossAt;
use serde::{Deserialize, Serialize};

/// Bytes in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// Client to server.
    pub uplink: u64,
    /// Server to client.
    pub downlink: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.uplink += other.uplink;
        self.downlink += other.downlink;
    }
}

/// What really crossed a line to a decoder elsewhere, where one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// The numbers and labels of messages.
    pub payload: Traffic,
    /// All that sockets carried for them.
    pub socket: Traffic,
}

impl Carried {
    /// What a pass's meter has counted, with this.
    pub(crate) fn with(mut self, [payload, socket]: [[u64; 2]; 2]) -> Self {
        let traffic = |[uplink, downlink]: [u64; 2]| Traffic { uplink, downlink };
        self.payload += traffic(payload);
        self.socket += traffic(socket);
        self
    }
}

/// One client's traffic in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ClientTraffic {
    /// The client.
    pub client: usize,
    /// Encoded adapter payloads.
    pub adapters: Traffic,
    /// Hidden states, gradients, labels, logits, raw rows.
    pub activations: Traffic,
    /// The same as it was measured, where the decoder is elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
}

/// A round's link.
#[derive(Debug, Default)]
pub struct Link {
    clients: Vec<ClientTraffic>,
}

impl Link {
    /// The server sends a client encoded sets of so many bytes.
    pub fn down(&mut self, client: usize, bytes: u64) {
        self.client(client).adapters.downlink += bytes;
    }

    /// A client's encoded sets of so many bytes have arrived.
    pub fn up(&mut self, client: usize, bytes: u64) {
        self.client(client).adapters.uplink += bytes;
    }

    /// What split training moved for a client.
    pub fn activations(&mut self, client: usize, traffic: Traffic, carried: Option<Carried>) {
        let client = self.client(client);
        client.activations += traffic;
        client.carried = carried;
    }

    /// A client hands its raw rows to the server.
    pub fn raw_rows(&mut self, client: usize, bytes: u64) {
        self.client(client).activations.uplink += bytes;
    }

    /// Every client's traffic, in client-id order.
    pub fn per_client(&self) -> &[ClientTraffic] {
        &self.clients
    }

    /// All clients' adapters and activations.
    pub fn totals(&self) -> (Traffic, Traffic) {
        let (mut adapters, mut activations) = (Traffic::default(), Traffic::default());
        for client in &self.clients {
            adapters += client.adapters;
            activations += client.activations;
        }
        (adapters, activations)
    }

    fn client(&mut self, id: usize) -> &mut ClientTraffic {
        let at = self.clients.partition_point(|client| client.client < id);
        if self.clients.get(at).is_none_or(|client| client.client != id) {
            self.clients.insert(at, ClientTraffic { client: id, ..ClientTraffic::default() });
        }
        &mut self.clients[at]
    }
}

/// What one pass of a batch through a split model moves, forward and backward: every token's hidden state up and its gradient
/// down; and, per answer token, its label up (`loss_at = "server"`) or its logits down and their gradient up (`"client"`).
/// Padding does not travel. Numbers that are not encoded have the type of hidden states: on the CPU f32, whatever weights have.
pub fn split_passes(batch: &Batch, backbone: &dyn Backbone, crossing: Crossing) -> [Traffic; 2] {
    let (spec, plain) = (backbone.spec(), backbone.dtype());
    let rows = |count: usize, width: usize| count as u64 * row_bytes(crossing.activations, width, plain) as u64;
    let hidden = rows(batch.num_tokens, spec.d_model);
    let answers = batch.owners.len() as u64;
    let logits = rows(batch.owners.len(), spec.vocabulary);
    match crossing.loss_at {
        LossAt::Server => {
            [Traffic { uplink: hidden + answers * LABEL_BYTES, downlink: 0 }, Traffic { uplink: 0, downlink: hidden }]
        }
        LossAt::Client => [Traffic { uplink: hidden, downlink: logits }, Traffic { uplink: logits, downlink: hidden }],
    }
}

/// A token id on the wire.
const LABEL_BYTES: u64 = 4;
