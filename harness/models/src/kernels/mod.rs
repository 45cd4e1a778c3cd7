//! CPU kernels with hand-written backward passes, as candle custom operations.
//!
//! Composed of candle operations, attention and norms spend most of their time moving intermediate tensors through memory. Here
//! each is one pass over its input, parallel over examples or rows, with the intermediate recomputed in the backward pass. The
//! composed forms in [`super::nn`] stay: they serve other devices, and the tests hold these against them. Elementwise loops are
//! compiled for several instruction sets and chosen at run time; no sum is reassociated, so every choice gives the same bits.

mod attention;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod decoder;
mod elementwise;
mod frozen;
mod linear;
mod matrix;
mod norm;
mod pair;

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, WithDType};

pub use attention::Attention;
pub use decoder::{At, Block, Decoder};
pub use elementwise::{AddBias, QuickGelu, SiluGate};
pub use frozen::ROWS as FROZEN_ROWS;
pub use linear::FrozenLinear;
pub use norm::{LayerNorm, RmsNorm};
pub use pair::{Packing, Pair, Residual};

/// Runs elementwise work with the widest instructions the CPU has.
///
/// All of it has to be inlined: a closure of some size that need not be would be compiled on its own, for the least CPU, and so
/// would the shim through which a closure that could be called again is called once.
macro_rules! vectorized {
    ($work:expr) => {
        crate::kernels::dispatch(
            #[inline(always)]
            || $work,
        )
    };
}
use vectorized;

/// What [`vectorized`] calls.
#[inline(always)]
fn dispatch<R>(work: impl FnMut() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnMut() -> R> pulp::WithSimd for Work<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(mut self, _: S) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Work(work))
}

/// The number types that kernels run on.
pub trait Real: WithDType + num_traits::Float + Send + Sync + std::iter::Sum + frozen::Panels {
    /// e to the x; 0 for minus infinity, and NaN for NaN, whatever its bits. Branch-free, so that loops over it vectorize.
    fn exponential(self) -> Self;
    /// From a constant.
    fn of(x: f64) -> Self;
}

impl Real for f32 {
    /// Cephes' polynomial after reduction by powers of two: within 2 units in the last place.
    #[inline(always)]
    fn exponential(self) -> Self {
        let clamped = if self > 88.0 { 88.0 } else { self };
        let clamped = if clamped < -87.0 { -87.0 } else { clamped };
        // Adding and taking away 1.5 * 2^23 rounds to the nearest integer.
        let shifted = clamped * std::f32::consts::LOG2_E + 12_582_912.0;
        let n = shifted - 12_582_912.0;
        let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
        let p = 1.987_569_1e-4_f32;
        let p = p * r + 1.398_199_9e-3;
        let p = p * r + 8.333_452e-3;
        let p = p * r + 4.166_579_6e-2;
        let p = p * r + 1.666_666_5e-1;
        let p = p * r + 0.5;
        let y = p * (r * r) + r + 1.0;
        let scaled = f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23));
        let scaled = if self < -87.0 { 0.0 } else { scaled };
        // The shift above would make a number of a NaN whose low bits are set.
        if self.is_nan() { self } else { scaled }
    }

    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }
}

impl Real for f64 {
    #[inline(always)]
    fn exponential(self) -> Self {
        self.exp()
    }

    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }
}

/// Whether the kernels serve this tensor.
pub fn serves(x: &Tensor) -> bool {
    x.device().is_cpu() && matches!(x.dtype(), DType::F32 | DType::F64)
}

/// A contiguous CPU tensor's numbers.
fn values<'s, T: WithDType>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<T>()?[start..end]),
        None => candle_core::bail!("a CPU kernel was given a tensor that is not contiguous"),
    }
}

/// A tensor's storage, held for reading.
type Held<'t> = Option<(Box<dyn std::ops::Deref<Target = Storage> + 't>, &'t Layout)>;

fn hold(x: Option<&Tensor>) -> Held<'_> {
    let x = x?.storage_and_layout();
    Some((Box::new(x.0), x.1))
}

fn held<'h, T: Real>(held: &'h Held<'_>) -> Result<Option<&'h [T]>> {
    match held {
        None => Ok(None),
        Some((storage, layout)) => match &***storage {
            Storage::Cpu(storage) => values(storage, layout).map(Some),
            _ => candle_core::bail!("a CPU kernel was given a tensor of another device"),
        },
    }
}

/// The numbers of several contiguous tensors.
struct Numbers<'t>(Vec<Held<'t>>);

impl<'t> Numbers<'t> {
    fn of(tensors: &[&'t Tensor]) -> Self {
        Self(tensors.iter().map(|tensor| hold(Some(tensor))).collect())
    }

    fn get<T: Real>(&self, i: usize) -> Result<&[T]> {
        held::<T>(&self.0[i]).map(Option::unwrap_or_default)
    }
}

/// A tensor of `like`'s shape.
fn tensor_like<T: Real>(values: Vec<T>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), like.device())
}

/// Rows of `width` numbers.
fn gather<T: Real>(x: &[T], rows: &[usize], width: usize) -> Vec<T> {
    rows.iter().flat_map(|&row| &x[row * width..][..width]).copied().collect()
}

/// Adds rows to the places they were gathered from.
fn scatter<T: Real>(gathered: &[T], rows: &[usize], width: usize, x: &mut [T]) {
    for (gathered, &row) in gathered.chunks_exact(width).zip(rows) {
        add(&mut x[row * width..][..width], gathered);
    }
}

fn add<T: Real>(sum: &mut [T], x: &[T]) {
    sum.iter_mut().zip(x).for_each(|(sum, &x)| *sum += x);
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
use by_dtype;

/// The largest number.
#[inline(always)]
fn largest<T: Real>(x: &[T]) -> T {
    let larger = |a: T, b: T| if b > a { b } else { a };
    let (mut partial, x8) = ([T::neg_infinity(); 8], x.chunks_exact(8));
    let rest = x8.remainder().iter().copied().fold(T::neg_infinity(), larger);
    for x in x8 {
        for i in 0..8 {
            partial[i] = larger(partial[i], x[i]);
        }
    }
    partial.into_iter().fold(rest, larger)
}

/// A sum over eight interleaved partial sums: one order for every instruction set, one that vectorizes, and one that zeros behind
/// the last number do not change.
#[inline(always)]
fn lanes<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    let mut partial = [T::zero(); 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a8.remainder().iter().zip(b8.remainder());
    for (a, b) in a8.zip(b8) {
        for i in 0..8 {
            partial[i] += f(a[i], b[i]);
        }
    }
    partial.iter_mut().zip(rest).for_each(|(sum, (&a, &b))| *sum += f(a, b));
    partial.into_iter().sum()
}

/// The sum of `a b c`, in the same order as [`lanes`].
#[inline(always)]
fn lanes3<T: Real>(a: &[T], b: &[T], c: &[T]) -> T {
    let mut partial = [T::zero(); 8];
    let (a8, b8, c8) = (a.chunks_exact(8), b.chunks_exact(8), c.chunks_exact(8));
    let rest = a8.remainder().iter().zip(b8.remainder()).zip(c8.remainder());
    for ((a, b), c) in a8.zip(b8).zip(c8) {
        for i in 0..8 {
            partial[i] += a[i] * b[i] * c[i];
        }
    }
    partial.iter_mut().zip(rest).for_each(|(sum, ((&a, &b), &c))| *sum += a * b * c);
    partial.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::Real;

    /// A NaN stays one, whatever its bits: a probability made of it would be a number like others.
    #[test]
    fn the_exponential_keeps_every_nan() {
        for low in [0, 1, 2, 0x1234, 0x3f_ffff] {
            for high in [0x7fc0_0000_u32, 0xffc0_0000] {
                assert!(f32::from_bits(high | low).exponential().is_nan(), "{low:#x}");
            }
        }
        assert_eq!([f32::NEG_INFINITY.exponential(), 0.0f32.exponential()], [0.0, 1.0]);
    }
}
