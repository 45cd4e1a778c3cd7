//! CPU kernels with hand-written backward passes, as candle custom operations.
//!
//! Composed of candle operations, attention and norms spend most of their time moving intermediate tensors through memory. Here
//! each is one pass over its input, parallel over examples or rows, with the intermediate recomputed in the backward pass. The
//! composed forms in [`super::nn`] stay: they serve other devices, and the tests hold these against them. Elementwise loops are
//! compiled for several instruction sets and chosen at run time; no sum is reassociated, so every choice gives the same bits.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Storage, Tensor, WithDType};
use rayon::prelude::*;

/// Runs elementwise work with the widest instructions the CPU has.
#[inline(always)]
fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// The number types that kernels run on.
pub trait Real: WithDType + num_traits::Float + Send + Sync + std::iter::Sum {
    /// e to the x; 0 for minus infinity. Branch-free, so that loops over it vectorize.
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
        if self < -87.0 { 0.0 } else { scaled }
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
fn values<'s, T: Real>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<T>()?[start..end]),
        None => candle_core::bail!("a CPU kernel was given a tensor that is not contiguous"),
    }
}

/// `dst[m, n] (+)= lhs[m, k] rhs[k, n]`, each a slice with its row and column strides; one thread, so that the sum's order is fixed.
struct Matrix<'a, T> {
    data: &'a [T],
    row: usize,
    column: usize,
}

impl<'a, T> Matrix<'a, T> {
    fn new(data: &'a [T], row: usize, column: usize) -> Self {
        Self { data, row, column }
    }

    /// The transpose, without moving anything.
    fn t(&self) -> Self {
        Self { data: self.data, row: self.column, column: self.row }
    }
}

#[allow(unsafe_code, reason = "the matrix product takes raw pointers; the sizes are checked first")]
fn multiply<T: Real>(
    size: (usize, usize, usize),
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    dst: &mut [T],
    dst_row: usize,
    accumulate: bool,
) {
    let (m, n, k) = size;
    let fits = |matrix: &Matrix<T>, rows: usize, columns: usize| {
        rows == 0 || columns == 0 || (rows - 1) * matrix.row + (columns - 1) * matrix.column < matrix.data.len()
    };
    assert!(fits(&lhs, m, k) && fits(&rhs, k, n), "matrix product reads out of bounds");
    assert!(m == 0 || n == 0 || (m - 1) * dst_row + n <= dst.len(), "matrix product writes out of bounds");
    let one = T::one();
    let alpha = if accumulate { one } else { T::zero() };
    // SAFETY: all three slices hold every element that their strides reach, checked above, and `dst` is borrowed mutably.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
            1,
            dst_row as isize,
            accumulate,
            lhs.data.as_ptr(),
            lhs.column as isize,
            lhs.row as isize,
            rhs.data.as_ptr(),
            rhs.column as isize,
            rhs.row as isize,
            alpha,
            one,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

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
struct Scene<'a, T> {
    t: usize,
    hd: usize,
    heads: usize,
    kv_heads: usize,
    q: &'a [T],
    k: &'a [T],
    v: &'a [T],
    mask: Option<&'a [T]>,
    rotary: Option<(&'a [T], &'a [T])>,
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

    fn forward(&self, out: &mut [T]) {
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

    fn backward(&self, dout: &[T], dq: &mut [T], dk: &mut [T], dv: &mut [T]) {
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
        let guards = [hold(Some(q)), hold(Some(k)), hold(Some(v)), hold(Some(dout))];
        let read = |i: usize| held::<T>(&guards[i]).map(|values| values.unwrap_or_default());
        let [dq, dk, dv] = self.backward([read(0)?, read(1)?, read(2)?], read(3)?, shape)?;
        let device = q.device();
        Ok([
            Tensor::from_vec(dq, q.shape(), device)?,
            Tensor::from_vec(dk, k.shape(), device)?,
            Tensor::from_vec(dv, v.shape(), device)?,
        ])
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
        let out = match q.dtype() {
            DType::F64 => f64::to_cpu_storage_owned(self.forward([values(q, lq)?, values(k, lk)?, values(v, lv)?], shape)?),
            _ => f32::to_cpu_storage_owned(self.forward([values(q, lq)?, values(k, lk)?, values(v, lv)?], shape)?),
        };
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

/// Rows that a thread takes at a time.
const ROWS: usize = 64;

/// Root-mean-square norm, `x` `[.., d]`, `weight` `[d]`.
pub struct RmsNorm {
    /// Added to the mean square.
    pub eps: f64,
}

impl RmsNorm {
    fn forward<T: Real>(&self, x: &[T], weight: &[T]) -> Vec<T> {
        let d = weight.len();
        let mut y = vec![T::zero(); x.len()];
        y.par_chunks_mut(ROWS * d).zip(x.par_chunks(ROWS * d)).for_each(|(y, x)| {
            vectorized(|| {
                for (y, x) in y.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                    let inverse = self.inverse(x);
                    y.iter_mut().zip(x).zip(weight).for_each(|((y, &x), &w)| *y = x * inverse * w);
                }
            });
        });
        y
    }

    #[inline(always)]
    fn inverse<T: Real>(&self, x: &[T]) -> T {
        T::one() / (lanes(x, x, |a, b| a * b) / T::of(x.len() as f64) + T::of(self.eps)).sqrt()
    }

    /// `dx = (g w - x (g w . x) / (d rms^2)) / rms`; `dw = sum over rows of g x / rms`.
    fn backward<T: Real>(&self, x: &[T], weight: &[T], g: &[T]) -> Vec<T> {
        let d = weight.len();
        let mut dx = vec![T::zero(); x.len()];
        dx.par_chunks_mut(ROWS * d).zip(x.par_chunks(ROWS * d).zip(g.par_chunks(ROWS * d))).for_each(|(dx, (x, g))| {
            vectorized(|| {
                for ((dx, x), g) in dx.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(g.chunks_exact(d)) {
                    let inverse = self.inverse(x);
                    dx.iter_mut().zip(g).zip(weight).for_each(|((dx, &g), &w)| *dx = g * w);
                    let pull = lanes(dx, x, |a, b| a * b) * inverse * inverse * inverse / T::of(d as f64);
                    dx.iter_mut().zip(x).for_each(|(dx, &x)| *dx = *dx * inverse - x * pull);
                }
            });
        });
        dx
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
        let guards = [hold(Some(x)), hold(Some(weight)), hold(Some(g))];
        let read = |i: usize| held::<T>(&guards[i]).map(|values| values.unwrap_or_default());
        let dx = Tensor::from_vec(self.backward(read(0)?, read(1)?, read(2)?), x.shape(), x.device())?;
        if !weight.is_variable() {
            return Ok((Some(dx), None));
        }
        let dw = self.weight_gradient(read(0)?, read(2)?, weight.elem_count());
        Ok((Some(dx), Some(Tensor::from_vec(dw, weight.shape(), weight.device())?)))
    }
}

/// A sum over eight interleaved partial sums: one order for every instruction set, and one that vectorizes.
#[inline(always)]
fn lanes<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    let mut partial = [T::zero(); 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let mut rest = T::zero();
    for (&a, &b) in a8.remainder().iter().zip(b8.remainder()) {
        rest += f(a, b);
    }
    for (a, b) in a8.zip(b8) {
        for i in 0..8 {
            partial[i] += f(a[i], b[i]);
        }
    }
    partial.into_iter().fold(rest, |sum, x| sum + x)
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm-with-backward"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = match x.dtype() {
            DType::F64 => f64::to_cpu_storage_owned(self.forward(values(x, lx)?, values(w, lw)?)),
            _ => f32::to_cpu_storage_owned(self.forward(values(x, lx)?, values(w, lw)?)),
        };
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

/// `silu(gate) * up`, elementwise over equal shapes.
pub struct SiluGate;

impl SiluGate {
    fn forward<T: Real>(gate: &[T], up: &[T]) -> Vec<T> {
        let mut y = vec![T::zero(); gate.len()];
        y.par_chunks_mut(CHUNK).zip(gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK))).for_each(|(y, (gate, up))| {
            vectorized(|| y.iter_mut().zip(gate).zip(up).for_each(|((y, &g), &u)| *y = g * sigmoid(g) * u));
        });
        y
    }

    fn backward<T: Real>(gate: &[T], up: &[T], dy: &[T]) -> (Vec<T>, Vec<T>) {
        let (mut dgate, mut dup) = (vec![T::zero(); gate.len()], vec![T::zero(); gate.len()]);
        let inputs = gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK)).zip(dy.par_chunks(CHUNK));
        dgate.par_chunks_mut(CHUNK).zip(dup.par_chunks_mut(CHUNK)).zip(inputs).for_each(|((dgate, dup), ((gate, up), dy))| {
            vectorized(|| {
                for (i, &g) in gate.iter().enumerate() {
                    let s = sigmoid(g);
                    dup[i] = dy[i] * g * s;
                    dgate[i] = dy[i] * up[i] * s * (T::one() + g * (T::one() - s));
                }
            });
        });
        (dgate, dup)
    }

    fn gradients<T: Real>(gate: &Tensor, up: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let guards = [hold(Some(gate)), hold(Some(up)), hold(Some(dy))];
        let read = |i: usize| held::<T>(&guards[i]).map(|values| values.unwrap_or_default());
        let (dgate, dup) = Self::backward(read(0)?, read(1)?, read(2)?);
        let tensor = |values: Vec<T>| Tensor::from_vec(values, gate.shape(), gate.device());
        Ok((Some(tensor(dgate)?), Some(tensor(dup)?)))
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
        let y = match gate.dtype() {
            DType::F64 => f64::to_cpu_storage_owned(Self::forward(values(gate, lg)?, values(up, lu)?)),
            _ => f32::to_cpu_storage_owned(Self::forward(values(gate, lg)?, values(up, lu)?)),
        };
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
