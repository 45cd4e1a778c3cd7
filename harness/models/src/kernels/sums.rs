//! Rows put together and taken apart, and sums in one order.

use super::real::Real;

/// Rows of `width` numbers.
pub(super) fn gather<T: Real>(x: &[T], rows: &[usize], width: usize) -> Vec<T> {
    rows.iter().flat_map(|&row| &x[row * width..][..width]).copied().collect()
}

/// Adds rows to the places they were gathered from.
pub(super) fn scatter<T: Real>(gathered: &[T], rows: &[usize], width: usize, x: &mut [T]) {
    for (gathered, &row) in gathered.chunks_exact(width).zip(rows) {
        add(&mut x[row * width..][..width], gathered);
    }
}

pub(super) fn add<T: Real>(sum: &mut [T], x: &[T]) {
    sum.iter_mut().zip(x).for_each(|(sum, &x)| *sum += x);
}

/// The largest number.
#[inline(always)]
pub(super) fn largest<T: Real>(x: &[T]) -> T {
    let larger = |a: T, b: T| if b > a { b } else { a };
    let (mut partial, lots) = ([T::neg_infinity(); 64], x.chunks_exact(64));
    let rest = lots.remainder().iter().copied().fold(T::neg_infinity(), larger);
    for x in lots {
        for i in 0..64 {
            partial[i] = larger(partial[i], x[i]);
        }
    }
    partial.into_iter().fold(rest, larger)
}

/// A sum over eight interleaved partial sums: one order for every instruction set, one that vectorizes, and one that zeros behind
/// the last number do not change.
#[inline(always)]
pub(super) fn lanes<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    let mut partial = [T::zero(); 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a8.remainder().iter().zip(b8.remainder());
    for (a, b) in a8.zip(b8) {
        for i in 0..8 {
            partial[i] += f(a[i], b[i]);
        }
    }
    partial.iter_mut().zip(rest).for_each(|(sum, (&a, &b))| *sum += f(a, b));
    partial.into_iter().sum()
}

/// The sum of `a b c`, in the same order as [`lanes`].
#[inline(always)]
pub(super) fn lanes3<T: Real>(a: &[T], b: &[T], c: &[T]) -> T {
    let mut partial = [T::zero(); 8];
    let (a8, b8, c8) = (a.chunks_exact(8), b.chunks_exact(8), c.chunks_exact(8));
    let rest = a8.remainder().iter().zip(b8.remainder()).zip(c8.remainder());
    for ((a, b), c) in a8.zip(b8).zip(c8) {
        for i in 0..8 {
            partial[i] += a[i] * b[i] * c[i];
        }
    }
    partial.iter_mut().zip(rest).for_each(|(sum, ((&a, &b), &c))| *sum += a * b * c);
    partial.into_iter().sum()
}
