//! Rotary positions as checkpoints ask for them (Su et al., arXiv 2104.09864), scaled ones included.
//!
//! transformers 5 writes one table `rope_parameters`; before, there were `rope_theta` and `rope_scaling`, whose kind was `type`
//! or `rope_type`. All are read.

use serde::{Deserialize, Serialize};

/// Rotary settings of a config, under any of their names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RopeParameters {
    /// Base of the frequencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// The kind of scaling; `default` is none.
    #[serde(default, alias = "type", skip_serializing_if = "Option::is_none")]
    pub rope_type: Option<String>,
    /// How many times longer sequences may be than those of the first training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// `llama3`: waves longer than the context over this are stretched in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_freq_factor: Option<f64>,
    /// `llama3`: waves shorter than the context over this stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_freq_factor: Option<f64>,
    /// `llama3`: the context of the first training, tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_max_position_embeddings: Option<f64>,
    /// The share of a head that turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_rotary_factor: Option<f64>,
}

/// How frequencies are scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scaling {
    /// Not at all.
    None,
    /// All divided by the factor (Chen et al., arXiv 2306.15595).
    Linear(f64),
    /// By the length of the sequence, beyond so many tokens (bloc97, "dynamic NTK"). Within them nothing changes, and only that is
    /// computed: beyond, what a sequence gives would depend on the batch it is in.
    Dynamic(usize),
    /// Long waves stretched, short ones not, those between in part (Llama 3.1; Grattafiori et al., arXiv 2407.21783).
    Llama3 {
        /// How far long waves are stretched.
        factor: f64,
        /// Waves longer than the context over this are stretched in full.
        low: f64,
        /// Waves shorter than the context over this stay as they are.
        high: f64,
        /// The context of the first training, tokens.
        context: f64,
    },
}

/// Base and scaling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// How they are scaled.
    pub scaling: Scaling,
}

impl Rope {
    /// From a config's keys: the base where no table has one, the two tables, and `max_position_embeddings`. The error is what is
    /// not supported or missing.
    pub fn new(
        theta: f64,
        parameters: Option<&RopeParameters>,
        scaling: Option<&RopeParameters>,
        max_positions: usize,
    ) -> Result<Self, String> {
        let given = |name: &'static str, table: Option<&RopeParameters>| table.cloned().map(|table| (name, table));
        let Some((name, table)) = given("rope_parameters", parameters).or(given("rope_scaling", scaling)) else {
            return Ok(Self { theta, scaling: Scaling::None });
        };
        let theta = table.rope_theta.unwrap_or(theta);
        if table.partial_rotary_factor.is_some_and(|share| share != 1.0) {
            return Err(format!("{name}.partial_rotary_factor (only 1 is supported)"));
        }
        let number = |key: &str, value: Option<f64>| match value {
            Some(value) if value.is_finite() && value > 0.0 => Ok(value),
            Some(value) => Err(format!("{name}.{key} = {value} (it must be a positive number)")),
            None => Err(format!("{name} without `{key}`, which its kind needs,")),
        };
        let factor = || number("factor", table.factor);
        let scaling = match table.rope_type.as_deref() {
            None | Some("default") => Scaling::None,
            Some("linear") => Scaling::Linear(factor()?),
            Some("dynamic") => Scaling::Dynamic(max_positions),
            Some("llama3") => {
                let (low, high) = (table.low_freq_factor, table.high_freq_factor);
                let context = number("original_max_position_embeddings", table.original_max_position_embeddings)?;
                let (low, high) = (number("low_freq_factor", low)?, number("high_freq_factor", high)?);
                if high <= low {
                    return Err(format!("{name} with high_freq_factor {high} not above low_freq_factor {low}"));
                }
                Scaling::Llama3 { factor: factor()?, low, high, context }
            }
            Some(other) => {
                return Err(format!(
                    "{name}.rope_type = \"{other}\" (only \"default\", \"linear\", \"dynamic\" and \"llama3\" are)"
                ));
            }
        };
        Ok(Self { theta, scaling })
    }

    /// The turn of each pair of a head's numbers from one position to the next, radians: `head_dim / 2` of them.
    pub fn frequencies(&self, head_dim: usize) -> Vec<f64> {
        let plain = (0..head_dim / 2).map(|i| self.theta.powf(-2.0 * i as f64 / head_dim as f64));
        plain.map(|frequency| self.scaled(frequency)).collect()
    }

    fn scaled(&self, frequency: f64) -> f64 {
        match self.scaling {
            Scaling::None | Scaling::Dynamic(_) => frequency,
            Scaling::Linear(factor) => frequency / factor,
            Scaling::Llama3 { factor, low, high, context } => {
                // 0 for waves of at least context / low tokens, 1 for those of at most context / high.
                let turns = context * frequency / (2.0 * std::f64::consts::PI);
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                kept * frequency + (1.0 - kept) * frequency / factor
            }
        }
    }

    /// Whether a position lies beyond what is computed exactly; the limit.
    pub fn beyond(&self, position: u32) -> Option<usize> {
        match self.scaling {
            Scaling::Dynamic(limit) => (position as usize >= limit).then_some(limit),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Rope, String> {
        let table: RopeParameters = serde_json::from_str(json).expect("JSON");
        Rope::new(10_000.0, None, Some(&table), 4096)
    }

    #[test]
    fn old_and_new_spellings_are_read() {
        let linear = Ok(Rope { theta: 10_000.0, scaling: Scaling::Linear(2.0) });
        assert_eq!(parse(r#"{"type":"linear","factor":2.0}"#), linear);
        assert_eq!(parse(r#"{"rope_type":"linear","factor":2.0}"#), linear);
        assert_eq!(parse(r#"{"rope_theta":5e5}"#), Ok(Rope { theta: 5e5, scaling: Scaling::None }));
        assert_eq!(Rope::new(7.0, None, None, 0), Ok(Rope { theta: 7.0, scaling: Scaling::None }));
    }

    #[test]
    fn what_has_no_formula_here_is_named() {
        for (json, expect) in [
            (r#"{"rope_type":"yarn","factor":2.0}"#, "rope_scaling.rope_type = \"yarn\""),
            (r#"{"rope_type":"linear"}"#, "without `factor`"),
            (r#"{"rope_type":"linear","factor":0.0}"#, "must be a positive number"),
            (r#"{"rope_type":"llama3","factor":8.0}"#, "without `original_max_position_embeddings`"),
            (r#"{"partial_rotary_factor":0.5}"#, "partial_rotary_factor"),
        ] {
            let error = parse(json).expect_err(json);
            assert!(error.contains(expect), "{error}");
        }
    }

    #[test]
    fn llama3_keeps_short_waves_and_stretches_long_ones() {
        let rope = Rope { theta: 5e5, scaling: Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, context: 8192.0 } };
        assert_eq!(rope.scaled(1.0), 1.0);
        assert_eq!(rope.scaled(1e-5), 1e-5 / 8.0);
        // A wave of 8192 / 2.5 tokens lies half-way: (2.5 - 1) / (4 - 1).
        let middle = 2.5 * 2.0 * std::f64::consts::PI / 8192.0;
        assert!((rope.scaled(middle) / middle - 0.5625).abs() < 1e-12);
    }
}
