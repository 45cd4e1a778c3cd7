//! Low-rank pairs: `scale * (x down^T) up^T`, at the decoder's projections and before the decoder.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::matrix::{Matrix, multiply, product};
use super::{Numbers, Real, add, by_dtype, gather, scatter, tensor_like, values};

/// A pair among packed numbers: `down` `[rank, d_in]`, then `up` `[d_out, rank]`.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    d_in: usize,
    d_out: usize,
    rank: usize,
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
    pub fn push(&mut self, down: &Tensor, up: &Tensor, scale: f64) -> Result<Pair> {
        let ((rank, d_in), (d_out, _), at) = (down.dims2()?, up.dims2()?, self.at);
        self.numbers.extend([down.flatten_all()?, up.flatten_all()?]);
        self.at += down.elem_count() + up.elem_count();
        Ok(Pair { d_in, d_out, rank, scale, at })
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

    /// `scale * x down^T`.
    fn low<T: Real>(&self, packed: &[T], x: &[T]) -> Vec<T> {
        let size = (x.len() / self.d_in, self.rank, self.d_in);
        self.scaled(product(size, Matrix::new(x, self.d_in, 1), self.down(packed).t()))
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
    }

    /// Adds the pair's own gradients; the gradient of what its `down` gives.
    pub(super) fn back<T: Real>(&self, packed: &[T], x: &[T], dy: &[T], dpacked: &mut [T]) -> Vec<T> {
        let (n, d_in, d_out, rank) = (dy.len() / self.d_out, self.d_in, self.d_out, self.rank);
        let (low, dy) = (self.low(packed, x), Matrix::new(dy, d_out, 1));
        multiply((d_out, rank, n), dy.t(), Matrix::new(&low, rank, 1), &mut dpacked[self.up_at()..], rank, true);
        let dlow = self.scaled(product((n, rank, d_out), dy, self.up(packed)));
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
