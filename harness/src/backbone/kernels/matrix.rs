//! Matrix products.

use rayon::prelude::*;

use super::Real;

/// A matrix in a slice, with its row and column strides.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    data: &'a [T],
    row: usize,
    column: usize,
}

impl<'a, T> Matrix<'a, T> {
    pub(super) fn new(data: &'a [T], row: usize, column: usize) -> Self {
        Self { data, row, column }
    }

    /// The transpose, without moving anything.
    pub(super) fn t(&self) -> Self {
        Self { data: self.data, row: self.column, column: self.row }
    }
}

/// `dst[m, n] (+)= lhs[m, k] rhs[k, n]`, each a slice with its row and column strides; one thread, so that the sum's order is
/// fixed.
#[allow(unsafe_code, reason = "the matrix product takes raw pointers; the sizes are checked first")]
pub(super) fn multiply<T: Real>(
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

/// Rows that a thread takes at a time; fixed, so that no number depends on the thread count.
const ROWS: usize = 128;

/// `x` `[n, k]` times `matrix` `[k, m]`, in parallel over rows.
pub(super) fn rows_times<T: Real>(x: &[T], k: usize, matrix: Matrix<T>, m: usize) -> Vec<T> {
    let mut y = vec![T::zero(); x.len() / k * m];
    y.par_chunks_mut(ROWS * m).zip(x.par_chunks(ROWS * k)).for_each(|(y, x)| {
        multiply((x.len() / k, m, k), Matrix::new(x, k, 1), matrix, y, m, false);
    });
    y
}
