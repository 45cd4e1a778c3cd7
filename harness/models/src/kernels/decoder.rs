//! A frozen decoder's blocks as one operation, low-rank pairs included.
//!
//! As a graph of operations a training step spends much of its time between them: storing what backward may need, waking threads,
//! walking the graph. Here a thread takes a few sequences through all blocks and keeps, per block, only what backward cannot
//! cheaply compute again; frozen weights get no gradient. Sequences are cut into the same parts on any number of threads, and the
//! pairs' gradients are summed in the parts' order, so no number depends on it.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Mutex;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::attention::{self, turn, turn_back};
use super::elementwise::SiluGate;
use super::frozen::FrozenWeights;
use super::kept::{Kept, Left, Parcel, Queries};
use super::norm::RmsNorm;
use super::pair::Pair;
use super::panels::Weight;
use super::real::Real;
use super::scene::Scene;
use super::spread::Spread;
use super::storage::{Numbers, by_dtype, tensor_like, values};
use super::sums::{add, gather, scatter};
use super::unit::Units;

/// Places for pairs in a block: projections, in the order of [`Block::projections`], then the FFN's.
const Q: usize = 0;
const K: usize = 1;
const V: usize = 2;
const O: usize = 3;
const GATE: usize = 4;
const UP: usize = 5;
const DOWN: usize = 6;
/// Behind the FFN, on the residual stream: no projection, but a place for a pair.
const FFN: usize = 7;

/// A block's frozen weights (handles, not copies).
#[derive(Debug, Clone)]
pub struct Block {
    /// Weight of the norm before attention, `[d]`.
    pub norm1: Tensor,
    /// Weight of the norm before the MLP, `[d]`.
    pub norm2: Tensor,
    /// q, k, v, o, gate, up, down, each `[out, in]`.
    pub projections: [Tensor; 7],
}

/// A low-rank pair in a block.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// The block.
    pub block: usize,
    /// The projection, as in [`Block::projections`]; 7 is behind the FFN.
    pub place: usize,
    /// What is added there.
    pub pair: Pair,
}

/// All blocks over hidden states `[b, t, d]`, then the places that are read, `[b, r, d]`.
///
/// The second input holds the pairs' numbers, pair after pair; a single zero without any.
pub struct Decoder {
    /// The blocks' weights.
    pub blocks: Vec<Block>,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Floor of the norms.
    pub eps: f64,
    /// Added to the scores, `[b, 1, t, t]`.
    pub mask: Tensor,
    /// Rotary tables, `[b, 1, t, hd]` each.
    pub rotary: (Tensor, Tensor),
    /// Places that are read, `b` times `r` of them, into `[b * t]`.
    pub read: Vec<u32>,
    /// Low-rank pairs.
    pub pairs: Vec<At>,
    /// Whether a backward pass may follow.
    pub keep: bool,
    /// Whether only what enters a block is kept for it.
    pub checkpoint: bool,
    /// Whether anything before the decoder is trained.
    pub input_is_trained: bool,
    /// What the forward pass kept, part by part.
    pub kept: Slot,
}

/// What the forward pass left for the backward pass.
pub type Slot = Mutex<Option<Box<dyn Any + Send>>>;

/// A block's weights as numbers.
struct Weights<'a, T> {
    norm1: &'a [T],
    norm2: &'a [T],
    /// In the order of [`Block::projections`].
    projections: Vec<Weight<'a, T>>,
}

/// Some sequences of a batch, and everything their way through the blocks reads.
struct Part<'a, T: Clone> {
    decoder: &'a Decoder,
    weights: &'a [Weights<'a, T>],
    packed: &'a [T],
    spread: Spread,
    t: usize,
    d: usize,
    /// Read places, from the part's first.
    read: Vec<usize>,
    /// All places as queries.
    everywhere: Queries<'a, T>,
    /// The read places alone: the last block's queries.
    at_read: Queries<'a, T>,
}

/// Rows that a part should have about.
const ROWS: usize = 512;

/// Sequences in a part.
fn part_size(b: usize, t: usize) -> usize {
    let parts = (b * t / ROWS).max(1).next_multiple_of(2);
    b.div_ceil(parts).max(1)
}

impl<T: Real> Part<'_, T> {
    fn pair(&self, block: usize, place: usize) -> Option<Pair> {
        self.decoder.pairs.iter().find(|at| (at.block, at.place) == (block, place)).map(|at| at.pair)
    }

    /// `x W^T`, and what the pair adds.
    fn project(&self, block: usize, projection: usize, x: &[T]) -> Vec<T> {
        let mut y = self.weights[block].projections[projection].forward(x, self.spread);
        if let Some(pair) = self.pair(block, projection) {
            pair.add(self.packed, x, &mut y);
        }
        y
    }

    /// The gradient of what entered some projections, `sum of dy W` and the pairs' part; adds to the pairs' own gradients. `x` is
    /// what entered them.
    fn project_back(&self, block: usize, outputs: &[(usize, &[T])], x: &[T], dpacked: &mut [T]) -> Vec<T> {
        let mut dx: Option<Vec<T>> = None;
        for &(projection, dy) in outputs {
            let weight = &self.weights[block].projections[projection];
            match &mut dx {
                None => dx = Some(weight.backward(dy, self.spread)),
                Some(dx) => weight.add_backward(dy, dx, self.spread),
            }
            if let (Some(pair), Some(dx)) = (self.pair(block, projection), &mut dx) {
                let dlow = pair.back(self.packed, x, dy, dpacked);
                pair.add_input_gradient(self.packed, &dlow, dx);
            }
        }
        dx.unwrap_or_default()
    }

    fn normalized(&self, x: &[T], weight: &[T]) -> Vec<T> {
        let norm = RmsNorm { eps: self.decoder.eps };
        if self.spread.is_shared() {
            return norm.forward(x, weight);
        }
        let mut y = vec![T::zero(); x.len()];
        norm.rows(x, weight, &mut y);
        y
    }

    /// Adds the gradient through a norm of `x` to `dx`.
    fn normalized_back(&self, x: &[T], weight: &[T], dy: &[T], dx: &mut [T]) {
        let norm = RmsNorm { eps: self.decoder.eps };
        match self.spread.is_shared() {
            true => norm.add_backward(x, weight, dy, dx),
            false => norm.rows_back(x, weight, dy, dx),
        }
    }

    fn gated(&self, gate: &[T], up: &[T]) -> Vec<T> {
        if self.spread.is_shared() {
            return SiluGate::forward(gate, up);
        }
        let mut y = vec![T::zero(); gate.len()];
        SiluGate::part(gate, up, &mut y);
        y
    }

    /// The gradients of gate and up.
    fn gated_back(&self, kept: &Kept<T>, dgated: &[T]) -> (Vec<T>, Vec<T>) {
        if self.spread.is_shared() {
            return SiluGate::backward(&kept.gate, &kept.up, dgated);
        }
        let (mut dgate, mut dup) = (vec![T::zero(); dgated.len()], vec![T::zero(); dgated.len()]);
        SiluGate::part_back(&kept.gate, &kept.up, dgated, &mut dgate, &mut dup);
        (dgate, dup)
    }

    fn head_width(&self) -> usize {
        self.d / self.decoder.heads
    }

    fn kv_width(&self) -> usize {
        self.head_width() * self.decoder.kv_heads
    }

    /// Whether only the places that are read go on from this block.
    fn is_last(&self, block: usize) -> bool {
        block + 1 == self.weights.len()
    }

    /// The places that a block's attention asks from.
    fn queries(&self, block: usize) -> &Queries<'_, T> {
        if self.is_last(block) { &self.at_read } else { &self.everywhere }
    }

    /// Numbers of a sequence's queries; where nothing is read there are no sequences to cut into such pieces either.
    fn query_size(&self, block: usize) -> usize {
        (self.queries(block).n * self.d).max(1)
    }

    /// Rows of these places.
    fn asking<'x>(&self, block: usize, x: &'x [T]) -> Cow<'x, [T]> {
        if self.is_last(block) { Cow::Owned(gather(x, &self.read, self.d)) } else { Cow::Borrowed(x) }
    }

    /// Queries and keys, turned, and values.
    fn qkv(&self, block: usize, h: &[T]) -> [Vec<T>; 3] {
        let mut q = self.project(block, Q, &self.asking(block, h));
        let [mut k, v] = [K, V].map(|projection| self.project(block, projection, h));
        let hd = self.head_width();
        turn(&mut q, (self.decoder.heads, hd), self.queries(block).turns(), attention::scale(hd));
        turn(&mut k, (self.decoder.kv_heads, hd), self.everywhere.turns(), T::one());
        [q, k, v]
    }

    /// The `i`-th sequence as a block's attention sees it.
    fn scene<'s>(&'s self, block: usize, i: usize, q: &'s [T], k: &'s [T], v: &'s [T]) -> Scene<'s, T> {
        let (t, kv, Queries { n, mask, lots, .. }) = (self.t, self.kv_width(), self.queries(block));
        Scene {
            t,
            hd: self.head_width(),
            heads: self.decoder.heads,
            kv_heads: self.decoder.kv_heads,
            q: &q[i * n * self.d..][..n * self.d],
            k: &k[i * t * kv..][..t * kv],
            v: &v[i * t * kv..][..t * kv],
            mask: Some(&mask[i * n * t..][..n * t]),
            lots: &lots[i],
            units: Units::here(),
        }
    }

    /// Hidden states to those at the read places; what backward needs, block by block, if it is to be kept.
    fn forward(&self, x: &[T]) -> (Vec<T>, Vec<Left<T>>) {
        let (mut x, mut kept) = (x.to_vec(), Vec::new());
        for block in 0..self.weights.len() {
            let (next, keep) = self.block(block, x);
            x = next;
            match self.decoder.keep {
                true if self.decoder.checkpoint => kept.push(Left::Input(keep.x)),
                true => kept.push(Left::Everything(keep)),
                false => {}
            }
        }
        (x, kept)
    }

    fn block(&self, block: usize, x: Vec<T>) -> (Vec<T>, Kept<T>) {
        let weights = &self.weights[block];
        let [q, k, v] = self.qkv(block, &self.normalized(&x, weights.norm1));
        let mut attended = vec![T::zero(); q.len()];
        for (i, out) in attended.chunks_exact_mut(self.query_size(block)).enumerate() {
            self.scene(block, i, &q, &k, &v).forward(out, self.spread);
        }
        let mut x2 = self.project(block, O, &attended);
        add(&mut x2, &self.asking(block, &x));
        let h = self.normalized(&x2, weights.norm2);
        let (gate, up) = (self.project(block, GATE, &h), self.project(block, UP, &h));
        let mut next = self.project(block, DOWN, &self.gated(&gate, &up));
        add(&mut next, &x2);
        let mut before_pair = Vec::new();
        if let Some(pair) = self.pair(block, FFN) {
            before_pair.clone_from(&next);
            pair.add(self.packed, &before_pair, &mut next);
        }
        (next, Kept { x, q, k, v, attended, x2, gate, up, before_pair })
    }

    /// From the gradient at the read places: the gradients of the hidden states and of the pairs.
    fn backward(&self, dout: &[T], kept: Vec<Left<T>>) -> (Vec<T>, Vec<T>) {
        let (mut dx, mut dpacked) = (dout.to_vec(), vec![T::zero(); self.packed.len()]);
        for (block, left) in kept.into_iter().enumerate().rev() {
            let kept = match left {
                Left::Everything(kept) => kept,
                Left::Input(x) => self.block(block, x).1,
            };
            dx = self.block_back(block, &kept, dx, &mut dpacked);
        }
        (dx, dpacked)
    }

    fn block_back(&self, block: usize, kept: &Kept<T>, mut dnext: Vec<T>, dpacked: &mut [T]) -> Vec<T> {
        if let Some(pair) = self.pair(block, FFN) {
            let dlow = pair.back(self.packed, &kept.before_pair, &dnext, dpacked);
            pair.add_input_gradient(self.packed, &dlow, &mut dnext);
        }
        let dx2 = self.mlp_back(block, kept, dnext, dpacked);
        let dattended = self.project_back(block, &[(O, &dx2)], &kept.attended, dpacked);
        let mut dx = dx2;
        if self.is_last(block) {
            let rows = std::mem::replace(&mut dx, vec![T::zero(); kept.x.len()]);
            scatter(&rows, &self.read, self.d, &mut dx);
        }
        self.attention_back(block, kept, dx, &dattended, dpacked)
    }

    fn mlp_back(&self, block: usize, kept: &Kept<T>, dnext: Vec<T>, dpacked: &mut [T]) -> Vec<T> {
        let weight = self.weights[block].norm2;
        let inner = if self.touches(block, &[DOWN]) { self.gated(&kept.gate, &kept.up) } else { Vec::new() };
        let dgated = self.project_back(block, &[(DOWN, &dnext)], &inner, dpacked);
        let (dgate, dup) = self.gated_back(kept, &dgated);
        let h = if self.touches(block, &[GATE, UP]) { self.normalized(&kept.x2, weight) } else { Vec::new() };
        let dh = self.project_back(block, &[(GATE, &dgate), (UP, &dup)], &h, dpacked);
        let mut dx2 = dnext;
        self.normalized_back(&kept.x2, weight, &dh, &mut dx2);
        dx2
    }

    /// `dx` is what comes past the attention; the gradient through it is added.
    fn attention_back(&self, block: usize, kept: &Kept<T>, mut dx: Vec<T>, dattended: &[T], dpacked: &mut [T]) -> Vec<T> {
        let weight = self.weights[block].norm1;
        let [dq, dk, dv] = self.qkv_back(block, kept, dattended);
        let h = if self.touches(block, &[Q, K, V]) { self.normalized(&kept.x, weight) } else { Vec::new() };
        let asking = if h.is_empty() { Cow::Borrowed(&h[..]) } else { self.asking(block, &h) };
        if block == 0 && !self.decoder.input_is_trained {
            for (projection, x, dy) in [(Q, &asking[..], &dq), (K, &h, &dk), (V, &h, &dv)] {
                if let Some(pair) = self.pair(block, projection) {
                    pair.back(self.packed, x, dy, dpacked);
                }
            }
            return dx;
        }
        let mut dh = self.project_back(block, &[(K, &dk), (V, &dv)], &h, dpacked);
        let dasking = self.project_back(block, &[(Q, &dq)], &asking, dpacked);
        if self.is_last(block) {
            scatter(&dasking, &self.read, self.d, &mut dh)
        } else {
            add(&mut dh, &dasking)
        }
        self.normalized_back(&kept.x, weight, &dh, &mut dx);
        dx
    }

    /// From the gradient of what attention gives to those of queries, keys and values before they were turned.
    fn qkv_back(&self, block: usize, kept: &Kept<T>, dattended: &[T]) -> [Vec<T>; 3] {
        let [mut dq, mut dk, mut dv] = [&kept.q, &kept.k, &kept.v].map(|like| vec![T::zero(); like.len()]);
        let (size, kv_size) = (self.query_size(block), self.t * self.kv_width());
        let gradients = dq.chunks_exact_mut(size).zip(dk.chunks_exact_mut(kv_size).zip(dv.chunks_exact_mut(kv_size)));
        for (i, (dq, (dk, dv))) in gradients.enumerate() {
            self.scene(block, i, &kept.q, &kept.k, &kept.v).backward(&dattended[i * size..][..size], [dq, dk, dv], self.spread);
        }
        let hd = self.head_width();
        turn_back(&mut dq, (self.decoder.heads, hd), self.queries(block).turns(), attention::scale(hd));
        turn_back(&mut dk, (self.decoder.kv_heads, hd), self.everywhere.turns(), T::one());
        [dq, dk, dv]
    }

    fn touches(&self, block: usize, projections: &[usize]) -> bool {
        projections.iter().any(|&projection| self.pair(block, projection).is_some())
    }
}

impl Decoder {
    /// Calls `work` on every part, in parallel; the results in the parts' order.
    fn on_parts<T: Real, R: Send>(
        &self,
        (b, t, d): (usize, usize, usize),
        packed: &[T],
        work: impl Fn(usize, std::ops::Range<usize>, &Part<T>) -> R + Sync,
    ) -> Result<Vec<R>> {
        let norms: Vec<&Tensor> = self.blocks.iter().flat_map(|block| [&block.norm1, &block.norm2]).collect();
        let norms = Numbers::of(&norms);
        let projections = FrozenWeights::of(self.blocks.iter().flat_map(|block| &block.projections));
        let weights = |block: usize| {
            let projections = (7 * block..7 * (block + 1)).map(|i| projections.get(i)).collect::<Result<_>>()?;
            Ok(Weights { norm1: norms.get(2 * block)?, norm2: norms.get(2 * block + 1)?, projections })
        };
        let weights = (0..self.blocks.len()).map(weights).collect::<Result<Vec<_>>>()?;
        let extra = Numbers::of(&[&self.mask, &self.rotary.0, &self.rotary.1]);
        let (mask, cos, sin) = (extra.get::<T>(0)?, extra.get::<T>(1)?, extra.get::<T>(2)?);
        let (size, hd, r) = (part_size(b, t), d / self.heads, self.read.len() / b);
        let spread = Spread::of(b.div_ceil(size));
        let part = |index: usize| {
            let range = index * size..((index + 1) * size).min(b);
            let (from, to) = (range.start, range.end);
            let read: Vec<usize> = self.read[from * r..to * r].iter().map(|&place| place as usize - from * t).collect();
            let (mask, cos, sin) =
                (&mask[from * t * t..to * t * t], &cos[from * t * hd..to * t * hd], &sin[from * t * hd..to * t * hd]);
            let rows = |x, width| Cow::Owned(gather(x, &read, width));
            let part = Part {
                decoder: self,
                weights: &weights,
                packed,
                spread,
                t,
                d,
                everywhere: Queries::new(mask.into(), [cos.into(), sin.into()], (t, t)),
                at_read: Queries::new(rows(mask, t), [rows(cos, hd), rows(sin, hd)], (r, t)),
                read,
            };
            work(index, range, &part)
        };
        Ok((0..b.div_ceil(size)).into_par_iter().map(part).collect())
    }

    fn forward<T: Real>(&self, x: &[T], packed: &[T], shape: (usize, usize, usize)) -> Result<Vec<T>> {
        let size = shape.1 * shape.2;
        let parts = self.on_parts(shape, packed, |_, range, part| part.forward(&x[range.start * size..range.end * size]))?;
        let (rows, kept): (Vec<Vec<T>>, Vec<Parcel<T>>) =
            parts.into_iter().map(|(rows, kept)| (rows, Mutex::new(Some(kept)))).unzip();
        if self.keep
            && let Ok(mut slot) = self.kept.lock()
        {
            *slot = Some(Box::new(kept));
        }
        Ok(rows.concat())
    }

    /// Gradients of hidden states and pairs.
    fn backward<T: Real>(&self, x: &Tensor, packed: &Tensor, dout: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ((b, t, d), numbers) = (x.dims3()?, Numbers::of(&[x, packed, dout]));
        let (x_numbers, packed_numbers, dout) = (numbers.get::<T>(0)?, numbers.get::<T>(1)?, numbers.get::<T>(2)?);
        let kept = self.kept.lock().ok().and_then(|mut slot| slot.take());
        let kept = kept.and_then(|kept| kept.downcast::<Vec<Parcel<T>>>().ok());
        let (size, read_size) = (t * d, dout.len() / b);
        let parts = self.on_parts((b, t, d), packed_numbers, |index, range, part| {
            let dout = &dout[range.start * read_size..range.end * read_size];
            let kept = kept.as_ref().and_then(|kept| kept[index].lock().ok()?.take());
            // A second backward pass through one forward pass: the first one took what was kept.
            part.backward(dout, kept.unwrap_or_else(|| part.forward(&x_numbers[range.start * size..range.end * size]).1))
        })?;
        let mut sum = vec![T::zero(); packed_numbers.len()];
        parts.iter().for_each(|(_, part)| add(&mut sum, part));
        let dx = match self.input_is_trained {
            true => Some(tensor_like(parts.into_iter().flat_map(|(dx, _)| dx).collect(), x)?),
            false => None,
        };
        let dpacked = if self.pairs.is_empty() { None } else { Some(tensor_like(sum, packed)?) };
        Ok((dx, dpacked))
    }
}

impl CustomOp2 for Decoder {
    fn name(&self) -> &'static str {
        "frozen-decoder"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, packed: &CpuStorage, lp: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, t, d) = lx.shape().dims3()?;
        let y = by_dtype!(x.dtype(), self.forward(values(x, lx)?, values(packed, lp)?, (b, t, d))?);
        Ok((y, Shape::from((b, self.read.len() / b, d))))
    }

    fn bwd(&self, x: &Tensor, packed: &Tensor, _: &Tensor, dout: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dout = dout.contiguous()?;
        match x.dtype() {
            DType::F64 => self.backward::<f64>(x, packed, &dout),
            _ => self.backward::<f32>(x, packed, &dout),
        }
    }
}
