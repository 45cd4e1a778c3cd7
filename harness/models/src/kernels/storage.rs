//! Tensors' numbers, as kernels read and give them.

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, WithDType};

use super::real::Real;

/// Whether the kernels serve this tensor.
pub fn serves(x: &Tensor) -> bool {
    x.device().is_cpu() && matches!(x.dtype(), DType::F32 | DType::F64)
}

/// A contiguous CPU tensor's numbers.
pub(super) fn values<'s, T: WithDType>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<T>()?[start..end]),
        None => candle_core::bail!("a CPU kernel was given a tensor that is not contiguous"),
    }
}

/// A tensor's storage, held for reading.
pub(super) type Held<'t> = Option<(Box<dyn std::ops::Deref<Target = Storage> + 't>, &'t Layout)>;

pub(super) fn hold(x: Option<&Tensor>) -> Held<'_> {
    let x = x?.storage_and_layout();
    Some((Box::new(x.0), x.1))
}

pub(super) fn held<'h, T: Real>(held: &'h Held<'_>) -> Result<Option<&'h [T]>> {
    match held {
        None => Ok(None),
        Some((storage, layout)) => match &***storage {
            Storage::Cpu(storage) => values(storage, layout).map(Some),
            _ => candle_core::bail!("a CPU kernel was given a tensor of another device"),
        },
    }
}

/// The numbers of several contiguous tensors.
pub(super) struct Numbers<'t>(Vec<Held<'t>>);

impl<'t> Numbers<'t> {
    pub(super) fn of(tensors: &[&'t Tensor]) -> Self {
        Self(tensors.iter().map(|tensor| hold(Some(tensor))).collect())
    }

    pub(super) fn get<T: Real>(&self, i: usize) -> Result<&[T]> {
        held::<T>(&self.0[i]).map(Option::unwrap_or_default)
    }
}

/// A tensor of `like`'s shape.
pub(super) fn tensor_like<T: Real>(values: Vec<T>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), like.device())
}

/// A CPU operation's output, computed in the input's type.
macro_rules! by_dtype {
    ($dtype:expr, $call:expr) => {
        match $dtype {
            DType::F64 => f64::to_cpu_storage_owned($call),
            _ => f32::to_cpu_storage_owned($call),
        }
    };
}
pub(super) use by_dtype;
