//! The number types of kernels.

use candle_core::WithDType;
use half::bf16;

use super::panels::Panels;
use super::simd::vectorized;

/// The number types that kernels run on.
pub trait Real: WithDType + num_traits::Float + Send + Sync + std::iter::Sum + Panels {
    /// e to the x; 0 for minus infinity, and NaN for NaN, whatever its bits. Branch-free, so that loops over it vectorize.
    fn exponential(self) -> Self;
    /// From a constant.
    fn of(x: f64) -> Self;
    /// The same numbers as far as bf16 holds them: rounded to the nearest, halves to even.
    fn rounded(x: &[Self]) -> Vec<Self>;
    /// Appends bf16 numbers as this type, which is exact.
    fn widen(numbers: &[bf16], wide: &mut Vec<Self>);
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
        let scaled = if self < -87.0 { 0.0 } else { scaled };
        // The shift above would make a number of a NaN whose low bits are set.
        if self.is_nan() { self } else { scaled }
    }

    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }

    fn rounded(x: &[Self]) -> Vec<Self> {
        let mut y = Vec::new();
        append(&mut y, x, as_bf16);
        y
    }

    fn widen(numbers: &[bf16], wide: &mut Vec<Self>) {
        append(wide, numbers, |x| f32::from_bits(u32::from(x.to_bits()) << 16));
    }
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

impl Real for f64 {
    #[inline(always)]
    fn exponential(self) -> Self {
        self.exp()
    }

    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }

    fn rounded(x: &[Self]) -> Vec<Self> {
        x.iter().map(|&x| bf16::from_f64(x).to_f64()).collect()
    }

    fn widen(numbers: &[bf16], wide: &mut Vec<Self>) {
        wide.extend(numbers.iter().map(|x| x.to_f64()));
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::{Real, as_bf16};

    /// Every bf16, and what lies between it and its neighbours: a little, half and nearly all of the way, to either side of a half.
    #[test]
    fn rounding_is_that_of_bf16() {
        for high in 0..=u16::MAX {
            for low in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let x = f32::from_bits(u32::from(high) << 16 | low);
                assert_eq!(as_bf16(x).to_bits(), bf16::from_f32(x).to_f32().to_bits(), "{high:#x} {low:#x}");
            }
            let (number, mut wide) = (bf16::from_bits(high), Vec::new());
            f32::widen(&[number], &mut wide);
            assert!(wide[0].to_bits() == number.to_f32().to_bits() || number.is_nan() && wide[0].is_nan(), "{high:#x}");
        }
    }

    /// A NaN stays one, whatever its bits: a probability made of it would be a number like others.
    #[test]
    fn the_exponential_keeps_every_nan() {
        for low in [0, 1, 2, 0x1234, 0x3f_ffff] {
            for high in [0x7fc0_0000_u32, 0xffc0_0000] {
                assert!(f32::from_bits(high | low).exponential().is_nan(), "{low:#x}");
            }
        }
        assert_eq!([f32::NEG_INFINITY.exponential(), 0.0f32.exponential()], [0.0, 1.0]);
    }
}
