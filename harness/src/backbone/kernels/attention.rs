//! Attention with rotary embedding and a mask.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::matrix::{Matrix, multiply};
use super::{Numbers, Real, by_dtype, held, hold, tensor_like, values, vectorized};

/// Causal-with-branches attention over packed heads, rotary embedding included.
///
/// `q` `[b, t, heads * hd]`, `k` and `v` `[b, t, kv_heads * hd]`; gives `[b, t, heads * hd]`. Scores and probabilities exist for
/// one head of one example at a time.
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Added to the scores, `[b, 1, t, t]`; none where everything may be seen.
    pub mask: Option<Tensor>,
    /// Rotary tables, `[b, 1, t, hd]` each; none for learned positions.
    pub rotary: Option<(Tensor, Tensor)>,
}

/// One example's view of everything attention reads.
pub(super) struct Scene<'a, T> {
    pub(super) t: usize,
    pub(super) hd: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) q: &'a [T],
    pub(super) k: &'a [T],
    pub(super) v: &'a [T],
    pub(super) mask: Option<&'a [T]>,
    pub(super) rotary: Option<(&'a [T], &'a [T])>,
}

impl<T: Real> Scene<'_, T> {
    /// One head's rows, rotated and scaled, `[t, hd]`.
    fn rotated(&self, packed: &[T], heads: usize, head: usize, scale: T) -> Vec<T> {
        let (hd, half) = (self.hd, self.hd / 2);
        let mut out = vec![T::zero(); self.t * hd];
        for (i, row) in out.chunks_exact_mut(hd).enumerate() {
            let x = &packed[(i * heads + head) * hd..][..hd];
            match self.rotary {
                None => row.iter_mut().zip(x).for_each(|(y, &x)| *y = x * scale),
                Some((cos, sin)) => {
                    let (cos, sin) = (&cos[i * hd..][..hd], &sin[i * hd..][..hd]);
                    for j in 0..half {
                        row[j] = (x[j] * cos[j] - x[j + half] * sin[j]) * scale;
                        row[j + half] = (x[j + half] * cos[j + half] + x[j] * sin[j + half]) * scale;
                    }
                }
            }
        }
        out
    }

    /// Turns a gradient of rotated rows back and adds it to its place among packed heads.
    fn unrotate_into(&self, gradient: &[T], heads: usize, head: usize, scale: T, packed: &mut [T]) {
        let (hd, half) = (self.hd, self.hd / 2);
        for (i, g) in gradient.chunks_exact(hd).enumerate() {
            let out = &mut packed[(i * heads + head) * hd..][..hd];
            match self.rotary {
                None => out.iter_mut().zip(g).for_each(|(y, &g)| *y += g * scale),
                Some((cos, sin)) => {
                    let (cos, sin) = (&cos[i * hd..][..hd], &sin[i * hd..][..hd]);
                    for j in 0..half {
                        out[j] += (g[j] * cos[j] + g[j + half] * sin[j + half]) * scale;
                        out[j + half] += (g[j + half] * cos[j + half] - g[j] * sin[j]) * scale;
                    }
                }
            }
        }
    }

    fn scale(&self) -> T {
        T::of(1.0 / (self.hd as f64).sqrt())
    }

    /// Probabilities `[t, t]` of one head, from rotated and scaled queries and rotated keys.
    fn probabilities(&self, q: &[T], k: &[T]) -> Vec<T> {
        let (t, hd) = (self.t, self.hd);
        let mut p = vec![T::zero(); t * t];
        multiply((t, t, hd), Matrix::new(q, hd, 1), Matrix::new(k, hd, 1).t(), &mut p, t, false);
        vectorized(|| {
            for (i, row) in p.chunks_exact_mut(t).enumerate() {
                if let Some(mask) = self.mask {
                    row.iter_mut().zip(&mask[i * t..][..t]).for_each(|(s, &m)| *s += m);
                }
                softmax_row(row);
            }
        });
        p
    }

    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    pub(super) fn forward(&self, out: &mut [T]) {
        let (t, hd, width) = (self.t, self.hd, self.heads * self.hd);
        for kv in 0..self.kv_heads {
            let k = self.rotated(self.k, self.kv_heads, kv, T::one());
            for head in kv * self.group()..(kv + 1) * self.group() {
                let p = self.probabilities(&self.rotated(self.q, self.heads, head, self.scale()), &k);
                let v = Matrix::new(&self.v[kv * hd..], self.kv_heads * hd, 1);
                multiply((t, hd, t), Matrix::new(&p, t, 1), v, &mut out[head * hd..], width, false);
            }
        }
    }

    /// Adds to `dq`, `dk` and `dv`.
    pub(super) fn backward(&self, dout: &[T], dq: &mut [T], dk: &mut [T], dv: &mut [T]) {
        let (t, hd, width, kv_width) = (self.t, self.hd, self.heads * self.hd, self.kv_heads * self.hd);
        let scale = self.scale();
        for kv in 0..self.kv_heads {
            let k = self.rotated(self.k, self.kv_heads, kv, T::one());
            let mut dk_rotated = vec![T::zero(); t * hd];
            for head in kv * self.group()..(kv + 1) * self.group() {
                let q = self.rotated(self.q, self.heads, head, scale);
                let p = self.probabilities(&q, &k);
                let dy = || Matrix::new(&dout[head * hd..], width, 1);
                multiply((t, hd, t), Matrix::new(&p, t, 1).t(), dy(), &mut dv[kv * hd..], kv_width, true);
                let mut ds = vec![T::zero(); t * t];
                multiply((t, t, hd), dy(), Matrix::new(&self.v[kv * hd..], kv_width, 1).t(), &mut ds, t, false);
                vectorized(|| {
                    for (ds, p) in ds.chunks_exact_mut(t).zip(p.chunks_exact(t)) {
                        let mean: T = ds.iter().zip(p).map(|(&g, &p)| g * p).sum();
                        ds.iter_mut().zip(p).for_each(|(g, &p)| *g = (*g - mean) * p);
                    }
                });
                let mut dq_rotated = vec![T::zero(); t * hd];
                multiply((t, hd, t), Matrix::new(&ds, t, 1), Matrix::new(&k, hd, 1), &mut dq_rotated, hd, false);
                multiply((t, hd, t), Matrix::new(&ds, t, 1).t(), Matrix::new(&q, hd, 1), &mut dk_rotated, hd, true);
                self.unrotate_into(&dq_rotated, self.heads, head, scale, dq);
            }
            self.unrotate_into(&dk_rotated, self.kv_heads, kv, T::one(), dk);
        }
    }
}

/// Softmax of one row in place; minus infinity becomes exactly 0.
#[inline(always)]
fn softmax_row<T: Real>(row: &mut [T]) {
    let max = row.iter().copied().fold(T::neg_infinity(), |a, b| if b > a { b } else { a });
    row.iter_mut().for_each(|x| *x = (*x - max).exponential());
    let total: T = row.iter().copied().sum();
    let inverse = T::one() / total;
    row.iter_mut().for_each(|x| *x *= inverse);
}

impl Attention {
    /// Calls `work` with a function that gives every example's scene.
    fn with_scenes<T: Real>(
        &self,
        qkv: [&[T]; 3],
        (t, width): (usize, usize),
        work: impl for<'s> FnOnce(&'s (dyn Fn(usize) -> Scene<'s, T> + Sync)),
    ) -> Result<()> {
        let hd = width / self.heads;
        let kv_size = t * self.kv_heads * hd;
        let guards =
            [hold(self.mask.as_ref()), hold(self.rotary.as_ref().map(|r| &r.0)), hold(self.rotary.as_ref().map(|r| &r.1))];
        let (mask, cos, sin) = (held::<T>(&guards[0])?, held::<T>(&guards[1])?, held::<T>(&guards[2])?);
        work(&|b| Scene {
            t,
            hd,
            heads: self.heads,
            kv_heads: self.kv_heads,
            q: &qkv[0][b * t * width..][..t * width],
            k: &qkv[1][b * kv_size..][..kv_size],
            v: &qkv[2][b * kv_size..][..kv_size],
            mask: mask.map(|mask| &mask[b * t * t..][..t * t]),
            rotary: cos.zip(sin).map(|(cos, sin)| (&cos[b * t * hd..][..t * hd], &sin[b * t * hd..][..t * hd])),
        });
        Ok(())
    }

    fn forward<T: Real>(&self, qkv: [&[T]; 3], shape: (usize, usize, usize)) -> Result<Vec<T>> {
        let (b, t, width) = shape;
        let mut out = vec![T::zero(); b * t * width];
        self.with_scenes(qkv, (t, width), |scene| {
            out.par_chunks_mut(t * width).enumerate().for_each(|(b, out)| scene(b).forward(out));
        })?;
        Ok(out)
    }

    fn backward<T: Real>(&self, qkv: [&[T]; 3], dout: &[T], shape: (usize, usize, usize)) -> Result<[Vec<T>; 3]> {
        let (b, t, width) = shape;
        let kv_size = t * self.kv_heads * (width / self.heads);
        let mut dq = vec![T::zero(); b * t * width];
        let (mut dk, mut dv) = (vec![T::zero(); b * kv_size], vec![T::zero(); b * kv_size]);
        self.with_scenes(qkv, (t, width), |scene| {
            let chunks = dq.par_chunks_mut(t * width).zip(dk.par_chunks_mut(kv_size)).zip(dv.par_chunks_mut(kv_size));
            chunks.enumerate().for_each(|(b, ((dq, dk), dv))| scene(b).backward(&dout[b * t * width..][..t * width], dq, dk, dv));
        })?;
        Ok([dq, dk, dv])
    }

    fn gradients<T: Real>(&self, q: &Tensor, k: &Tensor, v: &Tensor, dout: &Tensor) -> Result<[Tensor; 3]> {
        let shape = q.dims3()?;
        let numbers = Numbers::of(&[q, k, v, dout]);
        let [dq, dk, dv] = self.backward::<T>([numbers.get(0)?, numbers.get(1)?, numbers.get(2)?], numbers.get(3)?, shape)?;
        Ok([tensor_like(dq, q)?, tensor_like(dk, k)?, tensor_like(dv, v)?])
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        lq: &Layout,
        k: &CpuStorage,
        lk: &Layout,
        v: &CpuStorage,
        lv: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = lq.shape().dims3()?;
        let out = by_dtype!(q.dtype(), self.forward([values(q, lq)?, values(k, lk)?, values(v, lv)?], shape)?);
        Ok((out, lq.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _: &Tensor,
        dout: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dout = dout.contiguous()?;
        let [dq, dk, dv] = match q.dtype() {
            DType::F64 => self.gradients::<f64>(q, k, v, &dout)?,
            _ => self.gradients::<f32>(q, k, v, &dout)?,
        };
        Ok((Some(dq), Some(dk), Some(dv)))
    }
}
