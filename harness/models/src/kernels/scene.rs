//! One example's attention, some queries of one head at a time.
//!
//! Scores and probabilities exist for 64 queries of a head, and only up to the last key that one of them may see; the backward pass
//! computes them again. What is multiplied with many times, keys and values, is laid out once for every head.

use rayon::prelude::*;

use super::laid::Laid;
use super::matrix::Matrix;
use super::real::Real;
use super::simd::vectorized;
use super::spread::Spread;
use super::sums::{add, lanes, largest};
use super::unit::Units;

/// One example's attention: queries and keys are turned, queries scaled; heads lie side by side in a row.
pub(super) struct Scene<'a, T> {
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
    /// What [`lots`] says of the mask.
    pub(super) lots: &'a [Lot],
    pub(super) units: Units,
}

/// Queries whose scores exist at a time: few enough that a causal mask leaves out much of the square, enough for a matrix product.
const ROWS: usize = 64;

/// Some queries, and what they may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lot {
    from: usize,
    n: usize,
    /// Keys that any of them may see, counted to the last.
    keys: usize,
    /// Keys, from the first on, that the mask leaves alone for all of them.
    clear: usize,
}

/// The queries in order, in lots, for a mask `[n, t]`.
pub(super) fn lots<T: Real>(mask: Option<&[T]>, (n, t): (usize, usize)) -> Vec<Lot> {
    let lot = |from: usize| {
        let n = ROWS.min(n - from);
        let Some(mask) = mask else { return Lot { from, n, keys: t, clear: t } };
        let (mut keys, mut clear) = (1, t);
        for row in mask[from * t..(from + n) * t].chunks_exact(t) {
            keys += row[keys..].iter().rposition(|&m| m != T::neg_infinity()).map_or(0, |last| last + 1);
            clear = row[..clear].iter().position(|&m| m != T::zero()).unwrap_or(clear);
        }
        Lot { from, n, keys, clear }
    };
    (0..n).step_by(ROWS).map(lot).collect()
}

/// Keys and values of a head: as both sides ask for them.
struct Side<'a, T> {
    turned: Laid<'a, T>,
    plain: Laid<'a, T>,
}

/// Room for the probabilities of a lot, and for their gradients, in rows of `stride`.
struct Scores<T> {
    p: Vec<T>,
    ds: Vec<T>,
}

/// From one row of scores to the next: an odd number of cache lines, so that rows do not meet in the same places of a cache.
fn stride(keys: usize) -> usize {
    keys.div_ceil(16) / 2 * 32 + 16
}

impl<T: Real> Scene<'_, T> {
    /// Numbers in a row of queries, and in one of keys.
    fn widths(&self) -> (usize, usize) {
        (self.heads * self.hd, self.kv_heads * self.hd)
    }

    /// A head of keys or values, `[t, hd]`.
    fn side<'s>(&self, numbers: &'s [T], kv_head: usize) -> Matrix<'s, T> {
        Matrix::new(&numbers[kv_head * self.hd..], self.kv_heads * self.hd, 1)
    }

    fn turned<'s>(&self, matrix: Matrix<'s, T>) -> Laid<'s, T> {
        Laid::of(matrix.t(), (self.hd, self.t), self.units)
    }

    /// Some rows of queries or of their gradients, one head of them.
    fn rows<'s>(&self, numbers: &'s [T], lot: &Lot, head: usize) -> Matrix<'s, T> {
        let width = self.heads * self.hd;
        Matrix::new(&numbers[lot.from * width + head * self.hd..], width, 1)
    }

    fn room(&self) -> Vec<T> {
        let most = self.lots.iter().map(|lot| lot.n * stride(lot.keys)).max();
        vec![T::zero(); most.unwrap_or(0)]
    }

    /// Probabilities of a lot of one head.
    fn probabilities(&self, head: usize, lot: &Lot, keys: &Laid<T>, p: &mut [T]) {
        let stride = stride(lot.keys);
        keys.multiply((lot.n, lot.keys, self.hd), self.rows(self.q, lot, head), p, stride, false);
        vectorized!({
            for (i, row) in p.chunks_mut(stride).take(lot.n).enumerate() {
                let row = &mut row[..lot.keys];
                if let Some(mask) = self.mask {
                    let mask = &mask[(lot.from + i) * self.t..][..self.t];
                    row.iter_mut().zip(mask).skip(lot.clear).for_each(|(s, &m)| *s += m);
                }
                softmax_row(row);
            }
        });
    }

    pub(super) fn forward(&self, out: &mut [T], spread: Spread) {
        for kv_head in 0..self.kv_heads {
            let keys = self.turned(self.side(self.k, kv_head));
            let values = Laid::of(self.side(self.v, kv_head), (self.t, self.hd), self.units);
            let one = |p: &mut Vec<T>, (out, lot): (&mut [T], &Lot)| self.lot(kv_head, lot, [&keys, &values], p, out);
            let rows = ROWS * self.widths().0;
            match spread.is_shared() {
                false => out.chunks_mut(rows).zip(self.lots).fold(self.room(), |mut p, work| {
                    one(&mut p, work);
                    p
                }),
                true => {
                    out.par_chunks_mut(rows).zip(self.lots).with_max_len(1).for_each_init(|| self.room(), one);
                    Vec::new()
                }
            };
        }
    }

    /// Some queries of the heads that share keys and values, into their rows.
    fn lot(&self, kv_head: usize, lot: &Lot, [keys, values]: [&Laid<T>; 2], p: &mut [T], out: &mut [T]) {
        let (width, group) = (self.widths().0, self.heads / self.kv_heads);
        for head in kv_head * group..(kv_head + 1) * group {
            self.probabilities(head, lot, keys, p);
            let p = Matrix::new(&*p, stride(lot.keys), 1);
            values.multiply((lot.n, self.hd, lot.keys), p, &mut out[head * self.hd..], width, false);
        }
    }

    /// Adds to `dk` and `dv`, writes `dq`; those of queries and keys are of the turned ones.
    pub(super) fn backward(&self, dout: &[T], [dq, dk, dv]: [&mut [T]; 3], spread: Spread) {
        let ((width, kv_width), group) = (self.widths(), self.heads / self.kv_heads);
        let pieces = self.pieces(spread.pieces(self.lots.len(), self.kv_heads));
        let work: Vec<_> = (0..self.kv_heads).flat_map(|kv_head| pieces.iter().map(move |&lots| (kv_head, lots))).collect();
        let mut merge = |(kv_head, lots): (usize, &[Lot]), [of_q, of_k, of_v]: [Vec<T>; 3]| {
            let Some(first) = lots.first() else { return };
            columns(&of_q, group * self.hd, &mut dq[first.from * width + kv_head * group * self.hd..], width);
            columns(&of_k, self.hd, &mut dk[kv_head * self.hd..], kv_width);
            columns(&of_v, self.hd, &mut dv[kv_head * self.hd..], kv_width);
        };
        if spread.is_shared() {
            let parts: Vec<_> =
                work.par_iter().with_max_len(1).map(|&(kv_head, lots)| self.group_back(kv_head, lots, dout)).collect();
            work.into_iter().zip(parts).for_each(|(work, part)| merge(work, part));
        } else {
            work.into_iter().for_each(|(kv_head, lots)| merge((kv_head, lots), self.group_back(kv_head, lots, dout)));
        }
    }

    /// The lots in so many pieces of about as many scores.
    fn pieces(&self, count: usize) -> Vec<&[Lot]> {
        let all: usize = self.lots.iter().map(|lot| lot.keys).sum();
        let (mut pieces, mut from, mut done) = (Vec::new(), 0, 0);
        for (i, lot) in self.lots.iter().enumerate() {
            done += lot.keys;
            if done * count >= all * (pieces.len() + 1) {
                pieces.push(&self.lots[from..=i]);
                from = i + 1;
            }
        }
        pieces
    }

    /// Gradients of the heads that share keys and values, through some of their queries: of these queries, and of all keys and values.
    fn group_back(&self, kv_head: usize, lots: &[Lot], dout: &[T]) -> [Vec<T>; 3] {
        let (hd, group) = (self.hd, self.heads / self.kv_heads);
        let queries: usize = lots.iter().map(|lot| lot.n).sum();
        let first = lots.first().map_or(0, |lot| lot.from);
        let mut dq = vec![T::zero(); queries * group * hd];
        let [mut dk, mut dv] = [(); 2].map(|()| vec![T::zero(); self.t * hd]);
        let (keys, values) = (self.side(self.k, kv_head), self.side(self.v, kv_head));
        let values = self.turned(values);
        let keys = Side { turned: self.turned(keys), plain: Laid::of(keys, (self.t, hd), self.units) };
        let mut scores = Scores { p: self.room(), ds: self.room() };
        for head in 0..group {
            for lot in lots {
                let dq = &mut dq[(lot.from - first) * group * hd + head * hd..];
                self.lot_back(kv_head * group + head, lot, dout, (&keys, &values), &mut scores, [dq, &mut dk, &mut dv]);
            }
        }
        [dq, dk, dv]
    }

    /// One head's gradients through some queries, added to those of keys and values.
    fn lot_back(
        &self,
        head: usize,
        lot: &Lot,
        dout: &[T],
        (keys, values): (&Side<T>, &Laid<T>),
        Scores { p, ds }: &mut Scores<T>,
        [dq, dk, dv]: [&mut [T]; 3],
    ) {
        let (n, stride, hd) = (lot.n, stride(lot.keys), self.hd);
        let laid = |rows| Laid::of(rows, (n, hd), self.units);
        self.probabilities(head, lot, &keys.turned, p);
        let (q, dy) = (self.rows(self.q, lot, head), self.rows(dout, lot, head));
        laid(dy).multiply((lot.keys, hd, n), Matrix::new(&*p, stride, 1).t(), dv, hd, true);
        values.multiply((n, lot.keys, hd), dy, ds, stride, false);
        vectorized!({
            for (ds, p) in ds.chunks_mut(stride).zip(p.chunks(stride)).take(n) {
                softmax_row_back(&p[..lot.keys], &mut ds[..lot.keys]);
            }
        });
        let ds = Matrix::new(&*ds, stride, 1);
        keys.plain.multiply((n, hd, lot.keys), ds, dq, self.heads / self.kv_heads * hd, false);
        laid(q).multiply((lot.keys, hd, n), ds.t(), dk, hd, true);
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

#[cfg(test)]
mod tests {
    use seed::Seed;

    use super::*;

    const HEADS: (usize, usize) = (6, 2);

    fn drawn(name: &str, count: usize) -> Vec<f64> {
        let mut stream = Seed::new(7).stream(name);
        (0..count).map(|_| f64::from(stream.normal() as f32)).collect()
    }

    /// Causal, with a branch that does not see the one before it, and padding that sees itself alone, as batches have it.
    fn mask(t: usize) -> Vec<f64> {
        let (prefix, branch, padding) = (t / 2, 3 * t / 4, t - t / 8);
        let sees = |i: usize, j: usize| match () {
            () if i >= padding => j == i,
            () if i >= branch => j <= i && !(prefix..branch).contains(&j),
            () => j <= i,
        };
        (0..t * t).map(|at| if sees(at / t, at % t) { 0.0 } else { f64::NEG_INFINITY }).collect()
    }

    /// What attention gives, and the gradients of queries, keys and values.
    fn both_ways<T: Real>(t: usize, hd: usize, masked: bool, units: Units, spread: Spread) -> [Vec<T>; 4] {
        let (heads, kv_heads) = HEADS;
        let numbers = |name: &str, count: usize| drawn(name, count).into_iter().map(T::of).collect::<Vec<_>>();
        let (wide, narrow) = (t * heads * hd, t * kv_heads * hd);
        let (q, k, v, dout) = (numbers("q", wide), numbers("k", narrow), numbers("v", narrow), numbers("dout", wide));
        let mask = masked.then(|| mask(t).into_iter().map(T::of).collect::<Vec<_>>());
        let mask = mask.as_deref();
        let lots = lots(mask, (t, t));
        let scene = Scene { t, hd, heads, kv_heads, q: &q, k: &k, v: &v, mask, lots: &lots, units };
        let [mut out, mut dq] = [(); 2].map(|()| vec![T::zero(); wide]);
        let [mut dk, mut dv] = [(); 2].map(|()| vec![T::zero(); narrow]);
        scene.forward(&mut out, spread);
        scene.backward(&dout, [&mut dq, &mut dk, &mut dv], spread);
        [out, dq, dk, dv]
    }

    fn far(found: &[f32], wanted: &[f64]) -> f64 {
        let square = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>();
        let error = square(&mut found.iter().zip(wanted).map(|(&found, wanted)| f64::from(found) - wanted));
        (error / square(&mut wanted.iter().copied())).sqrt()
    }

    /// Every unit of this processor, in lengths and widths that fill lots, tiles and panels and in such that do not, cut in pieces and
    /// not, beside f64 through `gemm`.
    #[test]
    fn attention_is_that_of_f64() {
        for (t, hd) in [(1, 4), (2, 16), (63, 6), (64, 32), (65, 48), (150, 80), (517, 8), (700, 64)] {
            for masked in [false, true] {
                let plain = Units::possible()[0];
                let wanted = both_ways::<f64>(t, hd, masked, plain, Spread::NONE);
                for units in Units::possible() {
                    for spread in [Spread::NONE, Spread::of(1)] {
                        let found = both_ways::<f32>(t, hd, masked, units, spread);
                        for (what, (found, wanted)) in ["out", "dq", "dk", "dv"].iter().zip(found.iter().zip(&wanted)) {
                            // Of one key, scores have no gradient: both are rounding.
                            if t > 1 || *what == "out" || *what == "dv" {
                                let far = far(found, wanted);
                                assert!(far < 2e-6, "{what} of {t} x {hd}, masked {masked}, {units:?}: {far:.1e}");
                            }
                        }
                    }
                }
            }
        }
    }

    /// Scores that the mask leaves alone are not touched by it, those behind the last seen key do not exist.
    #[test]
    fn lots_say_what_is_seen() {
        let causal: Vec<f32> = (0..150 * 150).map(|at| if at % 150 <= at / 150 { 0.0 } else { f32::NEG_INFINITY }).collect();
        let lot = |from, n, keys, clear| Lot { from, n, keys, clear };
        assert_eq!(lots(Some(&causal), (150, 150)), [lot(0, 64, 64, 1), lot(64, 64, 128, 65), lot(128, 22, 150, 129)]);
        assert_eq!(lots::<f32>(None, (70, 9)), [lot(0, 64, 9, 9), lot(64, 6, 9, 9)]);
        let biased = [0.0f32, -1.0, 0.0, f32::NEG_INFINITY];
        assert_eq!(lots(Some(&biased), (1, 4)), [lot(0, 1, 3, 1)], "a number that is no 0 is added");
    }

    #[test]
    fn pieces_hold_every_lot_once() {
        let lots: Vec<Lot> = (0..11).map(|i| Lot { from: 64 * i, n: 64, keys: 64 * (i + 1), clear: 0 }).collect();
        let scene = Scene::<f32> {
            t: 704,
            hd: 1,
            heads: 1,
            kv_heads: 1,
            q: &[],
            k: &[],
            v: &[],
            mask: None,
            lots: &lots,
            units: Units::possible()[0],
        };
        for count in 1..8 {
            let pieces = scene.pieces(count);
            assert_eq!(pieces.concat(), lots, "{count}");
            assert!(pieces.len() <= count, "{count}: {}", pieces.len());
        }
    }
}
