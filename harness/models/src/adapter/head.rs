//! A trained head: tensors of the model's own, a classifier over answers for one, that are trained beside the adapters by the same
//! optimizer.
//!
//! A *shared* head is in every set that adapters are in: it travels, is aggregated and saved as they are. A *private* one is its
//! client's: no method sees it and no set holds it; the client lays it beside whatever adapters it trains or answers with, so a method
//! that trains twice in a round trains it twice. It is in no run folder.
//!
//! It lies behind everything else, so whoever trains one holds the whole model.

use candle_core::{DType, Device, Result, Tensor};
use schema::experiment::Sharing;
use seed::Seed;
use serde::Serialize;

use super::Adapters;
use crate::Error;
use crate::sites::{HeadTensor, Spec, Start};

/// How the names of a head's tensors begin, in a set.
const PREFIX: &str = "head.";

/// A backbone's trained head, and whose it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Head {
    /// Its tensors.
    pub tensors: Vec<HeadTensor>,
    /// Whose it is.
    pub sharing: Sharing,
}

impl Head {
    /// A backbone's, if it has one, shared as a config says.
    pub(super) fn of(backbone: &Spec, sharing: Option<Sharing>, classes: Option<usize>) -> crate::Result<Option<Self>> {
        if let Some(classes) = classes {
            check_classes(backbone, classes)?;
        }
        match sharing {
            Some(_) if backbone.head.is_empty() => Err(Error::Usage(format!(
                "adapter.head: backbone `{}` has no head that is trained; leave the key out",
                backbone.name
            ))),
            _ if backbone.head.is_empty() => Ok(None),
            _ => Ok(Some(Self { tensors: tensors(backbone, classes), sharing: sharing.unwrap_or_default() })),
        }
    }

    /// How many classes it tells apart, if it does.
    pub fn classes(&self) -> Option<usize> {
        self.tensors.iter().find(|tensor| tensor.per_class).and_then(|tensor| tensor.shape.first().copied())
    }

    /// The name of one of its tensors, in a set.
    pub fn name(tensor: &str) -> String {
        format!("{PREFIX}{tensor}")
    }

    /// Whether a set's tensor is a head's, by its name.
    pub fn has(name: &str) -> bool {
        name.starts_with(PREFIX)
    }

    /// Names in a set, and shapes.
    pub(super) fn shapes(&self) -> impl Iterator<Item = (String, &[usize])> {
        self.tensors.iter().map(|tensor| (Self::name(&tensor.name), tensor.shape.as_slice()))
    }

    /// Its numbers.
    pub fn parameters(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.shape.iter().map(|&side| side as u64).product::<u64>()).sum()
    }

    /// As everybody's begins.
    pub(super) fn init(&self, seed: Seed, dtype: DType, device: &Device) -> Result<Adapters> {
        let mut stream = seed.stream("head");
        let mut set = Adapters::default();
        for HeadTensor { name, shape, start, .. } in &self.tensors {
            let tensor = match *start {
                Start::Zeros => Tensor::zeros(shape.as_slice(), dtype, device)?,
                Start::Ones => Tensor::ones(shape.as_slice(), dtype, device)?,
                Start::Uniform(bound) => {
                    let numbers: Vec<f64> = (0..shape.iter().product()).map(|_| stream.range(-bound, bound)).collect();
                    Tensor::from_vec(numbers, shape.as_slice(), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?
                }
            };
            set.insert(Self::name(name), tensor);
        }
        Ok(set)
    }
}

/// The largest number of classes: as many as a large vocabulary has words.
const MOST_CLASSES: usize = 1 << 18;

/// Fails unless a backbone's head may tell so many classes apart.
fn check_classes(backbone: &Spec, classes: usize) -> crate::Result<()> {
    let name = &backbone.name;
    if !backbone.head.iter().any(|tensor| tensor.per_class) {
        return Err(Error::Usage(format!("adapter.classes = {classes}: backbone `{name}` answers in words; leave the key out")));
    }
    match (2..=MOST_CLASSES).contains(&classes) {
        true => Ok(()),
        false => Err(Error::Usage(format!("adapter.classes = {classes}: expected 2 to {MOST_CLASSES}"))),
    }
}

/// A backbone's head for so many classes, or for as many as it has of itself.
fn tensors(backbone: &Spec, classes: Option<usize>) -> Vec<HeadTensor> {
    let mut tensors = backbone.head.clone();
    for tensor in tensors.iter_mut().filter(|tensor| tensor.per_class) {
        tensor.shape.iter_mut().take(1).for_each(|side| *side = classes.unwrap_or(*side));
    }
    tensors
}
