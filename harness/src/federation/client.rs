//! A client: its shard, its memory, and the one epoch loop of the suite.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};

use super::link::{Traffic, split_pass};
use crate::adapter::{Adapters, fisher};
use crate::study::Study;
use crate::{Error, Result};

/// One participant. It offers a method its shard, freshly initialised adapters, a memory that survives rounds, and training.
pub struct Client<'s> {
    id: usize,
    study: &'s Study,
    shard: Vec<usize>,
    steps_per_round: usize,
    round: usize,
    /// Named adapter sets that stay with the client across rounds.
    pub memory: BTreeMap<String, Adapters>,
    activations: Traffic,
}

/// What a round of local training gave.
#[derive(Debug, Clone, Default)]
pub struct Fit {
    /// The trained adapters.
    pub adapters: Adapters,
    /// Mean training loss over the steps.
    pub loss: f64,
    /// Optimizer steps taken.
    pub steps: usize,
    /// Examples in these steps' batches, repeats counted.
    pub examples: usize,
}

/// What a method adds to the plain loss, and what it wants to see of a step.
pub trait Objective {
    /// The loss to descend, from the batch's mean answer-token loss and the adapters being trained.
    fn loss(&mut self, loss: Tensor, trained: &Adapters) -> Result<Tensor> {
        let _ = trained;
        Ok(loss)
    }

    /// Called after every backward pass, before the optimizer's step.
    fn gradients(&mut self, step: Step, gradients: &Adapters) -> Result<()> {
        let _ = (step, gradients);
        Ok(())
    }

    /// Whether [`Objective::gradients`] should be called at all.
    fn wants_gradients(&self) -> bool {
        false
    }
}

/// Where a step stands in a client's round.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// From 0.
    pub index: usize,
    /// Steps of this round.
    pub total: usize,
    /// Whether it belongs to the last pass over the shard.
    pub in_last_epoch: bool,
}

/// The plain loss.
pub struct Plain;

impl Objective for Plain {}

impl<'s> Client<'s> {
    /// A client of a study that trains `steps_per_round` steps a round on `shard`.
    pub fn new(id: usize, study: &'s Study, shard: Vec<usize>, steps_per_round: usize) -> Self {
        Self { id, study, shard, steps_per_round, round: 0, memory: BTreeMap::new(), activations: Traffic::default() }
    }

    /// Its id, from 0.
    pub fn id(&self) -> usize {
        self.id
    }

    /// Its training examples.
    pub fn num_examples(&self) -> usize {
        self.shard.len()
    }

    /// The adapters every client of this experiment and seed starts from.
    pub fn initial(&self) -> Adapters {
        self.study.initial().clone()
    }

    /// Begins a round: batches are drawn from the stream of this round and client.
    pub(crate) fn begin_round(&mut self, round: usize) {
        self.round = round;
        self.activations = Traffic::default();
    }

    /// What split training moved since the round began.
    pub(crate) fn activations(&self) -> Traffic {
        self.activations
    }

    /// What sending the shard's raw rows costs.
    pub(crate) fn raw_bytes(&self) -> u64 {
        self.shard.iter().map(|&example| self.study.train()[example].raw_bytes).sum()
    }

    /// Trains from `start` for this round's steps with a fresh AdamW; every method's epoch loop.
    pub fn fit(&mut self, start: &Adapters, objective: &mut dyn Objective) -> Result<Fit> {
        let vars = start.to_vars()?;
        let mut optimizer = self.optimizer(&vars)?;
        let mut total_loss = 0.0;
        let batches = self.batches();
        for (index, (examples, in_last_epoch)) in batches.iter().enumerate() {
            let trained = Adapters::from_vars(&vars);
            let plain = self.mean_loss(examples, &trained)?;
            total_loss += self.finite(&plain)?;
            let gradients = objective.loss(plain, &trained)?.backward()?;
            if objective.wants_gradients() {
                let step = Step { index, total: batches.len(), in_last_epoch: *in_last_epoch };
                objective.gradients(step, &gradients_of(&vars, &gradients)?)?;
            }
            optimizer.step(&gradients)?;
        }
        let steps = batches.len();
        let examples = batches.iter().map(|(batch, _)| batch.len()).sum();
        Ok(Fit { adapters: Adapters::from_var_values(&vars)?, loss: total_loss / steps.max(1) as f64, steps, examples })
    }

    /// The diagonal of the empirical Fisher at `adapters`, averaged over at most `cap` examples of the shard (all without one).
    pub fn fisher(&mut self, adapters: &Adapters, cap: Option<usize>) -> Result<Adapters> {
        let mut examples = self.shard.clone();
        if let Some(cap) = cap {
            self.study.seed().client("fisher", self.round, self.id).shuffle(&mut examples);
            examples.truncate(cap.max(1));
        }
        examples.sort_by_key(|&example| (self.study.train()[example].sequence.len(), example));
        let mut sum: Option<Adapters> = None;
        for chunk in examples.chunks(self.study.experiment().federation.batch_size) {
            let squares = self.squared_gradients(chunk, adapters)?;
            sum = Some(match sum {
                Some(sum) => sum.add(&squares)?,
                None => squares,
            });
        }
        let sum = sum.ok_or_else(|| Error::Usage(format!("client {} has no training example to take a Fisher from", self.id)))?;
        Ok(sum.scale(1.0 / examples.len() as f64)?)
    }

    fn squared_gradients(&mut self, examples: &[usize], adapters: &Adapters) -> Result<Adapters> {
        let copies = fisher::copies(adapters, examples.len())?;
        let summed = self.log_likelihoods(examples, &Adapters::from_vars(&copies))?.sum_all()?.neg()?;
        Ok(fisher::sum_of_squares(&copies, &summed.backward()?)?)
    }

    /// Mean negative log-likelihood over the batch's answer tokens.
    fn mean_loss(&mut self, examples: &[usize], adapters: &Adapters) -> Result<Tensor> {
        Ok(self.log_likelihoods(examples, adapters)?.mean_all()?.neg()?)
    }

    /// Log-likelihood of every answer token of a batch; in the split setting this is where activations travel.
    fn log_likelihoods(&mut self, examples: &[usize], adapters: &Adapters) -> Result<Tensor> {
        let batch = self.study.train_batch(examples)?;
        if self.study.adapter().is_split() {
            self.activations += split_pass(&batch, self.study.backbone().spec(), self.study.experiment().federation.loss_at);
        }
        self.study.train_log_likelihoods(&batch, &self.study.adapter().attach(adapters))
    }

    fn optimizer(&self, vars: &BTreeMap<String, Var>) -> Result<AdamW> {
        let config = &self.study.experiment().optimizer;
        let params = ParamsAdamW {
            lr: config.learning_rate,
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.epsilon,
            weight_decay: config.weight_decay,
        };
        Ok(AdamW::new(vars.values().cloned().collect(), params)?)
    }

    /// This round's batches in order, each with whether it belongs to the last pass over the shard.
    fn batches(&self) -> Vec<(Vec<usize>, bool)> {
        let size = self.study.experiment().federation.batch_size;
        let mut stream = self.study.seed().client("batches", self.round, self.id);
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut last_epoch = 0;
        while batches.len() < self.steps_per_round && !self.shard.is_empty() {
            last_epoch = batches.len();
            batches.extend(epoch(&self.shard, size, |example| self.study.train()[example].sequence.len(), &mut stream));
        }
        batches.truncate(self.steps_per_round);
        batches.into_iter().enumerate().map(|(i, batch)| (batch, i >= last_epoch)).collect()
    }

    fn finite(&self, loss: &Tensor) -> Result<f64> {
        let value = loss.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?;
        if value.is_finite() {
            return Ok(value);
        }
        let learning_rate = self.study.experiment().optimizer.learning_rate;
        Err(Error::Diverged { client: self.id, round: self.round, loss: value, learning_rate })
    }
}

/// One pass over a shard in batches: shuffled, then sorted by length within windows of eight batches so that little is padded,
/// then the batches shuffled.
pub(crate) fn epoch(shard: &[usize], size: usize, length: impl Fn(usize) -> usize, stream: &mut seed::Stream) -> Vec<Vec<usize>> {
    const WINDOW: usize = 8;
    let mut order = shard.to_vec();
    stream.shuffle(&mut order);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for window in order.chunks_mut(WINDOW * size) {
        window.sort_by_key(|&example| length(example));
        batches.extend(window.chunks(size).map(<[usize]>::to_vec));
    }
    stream.shuffle(&mut batches);
    batches
}

fn gradients_of(vars: &BTreeMap<String, Var>, gradients: &GradStore) -> Result<Adapters> {
    let one = |(name, var): (&String, &Var)| match gradients.get(var) {
        Some(gradient) => Ok((name.clone(), gradient.clone())),
        None => Err(Error::Usage(format!("adapter tensor `{name}` got no gradient: its site is not on the path to the loss"))),
    };
    vars.iter().map(one).collect()
}
