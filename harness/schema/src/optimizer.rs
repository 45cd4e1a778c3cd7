//! The local optimizer, its learning rate over a run, and the length of a gradient.

use serde::{Deserialize, Serialize};

/// AdamW (Loshchilov & Hutter, arXiv 1711.05101); a new one for every client and round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Learning rate: the highest, where it changes.
    pub learning_rate: f64,
    /// First-moment decay.
    pub beta1: f64,
    /// Second-moment decay.
    pub beta2: f64,
    /// What is added to the denominator, so that it is never 0.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// How the learning rate goes on over all rounds, once it is warm.
    #[serde(skip_serializing_if = "Course::is_constant")]
    #[schemars(extend("default" = "constant"))]
    pub schedule: Course,
    /// The share of all steps, in [0, 1), over which the learning rate rises from 0.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(extend("default" = 0.0))]
    pub warmup: f64,
    /// A step's gradient is at most so long (Euclidean, over all tensors of the optimizer); as long as it is without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
}

/// How the learning rate goes on over a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    /// It stays.
    #[default]
    Constant,
    /// Down half a cosine to 0 (Loshchilov & Hutter, arXiv 1608.03983, without restarts).
    Cosine,
}

impl Course {
    fn is_constant(&self) -> bool {
        *self == Self::Constant
    }
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            schedule: Course::Constant,
            warmup: 0.0,
            clip: None,
        }
    }
}

impl OptimizerConfig {
    /// The learning rate of a client's step in a round, both from 0, where every round has `steps` steps of this client and the run
    /// `rounds` rounds. It is that of step `round * steps + step` of `rounds * steps`, as transformers counts: `n / W` of it in the
    /// `W = ceil(warmup * all)` first, then constant, or `(1 + cos(pi (n - W) / (all - W))) / 2` of it. So clients that take different
    /// numbers of steps are equally far in the schedule whenever a round begins, whether they took part in those before or not; one
    /// that stops early goes on where the others do. Steps beyond a round's last have the last one's rate.
    pub fn rate_at(&self, [round, rounds]: [usize; 2], [step, steps]: [usize; 2]) -> f64 {
        if self.is_steady() {
            return self.learning_rate;
        }
        let (steps, rounds) = (steps.max(1) as f64, rounds.max(1) as f64);
        let all = rounds * steps;
        let at = (round as f64 * steps + (step as f64).min(steps - 1.0)).min(all - 1.0);
        let warm = (self.warmup * all).ceil();
        if at < warm {
            return self.learning_rate * at / warm;
        }
        match self.schedule {
            Course::Constant => self.learning_rate,
            Course::Cosine => {
                let way = (at - warm) / (all - warm);
                self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * way).cos())
            }
        }
    }

    /// Whether every step has the same learning rate.
    pub fn is_steady(&self) -> bool {
        self.schedule.is_constant() && self.warmup == 0.0
    }

    /// Whether the learning rate rises over all of so many steps, so that none would have its full height.
    pub fn never_warm(&self, steps: usize) -> bool {
        self.warmup > 0.0 && (self.warmup * steps as f64).ceil() >= steps as f64
    }
}

#[cfg(test)]
mod tests {
    use super::{Course, OptimizerConfig};

    /// transformers' `get_cosine_schedule_with_warmup` and `get_constant_schedule_with_warmup`, 3 of 10 steps warm, at rate 2.
    #[test]
    fn rates_are_those_of_transformers() {
        let cosine = [
            0.0,
            0.666_666_666_666_666_6,
            1.333_333_333_333_333_3,
            2.0,
            1.900_968_867_902_419,
            1.623_489_801_858_733_6,
            1.222_520_933_956_314_3,
            0.777_479_066_043_685_7,
            0.376_510_198_141_266_3,
            0.099_031_132_097_580_9,
        ];
        let of = |schedule| OptimizerConfig { learning_rate: 2.0, schedule, warmup: 0.3, ..OptimizerConfig::default() };
        for (n, wanted) in cosine.into_iter().enumerate() {
            // Two rounds of five steps are ten steps.
            let found = of(Course::Cosine).rate_at([n / 5, 2], [n % 5, 5]);
            assert!((found - wanted).abs() < 1e-12, "{n}: {found} {wanted}");
            let found = of(Course::Constant).rate_at([n / 5, 2], [n % 5, 5]);
            assert!((found - wanted.max(if n < 3 { 0.0 } else { 2.0 })).abs() < 1e-12, "{n}: {found}");
        }
    }

    #[test]
    fn clients_of_other_steps_are_equally_far_where_a_round_begins() {
        let optimizer = OptimizerConfig { schedule: Course::Cosine, warmup: 0.25, ..OptimizerConfig::default() };
        for round in 0..4 {
            let [few, many] = [4, 400].map(|steps| optimizer.rate_at([round, 4], [0, steps]));
            assert!((few - many).abs() < 1e-12, "{round}: {few} {many}");
        }
        assert_eq!(optimizer.rate_at([1, 4], [9, 4]), optimizer.rate_at([1, 4], [3, 4]));
        assert!(optimizer.rate_at([3, 4], [99, 4]) > 0.0);
    }

    #[test]
    fn what_is_not_set_changes_nothing() {
        let plain = OptimizerConfig::default();
        assert_eq!(plain.rate_at([7, 9], [3, 5]), plain.learning_rate);
        let text = toml::to_string(&plain).expect("TOML");
        assert!(!["schedule", "warmup", "clip"].iter().any(|key| text.contains(key)), "{text}");
        let slow = OptimizerConfig { warmup: 0.5, ..plain };
        assert!(slow.never_warm(1) && !slow.never_warm(2) && !OptimizerConfig::default().never_warm(1));
    }
}
