//! Mean and deviation by key (polars), and McNemar's exact test.

use std::collections::BTreeMap;

use polars::prelude::*;
use serde::Serialize;

/// A mean over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stat {
    /// The mean.
    pub mean: f64,
    /// The standard deviation (n - 1); none for a single value.
    pub sd: Option<f64>,
    /// How many values.
    pub n: usize,
}

/// Mean, deviation and count of the values of each key.
pub fn by_key(rows: &[((u32, u32), f64)]) -> PolarsResult<BTreeMap<(u32, u32), Stat>> {
    if rows.is_empty() {
        return Ok(BTreeMap::new());
    }
    let major: Vec<u32> = rows.iter().map(|row| row.0.0).collect();
    let minor: Vec<u32> = rows.iter().map(|row| row.0.1).collect();
    let value: Vec<f64> = rows.iter().map(|row| row.1).collect();
    let columns =
        vec![Column::new("major".into(), major), Column::new("minor".into(), minor), Column::new("value".into(), value)];
    // Stable: the values of a key are summed in the order given, so the sum repeats bit for bit.
    let frame = DataFrame::new(rows.len(), columns)?.group_by_stable(["major", "minor"])?.apply(summary)?;
    let (major, minor) = (frame.column("major")?.u32()?, frame.column("minor")?.u32()?);
    let (mean, sd, n) = (frame.column("mean")?.f64()?, frame.column("sd")?.f64()?, frame.column("n")?.u32()?);
    let stats = (0..frame.height()).filter_map(|row| {
        let n = n.get(row)? as usize;
        let sd = sd.get(row).filter(|_| n > 1);
        Some(((major.get(row)?, minor.get(row)?), Stat { mean: mean.get(row)?, sd, n }))
    });
    Ok(stats.collect())
}

/// One row for the rows of one key.
fn summary(group: DataFrame) -> PolarsResult<DataFrame> {
    let (key, value) = (group.select(["major", "minor"])?.head(Some(1)), group.column("value")?.f64()?);
    let column = |name: &str, value: Option<f64>| Column::new(name.into(), [value]);
    let n = Column::new("n".into(), [group.height() as u32]);
    key.hstack(&[column("mean", value.mean()), column("sd", value.std(1)), n])
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

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.stats.binomtest(min(b, c), b + c).pvalue, and closed forms.
    #[test]
    fn mcnemar_agrees_with_scipy() {
        let check = |b, c, expect: f64| {
            let p = mcnemar(b, c);
            assert!((p - expect).abs() <= 1e-9 * expect, "b={b} c={c}: {p}, not {expect}");
            assert_eq!(p, mcnemar(c, b));
        };
        check(10, 2, 0.03857421875);
        check(0, 0, 1.0);
        check(1, 0, 1.0);
        check(5, 5, 1.0);
        check(6, 0, 0.03125);
        check(8, 1, 0.0390625);
        check(1, 20, 22.0 * 2.0 / 2_097_152.0);
    }

    #[test]
    fn mcnemar_does_not_overflow() {
        assert_eq!(mcnemar(1_000_000, 0), 0.0);
        assert_eq!(mcnemar(500_000, 500_000), 1.0);
        let p = mcnemar(500_000, 501_960); // z = 1.959
        assert!((p - 0.0502).abs() < 5e-4, "{p}");
    }

    #[test]
    fn by_key_gives_mean_sd_and_n() {
        let stats = by_key(&[((0, 1), 1.0), ((0, 1), 3.0), ((2, 0), 5.0)]).expect("frame");
        assert_eq!(stats[&(0, 1)], Stat { mean: 2.0, sd: Some(2f64.sqrt()), n: 2 });
        assert_eq!(stats[&(2, 0)], Stat { mean: 5.0, sd: None, n: 1 });
        assert!(by_key(&[]).expect("empty frame").is_empty());
    }
}
