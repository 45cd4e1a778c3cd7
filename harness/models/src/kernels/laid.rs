//! A matrix that attention multiplies several others with, laid out once for the processor's kernel.

use super::lay::{Packed, Strided};
use super::matrix::{Matrix, multiply};
use super::real::Real;
use super::unit::Units;

/// What stands on the right of several products.
pub(super) enum Laid<'a, T> {
    /// As it lies, for `gemm`.
    Plain(Matrix<'a, T>),
    /// In panels of 32 columns, side by side.
    Panels(Packed),
}

impl<'a, T: Real> Laid<'a, T> {
    /// A matrix of so many rows and columns; its rows' numbers, or its columns', lie side by side.
    pub(super) fn of(matrix: Matrix<'a, T>, size: (usize, usize), units: Units) -> Self {
        T::lay(strided(&matrix), size, units).map_or(Self::Plain(matrix), Self::Panels)
    }

    /// `dst[m, n] (+)= lhs[m, k] self[k, n]` on this thread, by the first of the matrix's rows and columns.
    pub(super) fn multiply(&self, size: (usize, usize, usize), lhs: Matrix<T>, dst: &mut [T], dst_row: usize, adds: bool) {
        match self {
            Self::Plain(matrix) => multiply(size, lhs, *matrix, dst, dst_row, adds),
            Self::Panels(packed) => T::multiply_packed(packed, size, strided(&lhs), dst, dst_row, adds),
        }
    }
}

fn strided<'m, T>(matrix: &Matrix<'m, T>) -> Strided<'m, T> {
    (matrix.data, [matrix.row, matrix.column])
}
