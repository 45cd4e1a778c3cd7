//! Values to places on an axis, and the ticks beside it.

/// A linear axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Linear {
    /// Values from `low` to `high` on pixels `from` to `to`.
    pub fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        // Wide enough that numbers of any size differ.
        Self { low, high: if high > low { high } else { low + (low.abs() / 1e9).max(1.0) }, from, to }
    }

    /// The pixel at which a value stands; values beyond the ends stand outside.
    pub fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round values, at most about `count` of them.
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        let step = round_step((self.high - self.low) / count.max(1) as f64);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// 1, 2 or 5 times a power of ten, no smaller than `step`.
pub fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|round| *round >= step * (1.0 - 1e-9)).unwrap_or(step)
}

/// The range of some values widened to round steps; between 0 and 1 where they are.
pub fn around(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return (0.0, 1.0);
    }
    let step = round_step(((high - low) / 5.0).max(0.01));
    ((low / step - 0.2).floor() * step, (high / step + 0.2).ceil() * step)
}

/// A logarithmic axis of bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bytes {
    log: Linear,
}

impl Bytes {
    /// Positive numbers of bytes on pixels, with room at both ends.
    pub fn new((low, high): (f64, f64), pixels: (f64, f64)) -> Self {
        Self { log: Linear::new(((low / 1.7).log2(), (high * 1.7).log2()), pixels) }
    }

    /// The pixel at which a value stands; values beyond the ends stand outside.
    pub fn at(&self, value: f64) -> f64 {
        self.log.at(value.log2())
    }

    /// Powers of two, at most about `count`.
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        let span = self.log.high - self.log.low;
        let step = [1, 2, 3, 5, 10, 20].into_iter().find(|step| span / f64::from(*step) <= count as f64).unwrap_or(20);
        let first = (self.log.low / f64::from(step)).ceil() as i32;
        let last = (self.log.high / f64::from(step)).floor() as i32;
        (first..=last).map(|i| 2f64.powi(i * step)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let ticks = Linear::new((0.43, 0.67), (0.0, 100.0)).ticks(5);
        assert_eq!(
            ticks.iter().map(|tick| format!("{tick:.3}")).collect::<Vec<_>>(),
            ["0.450", "0.500", "0.550", "0.600", "0.650"]
        );
        assert_eq!(Linear::new((0.0, 1.0), (0.0, 100.0)).at(0.25), 25.0);
        assert_eq!(Bytes::new((1024.0, 1048576.0), (0.0, 1.0)).ticks(4), [4096.0, 32768.0, 262144.0]);
    }

    #[test]
    fn ranges_hold_their_values() {
        let (low, high) = around([0.432, 0.673]);
        assert!(low < 0.432 && high > 0.673 && low > 0.3 && high < 0.8, "{low} {high}");
        assert_eq!(around([f64::NAN]), (0.0, 1.0));
        let (low, high) = around([0.5]);
        assert!(low < 0.5 && high > 0.5);
    }
}
