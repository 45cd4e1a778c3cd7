//! Numbers for people.

use crate::stats::Stat;

/// What stands where there is no number.
pub const NOTHING: &str = "–";

/// `71.2 ± 1.3`, from fractions; `71.2 ±n/a` for a single seed.
pub fn percent(stat: Stat) -> String {
    with_sd(stat, |value| format!("{:.1}", 100.0 * value))
}

/// `71.2 ± 1.3 [68.0, 74.4]`, from fractions: with the mean's 95% interval over seeds, as far as scores go.
pub fn percent_with_interval(stat: Stat, most: f64) -> String {
    let bound = |value: f64| format!("{:.1}", 100.0 * value.clamp(0.0, most));
    let interval = stat.interval().map(|[low, high]| format!(" [{}, {}]", bound(low), bound(high)));
    format!("{}{}", percent(stat), interval.unwrap_or_default())
}

/// `+1.2 ± 0.3`: a difference of fractions in percentage points.
pub fn points(stat: Stat) -> String {
    let sd = stat.sd.map_or("±n/a".into(), |sd| format!("± {:.1}", 100.0 * sd));
    format!("{:+.1} {sd}", 100.0 * stat.mean)
}

/// `4.31`, from a fraction: two decimals, as the literature's storage tables have.
pub fn share(stat: Stat) -> String {
    format!("{:.2}", 100.0 * stat.mean)
}

/// Mean and deviation, each by `format`.
pub fn with_sd(stat: Stat, format: impl Fn(f64) -> String) -> String {
    let sd = stat.sd.map_or("±n/a".into(), |sd| format!("± {}", format(sd)));
    format!("{} {sd}", format(stat.mean))
}

/// The mean of a quantity that seeds do not change, with its deviation where they do.
pub fn exact(stat: Stat, format: impl Fn(f64) -> String) -> String {
    match stat.sd {
        Some(sd) if sd > 1e-9 * stat.mean.abs() => with_sd(stat, format),
        _ => format(stat.mean),
    }
}

/// `304.56M`, `1.05K`, `12`.
pub fn count(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.2}M", v / 1e6),
        v if v >= 1e3 => format!("{:.2}K", v / 1e3),
        v => format!("{v:.0}"),
    }
}

/// `1.23T`, `12.00G`: operations.
pub fn operations(value: f64) -> String {
    const PREFIXES: [(f64, &str); 5] = [(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")];
    match PREFIXES.iter().find(|(size, _)| value >= *size) {
        Some((size, prefix)) => format!("{:.2}{prefix}", value / size),
        None => format!("{value:.0}"),
    }
}

/// `1.5 KiB`: binary units.
pub fn bytes(value: f64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if value < 1024.0 {
        return format!("{value:.0} B");
    }
    let mut scaled = value / 1024.0;
    let mut unit = 0;
    while scaled >= 1024.0 && unit + 1 < units.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", units[unit])
}

/// `12.3`, and `–` for a rate of nothing.
pub fn rate(stat: Stat) -> String {
    if stat.mean == 0.0 { NOTHING.into() } else { with_sd(stat, |value| format!("{value:.1}")) }
}

/// `0.0386`, `3.1e-7`, `<1e-300`.
pub fn p_value(p: f64) -> String {
    match p {
        p if p < 1e-300 => "<1e-300".into(),
        p if p < 1e-3 => format!("{p:.1e}"),
        p => format!("{p:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let one = Stat { mean: 0.5, sd: None, n: 1 };
        assert_eq!(percent(one), "50.0 ±n/a");
        assert_eq!(points(Stat { mean: -0.012, sd: Some(0.003), n: 3 }), "-1.2 ± 0.3");
        assert_eq!(exact(one, |v| v.to_string()), "0.5");
        assert_eq!([bytes(0.0), bytes(1536.0), bytes(5.5 * 1048576.0)], ["0 B", "1.5 KiB", "5.5 MiB"]);
        assert_eq!([count(304_556_032.0), count(12.0)], ["304.56M", "12"]);
        assert_eq!([operations(1.234e12), operations(5e5), operations(2e18)], ["1.23T", "500000", "2.00E"]);
        assert_eq!([p_value(0.03857), p_value(3.14e-7), p_value(0.0)], ["0.0386", "3.1e-7", "<1e-300"]);
    }
}
