//! Matrix products.

use super::real::Real;

/// A matrix in a slice, with its row and column strides.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    pub(super) data: &'a [T],
    pub(super) row: usize,
    pub(super) column: usize,
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

/// `lhs[m, k] rhs[k, n]`, one thread.
#[allow(unsafe_code, reason = "nobody should have to write zeros where the product is written next")]
pub(super) fn product<T: Real>((m, n, k): (usize, usize, usize), lhs: Matrix<T>, rhs: Matrix<T>) -> Vec<T> {
    if k == 0 {
        return vec![T::zero(); m * n];
    }
    let mut dst = Vec::with_capacity(m * n);
    // SAFETY: there is room for the product, which is written whole and not read before.
    unsafe {
        write_product((m, n, k), lhs, rhs, dst.as_mut_ptr(), n, false);
        dst.set_len(m * n);
    }
    dst
}

/// `dst[m, n] (+)= lhs[m, k] rhs[k, n]`, each a slice with its row and column strides; one thread, so that the sum's order is
/// fixed.
#[allow(unsafe_code, reason = "the matrix product takes raw pointers; the sizes are checked first")]
pub(super) fn multiply<T: Real>(
    (m, n, k): (usize, usize, usize),
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    dst: &mut [T],
    dst_row: usize,
    accumulate: bool,
) {
    assert!(m == 0 || n == 0 || (m - 1) * dst_row + n <= dst.len(), "matrix product writes out of bounds");
    // SAFETY: `dst` is borrowed mutably and holds every place that is written, checked above.
    unsafe { write_product((m, n, k), lhs, rhs, dst.as_mut_ptr(), dst_row, accumulate) }
}

/// # Safety
/// `dst` must be valid for `m` rows of `n` numbers, `dst_row` apart, and hold numbers where they are added to.
#[allow(unsafe_code, reason = "the matrix product takes raw pointers; the sizes of what it reads are checked first")]
pub(super) unsafe fn write_product<T: Real>(
    (m, n, k): (usize, usize, usize),
    lhs: Matrix<T>,
    rhs: Matrix<T>,
    dst: *mut T,
    dst_row: usize,
    accumulate: bool,
) {
    let fits = |matrix: &Matrix<T>, rows: usize, columns: usize| {
        rows == 0 || columns == 0 || (rows - 1) * matrix.row + (columns - 1) * matrix.column < matrix.data.len()
    };
    assert!(fits(&lhs, m, k) && fits(&rhs, k, n), "matrix product reads out of bounds");
    let one = T::one();
    let alpha = if accumulate { one } else { T::zero() };
    // SAFETY: both inputs hold every element that their strides reach, checked above; the caller promises as much of `dst`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst,
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
