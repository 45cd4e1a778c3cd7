//! Attention with rotary embedding and a mask.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::matrix::{Matrix, multiply, product};
use super::real::Real;
use super::simd::vectorized;
use super::spread::Spread;
use super::storage::{Numbers, by_dtype, held, hold, tensor_like, values};
use super::sums::{add, lanes, largest};

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

/// One example's attention: queries and keys are turned, queries scaled; heads lie side by side in a row.
pub(super) struct Scene<'a, T> {
    /// Queries.
    pub(super) n: usize,
    /// Keys and values.
    pub(super) t: usize,
    pub(super) hd: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) q: &'a [T],
    pub(super) k: &'a [T],
    pub(super) v: &'a [T],
    /// Added to the scores, `[n, t]`.
    pub(super) mask: Option<&'a [T]>,
}

/// Queries whose scores exist at a time: few enough that a causal mask leaves out much of the square, enough for a matrix product.
const ROWS: usize = 64;

/// Some queries of one head.
struct Rows {
    from: usize,
    n: usize,
    /// Keys that any of them may see, counted to the last.
    keys: usize,
}

impl<T: Real> Scene<'_, T> {
    /// The queries in order, with the keys that each lot may see.
    fn rows(&self) -> Vec<Rows> {
        let keys = |from: usize, n: usize| match self.mask {
            None => self.t,
            Some(mask) => {
                let seen = |row: &[T]| row.iter().rposition(|&m| m != T::neg_infinity()).map_or(1, |last| last + 1);
                mask[from * self.t..(from + n) * self.t].chunks_exact(self.t).map(seen).max().unwrap_or(1)
            }
        };
        (0..self.n)
            .step_by(ROWS)
            .map(|from| (from, ROWS.min(self.n - from)))
            .map(|(from, n)| Rows { from, n, keys: keys(from, n) })
            .collect()
    }

    /// Numbers in a row of queries, and in one of keys.
    fn widths(&self) -> (usize, usize) {
        (self.heads * self.hd, self.kv_heads * self.hd)
    }

    /// Where a head's keys begin in a row.
    fn key_at(&self, head: usize) -> usize {
        head / (self.heads / self.kv_heads) * self.hd
    }

    /// Probabilities `[n, keys]` of some queries of a head.
    fn probabilities(&self, head: usize, rows: &Rows) -> Vec<T> {
        let (width, kv_width) = self.widths();
        let q = Matrix::new(&self.q[rows.from * width + head * self.hd..], width, 1);
        let k = Matrix::new(&self.k[self.key_at(head)..], kv_width, 1);
        let mut p = product((rows.n, rows.keys, self.hd), q, k.t());
        vectorized!({
            for (i, row) in p.chunks_exact_mut(rows.keys).enumerate() {
                if let Some(mask) = self.mask {
                    row.iter_mut().zip(&mask[(rows.from + i) * self.t..]).for_each(|(s, &m)| *s += m);
                }
                softmax_row(row);
            }
        });
        p
    }

    pub(super) fn forward(&self, out: &mut [T], spread: Spread) {
        let lots = self.rows();
        let out = out.chunks_mut(ROWS * self.widths().0).zip(&lots);
        match spread.is_shared() {
            false => out.for_each(|(out, rows)| self.lot(rows, out)),
            true => out.collect::<Vec<_>>().into_par_iter().for_each(|(out, rows)| self.lot(rows, out)),
        }
    }

    /// All heads of some queries, into their rows.
    fn lot(&self, rows: &Rows, out: &mut [T]) {
        let (width, kv_width) = self.widths();
        for head in 0..self.heads {
            let v = Matrix::new(&self.v[self.key_at(head)..], kv_width, 1);
            let (p, out) = (self.probabilities(head, rows), &mut out[head * self.hd..]);
            multiply((rows.n, self.hd, rows.keys), Matrix::new(&p, rows.keys, 1), v, out, width, false);
        }
    }

    /// Adds to `dk` and `dv`, writes `dq`; those of queries and keys are of the turned ones.
    pub(super) fn backward(&self, dout: &[T], [dq, dk, dv]: [&mut [T]; 3], spread: Spread) {
        let ((width, kv_width), hd, lots) = (self.widths(), self.hd, self.rows());
        if !spread.is_shared() {
            for head in 0..self.heads {
                let kv = self.key_at(head);
                let into = [&mut dq[head * hd..], &mut dk[kv..], &mut dv[kv..]];
                self.head_back(head, &lots, dout, into, (width, kv_width));
            }
            return;
        }
        // Heads that share keys and values are summed in their order, by one thread.
        let group = self.heads / self.kv_heads;
        let heads: Vec<usize> = (0..self.heads).collect();
        let some = |heads: &[usize]| {
            let mut dq = vec![T::zero(); self.n * heads.len() * hd];
            let [mut dk, mut dv] = [(); 2].map(|()| vec![T::zero(); self.t * hd]);
            for (i, &head) in heads.iter().enumerate() {
                self.head_back(head, &lots, dout, [&mut dq[i * hd..], &mut dk, &mut dv], (heads.len() * hd, hd));
            }
            [dq, dk, dv]
        };
        let parts: Vec<[Vec<T>; 3]> = heads.par_chunks(group).map(some).collect();
        for (heads, [of_q, of_k, of_v]) in heads.chunks(group).zip(&parts) {
            let kv = self.key_at(heads[0]);
            columns(of_q, heads.len() * hd, &mut dq[heads[0] * hd..], width);
            columns(of_k, hd, &mut dk[kv..], kv_width);
            columns(of_v, hd, &mut dv[kv..], kv_width);
        }
    }

    /// One head's gradients, added from where its columns begin, in rows of these widths.
    fn head_back(&self, head: usize, lots: &[Rows], dout: &[T], [dq, dk, dv]: [&mut [T]; 3], (q_row, kv_row): (usize, usize)) {
        let ((width, kv_width), hd, kv) = (self.widths(), self.hd, self.key_at(head));
        for rows in lots {
            let (n, keys, at) = (rows.n, rows.keys, rows.from * width + head * hd);
            let p = self.probabilities(head, rows);
            let dy = Matrix::new(&dout[at..], width, 1);
            multiply((keys, hd, n), Matrix::new(&p, keys, 1).t(), dy, dv, kv_row, true);
            let mut ds = product((n, keys, hd), dy, Matrix::new(&self.v[kv..], kv_width, 1).t());
            vectorized!(ds.chunks_exact_mut(keys).zip(p.chunks_exact(keys)).for_each(|(ds, p)| softmax_row_back(p, ds)));
            let ds = Matrix::new(&ds, keys, 1);
            let dq = &mut dq[rows.from * q_row..];
            multiply((n, hd, keys), ds, Matrix::new(&self.k[kv..], kv_width, 1), dq, q_row, false);
            multiply((keys, hd, n), ds.t(), Matrix::new(&self.q[at..], width, 1), dk, kv_row, true);
        }
    }
}

/// Adds rows of `width` numbers to the first columns of rows of `row`.
fn columns<T: Real>(from: &[T], width: usize, to: &mut [T], row: usize) {
    from.chunks_exact(width).zip(to.chunks_mut(row)).for_each(|(from, to)| add(&mut to[..width], from));
}

/// Softmax of one row in place; minus infinity becomes exactly 0.
#[inline(always)]
fn softmax_row<T: Real>(row: &mut [T]) {
    let max = largest(row);
    row.iter_mut().for_each(|x| *x = (*x - max).exponential());
    let inverse = T::one() / lanes(row, row, |x, _| x);
    row.iter_mut().for_each(|x| *x *= inverse);
}

/// From the gradient of probabilities to that of the scores, in place.
#[inline(always)]
fn softmax_row_back<T: Real>(p: &[T], gradient: &mut [T]) {
    let mean = lanes(gradient, p, |g, p| g * p);
    gradient.iter_mut().zip(p).for_each(|(g, &p)| *g = (*g - mean) * p);
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
        work(&|b| Scene {
            n: t,
            t,
            hd,
            heads: self.heads,
            kv_heads: self.kv_heads,
            q: &q[b * t * width..][..t * width],
            k: &k[b * kv_size..][..kv_size],
            v: &v[b * kv_size..][..kv_size],
            mask: mask.map(|mask| &mask[b * t * t..][..t * t]),
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
