//! The frequencies that positions turn by, and how they are scaled.

use std::f64::consts::PI;

/// How frequencies are scaled.
#[derive(Debug, Clone, PartialEq)]
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
    /// By a ramp over the pairs, with sharper attention.
    Yarn(Yarn),
    /// By searched factors, a set for short and one for long sequences.
    Long(Long),
}

/// YaRN (Peng et al., arXiv 2309.00071).
#[derive(Debug, Clone, PartialEq)]
pub struct Yarn {
    /// How far slow pairs are stretched.
    pub factor: f64,
    /// The context of the first training, tokens.
    pub context: f64,
    /// Pairs that turn more often than this in the context stay as they are.
    pub fast: f64,
    /// Pairs that turn less often than this in the context are stretched in full.
    pub slow: f64,
    /// Whether the ramp begins and ends at a whole pair.
    pub whole_pairs: bool,
    /// What cosines and sines are multiplied with.
    pub attention: f64,
}

/// LongRoPE (Ding et al., arXiv 2402.13753).
#[derive(Debug, Clone, PartialEq)]
pub struct Long {
    /// Sequences of more tokens are long.
    pub context: f64,
    /// How far each pair is stretched in a short sequence.
    pub short: Vec<f64>,
    /// And in a long one.
    pub long: Vec<f64>,
    /// What cosines and sines are multiplied with.
    pub attention: f64,
}

/// Base and scaling.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// How they are scaled.
    pub scaling: Scaling,
}

impl Rope {
    /// The turn of each pair of a head's numbers from one position to the next, radians, in a sequence of so many tokens:
    /// `head_dim / 2` of them.
    pub fn frequencies(&self, head_dim: usize, tokens: usize) -> Vec<f64> {
        let plain = (0..head_dim / 2).map(|i| self.theta.powf(-2.0 * i as f64 / head_dim as f64));
        match &self.scaling {
            Scaling::None | Scaling::Dynamic(_) => plain.collect(),
            Scaling::Linear(factor) => plain.map(|frequency| frequency / factor).collect(),
            &Scaling::Llama3 { factor, low, high, context } => {
                plain.map(|frequency| llama3(frequency, factor, [low, high], context)).collect()
            }
            Scaling::Yarn(yarn) => {
                let [from, to] = yarn.ramp(head_dim, self.theta);
                // 0 for pairs that stay, 1 for those that are stretched in full.
                let stretched = |i: usize| ((i as f64 - from) / (to - from)).clamp(0.0, 1.0);
                plain.enumerate().map(|(i, f)| stretched(i) * f / yarn.factor + (1.0 - stretched(i)) * f).collect()
            }
            Scaling::Long(long) => plain.zip(long.factors(tokens)).map(|(frequency, factor)| frequency / factor).collect(),
        }
    }

    /// What cosines and sines are multiplied with.
    pub fn attention_factor(&self) -> f64 {
        match &self.scaling {
            Scaling::Yarn(Yarn { attention, .. }) | Scaling::Long(Long { attention, .. }) => *attention,
            _ => 1.0,
        }
    }

    /// The number of tokens beyond which other frequencies apply, if there is one.
    pub fn turning_point(&self) -> Option<f64> {
        match &self.scaling {
            Scaling::Long(long) => Some(long.context),
            _ => None,
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

fn llama3(frequency: f64, factor: f64, [low, high]: [f64; 2], context: f64) -> f64 {
    // 0 for waves of at least context / low tokens, 1 for those of at most context / high.
    let turns = context * frequency / (2.0 * PI);
    let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
    kept * frequency + (1.0 - kept) * frequency / factor
}

impl Yarn {
    /// The pairs between which stretching sets in.
    fn ramp(&self, head_dim: usize, theta: f64) -> [f64; 2] {
        // The pair that turns so often in the context.
        let pair = |turns: f64| head_dim as f64 * (self.context / (2.0 * PI * turns)).ln() / (2.0 * theta.ln());
        let (from, to) = match self.whole_pairs {
            true => (pair(self.fast).floor(), pair(self.slow).ceil()),
            false => (pair(self.fast), pair(self.slow)),
        };
        let (from, to) = (from.max(0.0), to.min(head_dim as f64 - 1.0));
        if from == to { [from, to + 0.001] } else { [from, to] }
    }
}

impl Long {
    fn factors(&self, tokens: usize) -> &[f64] {
        if tokens as f64 > self.context { &self.long } else { &self.short }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_keeps_short_waves_and_stretches_long_ones() {
        let scaled = |frequency| llama3(frequency, 8.0, [1.0, 4.0], 8192.0);
        assert_eq!(scaled(1.0), 1.0);
        assert_eq!(scaled(1e-5), 1e-5 / 8.0);
        // A wave of 8192 / 2.5 tokens lies half-way: (2.5 - 1) / (4 - 1).
        let middle = 2.5 * 2.0 * PI / 8192.0;
        assert!((scaled(middle) / middle - 0.5625).abs() < 1e-12);
    }

    #[test]
    fn longrope_takes_the_long_set_beyond_the_context() {
        let long = Long { context: 8.0, short: vec![1.0, 2.0], long: vec![3.0, 4.0], attention: 1.5 };
        let rope = Rope { theta: 100.0, scaling: Scaling::Long(long) };
        assert_eq!(rope.frequencies(4, 8), [1.0, 0.05]);
        assert_eq!(rope.frequencies(4, 9), [1.0 / 3.0, 0.025]);
        assert_eq!(rope.attention_factor(), 1.5);
    }
}
