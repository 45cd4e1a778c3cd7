//! Checks of methods' own keys.

use harness::{Error, Result};

/// A finite number above 0.
pub fn positive(method: &str, key: &str, value: f64) -> Result<()> {
    check(method, key, value, value > 0.0, "a finite number above 0")
}

/// A finite number, 0 or more.
pub fn not_negative(method: &str, key: &str, value: f64) -> Result<()> {
    check(method, key, value, value >= 0.0, "a finite number, 0 or more")
}

/// A share in [0, 1].
pub fn share(method: &str, key: &str, value: f64) -> Result<()> {
    check(method, key, value, (0.0..=1.0).contains(&value), "a number in [0, 1]")
}

/// A decay in [0, 1).
pub fn decay(method: &str, key: &str, value: f64) -> Result<()> {
    check(method, key, value, (0.0..1.0).contains(&value), "a number in [0, 1)")
}

fn check(method: &str, key: &str, value: f64, fits: bool, right: &str) -> Result<()> {
    if fits && value.is_finite() {
        return Ok(());
    }
    Err(Error::Usage(format!("[method] name = \"{method}\": {key} = {value}: expected {right}")))
}
