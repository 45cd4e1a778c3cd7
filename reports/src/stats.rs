//! Mean and deviation by key (polars), McNemar's exact test, a t-test of differences over examples and seeds, Holm's correction.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use polars::prelude::*;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// A mean over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stat {
    /// The sum of the values over their number.
    pub mean: f64,
    /// The standard deviation (n - 1); none for a single value.
    pub sd: Option<f64>,
    /// How many values it is of, at least 1.
    pub n: usize,
}

impl Stat {
    /// Of these values; none of no value.
    pub fn of(values: &[f64]) -> Option<Self> {
        let sd = (values.len() > 1).then(|| variance(values).sqrt());
        (!values.is_empty()).then(|| Self { mean: mean(values), sd, n: values.len() })
    }

    /// Where the mean over other seeds lies, 95%: Student's interval; none for a single value.
    pub fn interval(&self) -> Option<[f64; 2]> {
        let half = half_width(self.n) * self.sd? / (self.n as f64).sqrt();
        Some([self.mean - half, self.mean + half])
    }

    /// One deviation below the mean and one above; the mean itself where there is no deviation.
    pub fn band(&self) -> [f64; 2] {
        let sd = self.sd.unwrap_or(0.0);
        [self.mean - sd, self.mean + sd]
    }
}

/// Mean, deviation and count of the values of each key.
pub fn by_key(rows: &[((u32, u32), f64)]) -> BTreeMap<(u32, u32), Stat> {
    // The values of a key are summed in the order given, so the sum repeats bit for bit.
    let mut by_key: BTreeMap<(u32, u32), Vec<f64>> = BTreeMap::new();
    for (key, value) in rows {
        by_key.entry(*key).or_default().push(*value);
    }
    by_key.into_iter().filter_map(|(key, values)| Some((key, summary(values)?))).collect()
}

fn summary(values: Vec<f64>) -> Option<Stat> {
    let n = values.len();
    let values = Float64Chunked::from_vec("value".into(), values);
    Some(Stat { mean: values.mean()?, sd: values.std(1).filter(|_| n > 1), n })
}

/// The two-sided exact p-value of McNemar's test: `min(1, 2 P(X <= min(b, c)))` with `X ~ Binomial(b + c, 1/2)`.
pub fn mcnemar(b: u64, c: u64) -> f64 {
    let (n, m) = (b + c, b.min(c));
    // ln C(n, m), then the smaller terms of the tail relative to it: nothing overflows.
    let ln_choose: f64 = (1..=m).map(|i| ((n - m + i) as f64 / i as f64).ln()).sum();
    let (mut tail, mut term) = (0.0, 1.0);
    for k in (0..=m).rev() {
        tail += term;
        term *= k as f64 / (n - k + 1) as f64;
        if term < tail * f64::EPSILON {
            break;
        }
    }
    let ln_p = ln_choose - n as f64 * std::f64::consts::LN_2 + tail.ln() + std::f64::consts::LN_2;
    ln_p.exp().min(1.0)
}

/// The chance in a difference of accuracies, from two sources that add: which examples were asked, and which seeds were run.
///
/// A difference over its standard error follows Student's t with Welch and Satterthwaite's degrees of freedom (Welch, Biometrika 34,
/// 1947); the examples' part has infinitely many.
#[derive(Debug, Clone, Copy)]
pub struct TwoSources {
    /// The difference's standard error, over examples and seeds together.
    pub error: f64,
    freedom: f64,
}

impl TwoSources {
    /// From the variance of the mean that comes from either source, and the seeds' degrees of freedom.
    pub fn new(of_examples: f64, of_seeds: f64, freedom: f64) -> Self {
        let both = of_examples + of_seeds;
        let freedom = if of_seeds > 0.0 { freedom * (both / of_seeds).powi(2) } else { f64::INFINITY };
        Self { error: both.sqrt(), freedom }
    }

    /// Of two means over different seeds, from the variance of either mean and its number of seeds.
    pub fn of_seeds(of_examples: f64, sides: [(f64, usize); 2]) -> Self {
        let variance = sides.iter().map(|(variance, _)| variance).sum::<f64>();
        let shares = sides.iter().map(|(variance, n)| variance.powi(2) / (*n as f64 - 1.0).max(1.0)).sum::<f64>();
        Self::new(of_examples, variance, if shares > 0.0 { variance.powi(2) / shares } else { f64::INFINITY })
    }

    /// The one-sided p-value of a fall.
    pub fn p_of_fall(&self, difference: f64) -> f64 {
        if self.error > 0.0 { t_cdf(difference / self.error, self.freedom) } else { f64::from(u8::from(difference >= 0.0)) }
    }

    /// The two-sided p-value of a difference.
    pub fn p(&self, difference: f64) -> f64 {
        if difference == 0.0 { 1.0 } else { (2.0 * self.p_of_fall(-difference.abs())).min(1.0) }
    }

    /// The fall that would be seen four times of five at this one-sided level.
    pub fn detectable(&self, alpha: f64) -> f64 {
        (t_quantile(1.0 - alpha, self.freedom) + t_quantile(0.8, self.freedom)) * self.error
    }
}

/// The sum over the number; 0 of no value.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// n - 1 in the denominator; 0 of a single value.
pub fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0).max(1.0)
}

/// From here on a t distribution is the normal one, to fifteen digits.
const MANY: f64 = 1e15;

pub(crate) fn t_cdf(t: f64, freedom: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, freedom) {
        Ok(distribution) if freedom < MANY => distribution.cdf(t),
        _ => Normal::standard().cdf(t),
    }
}

/// Student's 97.5% quantile for a mean of so many values. Groups have few different numbers of seeds: each is computed once.
fn half_width(n: usize) -> f64 {
    static KNOWN: Mutex<BTreeMap<usize, f64>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry(n).or_insert_with(|| t_quantile(0.975, n as f64 - 1.0))
}

/// By halving, since the library's own inverse is right to six digits only where there are many degrees of freedom.
pub(crate) fn t_quantile(p: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (-1e3, 1e3);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if t_cdf(middle, freedom) < p { low = middle } else { high = middle }
    }
    high
}

/// p-values corrected for their number (Holm's step-down), in the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let (mut corrected, mut largest) = (vec![0.0; p.len()], 0f64);
    for (rank, &i) in order.iter().enumerate() {
        largest = largest.max(((p.len() - rank) as f64 * p[i]).min(1.0));
        corrected[i] = largest;
    }
    corrected
}

/// The level at which Holm's correction would have judged each p-value, given the others: `level / (m - k)`, where k others are rejected
/// before it.
pub fn holm_levels(p: &[f64], level: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let of = |&i: &usize| {
        let others = order.iter().filter(|&&other| other != i).enumerate();
        let before = others.take_while(|(k, other)| (p.len() - k) as f64 * p[**other] < level).count();
        level / (p.len() - before) as f64
    };
    (0..p.len()).map(|i| of(&i)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcnemar_does_not_overflow() {
        assert_eq!(mcnemar(1_000_000, 0), 0.0);
        assert_eq!(mcnemar(500_000, 500_000), 1.0);
        let p = mcnemar(500_000, 501_960); // z = 1.959
        assert!((p - 0.0502).abs() < 5e-4, "{p}");
    }

    /// Student's 97.5% quantile at two degrees of freedom is 4.302652729749464.
    #[test]
    fn the_interval_of_a_mean_over_three_seeds() {
        let stat = Stat::of(&[0.5, 0.6, 0.7]).expect("values");
        let [low, high] = stat.interval().expect("three seeds");
        let half = 4.302_652_729_749_464 * 0.1 / 3f64.sqrt();
        assert!((low - (0.6 - half)).abs() < 1e-12 && (high - (0.6 + half)).abs() < 1e-12, "{low} {high}");
        assert_eq!(Stat::of(&[0.5]).expect("a value").interval(), None);
    }

    /// A p-value just below its level is rejected, one just above is not.
    #[test]
    fn levels_are_where_holm_rejects() {
        let others = [0.001, 0.02, 0.2, 0.0001];
        let all = |p: f64| [&[p][..], &others].concat();
        for p in [0.5, 0.03, 1e-5] {
            let level = holm_levels(&all(p), 0.05)[0];
            assert_eq!(level, 0.05 / 3.0, "two others are rejected before it");
            assert!(holm(&all(level * 0.999))[0] < 0.05 && holm(&all(level * 1.001))[0] > 0.05);
        }
        assert_eq!(holm_levels(&[0.3], 0.05), [0.05]);
        assert!(holm_levels(&[], 0.05).is_empty());
    }

    #[test]
    fn by_key_gives_mean_sd_and_n() {
        let stats = by_key(&[((0, 1), 1.0), ((0, 1), 3.0), ((2, 0), 5.0)]);
        assert_eq!(stats[&(0, 1)], Stat { mean: 2.0, sd: Some(2f64.sqrt()), n: 2 });
        assert_eq!(stats[&(2, 0)], Stat { mean: 5.0, sd: None, n: 1 });
        assert!(by_key(&[]).is_empty());
    }
}
