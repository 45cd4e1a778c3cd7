//! Low-rank pairs: `scale * (x down^T) up^T`, at the decoder's projections, behind its FFNs and before it; with biases and a ReLU
//! between the two, bottlenecks.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::matrix::{Matrix, multiply, product};
use super::real::Real;
use super::simd::vectorized;
use super::storage::{Numbers, by_dtype, tensor_like, values};
use super::sums::{add, gather, scatter};

/// A pair among packed numbers: `down` `[rank, d_in]`, then `up` `[d_out, rank]`; then, of a bottleneck, the biases `[rank]` and
/// `[d_out]`.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    d_in: usize,
    d_out: usize,
    rank: usize,
    is_bottleneck: bool,
    /// alpha / r.
    scale: f64,
    /// Where its numbers begin.
    at: usize,
}

/// Pairs' numbers, pair after pair.
#[derive(Debug, Default)]
pub struct Packing {
    numbers: Vec<Tensor>,
    at: usize,
}

impl Packing {
    /// Appends a pair.
    pub fn push(&mut self, down: &Tensor, up: &Tensor, biases: Option<(&Tensor, &Tensor)>, scale: f64) -> Result<Pair> {
        let ((rank, d_in), (d_out, _), at) = (down.dims2()?, up.dims2()?, self.at);
        for tensor in [down, up].into_iter().chain(biases.into_iter().flat_map(|(of_down, of_up)| [of_down, of_up])) {
            self.at += tensor.elem_count();
            self.numbers.push(tensor.flatten_all()?);
        }
        Ok(Pair { d_in, d_out, rank, is_bottleneck: biases.is_some(), scale, at })
    }

    /// All numbers in a row; without any pair a single zero, of `like`'s type.
    pub fn finish(self, like: &Tensor) -> Result<Tensor> {
        if self.numbers.is_empty() { Tensor::zeros(1, like.dtype(), like.device()) } else { Tensor::cat(&self.numbers, 0) }
    }
}

impl Pair {
    fn down<'p, T: Real>(&self, packed: &'p [T]) -> Matrix<'p, T> {
        Matrix::new(&packed[self.at..], self.d_in, 1)
    }

    fn up_at(&self) -> usize {
        self.at + self.rank * self.d_in
    }

    fn up<'p, T: Real>(&self, packed: &'p [T]) -> Matrix<'p, T> {
        Matrix::new(&packed[self.up_at()..], self.rank, 1)
    }

    /// Where the biases begin.
    fn biases_at(&self) -> usize {
        self.up_at() + self.d_out * self.rank
    }

    /// `scale * x down^T`, or of a bottleneck `scale * ReLU(x down^T + b)`.
    fn low<T: Real>(&self, packed: &[T], x: &[T]) -> Vec<T> {
        let size = (x.len() / self.d_in, self.rank, self.d_in);
        let mut low = product(size, Matrix::new(x, self.d_in, 1), self.down(packed).t());
        if self.is_bottleneck {
            let bias = &packed[self.biases_at()..][..self.rank];
            each_row(&mut low, bias, |x, bias| {
                let biased = *x + bias;
                *x = if biased < T::zero() { T::zero() } else { biased };
            });
        }
        self.scaled(low)
    }

    fn scaled<T: Real>(&self, mut x: Vec<T>) -> Vec<T> {
        let scale = T::of(self.scale);
        x.iter_mut().for_each(|x| *x *= scale);
        x
    }

    /// Adds to `y` what the pair makes of `x`.
    pub(super) fn add<T: Real>(&self, packed: &[T], x: &[T], y: &mut [T]) {
        let (low, size) = (self.low(packed, x), (x.len() / self.d_in, self.d_out, self.rank));
        multiply(size, Matrix::new(&low, self.rank, 1), self.up(packed).t(), y, self.d_out, true);
        if self.is_bottleneck {
            let (bias, scale) = (&packed[self.biases_at() + self.rank..][..self.d_out], T::of(self.scale));
            each_row(y, bias, |y, bias| *y += scale * bias);
        }
    }

    /// Adds the pair's own gradients; the gradient of what its `down` gives.
    pub(super) fn back<T: Real>(&self, packed: &[T], x: &[T], dy: &[T], dpacked: &mut [T]) -> Vec<T> {
        let (n, d_in, d_out, rank) = (dy.len() / self.d_out, self.d_in, self.d_out, self.rank);
        let (low, rows) = (self.low(packed, x), dy);
        let dy = Matrix::new(rows, d_out, 1);
        multiply((d_out, rank, n), dy.t(), Matrix::new(&low, rank, 1), &mut dpacked[self.up_at()..], rank, true);
        let mut dlow = self.scaled(product((n, rank, d_out), dy, self.up(packed)));
        if self.is_bottleneck {
            // Where the ReLU gave zero, nothing comes back.
            dlow.iter_mut().zip(&low).for_each(|(dlow, &low)| *dlow = if low == T::zero() { T::zero() } else { *dlow });
            let (of_down, of_up) = dpacked[self.biases_at()..][..rank + d_out].split_at_mut(rank);
            dlow.chunks_exact(rank).for_each(|row| add(of_down, row));
            let scale = T::of(self.scale);
            rows.chunks_exact(d_out).for_each(|row| of_up.iter_mut().zip(row).for_each(|(sum, &dy)| *sum += scale * dy));
        }
        let x = Matrix::new(x, d_in, 1);
        multiply((rank, d_in, n), Matrix::new(&dlow, rank, 1).t(), x, &mut dpacked[self.at..], d_in, true);
        dlow
    }

    /// Adds the gradient of what entered the pair, from that of what its `down` gives.
    pub(super) fn add_input_gradient<T: Real>(&self, packed: &[T], dlow: &[T], dx: &mut [T]) {
        let size = (dlow.len() / self.rank, self.d_in, self.rank);
        multiply(size, Matrix::new(dlow, self.rank, 1), self.down(packed), dx, self.d_in, true);
    }
}

/// Changes every row's numbers, each beside its bias.
fn each_row<T: Real>(x: &mut [T], bias: &[T], f: impl Fn(&mut T, T)) {
    vectorized!(x.chunks_exact_mut(bias.len()).for_each(|row| row.iter_mut().zip(bias).for_each(|(x, &bias)| f(x, bias))));
}

/// `x + scale * (x down^T) up^T` at every pair's own rows of `x` `[.., d]`; the second input holds the pairs' numbers.
pub struct Residual {
    /// Pairs as wide as `x`, with their rows; no row twice.
    pub pairs: Vec<(Pair, Vec<usize>)>,
    /// Whether anything before the pairs is trained.
    pub input_is_trained: bool,
}

/// Rows that a thread takes at a time; fixed, so that no number depends on the thread count.
const ROWS: usize = 256;

impl Residual {
    /// Calls `work` on every lot of a pair's rows, in parallel; the results in order.
    fn on_rows<R: Send>(&self, work: impl Fn(&Pair, &[usize]) -> R + Sync) -> Vec<(&[usize], R)> {
        let lots: Vec<_> = self.pairs.iter().flat_map(|(pair, rows)| rows.chunks(ROWS).map(move |rows| (pair, rows))).collect();
        lots.into_par_iter().map(|(pair, rows)| (rows, work(pair, rows))).collect()
    }

    fn forward<T: Real>(&self, x: &[T], packed: &[T], d: usize) -> Vec<T> {
        let mut y = x.to_vec();
        let deltas = self.on_rows(|pair, rows| {
            let mut delta = vec![T::zero(); rows.len() * d];
            pair.add(packed, &gather(x, rows, d), &mut delta);
            delta
        });
        deltas.iter().for_each(|(rows, delta)| scatter(delta, rows, d, &mut y));
        y
    }

    fn backward<T: Real>(&self, x: &Tensor, packed: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (d, numbers) = (x.dim(candle_core::D::Minus1)?, Numbers::of(&[x, packed, dy]));
        let (x_numbers, packed_numbers, dy) = (numbers.get::<T>(0)?, numbers.get::<T>(1)?, numbers.get::<T>(2)?);
        let gradients = self.on_rows(|pair, rows| {
            let (mut dpacked, mut dx) = (vec![T::zero(); packed_numbers.len()], Vec::new());
            let dlow = pair.back(packed_numbers, &gather(x_numbers, rows, d), &gather(dy, rows, d), &mut dpacked);
            if self.input_is_trained {
                dx.resize(rows.len() * d, T::zero());
                pair.add_input_gradient(packed_numbers, &dlow, &mut dx);
            }
            (dpacked, dx)
        });
        let (mut dpacked, mut dx) = (vec![T::zero(); packed_numbers.len()], Vec::new());
        gradients.iter().for_each(|(_, (part, _))| add(&mut dpacked, part));
        if self.input_is_trained {
            dx = dy.to_vec();
            gradients.iter().for_each(|(rows, (_, part))| scatter(part, rows, d, &mut dx));
        }
        let dx = if self.input_is_trained { Some(tensor_like(dx, x)?) } else { None };
        Ok((dx, Some(tensor_like(dpacked, packed)?)))
    }
}

impl CustomOp2 for Residual {
    fn name(&self) -> &'static str {
        "residual-pairs"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, packed: &CpuStorage, lp: &Layout) -> Result<(CpuStorage, Shape)> {
        let d = lx.dims().last().copied().unwrap_or(1);
        Ok((by_dtype!(x.dtype(), self.forward(values(x, lx)?, values(packed, lp)?, d)), lx.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, packed: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        match x.dtype() {
            DType::F64 => self.backward::<f64>(x, packed, &dy),
            _ => self.backward::<f32>(x, packed, &dy),
        }
    }
}
