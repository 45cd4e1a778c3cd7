//! A frozen weight in memory, and the product with it by panels, where this processor has a kernel for that.

#[cfg(target_arch = "x86_64")]
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

#[cfg(target_arch = "x86_64")]
use super::avx512::{Left, Right, Words, product, rounded};
use super::unit::Units;
#[cfg(target_arch = "x86_64")]
use super::{rounding, unit::Unit};

/// A frozen weight `[out, in]` as numbers.
#[derive(Clone, Copy)]
pub(super) struct Weight<'a, T> {
    pub(super) numbers: Stored<'a, T>,
    pub(super) d_out: usize,
    pub(super) d_in: usize,
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "elsewhere there is one unit"))]
    pub(super) units: Units,
}

#[derive(Clone, Copy)]
pub(super) enum Stored<'a, T> {
    Whole(&'a [T]),
    Bf16(&'a [bf16]),
    F16(&'a [f16]),
}

/// Which way numbers pass a weight.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `x W^T`.
    Forward,
    /// `dy W`.
    Backward,
}

impl<T> Weight<'_, T> {
    /// Widths of what enters and of what leaves.
    pub(super) fn widths(&self, way: Way) -> (usize, usize) {
        match way {
            Way::Forward => (self.d_in, self.d_out),
            Way::Backward => (self.d_out, self.d_in),
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Weight<'_, f32> {
    /// Its numbers as words that panels are made of, where it goes by them.
    fn words(&self) -> Option<(Words, &[u8])> {
        match (self.numbers, self.units) {
            (Stored::Whole(numbers), Units { f32: Unit::Panels, .. }) => Some((Words::Single, bytemuck::cast_slice(numbers))),
            // A word is made of two neighbours of a row.
            (Stored::Bf16(numbers), units) if self.d_in.is_multiple_of(2) => {
                let bytes = bytemuck::cast_slice(numbers.reinterpret_cast());
                match units.bf16 {
                    Unit::Gemm => None,
                    Unit::Panels => Some((Words::Widened, bytes)),
                    Unit::Pairs => Some((Words::Pair, bytes)),
                    Unit::Tiles => Some((Words::Tiled, bytes)),
                }
            }
            _ => None,
        }
    }
}

/// Number types that may have a kernel of their own.
pub trait Panels: Sized {
    /// Whether this processor has one for a weight, and may use it: then a row of a product does not depend on the rows beside it.
    #[allow(private_interfaces, reason = "nobody outside calls it")]
    fn has_panels(weight: &Weight<Self>) -> bool;

    /// Writes the product by it; false if this processor, or the type, has none.
    ///
    /// # Safety
    /// As for `Weight::write`.
    #[allow(unsafe_code, reason = "as for `write`")]
    #[allow(private_interfaces, reason = "nobody outside calls it")]
    unsafe fn write_with_panels(weight: &Weight<Self>, way: Way, x: &[Self], y: *mut Self, accumulate: bool) -> bool;
}

impl Panels for f64 {
    #[allow(private_interfaces, reason = "as declared")]
    fn has_panels(_: &Weight<Self>) -> bool {
        false
    }

    #[allow(unsafe_code, private_interfaces, reason = "as declared")]
    unsafe fn write_with_panels(_: &Weight<Self>, _: Way, _: &[Self], _: *mut Self, _: bool) -> bool {
        false
    }
}

impl Panels for f32 {
    #[cfg(target_arch = "x86_64")]
    #[allow(private_interfaces, reason = "as declared")]
    fn has_panels(weight: &Weight<Self>) -> bool {
        weight.words().is_some()
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[allow(private_interfaces, reason = "as declared")]
    fn has_panels(_: &Weight<Self>) -> bool {
        false
    }

    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code, private_interfaces, reason = "as declared")]
    unsafe fn write_with_panels(weight: &Weight<Self>, way: Way, x: &[Self], y: *mut Self, accumulate: bool) -> bool {
        let (entering, leaving) = weight.widths(way);
        let Some((kind, bytes)) = weight.words() else { return false };
        if x.is_empty() {
            return false;
        }
        let (singles, pairs);
        let (words, depth): (&[u32], usize) = match kind {
            Words::Single => (bytemuck::cast_slice(x), entering),
            Words::Widened => {
                singles = rounding::rounded(x);
                (bytemuck::cast_slice(&singles), entering)
            }
            Words::Pair | Words::Tiled => {
                // SAFETY: the processor has the unit that the weight goes by.
                pairs = unsafe { rounded(x, entering, kind) };
                (&pairs, entering.div_ceil(2))
            }
        };
        let left = Left { words, rows: x.len() / entering, depth, kind };
        let right = Right { bytes, row: bytes.len() / weight.d_out, rows: weight.d_out, across: way == Way::Forward };
        // SAFETY: as above; the caller promises the rest.
        unsafe { product(&left, &right, leaving, y, accumulate) };
        true
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[allow(unsafe_code, private_interfaces, reason = "as declared")]
    unsafe fn write_with_panels(_: &Weight<Self>, _: Way, _: &[Self], _: *mut Self, _: bool) -> bool {
        false
    }
}
