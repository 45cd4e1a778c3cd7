//! JSON that keeps every bit of a number.
//!
//! JSON's decimal numbers come back as their neighbours from readers in a hurry, and NaN not at all. So an f64 is written as the whole
//! number that has its bits: wherever one stands in a value ([`packed`]), and in fields that may not be finite ([`bits`]).

use serde_json::{Number, Value};

/// The key of an f64's bits.
const KEY: &str = "f64";

/// A value whose f64 are tables of their bits.
pub(crate) fn packed(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => Value::Object([(KEY.into(), float.to_bits().into())].into_iter().collect()),
            None => Value::Number(number),
        },
        Value::Array(values) => values.into_iter().map(packed).collect(),
        Value::Object(table) => Value::Object(table.into_iter().map(|(key, value)| (key, packed(value))).collect()),
        other => other,
    }
}

/// The value that was packed; bits of what is not finite are nothing.
pub(crate) fn unpacked(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(unpacked).collect(),
        Value::Object(table) => match table.get(KEY).and_then(Value::as_u64).filter(|_| table.len() == 1) {
            Some(bits) => Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number),
            None => Value::Object(table.into_iter().map(|(key, value)| (key, unpacked(value))).collect()),
        },
        other => other,
    }
}

/// A field that may hold any f64, as its bits.
pub(crate) mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(number.to_bits())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(f64::from_bits(u64::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_comes_back() {
        // The last two come back from serde_json's own decimals as their neighbours, or not at all.
        for number in [0.0, -0.0, 0.1, f64::MIN_POSITIVE / 3.0, f64::MAX, 5.445_787_634_453_451e-44, 1.0] {
            let value = serde_json::json!({ "scores": [number, 7], "f64": { "f64": number }, "text": "f64" });
            let text = packed(value.clone()).to_string();
            let back = unpacked(serde_json::from_str(&text).expect("JSON"));
            assert_eq!(back, value, "{text}");
            let bits = |value: &Value| value["scores"][0].as_f64().map(f64::to_bits);
            assert_eq!(bits(&back), Some(number.to_bits()), "{text}");
        }
    }

    #[test]
    fn what_is_not_finite_is_nothing() {
        let of = |number: f64| unpacked(serde_json::json!({ "f64": number.to_bits() }));
        assert_eq!([of(f64::NAN), of(f64::INFINITY)], [Value::Null, Value::Null]);
        let of = |value: Value| bits::deserialize(value).expect("bits");
        assert!(of(f64::NAN.to_bits().into()).is_nan());
        assert_eq!(of(f64::INFINITY.to_bits().into()), f64::INFINITY);
    }
}
