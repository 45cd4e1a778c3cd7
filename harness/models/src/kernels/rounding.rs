//! f32 to bf16's precision and back, in loops that vectorize.

use half::bf16;

use super::simd::vectorized;

/// The same numbers as far as bf16 holds them: rounded to the nearest, halves to even.
pub(super) fn rounded(x: &[f32]) -> Vec<f32> {
    let mut y = Vec::new();
    append(&mut y, x, as_bf16);
    y
}

/// Appends bf16 numbers as f32, which is exact.
pub(super) fn widen(numbers: &[bf16], wide: &mut Vec<f32>) {
    append(wide, numbers, |x| f32::from_bits(u32::from(x.to_bits()) << 16));
}

/// Appends `f` of every number, without writing zeros first.
#[inline(always)]
#[allow(unsafe_code, reason = "room that nobody has written yet is written")]
fn append<A: Copy, B>(to: &mut Vec<B>, from: &[A], f: impl Fn(A) -> B) {
    to.reserve(from.len());
    let room = &mut to.spare_capacity_mut()[..from.len()];
    vectorized!(room.iter_mut().zip(from).for_each(|(to, &from)| {
        to.write(f(from));
    }));
    // SAFETY: there is room for all of them, and all are written.
    unsafe { to.set_len(to.len() + from.len()) };
}

/// `bf16::from_f32` and back, without a branch, so that loops over it vectorize.
#[inline(always)]
fn as_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    // Rounding could carry a NaN over to a number; a bit that says NaN is set instead.
    f32::from_bits(if x.is_nan() { bits | 0x40_0000 } else { nearest } & 0xffff_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every bf16, and what lies between it and its neighbours: a little, half and nearly all of the way, to either side of a half.
    #[test]
    fn rounding_is_that_of_bf16() {
        for high in 0..=u16::MAX {
            for low in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let x = f32::from_bits(u32::from(high) << 16 | low);
                assert_eq!(as_bf16(x).to_bits(), bf16::from_f32(x).to_f32().to_bits(), "{high:#x} {low:#x}");
            }
            let (number, mut wide) = (bf16::from_bits(high), Vec::new());
            widen(&[number], &mut wide);
            assert!(wide[0].to_bits() == number.to_f32().to_bits() || number.is_nan() && wide[0].is_nan(), "{high:#x}");
        }
    }
}
