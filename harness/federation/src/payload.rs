//! What crosses the link: tensor sets, encoded, behind a head that says what they are.
//!
//! What a client has learnt is sent as the difference to what it received, where there is one of the same shape: it is small, so few
//! bits go far. The head says version, encoding, and each set's tensors by name, shape and type, so that a payload can be read by whoever
//! has nothing else. Only the encoded sets are counted ([`Payload::bytes`]), as they always were: the head is not.

use std::sync::Arc;

use candle_core::{DType, Device};
use guard::text::line;
use models::adapter::Adapters;
use schema::experiment::Wire;
use serde::{Deserialize, Serialize};

use crate::{ADAPTERS, Result, Sets, wire};

/// What is written here, and all that is read.
pub const VERSION: u32 = 1;

/// What tensors may be of: what can be computed with.
const TYPES: [DType; 7] = [DType::F32, DType::F64, DType::F16, DType::BF16, DType::U8, DType::U32, DType::I64];

/// The characters of a name that a message shows.
const SHOWN: usize = 120;

/// Encoded tensor sets, in name order, and what they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    version: u32,
    encoding: Wire,
    sets: Vec<SetHead>,
    #[serde(skip)]
    encoded: Vec<Arc<Vec<u8>>>,
}

/// What a set is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetHead {
    name: String,
    /// Its length, encoded.
    bytes: u64,
    /// Whether it is what is to be added to the set of this name that the sender had received.
    difference: bool,
    tensors: Vec<TensorHead>,
}

/// What a tensor is once it is decoded.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorHead {
    name: String,
    shape: Vec<usize>,
    dtype: String,
}

impl Payload {
    /// Sets as they are.
    pub fn plain(sets: &Sets) -> Result<Self> {
        Self::new(sets, &Sets::default(), Wire::F32)
    }

    /// Sets in an encoding; with few bits, the adapters as the difference to those that were received.
    pub fn new(sets: &Sets, received: &Sets, encoding: Wire) -> Result<Self> {
        let mut payload = Self { version: VERSION, encoding, sets: Vec::new(), encoded: Vec::new() };
        for (name, set) in sets.iter() {
            let base = base(received, name).filter(|base| encoding != Wire::F32 && same_shapes(set, base));
            let sent = base.map(|base| set.sub(base)).transpose()?;
            let encoded = sent.as_ref().unwrap_or(set).map(|tensor| wire::encode(tensor, encoding))?.to_bytes()?;
            let tensors = set.iter().map(|(name, tensor)| TensorHead {
                name: name.clone(),
                shape: tensor.dims().to_vec(),
                dtype: tensor.dtype().as_str().into(),
            });
            let (bytes, tensors) = (encoded.len() as u64, tensors.collect());
            payload.sets.push(SetHead { name: name.clone(), bytes, difference: base.is_some(), tensors });
            payload.encoded.push(Arc::new(encoded));
        }
        Ok(payload)
    }

    /// Bytes that are counted: the encoded sets.
    pub fn bytes(&self) -> u64 {
        self.encoded.iter().map(|set| set.len() as u64).sum()
    }

    /// The sets, at whoever sent `received` to the sender (or was sent it). Nothing is trusted: what it holds is what its head says, or
    /// an error that completes "its message ...". Memory is taken in proportion to its bytes.
    pub fn open(&self, received: &Sets, device: &Device) -> std::result::Result<Sets, String> {
        if self.version != VERSION {
            return Err(format!("holds sets of version {}; version {VERSION} is read here", self.version));
        }
        if self.encoded.len() != self.sets.len() {
            return Err(format!("holds {} sets, and its head names {}", self.encoded.len(), self.sets.len()));
        }
        let mut sets = Sets::default();
        for (head, encoded) in self.sets.iter().zip(&self.encoded) {
            let told = |what: String| format!("holds the set `{}`: {what}", line(&head.name, SHOWN));
            if sets.get(&head.name).is_ok() {
                return Err(told("it is there twice".into()));
            }
            sets = sets.with(&head.name, head.open(encoded, self.encoding, base(received, &head.name), device).map_err(told)?);
        }
        Ok(sets)
    }

    /// The encoded sets, in the order of the head.
    pub(crate) fn encoded(&self) -> impl Iterator<Item = &[u8]> {
        self.encoded.iter().map(|set| set.as_slice())
    }

    /// Takes its sets from bytes that should be these and no others.
    pub(crate) fn fill(&mut self, mut bytes: &[u8]) -> std::result::Result<(), String> {
        for head in &self.sets {
            let Some((set, rest)) = usize::try_from(head.bytes).ok().and_then(|length| bytes.split_at_checked(length)) else {
                let (name, left) = (line(&head.name, SHOWN), bytes.len());
                return Err(format!("is cut: its set `{name}` should have {} bytes, and {left} are left", head.bytes));
            };
            self.encoded.push(Arc::new(set.to_vec()));
            bytes = rest;
        }
        match bytes.len() {
            0 => Ok(()),
            more => Err(format!("goes on for {more} bytes behind its last set")),
        }
    }
}

impl SetHead {
    fn open(
        &self,
        encoded: &[u8],
        wire: Wire,
        base: Option<&Adapters>,
        device: &Device,
    ) -> std::result::Result<Adapters, String> {
        let stored = Adapters::from_bytes(encoded, &Device::Cpu).map_err(|error| error.to_string())?;
        let mut set = Adapters::default();
        for head in &self.tensors {
            let told = |what: String| format!("tensor `{}` {what}", line(&head.name, SHOWN));
            let tensor = stored.get(&head.name).ok_or_else(|| told("is in its head and nowhere else".into()))?;
            let known = |dtype: &DType| TYPES.contains(dtype);
            let dtype = head.dtype.parse().ok().filter(known).ok_or_else(|| {
                let (dtype, types) = (line(&head.dtype, SHOWN), TYPES.map(|dtype| dtype.as_str()).join(", "));
                told(format!("is of type `{dtype}`; expected one of {types}"))
            })?;
            let tensor = wire::decode(tensor, &head.shape, dtype, wire).map_err(told)?;
            set.insert(head.name.clone(), tensor.to_device(device).map_err(|error| told(error.to_string()))?);
        }
        if set.iter().count() != stored.iter().count() || set.iter().count() != self.tensors.len() {
            let (named, held) = (self.tensors.len(), stored.iter().count());
            return Err(format!("its head names {named} tensors, and it holds {held}, not the same"));
        }
        match base.filter(|base| same_shapes(&set, base)) {
            _ if !self.difference => Ok(set),
            Some(base) => set.add(base).map_err(|error| error.to_string()),
            None => Err("it is a difference to what was not sent in these shapes".into()),
        }
    }
}

/// What a set may be a difference to: a statistic is no change of what came down under its name.
fn base<'a>(received: &'a Sets, name: &str) -> Option<&'a Adapters> {
    received.get(name).ok().filter(|_| name == ADAPTERS)
}

fn same_shapes(a: &Adapters, b: &Adapters) -> bool {
    a.iter().map(|(name, x)| (name, x.dims())).eq(b.iter().map(|(name, x)| (name, x.dims())))
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
