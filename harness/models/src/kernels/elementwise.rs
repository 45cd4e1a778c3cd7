//! Activations and the bias of a linear layer.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::real::Real;
use super::simd::vectorized;
use super::storage::{Numbers, by_dtype, tensor_like, values};

/// `silu(gate) * up`, elementwise over equal shapes.
pub struct SiluGate;

impl SiluGate {
    /// Over all threads.
    pub(super) fn forward<T: Real>(gate: &[T], up: &[T]) -> Vec<T> {
        let mut y = vec![T::zero(); gate.len()];
        y.par_chunks_mut(CHUNK)
            .zip(gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK)))
            .for_each(|(y, (gate, up))| Self::part(gate, up, y));
        y
    }

    /// On this thread.
    pub(super) fn part<T: Real>(gate: &[T], up: &[T], y: &mut [T]) {
        vectorized!(y.iter_mut().zip(gate).zip(up).for_each(|((y, &g), &u)| *y = g * sigmoid(g) * u));
    }

    /// Over all threads.
    pub(super) fn backward<T: Real>(gate: &[T], up: &[T], dy: &[T]) -> (Vec<T>, Vec<T>) {
        let (mut dgate, mut dup) = (vec![T::zero(); gate.len()], vec![T::zero(); gate.len()]);
        let inputs = gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK)).zip(dy.par_chunks(CHUNK));
        dgate
            .par_chunks_mut(CHUNK)
            .zip(dup.par_chunks_mut(CHUNK))
            .zip(inputs)
            .for_each(|((dgate, dup), ((gate, up), dy))| Self::part_back(gate, up, dy, dgate, dup));
        (dgate, dup)
    }

    /// On this thread.
    pub(super) fn part_back<T: Real>(gate: &[T], up: &[T], dy: &[T], dgate: &mut [T], dup: &mut [T]) {
        vectorized!({
            let inputs = gate.iter().zip(up).zip(dy);
            for ((dgate, dup), ((&g, &up), &dy)) in dgate.iter_mut().zip(dup.iter_mut()).zip(inputs) {
                let s = sigmoid(g);
                *dup = dy * g * s;
                *dgate = dy * up * s * (T::one() + g * (T::one() - s));
            }
        });
    }

    fn gradients<T: Real>(gate: &Tensor, up: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let numbers = Numbers::of(&[gate, up, dy]);
        let (dgate, dup) = Self::backward::<T>(numbers.get(0)?, numbers.get(1)?, numbers.get(2)?);
        Ok((Some(tensor_like(dgate, gate)?), Some(tensor_like(dup, up)?)))
    }
}

/// Numbers that a thread takes at a time.
const CHUNK: usize = 8192;

#[inline(always)]
fn sigmoid<T: Real>(x: T) -> T {
    T::one() / (T::one() + (T::zero() - x).exponential())
}

impl CustomOp2 for SiluGate {
    fn name(&self) -> &'static str {
        "silu-gate"
    }

    fn cpu_fwd(&self, gate: &CpuStorage, lg: &Layout, up: &CpuStorage, lu: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(gate.dtype(), Self::forward(values(gate, lg)?, values(up, lu)?));
        Ok((y, lg.shape().clone()))
    }

    fn bwd(&self, gate: &Tensor, up: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        match gate.dtype() {
            DType::F64 => Self::gradients::<f64>(gate, up, &dy),
            _ => Self::gradients::<f32>(gate, up, &dy),
        }
    }
}

/// CLIP's activation `x * sigmoid(1.702 x)`.
pub struct QuickGelu;

impl QuickGelu {
    const STEEPNESS: f64 = 1.702;

    fn forward<T: Real>(x: &[T]) -> Vec<T> {
        let (mut y, steepness) = (vec![T::zero(); x.len()], T::of(Self::STEEPNESS));
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
            vectorized!(y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * sigmoid(steepness * x)));
        });
        y
    }

    fn backward<T: Real>(x: &[T], dy: &[T]) -> Vec<T> {
        let (mut dx, steepness) = (vec![T::zero(); x.len()], T::of(Self::STEEPNESS));
        dx.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK).zip(dy.par_chunks(CHUNK))).for_each(|(dx, (x, dy))| {
            vectorized!({
                for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
                    let s = sigmoid(steepness * x);
                    *dx = dy * s * (T::one() + steepness * x * (T::one() - s));
                }
            });
        });
        dx
    }

    fn gradient<T: Real>(x: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let numbers = Numbers::of(&[x, dy]);
        tensor_like(Self::backward::<T>(numbers.get(0)?, numbers.get(1)?), x)
    }
}

impl CustomOp1 for QuickGelu {
    fn name(&self) -> &'static str {
        "quick-gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((by_dtype!(x.dtype(), Self::forward(values(x, lx)?)), lx.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        match x.dtype() {
            DType::F64 => Self::gradient::<f64>(x, &dy),
            _ => Self::gradient::<f32>(x, &dy),
        }
        .map(Some)
    }
}

/// A bias on every row: `x` `[.., d]`, `bias` `[d]`.
pub struct AddBias;

impl AddBias {
    fn forward<T: Real>(x: &[T], bias: &[T]) -> Vec<T> {
        let mut y = x.to_vec();
        vectorized!({
            for row in y.chunks_exact_mut(bias.len()) {
                row.iter_mut().zip(bias).for_each(|(y, &b)| *y += b);
            }
        });
        y
    }

    /// Sums of columns.
    fn backward<T: Real>(dy: &[T], d: usize) -> Vec<T> {
        let mut db = vec![T::zero(); d];
        vectorized!({
            for row in dy.chunks_exact(d) {
                db.iter_mut().zip(row).for_each(|(db, &g)| *db += g);
            }
        });
        db
    }

    fn gradient<T: Real>(dy: &Tensor, bias: &Tensor) -> Result<Tensor> {
        tensor_like(Self::backward::<T>(Numbers::of(&[dy]).get(0)?, bias.elem_count()), bias)
    }
}

impl CustomOp2 for AddBias {
    fn name(&self) -> &'static str {
        "add-bias"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, b: &CpuStorage, lb: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((by_dtype!(x.dtype(), Self::forward(values(x, lx)?, values(b, lb)?)), lx.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, bias: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if !bias.is_variable() {
            return Ok((Some(dy.clone()), None));
        }
        let dense = dy.contiguous()?;
        let db = match x.dtype() {
            DType::F64 => Self::gradient::<f64>(&dense, bias)?,
            _ => Self::gradient::<f32>(&dense, bias)?,
        };
        Ok((Some(dy.clone()), Some(db)))
    }
}
