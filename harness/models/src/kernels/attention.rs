//! Attention with rotary embedding and a mask.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::real::Real;
use super::scene::{Scene, lots};
use super::simd::vectorized;
use super::spread::Spread;
use super::storage::{Numbers, by_dtype, held, hold, tensor_like, values};
use super::unit::Units;

/// Causal-with-branches attention over packed heads, rotary embedding included.
///
/// `q` `[b, t, heads * hd]`, `k` and `v` `[b, t, kv_heads * hd]`; gives `[b, t, heads * hd]`. Scores and probabilities exist for
/// a few queries of one head of one example at a time, and only up to the last key that one of them may see.
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

/// Rotary tables of one example, `[t, hd]` each: cosines and sines.
type Turn<'a, T> = (&'a [T], &'a [T]);

/// Heads in a row, and their width.
type Heads = (usize, usize);

/// Turns every head of some rows and scales them, in place.
pub(super) fn turn<T: Real>(x: &mut [T], heads: Heads, turns: Turn<T>, scale: T) {
    each_head(x, heads, turns, |(a, b), (c0, c1), (s0, s1)| ((a * c0 - b * s0) * scale, (b * c1 + a * s1) * scale));
}

/// From the gradient of turned rows to that of the rows, in place.
pub(super) fn turn_back<T: Real>(g: &mut [T], heads: Heads, turns: Turn<T>, scale: T) {
    each_head(g, heads, turns, |(a, b), (c0, c1), (s0, s1)| ((a * c0 + b * s1) * scale, (b * c1 - a * s0) * scale));
}

/// Changes the pairs of every head: `f` gets a pair's numbers, their cosines and their sines.
fn each_head<T: Real>(x: &mut [T], (heads, hd): Heads, (cos, sin): Turn<T>, f: impl Fn((T, T), (T, T), (T, T)) -> (T, T)) {
    let half = hd / 2;
    vectorized!({
        for (row, (cos, sin)) in x.chunks_exact_mut(heads * hd).zip(cos.chunks_exact(hd).zip(sin.chunks_exact(hd))) {
            let ((c0, c1), (s0, s1)) = (cos.split_at(half), sin.split_at(half));
            for head in row.chunks_exact_mut(hd) {
                let (first, second) = head.split_at_mut(half);
                let turns = c0.iter().zip(c1).zip(s0.iter().zip(s1));
                for ((a, b), ((&c0, &c1), (&s0, &s1))) in first.iter_mut().zip(second).zip(turns) {
                    (*a, *b) = f((*a, *b), (c0, c1), (s0, s1));
                }
            }
        }
    });
}

/// What queries are multiplied with.
pub(super) fn scale<T: Real>(hd: usize) -> T {
    T::of(1.0 / (hd as f64).sqrt())
}

impl Attention {
    /// Turns rows of `heads` heads, or turns them back, and scales them; only scales them where positions are learned.
    fn turned<T: Real>(&self, x: &mut [T], heads: Heads, factor: T, way: fn(&mut [T], Heads, Turn<T>, T)) -> Result<()> {
        match &self.rotary {
            None => x.iter_mut().for_each(|x| *x *= factor),
            Some((cos, sin)) => {
                let numbers = Numbers::of(&[cos, sin]);
                way(x, heads, (numbers.get(0)?, numbers.get(1)?), factor);
            }
        }
        Ok(())
    }

    /// Calls `work` with turned queries and keys and a function that gives every example's scene.
    fn with_scenes<T: Real>(
        &self,
        [q, k, v]: [&[T]; 3],
        (t, width): (usize, usize),
        work: impl for<'s> FnOnce(&'s (dyn Fn(usize) -> Scene<'s, T> + Sync)),
    ) -> Result<()> {
        let hd = width / self.heads;
        let (mut q, mut k, kv_size) = (q.to_vec(), k.to_vec(), t * self.kv_heads * hd);
        self.turned(&mut q, (self.heads, hd), scale(hd), turn)?;
        self.turned(&mut k, (self.kv_heads, hd), T::one(), turn)?;
        let guard = hold(self.mask.as_ref());
        let mask = held::<T>(&guard)?;
        let lots: Vec<_> = match mask {
            None => vec![lots::<T>(None, (t, t))],
            Some(mask) => mask.chunks_exact(t * t).map(|mask| lots(Some(mask), (t, t))).collect(),
        };
        work(&|b| Scene {
            t,
            hd,
            heads: self.heads,
            kv_heads: self.kv_heads,
            q: &q[b * t * width..][..t * width],
            k: &k[b * kv_size..][..kv_size],
            v: &v[b * kv_size..][..kv_size],
            mask: mask.map(|mask| &mask[b * t * t..][..t * t]),
            lots: &lots[if mask.is_some() { b } else { 0 }],
            units: Units::here(),
        });
        Ok(())
    }

    fn forward<T: Real>(&self, qkv: [&[T]; 3], shape: (usize, usize, usize)) -> Result<Vec<T>> {
        let (b, t, width) = shape;
        let (mut out, spread) = (vec![T::zero(); b * t * width], Spread::of(b));
        self.with_scenes(qkv, (t, width), |scene| {
            out.par_chunks_mut(t * width).enumerate().for_each(|(b, out)| scene(b).forward(out, spread));
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
            chunks.enumerate().for_each(|(b, ((dq, dk), dv))| {
                scene(b).backward(&dout[b * t * width..][..t * width], [dq, dk, dv], Spread::NONE)
            });
        })?;
        let hd = width / self.heads;
        self.turned(&mut dq, (self.heads, hd), scale(hd), turn_back)?;
        self.turned(&mut dk, (self.kv_heads, hd), T::one(), turn_back)?;
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
