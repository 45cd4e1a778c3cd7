//! Tensors in training: one optimizer, whose learning rate knows where in the run it is.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use models::adapter::Adapters;
use schema::experiment::OptimizerConfig;

use crate::objective::Objective;
use crate::{Error, Result, Step};

/// Tensors in training, with their optimizer.
pub struct Trainer {
    vars: BTreeMap<String, Var>,
    /// All that it steps: these, and the client's own head.
    trained: Vec<Var>,
    optimizer: AdamW,
    config: OptimizerConfig,
    at: RoundSteps,
    taken: usize,
    /// At which of a batch's ticks of the learning-rate schedule it steps, and how many there are.
    tick: [usize; 2],
}

/// Where in a run a trainer works.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoundSteps {
    /// From 1.
    pub(crate) round: usize,
    /// Rounds of the run.
    pub(crate) rounds: usize,
    /// Steps that its client takes in a round, unless it is slow.
    pub(crate) steps: usize,
}

/// What keeps a clipped gradient's factor finite, as in PyTorch's `clip_grad_norm_`.
const BESIDE_LENGTH: f64 = 1e-6;

impl Trainer {
    pub(crate) fn new(start: &Adapters, head: &BTreeMap<String, Var>, config: &OptimizerConfig, at: RoundSteps) -> Result<Self> {
        let vars = start.to_vars()?;
        let params = ParamsAdamW {
            lr: config.learning_rate,
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.epsilon,
            weight_decay: config.weight_decay,
        };
        let trained: Vec<Var> = vars.values().chain(head.values()).cloned().collect();
        let optimizer = AdamW::new(trained.clone(), params)?;
        Ok(Self { vars, trained, optimizer, config: config.clone(), at, taken: 0, tick: [0, 1] })
    }

    /// The same where the learning-rate schedule moves by `ticks` in each batch, and it steps at this one of them. An error where there is
    /// no schedule that could.
    pub fn ticking(self, at: usize, ticks: usize) -> Result<Self> {
        if ticks > 1 && self.config.is_steady() {
            return Err(Error::Usage(format!(
                "schedule_ticks = {ticks}: the learning rate is constant (`optimizer.schedule`, `optimizer.warmup`), so no tick changes it: \
                 set one of these, or leave the key out"
            )));
        }
        Ok(Self { tick: [at, ticks], ..self })
    }

    /// Where in the run it is, as the schedule counts: round and step.
    fn place(&self) -> [usize; 2] {
        let (round, [at, ticks]) = (self.at.round.saturating_sub(1), self.tick);
        if ticks == 1 {
            return [round, self.taken];
        }
        let steps = self.at.steps.max(1);
        let tick = ticks * (round * steps + self.taken.min(steps - 1)) + at;
        [tick / steps, tick % steps]
    }

    /// The tensors, so that gradients reach them.
    pub fn tensors(&self) -> Adapters {
        Adapters::from_vars(&self.vars)
    }

    /// Their present values, cut off from any graph.
    pub fn values(&self) -> Result<Adapters> {
        Ok(Adapters::from_var_values(&self.vars)?)
    }

    /// One optimizer step, at the learning rate of its place in the run and down a gradient no longer than `optimizer.clip`. An error
    /// where a tensor in training has no gradient: it would stay as it is without a word.
    pub fn step(&mut self, gradients: &GradStore) -> Result<()> {
        gradients_of(&self.vars, gradients)?;
        if !self.config.is_steady() {
            let [round, step] = self.place();
            let rate = self.config.rate_at([round, self.at.rounds], [step, self.at.steps]);
            self.optimizer.set_learning_rate(rate);
        }
        self.taken += 1;
        match self.config.clip {
            Some(clip) => Ok(self.optimizer.step(&self.clipped(gradients, clip)?)?),
            None => Ok(self.optimizer.step(gradients)?),
        }
    }

    /// The gradients of what is trained, together no longer than this.
    fn clipped(&self, gradients: &GradStore, clip: f64) -> Result<GradStore> {
        let of = |var: &Var| gradients.get(var).map(|gradient| (var.clone(), gradient.clone()));
        let found: Vec<_> = self.trained.iter().filter_map(of).collect();
        let mut squares = 0.0;
        for (_, gradient) in &found {
            squares += gradient.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
        }
        let factor = (clip / (squares.sqrt() + BESIDE_LENGTH)).min(1.0);
        let mut shorter = GradStore::default();
        for (var, gradient) in found {
            shorter.insert(&var, (gradient * factor)?);
        }
        Ok(shorter)
    }

    /// One optimizer step down an objective's gradients.
    pub(crate) fn descend(&mut self, objective: &mut dyn Objective, step: Step, mut gradients: GradStore) -> Result<()> {
        if objective.wants_gradients() {
            let wanted = objective.gradients(step, gradients_of(&self.vars, &gradients)?)?;
            for (name, gradient) in wanted.iter() {
                if let Some(var) = self.vars.get(name) {
                    gradients.insert(var, gradient.clone());
                }
            }
        }
        self.step(&gradients)
    }
}

fn gradients_of(vars: &BTreeMap<String, Var>, gradients: &GradStore) -> Result<Adapters> {
    let one = |(name, var): (&String, &Var)| match gradients.get(var) {
        Some(gradient) => Ok((name.clone(), gradient.clone())),
        None => Err(Error::Usage(format!("adapter tensor `{name}` got no gradient: its site is not on the path to the loss"))),
    };
    vars.iter().map(one).collect()
}
