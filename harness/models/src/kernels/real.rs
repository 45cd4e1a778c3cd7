//! The number types of kernels.

use candle_core::WithDType;
use half::bf16;

use super::lay::Lay;
use super::panels::Panels;
use super::rounding;

/// The number types that kernels run on.
pub trait Real: WithDType + num_traits::Float + Send + Sync + std::iter::Sum + Panels + Lay {
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
        rounding::rounded(x)
    }

    fn widen(numbers: &[bf16], wide: &mut Vec<Self>) {
        rounding::widen(numbers, wide);
    }
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
    use super::Real;

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
