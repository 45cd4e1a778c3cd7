//! Checks of methods' own keys.

use federation::{Error, Result};
use schema::limits::{LARGEST, SMALLEST};

/// A finite number above 0.
pub fn positive(method: &str, key: &str, value: f64) -> Result<()> {
    check(method, key, value, (SMALLEST..=LARGEST).contains(&value), "a number above 0, from 1e-30 to 1000000")
}

/// A finite number, 0 or more.
pub fn not_negative(method: &str, key: &str, value: f64) -> Result<()> {
    let fits = value == 0.0 || (SMALLEST..=LARGEST).contains(&value);
    check(method, key, value, fits, "0, or a finite number from 1e-30 to 1000000")
}

/// A share in [0, 1].
pub fn share(method: &str, key: &str, value: f64) -> Result<()> {
    check(method, key, value, (0.0..=1.0).contains(&value), "a number in [0, 1]")
}

/// A decay in [0, 1).
pub fn decay(method: &str, key: &str, value: f64) -> Result<()> {
    check(method, key, value, (0.0..1.0).contains(&value), "a number in [0, 1)")
}

/// A count from 1 to `most`.
pub fn count(method: &str, key: &str, value: usize, most: usize) -> Result<()> {
    match (1..=most).contains(&value) {
        true => Ok(()),
        false => Err(Error::Usage(format!("[method] name = \"{method}\": {key} = {value}: expected 1 to {most}"))),
    }
}

fn check(method: &str, key: &str, value: f64, fits: bool, right: &str) -> Result<()> {
    if fits && value.is_finite() {
        return Ok(());
    }
    Err(Error::Usage(format!("[method] name = \"{method}\": {key} = {value}: expected {right}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use crate::METHODS;

    /// No key of any method takes a number that means nothing: NaN and infinities (which arrive as null), negative and huge ones, counts
    /// near the end of integers. A method's defaults, written out, stay allowed.
    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        let mut keys = 0;
        for row in METHODS {
            let defaults = (row.build)(&BTreeMap::new()).expect(row.name).config();
            assert!((row.build)(&defaults).is_ok(), "{}: {defaults:?}", row.name);
            let mut numbers: Vec<String> =
                defaults.iter().filter(|(_, value)| value.is_number()).map(|(key, _)| key.clone()).collect();
            numbers.extend((row.name == "fednano").then(|| "examples".to_owned()));
            for key in numbers {
                for value in [Value::Null, json!(-1.0), json!(1e300), json!(-1), json!(4_611_686_018_427_387_904_u64)] {
                    let given = BTreeMap::from([(key.clone(), value.clone())]);
                    let error = (row.build)(&given).err().unwrap_or_else(|| panic!("{}: {key} = {value} is taken", row.name));
                    assert!(error.to_string().contains(row.name), "{error}");
                }
                keys += 1;
            }
        }
        assert!(keys >= 20, "{keys} keys");
        // Denormals, which f32 takes for nothing.
        assert!(super::positive("m", "k", 1e-320).is_err() && super::not_negative("m", "k", 1e-320).is_err());
        assert!(super::positive("m", "k", 0.0).is_err() && super::not_negative("m", "k", 0.0).is_ok());
    }
}
