//! The statistics against SciPy's and statsmodels', from `fixtures/statistics.json`, which `fixtures/statistics.py` made.

use polars::prelude::*;
use serde::Deserialize;

use crate::bootstrap;
use crate::paired::chance;
use crate::stats::{by_key, holm, mcnemar, t_cdf, t_quantile};

#[derive(Deserialize)]
struct Fixture {
    mcnemar: Vec<Counts>,
    holm: Vec<Corrected>,
    t_tests: Vec<TTest>,
    t_cdf: Vec<T>,
    t_quantile: Vec<T>,
    bootstrap: Bootstrap,
}

#[derive(Deserialize)]
struct Counts {
    b: u64,
    c: u64,
    p: f64,
}

#[derive(Deserialize)]
struct Corrected {
    p: Vec<f64>,
    holm: Vec<f64>,
}

#[derive(Deserialize)]
struct TTest {
    differences: Vec<Vec<f64>>,
    p: f64,
}

#[derive(Deserialize)]
struct T {
    t: f64,
    freedom: f64,
    p: f64,
}

#[derive(Deserialize)]
struct Bootstrap {
    better: usize,
    worse: usize,
    alike: usize,
    low: f64,
    high: f64,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../fixtures/statistics.json")).expect("the fixture")
}

fn near(what: &str, found: f64, wanted: f64) {
    assert!((found - wanted).abs() <= 1e-9 * wanted.abs(), "{what}: {found}, not {wanted}");
}

#[test]
fn exact_tests_of_pairs() {
    for Counts { b, c, p } in fixture().mcnemar {
        near(&format!("McNemar of {b} and {c}"), mcnemar(b, c), p);
        near(&format!("McNemar of {c} and {b}"), mcnemar(c, b), p);
    }
}

#[test]
fn corrections_for_several_tests() {
    for case in fixture().holm {
        for (found, wanted) in holm(&case.p).into_iter().zip(&case.holm) {
            near(&format!("Holm of {:?}", case.p), found, *wanted);
        }
    }
    assert!(holm(&[]).is_empty());
}

#[test]
fn t_tests_over_examples_and_seeds() {
    for case in fixture().t_tests {
        let seeds = case.differences[0].len();
        let (chance, mean) = chance(&case.differences).expect("examples");
        near(&format!("t-test over {seeds} seeds"), chance.p(mean), case.p);
    }
    assert!(chance(&[]).is_none());
}

#[test]
fn distribution_of_t() {
    for T { t, freedom, p } in fixture().t_cdf {
        near(&format!("t below {t}, {freedom} degrees of freedom"), t_cdf(t, freedom), p);
    }
    for T { t, freedom, p } in fixture().t_quantile {
        near(&format!("quantile {p}, {freedom} degrees of freedom"), t_quantile(p, freedom), t);
    }
    near("the normal distribution", t_cdf(-1.0, f64::INFINITY), 0.158_655_253_931_457_05);
}

/// The same distribution, drawn otherwise: its ends agree up to two examples of 400. Three seeds that agree tell no more than one.
#[test]
fn bootstrap_over_examples() {
    let Bootstrap { better, worse, alike, low, high } = fixture().bootstrap;
    for seeds in [1, 3] {
        let of = |count: usize, value: f64| std::iter::repeat_n(vec![value; seeds], count);
        let differences: Vec<Vec<f64>> = of(better, 1.0).chain(of(worse, -1.0)).chain(of(alike, 0.0)).collect();
        let found = bootstrap::interval(&differences).expect("examples");
        assert!((found.low - low).abs() < 0.006 && (found.high - high).abs() < 0.006, "{seeds} seeds: {found:?}");
    }
}

/// Of a key: the bits of mean and deviation, and the count.
type Bits = ((u32, u32), [Option<u64>; 2], u32);

/// As a frame that is grouped and applied to group by group, which takes a time quadratic in the keys.
fn grouped(rows: &[((u32, u32), f64)]) -> PolarsResult<Vec<Bits>> {
    let columns = vec![
        Column::new("major".into(), rows.iter().map(|row| row.0.0).collect::<Vec<u32>>()),
        Column::new("minor".into(), rows.iter().map(|row| row.0.1).collect::<Vec<u32>>()),
        Column::new("value".into(), rows.iter().map(|row| row.1).collect::<Vec<f64>>()),
    ];
    let of_group = |group: DataFrame| {
        let (key, value) = (group.select(["major", "minor"])?.head(Some(1)), group.column("value")?.f64()?);
        let column = |name: &str, value: Option<f64>| Column::new(name.into(), [value]);
        let n = Column::new("n".into(), [group.height() as u32]);
        key.hstack(&[column("mean", value.mean()), column("sd", value.std(1)), n])
    };
    let frame = DataFrame::new(rows.len(), columns)?.group_by_stable(["major", "minor"])?.apply(of_group)?;
    let (major, minor) = (frame.column("major")?.u32()?, frame.column("minor")?.u32()?);
    let (mean, sd, n) = (frame.column("mean")?.f64()?, frame.column("sd")?.f64()?, frame.column("n")?.u32()?);
    let of_row = |row| {
        let bits = |value: Option<f64>| value.map(f64::to_bits);
        let n = n.get(row)?;
        Some(((major.get(row)?, minor.get(row)?), [bits(mean.get(row)), bits(sd.get(row).filter(|_| n > 1))], n))
    };
    let mut stats: Vec<_> = (0..frame.height()).filter_map(of_row).collect();
    stats.sort_by_key(|(key, ..)| *key);
    Ok(stats)
}

/// Bit for bit, with keys of one to hundreds of values in any order.
#[test]
fn statistics_by_key_are_those_of_grouped_frames() {
    let mut stream = seed::Seed::new(3).stream("rows");
    for (count, keys) in [(1, 1.0), (40, 3.0), (500, 500.0), (2000, 7.0), (2000, 900.0)] {
        let mut key = || (stream.range(0.0, 3.0) as u32, stream.range(0.0, keys) as u32);
        let keys: Vec<(u32, u32)> = (0..count).map(|_| key()).collect();
        let rows: Vec<_> = keys.into_iter().map(|key| (key, 1e3 * stream.normal())).collect();
        let found = by_key(&rows).into_iter();
        let found = found.map(|(key, stat)| (key, [Some(stat.mean.to_bits()), stat.sd.map(f64::to_bits)], stat.n as u32));
        assert_eq!(found.collect::<Vec<_>>(), grouped(&rows).expect("a frame"));
    }
}

/// A million keys: seconds, not hours.
#[test]
fn statistics_of_a_million_keys_come_out() {
    let rows: Vec<_> = (0..1_000_000u32).map(|round| ((0, round), f64::from(round))).collect();
    assert_eq!(by_key(&rows).len(), 1_000_000);
}
