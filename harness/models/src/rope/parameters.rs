//! Rotary settings as a config writes them, and what they mean.

use serde::{Deserialize, Serialize};

use super::scaling::{Long, Rope, Scaling, Yarn};

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
    /// `llama3`, `yarn`, `longrope`: the context of the first training, tokens; `max_position_embeddings` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_max_position_embeddings: Option<f64>,
    /// `yarn`, `longrope`: what cosines and sines are multiplied with; follows from the factor without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention_factor: Option<f64>,
    /// `yarn`: pairs that turn more often than this in the first context stay as they are; 32 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta_fast: Option<f64>,
    /// `yarn`: pairs that turn less often than this in the first context are stretched in full; 1 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta_slow: Option<f64>,
    /// `yarn`: weight of the factor's logarithm in the attention factor, above the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mscale: Option<f64>,
    /// `yarn`: the same below the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mscale_all_dim: Option<f64>,
    /// `yarn`: whether the ramp's ends are whole pairs; they are without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate: Option<bool>,
    /// `longrope`: how far each pair is stretched in sequences up to the first context; `head_dim / 2` numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_factor: Option<Vec<f64>>,
    /// `longrope`: the same in longer sequences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_factor: Option<Vec<f64>>,
    /// The share of a head that turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_rotary_factor: Option<f64>,
}

/// What a config says outside of the table.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    /// Base of the frequencies where the table has none.
    pub theta: f64,
    /// `max_position_embeddings`, tokens.
    pub max_positions: usize,
    /// `original_max_position_embeddings` beside the table, tokens; goes before the table's.
    pub original_max_positions: Option<f64>,
    /// Width of a head.
    pub head_dim: usize,
}

/// Bases of frequencies: below 1 later pairs would turn faster, and no model has more.
const BASES: [f64; 2] = [1.0, 1e12];
/// Factors of any kind: beyond, all pairs stand still, or turn many times between two tokens.
const FACTORS: [f64; 2] = [1e-3, 1e6];
/// Tokens of a context.
const CONTEXTS: [f64; 2] = [1.0, 1e9];

/// A table under the name that a config gives it.
struct Table<'a> {
    name: &'static str,
    keys: &'a RopeParameters,
    decoder: Decoder,
}

impl Rope {
    /// From a config's two tables and what stands beside them. The error is what is not supported or missing.
    pub fn new(decoder: Decoder, parameters: Option<&RopeParameters>, scaling: Option<&RopeParameters>) -> Result<Self, String> {
        let given = |name: &'static str, keys: Option<&'_ RopeParameters>| keys.cloned().map(|keys| (name, keys));
        let (name, keys) = given("rope_parameters", parameters)
            .or(given("rope_scaling", scaling))
            .unwrap_or(("rope_parameters", Default::default()));
        let table = Table { name, keys: &keys, decoder };
        let theta = table.within("rope_theta", Some(keys.rope_theta.unwrap_or(decoder.theta)), BASES)?;
        if keys.partial_rotary_factor.is_some_and(|share| share != 1.0) {
            return Err(format!("{name}.partial_rotary_factor (only 1 is supported)"));
        }
        Ok(Self { theta, scaling: table.scaling(theta)? })
    }
}

impl Table<'_> {
    fn scaling(&self, theta: f64) -> Result<Scaling, String> {
        Ok(match self.keys.rope_type.as_deref() {
            None | Some("default") => Scaling::None,
            Some("linear") => Scaling::Linear(self.positive("factor", self.keys.factor)?),
            Some("dynamic") => Scaling::Dynamic(self.decoder.max_positions),
            Some("llama3") => self.llama3()?,
            Some("yarn") => Scaling::Yarn(self.yarn(theta)?),
            Some("longrope") => Scaling::Long(self.longrope()?),
            Some(other) => {
                let known = r#""default", "linear", "dynamic", "llama3", "yarn" and "longrope""#;
                return Err(format!("{}.rope_type = \"{other}\" (only {known} are)", self.name));
            }
        })
    }

    fn llama3(&self) -> Result<Scaling, String> {
        let low = self.positive("low_freq_factor", self.keys.low_freq_factor)?;
        let high = self.positive("high_freq_factor", self.keys.high_freq_factor)?;
        if high <= low {
            return Err(format!("{} with high_freq_factor {high} not above low_freq_factor {low}", self.name));
        }
        Ok(Scaling::Llama3 { factor: self.positive("factor", self.keys.factor)?, low, high, context: self.context()? })
    }

    fn yarn(&self, theta: f64) -> Result<Yarn, String> {
        if theta <= 1.0 {
            return Err(format!("{}.rope_theta = {theta} (\"yarn\" needs a base above 1)", self.name));
        }
        let (context, factor) = (self.context()?, self.factor()?);
        Ok(Yarn {
            factor,
            context,
            fast: self.positive("beta_fast", Some(nonzero(self.keys.beta_fast).unwrap_or(32.0)))?,
            slow: self.positive("beta_slow", Some(nonzero(self.keys.beta_slow).unwrap_or(1.0)))?,
            whole_pairs: self.keys.truncate.unwrap_or(true),
            attention: match self.keys.attention_factor {
                Some(given) => self.positive("attention_factor", Some(given))?,
                None => self.yarn_attention(factor)?,
            },
        })
    }

    fn yarn_attention(&self, factor: f64) -> Result<f64, String> {
        let scale = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
        match (nonzero(self.keys.mscale), nonzero(self.keys.mscale_all_dim)) {
            (Some(above), Some(below)) => self.positive("mscale over mscale_all_dim", Some(scale(above) / scale(below))),
            _ => Ok(scale(1.0)),
        }
    }

    fn longrope(&self) -> Result<Long, String> {
        let (context, factor) = (self.context()?, self.factor()?);
        let attention = match self.keys.attention_factor {
            Some(given) => self.positive("attention_factor", Some(given))?,
            None if factor <= 1.0 => 1.0,
            None if context <= 1.0 => {
                return Err(format!("{}.original_max_position_embeddings = {context} (at least 2)", self.name));
            }
            None => (1.0 + factor.ln() / context.ln()).sqrt(),
        };
        let (short, long) = (&self.keys.short_factor, &self.keys.long_factor);
        Ok(Long { context, short: self.per_pair("short_factor", short)?, long: self.per_pair("long_factor", long)?, attention })
    }

    fn per_pair(&self, key: &str, values: &Option<Vec<f64>>) -> Result<Vec<f64>, String> {
        let pairs = self.decoder.head_dim / 2;
        let values = values.as_ref().ok_or_else(|| format!("{} without `{key}`, which its kind needs,", self.name))?;
        if values.len() != pairs {
            return Err(format!("{}.{key} of {} numbers (a head has {pairs} pairs, a number for each)", self.name, values.len()));
        }
        values.iter().map(|&value| self.positive(key, Some(value))).collect()
    }

    /// How far sequences are stretched: as given, or by the two contexts.
    fn factor(&self) -> Result<f64, String> {
        let by_contexts = self.decoder.max_positions as f64 / self.context()?;
        self.positive("factor", Some(self.keys.factor.unwrap_or(by_contexts)))
    }

    fn context(&self) -> Result<f64, String> {
        let given = self.decoder.original_max_positions.or(self.keys.original_max_position_embeddings);
        self.within("original_max_position_embeddings", Some(given.unwrap_or(self.decoder.max_positions as f64)), CONTEXTS)
    }

    fn positive(&self, key: &str, value: Option<f64>) -> Result<f64, String> {
        self.within(key, value, FACTORS)
    }

    fn within(&self, key: &str, value: Option<f64>, [least, most]: [f64; 2]) -> Result<f64, String> {
        match value {
            Some(value) if (least..=most).contains(&value) => Ok(value),
            Some(value) => Err(format!("{}.{key} = {value} (it must be a positive number, {least} to {most})", self.name)),
            None => Err(format!("{} without `{key}`, which its kind needs,", self.name)),
        }
    }
}

/// transformers takes a zero for what is not there.
fn nonzero(value: Option<f64>) -> Option<f64> {
    value.filter(|&value| value != 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECODER: Decoder = Decoder { theta: 10_000.0, max_positions: 4096, original_max_positions: None, head_dim: 4 };

    fn parse(json: &str) -> Result<Rope, String> {
        let table: RopeParameters = serde_json::from_str(json).expect("JSON");
        Rope::new(DECODER, None, Some(&table))
    }

    #[test]
    fn old_and_new_spellings_are_read() {
        let linear = Ok(Rope { theta: 10_000.0, scaling: Scaling::Linear(2.0) });
        assert_eq!(parse(r#"{"type":"linear","factor":2.0}"#), linear);
        assert_eq!(parse(r#"{"rope_type":"linear","factor":2.0}"#), linear);
        assert_eq!(parse(r#"{"rope_theta":5e5}"#), Ok(Rope { theta: 5e5, scaling: Scaling::None }));
        assert_eq!(Rope::new(DECODER, None, None), Ok(Rope { theta: 10_000.0, scaling: Scaling::None }));
    }

    /// As transformers does for every kind that has a first context.
    #[test]
    fn a_context_beside_the_table_goes_first_and_the_longest_sequence_stands_in() {
        let table: RopeParameters =
            serde_json::from_str(r#"{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":64}"#).expect("JSON");
        let context = |decoder: Decoder, table: &RopeParameters| match Rope::new(decoder, Some(table), None) {
            Ok(Rope { scaling: Scaling::Yarn(yarn), .. }) => yarn.context,
            other => panic!("{other:?}"),
        };
        assert_eq!(context(DECODER, &table), 64.0);
        assert_eq!(context(Decoder { original_max_positions: Some(32.0), ..DECODER }, &table), 32.0);
        let without = RopeParameters { original_max_position_embeddings: None, ..table };
        assert_eq!(context(DECODER, &without), 4096.0);
    }

    #[test]
    fn what_has_no_formula_here_is_named() {
        for (json, expect) in [
            (r#"{"rope_type":"proportional","factor":2.0}"#, "rope_scaling.rope_type = \"proportional\""),
            (r#"{"rope_type":"linear"}"#, "without `factor`"),
            (r#"{"rope_type":"linear","factor":0.0}"#, "must be a positive number"),
            (r#"{"rope_type":"llama3","factor":8.0}"#, "without `low_freq_factor`"),
            (r#"{"rope_type":"yarn","factor":-1.0}"#, "factor = -1"),
            (r#"{"rope_type":"yarn","factor":2.0,"rope_theta":1.0}"#, "a base above 1"),
            (r#"{"rope_type":"longrope","short_factor":[1,1]}"#, "without `long_factor`"),
            (
                r#"{"rope_type":"longrope","short_factor":[1],"long_factor":[1,1]}"#,
                "short_factor of 1 numbers (a head has 2 pairs",
            ),
            (r#"{"rope_type":"longrope","short_factor":[1,0],"long_factor":[1,1]}"#, "short_factor = 0"),
            (r#"{"rope_theta":0.0}"#, "rope_theta = 0"),
            (r#"{"rope_theta":1e-3}"#, "a positive number, 1 to 1000000000000"),
            (r#"{"rope_theta":1e300}"#, "rope_theta = 1"),
            (r#"{"rope_type":"linear","factor":1e30}"#, "a positive number, 0.001 to 1000000"),
            (r#"{"rope_type":"linear","factor":1e-320}"#, "a positive number"),
            (r#"{"partial_rotary_factor":0.5}"#, "partial_rotary_factor"),
        ] {
            let error = parse(json).expect_err(json);
            assert!(error.contains(expect), "{error}");
        }
    }
}
