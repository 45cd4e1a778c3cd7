//! What clients remember, where a host keeps it for another that goes on from it.

use std::collections::BTreeMap;

use candle_core::Device;
use models::adapter::Adapters;
use models::flops::Flops;

use crate::order::{Done, Reply};
use crate::{Message, Payload, Result, Sets};

/// What a client remembers: named adapter sets.
pub(crate) type Memory = BTreeMap<String, Adapters>;

/// A place for what clients remember, as bytes that nobody else need understand.
pub trait Memories: Send + Sync {
    /// Keeps what a client remembers after a round. What it remembered after the round `before`, of which the server has its last reply,
    /// has to stay, for this round's may be lost; nothing else has.
    fn keep(&self, client: usize, round: usize, before: usize, bytes: &[u8]) -> Result<()>;

    /// What was kept of a client after a round; nothing where it is gone or not as it was.
    fn recall(&self, client: usize, round: usize) -> Result<Option<Vec<u8>>>;
}

impl<M: Memories + ?Sized> Memories for &M {
    fn keep(&self, client: usize, round: usize, before: usize, bytes: &[u8]) -> Result<()> {
        (**self).keep(client, round, before, bytes)
    }

    fn recall(&self, client: usize, round: usize) -> Result<Option<Vec<u8>>> {
        (**self).recall(client, round)
    }
}

/// As the reply in which a client gives all of it away.
pub(crate) fn to_bytes(client: usize, round: usize, memory: &Memory) -> Result<Vec<u8>> {
    let sets = memory.iter().fold(Sets::default(), |sets, (name, set)| sets.with(name, set.clone()));
    let done = Done::Own(Some(Payload::plain(&sets)?));
    Reply { client, round, state_lost: false, flops: Flops::default(), done }.to_bytes()
}

/// The memory again, if it is this client's of this round.
pub(crate) fn from_bytes(bytes: &[u8], client: usize, round: usize, device: &Device) -> Option<Memory> {
    let reply = Reply::from_bytes(bytes).ok().filter(|reply| (reply.client, reply.round) == (client, round))?;
    let Done::Own(Some(payload)) = reply.done else { return None };
    let sets = payload.open(&Sets::default(), device).ok()?;
    Some(sets.iter().map(|(name, set)| (name.clone(), set.clone())).collect())
}
