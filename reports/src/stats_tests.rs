//! The statistics against SciPy's and statsmodels', from `fixtures/statistics.json`, which `fixtures/statistics.py` made.

use serde::Deserialize;

use crate::bootstrap;
use crate::paired::t_test;
use crate::stats::{holm, mcnemar, t_cdf, t_quantile};

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
        near(&format!("t-test over {seeds} seeds"), t_test(&case.differences).expect("examples"), case.p);
    }
    assert_eq!(t_test(&[]), None);
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
