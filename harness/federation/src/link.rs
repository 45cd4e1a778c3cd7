//! The link between clients and the server: the one place where bytes are counted.
//!
//! Two channels, never mixed: *adapters* (what federated methods send, counted from the encoded sets of a [`crate::Payload`]; its head,
//! which says what they are, is not) and *activations* (what split training moves besides: hidden states up, their gradients down, labels or logits; and
//! the raw rows that centralized tuning collects once).

use models::{Batch, Spec};
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

/// One client's traffic in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ClientTraffic {
    /// The client.
    pub client: usize,
    /// Encoded adapter payloads.
    pub adapters: Traffic,
    /// Hidden states, gradients, labels, logits, raw rows.
    pub activations: Traffic,
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
    pub fn activations(&mut self, client: usize, traffic: Traffic) {
        self.client(client).activations += traffic;
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
/// Padding does not travel.
pub fn split_passes(batch: &Batch, spec: &Spec, loss_at: LossAt) -> [Traffic; 2] {
    let number = spec.bytes_per_number as u64;
    let hidden = batch.num_tokens as u64 * spec.d_model as u64 * number;
    let answers = batch.owners.len() as u64;
    let logits = answers * spec.vocabulary as u64 * number;
    match loss_at {
        LossAt::Server => {
            [Traffic { uplink: hidden + answers * LABEL_BYTES, downlink: 0 }, Traffic { uplink: 0, downlink: hidden }]
        }
        LossAt::Client => [Traffic { uplink: hidden, downlink: logits }, Traffic { uplink: logits, downlink: hidden }],
    }
}

/// A token id on the wire.
const LABEL_BYTES: u64 = 4;
