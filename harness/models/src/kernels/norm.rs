//! Norms over the last dimension.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::real::Real;
use super::simd::vectorized;
use super::storage::{Numbers, by_dtype, tensor_like, values};
use super::sums::{lanes, lanes3};

/// Rows that a thread takes at a time.
const ROWS: usize = 64;

/// Root-mean-square norm, `x` `[.., d]`, `weight` `[d]`.
pub struct RmsNorm {
    /// Added to the mean square.
    pub eps: f64,
}

impl RmsNorm {
    /// Over all threads.
    pub(super) fn forward<T: Real>(&self, x: &[T], weight: &[T]) -> Vec<T> {
        let d = weight.len();
        let mut y = vec![T::zero(); x.len()];
        y.par_chunks_mut(ROWS * d).zip(x.par_chunks(ROWS * d)).for_each(|(y, x)| self.rows(x, weight, y));
        y
    }

    /// Rows of `x` to rows of `y`, on this thread.
    pub(super) fn rows<T: Real>(&self, x: &[T], weight: &[T], y: &mut [T]) {
        let d = weight.len();
        vectorized!({
            for (y, x) in y.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                let inverse = self.inverse(x);
                y.iter_mut().zip(x).zip(weight).for_each(|((y, &x), &w)| *y = x * inverse * w);
            }
        });
    }

    #[inline(always)]
    fn inverse<T: Real>(&self, x: &[T]) -> T {
        T::one() / (lanes(x, x, |a, b| a * b) / T::of(x.len() as f64) + T::of(self.eps)).sqrt()
    }

    /// Adds to `dx`, over all threads.
    pub(super) fn add_backward<T: Real>(&self, x: &[T], weight: &[T], g: &[T], dx: &mut [T]) {
        let d = weight.len();
        dx.par_chunks_mut(ROWS * d)
            .zip(x.par_chunks(ROWS * d).zip(g.par_chunks(ROWS * d)))
            .for_each(|(dx, (x, g))| self.rows_back(x, weight, g, dx));
    }

    /// Adds to `dx`, on this thread: `dx = (g w - x (g w . x) / (d rms^2)) / rms`; `dw = sum over rows of g x / rms`.
    pub(super) fn rows_back<T: Real>(&self, x: &[T], weight: &[T], g: &[T], dx: &mut [T]) {
        let d = weight.len();
        vectorized!({
            for ((dx, x), g) in dx.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(g.chunks_exact(d)) {
                let inverse = self.inverse(x);
                let along = lanes3(g, weight, x) * inverse * inverse * inverse / T::of(d as f64);
                dx.iter_mut()
                    .zip(x.iter().zip(g.iter().zip(weight)))
                    .for_each(|(dx, (&x, (&g, &w)))| *dx += g * w * inverse - x * along);
            }
        });
    }

    fn weight_gradient<T: Real>(&self, x: &[T], g: &[T], d: usize) -> Vec<T> {
        let mut dw = vec![T::zero(); d];
        for (x, g) in x.chunks_exact(d).zip(g.chunks_exact(d)) {
            let inverse = self.inverse(x);
            dw.iter_mut().zip(x).zip(g).for_each(|((dw, &x), &g)| *dw += g * x * inverse);
        }
        dw
    }

    fn gradients<T: Real>(&self, x: &Tensor, weight: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let numbers = Numbers::of(&[x, weight, g]);
        let mut dx = vec![T::zero(); x.elem_count()];
        self.add_backward::<T>(numbers.get(0)?, numbers.get(1)?, numbers.get(2)?, &mut dx);
        let dx = tensor_like(dx, x)?;
        if !weight.is_variable() {
            return Ok((Some(dx), None));
        }
        let dw = self.weight_gradient::<T>(numbers.get(0)?, numbers.get(2)?, weight.elem_count());
        Ok((Some(dx), Some(tensor_like(dw, weight)?)))
    }
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm-with-backward"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(x.dtype(), self.forward(values(x, lx)?, values(w, lw)?));
        Ok((y, lx.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let g = g.contiguous()?;
        match x.dtype() {
            DType::F64 => self.gradients::<f64>(x, weight, &g),
            _ => self.gradients::<f32>(x, weight, &g),
        }
    }
}

/// Layer norm, `x` `[.., d]`, `weight` and `bias` `[d]`.
pub struct LayerNorm {
    /// Added to the variance.
    pub eps: f64,
}

impl LayerNorm {
    /// Mean and inverse standard deviation of a row.
    #[inline(always)]
    fn moments<T: Real>(&self, x: &[T]) -> (T, T) {
        let d = T::of(x.len() as f64);
        let mean = lanes(x, x, |a, _| a) / d;
        let variance = lanes(x, x, |a, _| (a - mean) * (a - mean)) / d;
        (mean, T::one() / (variance + T::of(self.eps)).sqrt())
    }

    fn forward<T: Real>(&self, x: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
        let d = weight.len();
        let mut y = vec![T::zero(); x.len()];
        y.par_chunks_mut(ROWS * d).zip(x.par_chunks(ROWS * d)).for_each(|(y, x)| {
            vectorized!({
                for (y, x) in y.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                    let (mean, inverse) = self.moments(x);
                    y.iter_mut()
                        .zip(x)
                        .zip(weight.iter().zip(bias))
                        .for_each(|((y, &x), (&w, &b))| *y = (x - mean) * inverse * w + b);
                }
            });
        });
        y
    }

    /// With n the normalized row and h = g w: `dx = (h - mean(h) - n mean(h n)) / sd`.
    fn backward<T: Real>(&self, x: &[T], weight: &[T], g: &[T]) -> Vec<T> {
        let d = weight.len();
        let mut dx = vec![T::zero(); x.len()];
        dx.par_chunks_mut(ROWS * d).zip(x.par_chunks(ROWS * d).zip(g.par_chunks(ROWS * d))).for_each(|(dx, (x, g))| {
            vectorized!({
                for ((dx, x), g) in dx.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(g.chunks_exact(d)) {
                    let (mean, inverse) = self.moments(x);
                    dx.iter_mut().zip(g).zip(weight).for_each(|((dx, &g), &w)| *dx = g * w);
                    let level = lanes(dx, x, |h, _| h) / T::of(d as f64);
                    let pull = lanes(dx, x, |h, x| h * (x - mean)) * inverse * inverse / T::of(d as f64);
                    dx.iter_mut().zip(x).for_each(|(dx, &x)| *dx = (*dx - level - (x - mean) * pull) * inverse);
                }
            });
        });
        dx
    }

    /// Gradients of weight and bias.
    fn parameter_gradients<T: Real>(&self, x: &[T], g: &[T], d: usize) -> (Vec<T>, Vec<T>) {
        let (mut dw, mut db) = (vec![T::zero(); d], vec![T::zero(); d]);
        vectorized!({
            for (x, g) in x.chunks_exact(d).zip(g.chunks_exact(d)) {
                let (mean, inverse) = self.moments(x);
                for ((dw, db), (&x, &g)) in dw.iter_mut().zip(&mut db).zip(x.iter().zip(g)) {
                    *dw += g * (x - mean) * inverse;
                    *db += g;
                }
            }
        });
        (dw, db)
    }

    fn gradients<T: Real>(&self, x: &Tensor, weight: &Tensor, g: &Tensor) -> Result<Gradients> {
        let numbers = Numbers::of(&[x, weight, g]);
        let dx = tensor_like(self.backward::<T>(numbers.get(0)?, numbers.get(1)?, numbers.get(2)?), x)?;
        if !weight.is_variable() {
            return Ok((Some(dx), None, None));
        }
        let (dw, db) = self.parameter_gradients::<T>(numbers.get(0)?, numbers.get(2)?, weight.elem_count());
        Ok((Some(dx), Some(tensor_like(dw, weight)?), Some(tensor_like(db, weight)?)))
    }
}

/// Of input, weight and bias.
type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm-with-backward"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(x.dtype(), self.forward(values(x, lx)?, values(w, lw)?, values(b, lb)?));
        Ok((y, lx.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, _: &Tensor, g: &Tensor) -> Result<Gradients> {
        let g = g.contiguous()?;
        match x.dtype() {
            DType::F64 => self.gradients::<f64>(x, weight, &g),
            _ => self.gradients::<f32>(x, weight, &g),
        }
    }
}
