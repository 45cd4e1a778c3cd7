//! An interval for a mean difference that has two sources of chance: which examples were asked, and which seeds were run.
//!
//! Every resample draws seeds and, independently, examples with replacement, and all their pairs count (the pigeonhole bootstrap:
//! Owen, Annals of Applied Statistics 1, 2007, section 5; percentile interval: Efron & Tibshirani 1993, chapter 13). An example keeps
//! its differences under all seeds together, so that its difficulty, which seeds share, is not taken for evidence twice.
//!
//! Examples that differ alike under every seed are one category: instead of n examples, a resample draws how often each category
//! comes up (a multinomial, as a chain of binomials). The distribution is the same, and the cost does not grow with n. Where there are
//! many categories, and so many examples, the mean over examples given the seeds is drawn from the normal distribution that it then
//! has.

use std::collections::BTreeMap;

use rand_core::RngCore;
use rand_distr::{Binomial, Distribution};
use seed::{Seed, Stream};
use serde::Serialize;

/// Resamples behind an interval.
const RESAMPLES: usize = 2000;

/// With more categories than this, the mean over examples counts as normal.
const FEW: usize = 256;

/// The middle 95% of the resampled means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end, a fraction.
    pub low: f64,
    /// Its upper end, a fraction.
    pub high: f64,
}

impl Interval {
    /// Whether a difference of nothing lies in it.
    pub fn holds_zero(self) -> bool {
        self.low <= 0.0 && 0.0 <= self.high
    }
}

/// The interval of the mean of differences `[examples][seeds]`; none without examples or seeds. The same differences give the same
/// interval.
pub fn interval(differences: &[Vec<f64>]) -> Option<Interval> {
    let seeds = differences.first().map_or(0, Vec::len);
    if seeds == 0 {
        return None;
    }
    let mut rng = Rng(Seed::new(0).stream("bootstrap"));
    let mut means = means(differences, seeds, FEW, &mut rng);
    means.sort_by(f64::total_cmp);
    Some(Interval { low: quantile(&means, 0.025), high: quantile(&means, 0.975) })
}

/// The resampled means.
fn means(differences: &[Vec<f64>], seeds: usize, few: usize, rng: &mut Rng) -> Vec<f64> {
    let categories = categories(differences);
    if categories.len() <= few {
        return (0..RESAMPLES).map(|_| resample(&categories, differences.len(), seeds, rng)).collect();
    }
    let moments = Moments::of(differences, seeds);
    (0..RESAMPLES).map(|_| moments.resample(differences.len(), rng)).collect()
}

/// How often each seed is drawn.
fn weights(seeds: usize, rng: &mut Rng) -> Vec<f64> {
    let mut weights = vec![0f64; seeds];
    (0..seeds).for_each(|_| weights[rng.0.below(seeds)] += 1.0);
    weights
}

/// Each seed's mean over examples, and the covariances of two seeds.
struct Moments {
    means: Vec<f64>,
    covariances: Vec<Vec<f64>>,
}

impl Moments {
    fn of(differences: &[Vec<f64>], seeds: usize) -> Self {
        let n = differences.len() as f64;
        let mean = |of: &dyn Fn(&Vec<f64>) -> f64| differences.iter().map(of).sum::<f64>() / n;
        let means: Vec<f64> = (0..seeds).map(|s| mean(&|d| d[s])).collect();
        let covariance = |s: usize, t: usize| mean(&|d| (d[s] - means[s]) * (d[t] - means[t]));
        let covariances = (0..seeds).map(|s| (0..seeds).map(|t| covariance(s, t)).collect()).collect();
        Self { means, covariances }
    }

    fn resample(&self, examples: usize, rng: &mut Rng) -> f64 {
        let seeds = self.means.len();
        let weights = weights(seeds, rng);
        let dot = |values: &[f64]| values.iter().zip(&weights).map(|(value, weight)| value * weight).sum::<f64>() / seeds as f64;
        let variance = dot(&self.covariances.iter().map(|row| dot(row)).collect::<Vec<_>>());
        dot(&self.means) + (variance.max(0.0) / examples as f64).sqrt() * rng.0.normal()
    }
}

/// A difference under each seed, and how many examples have it.
fn categories(differences: &[Vec<f64>]) -> Vec<(Vec<f64>, u64)> {
    let mut counts: BTreeMap<Vec<u64>, u64> = BTreeMap::new();
    for difference in differences {
        *counts.entry(difference.iter().map(|value| value.to_bits()).collect()).or_default() += 1;
    }
    counts.into_iter().map(|(bits, count)| (bits.into_iter().map(f64::from_bits).collect(), count)).collect()
}

fn resample(categories: &[(Vec<f64>, u64)], examples: usize, seeds: usize, rng: &mut Rng) -> f64 {
    let weights = weights(seeds, rng);
    let (mut open, mut draws, mut sum) = (examples as u64, examples as u64, 0.0);
    for (values, count) in categories {
        let drawn = binomial(draws, *count, open, rng);
        let weighted: f64 = values.iter().zip(&weights).map(|(value, weight)| value * weight).sum();
        sum += drawn as f64 * weighted;
        (open, draws) = (open - count, draws - drawn);
    }
    sum / (examples * seeds) as f64
}

/// How many of `draws` fall on `count` of `open` examples.
fn binomial(draws: u64, count: u64, open: u64, rng: &mut Rng) -> u64 {
    if draws == 0 || count == open {
        return draws;
    }
    let distribution = Binomial::new(draws, count as f64 / open as f64).expect("a share of the examples lies in [0, 1]");
    distribution.sample(rng)
}

/// Between the two nearest of sorted values, as NumPy's `quantile` does.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = p * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// Our own stream where `rand_distr` wants a generator.
struct Rng(Stream);

impl RngCore for Rng {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds that disagree widen it, up to the seeds' own range.
    #[test]
    fn seeds_are_a_source_of_chance() {
        let narrow = interval(&vec![vec![0.1, 0.1, 0.1]; 50]).expect("examples");
        assert!((narrow.low - 0.1).abs() < 1e-12 && (narrow.high - 0.1).abs() < 1e-12, "{narrow:?}");
        let wide = interval(&vec![vec![-0.2, 0.1, 0.4]; 50]).expect("examples");
        assert!((wide.low + 0.2).abs() < 1e-9 && (wide.high - 0.4).abs() < 1e-9, "{wide:?}");
        assert!(wide.holds_zero() && !narrow.holds_zero());
    }

    /// Both ways to resample give one interval, up to the noise of 2000 draws.
    #[test]
    fn many_categories_are_drawn_as_few() {
        let mut stream = Seed::new(3).stream("differences");
        let differences: Vec<Vec<f64>> =
            (0..300).map(|_| (0..3).map(|seed| stream.below(3) as f64 - 1.0 + 0.1 * f64::from(seed)).collect()).collect();
        let drawn = |few: usize| {
            let mut means = means(&differences, 3, few, &mut Rng(Seed::new(1).stream("bootstrap")));
            means.sort_by(f64::total_cmp);
            [quantile(&means, 0.025), quantile(&means, 0.975)]
        };
        for (exact, normal) in drawn(usize::MAX).into_iter().zip(drawn(0)) {
            assert!((exact - normal).abs() < 0.015, "{exact}, {normal}");
        }
    }

    #[test]
    fn it_repeats_and_needs_examples() {
        let differences = [vec![1.0, 0.0], vec![0.0, 0.5], vec![-1.0, 0.0]];
        assert_eq!(interval(&differences), interval(&differences));
        assert_eq!(interval(&[]), None);
        assert_eq!(interval(&[vec![]]), None);
    }
}
