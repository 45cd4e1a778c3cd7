//! Matrices in panels, where this processor has a kernel for that.

#[cfg(target_arch = "x86_64")]
use super::avx512::{self, COLUMNS, Right, Row, Steps, Words};
#[cfg(target_arch = "x86_64")]
use super::unit::Unit;
use super::unit::Units;

/// A matrix's numbers, and its row and column strides.
pub(super) type Strided<'a, T> = (&'a [T], [usize; 2]);

/// Columns in panels, 32 words wide, zeros behind the last one.
pub struct Packed {
    #[cfg(target_arch = "x86_64")]
    rows: Vec<Row>,
    #[cfg(target_arch = "x86_64")]
    depth: usize,
}

/// Number types of which matrices may be laid out.
pub trait Lay: Sized {
    /// The matrix in panels, if this processor may multiply so.
    #[allow(private_interfaces, reason = "nobody outside calls it")]
    fn lay(matrix: Strided<Self>, size: (usize, usize), units: Units) -> Option<Packed>;

    /// The product by what [`Lay::lay`] gave.
    #[allow(private_interfaces, reason = "as above")]
    fn multiply_packed(
        right: &Packed,
        size: (usize, usize, usize),
        lhs: Strided<Self>,
        dst: &mut [Self],
        dst_row: usize,
        adds: bool,
    );
}

impl Lay for f64 {
    #[allow(private_interfaces, reason = "as declared")]
    fn lay(_: Strided<Self>, _: (usize, usize), _: Units) -> Option<Packed> {
        None
    }

    #[allow(private_interfaces, reason = "as declared")]
    fn multiply_packed(_: &Packed, _: (usize, usize, usize), _: Strided<Self>, _: &mut [Self], _: usize, _: bool) {}
}

#[cfg(not(target_arch = "x86_64"))]
impl Lay for f32 {
    #[allow(private_interfaces, reason = "as declared")]
    fn lay(_: Strided<Self>, _: (usize, usize), _: Units) -> Option<Packed> {
        None
    }

    #[allow(private_interfaces, reason = "as declared")]
    fn multiply_packed(_: &Packed, _: (usize, usize, usize), _: Strided<Self>, _: &mut [Self], _: usize, _: bool) {}
}

#[cfg(target_arch = "x86_64")]
impl Lay for f32 {
    #[allow(unsafe_code, private_interfaces, reason = "as declared; the packing asks for a processor's instructions")]
    fn lay(matrix: Strided<Self>, (depth, columns): (usize, usize), units: Units) -> Option<Packed> {
        if units.f32 != Unit::Panels || depth == 0 {
            return None;
        }
        let (numbers, [down, along]) = matrix;
        let across = down == 1;
        let (row, rows) = if across { (along, columns) } else { (down, depth) };
        let right = Right { bytes: bytemuck::cast_slice(numbers), row: 4 * row, rows, across };
        let mut laid = vec![Row([0; COLUMNS]); columns.div_ceil(COLUMNS) * depth];
        for (panel, from) in laid.chunks_exact_mut(depth).zip((0..columns).step_by(COLUMNS)) {
            // SAFETY: units say that the processor has the instructions.
            unsafe { avx512::pack(panel, &right, Words::Single, 0..depth, from..(from + COLUMNS).min(columns)) }
        }
        Some(Packed { rows: laid, depth })
    }

    #[allow(unsafe_code, private_interfaces, reason = "as declared; sizes are checked first")]
    fn multiply_packed(
        right: &Packed,
        (m, n, k): (usize, usize, usize),
        lhs: Strided<Self>,
        dst: &mut [Self],
        dst_row: usize,
        adds: bool,
    ) {
        assert!(m == 0 || n == 0 || (m - 1) * dst_row + n <= dst.len(), "a product writes out of bounds");
        assert!(k <= right.depth && n <= right.rows.len() / right.depth * COLUMNS, "a product reads out of bounds");
        let left = (bytemuck::cast_slice(lhs.0), Steps { row: lhs.1[0], word: lhs.1[1] });
        // SAFETY: `dst` is borrowed mutably and holds every place that is written; panels are there only where the processor has them.
        unsafe { avx512::packed((m, n, k), left, (&right.rows, right.depth), dst.as_mut_ptr(), dst_row, adds) }
    }
}
