//! How long is trained, how fast, and what a step tells.

/// How long, how much at a time and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    /// Optimizer steps.
    pub steps: usize,
    /// Lessons in a step.
    pub batch_size: usize,
    /// Highest learning rate, reached after a twentieth of the steps.
    pub learning_rate: f64,
}

impl Phase {
    /// Linear warm-up over a twentieth of the steps, then a cosine to a hundredth.
    pub(super) fn rate(&self, step: usize) -> f64 {
        let warm_up = (self.steps / 20).max(1);
        if step < warm_up {
            return self.learning_rate * (step + 1) as f64 / warm_up as f64;
        }
        let progress = (step - warm_up) as f64 / (self.steps - warm_up).max(1) as f64;
        self.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()))
    }
}

/// Both phases.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// The first.
    pub grounding: Phase,
    /// The second.
    pub dialogue: Phase,
    /// The weight of the grounding term in the second.
    pub grounding_weight: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Gradients with a larger norm are scaled down to it.
    pub clip_norm: f64,
}

/// What a step told.
#[derive(Debug, Clone, Copy)]
pub struct StepReport {
    /// `grounding` or `dialogue`.
    pub phase: &'static str,
    /// From 1, within the phase.
    pub step: usize,
    /// Steps of the phase.
    pub steps: usize,
    /// Mean negative log-likelihood, nats: of names and empty places, or of caption and answer tokens.
    pub loss: f64,
}
