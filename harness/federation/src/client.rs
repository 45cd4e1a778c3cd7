//! A client: its shard, its memory, and the one epoch loop of the suite.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Tensor, Var};
use models::adapter::{AdapterSpec, Adapters, fisher};
use models::crossing::Meter;
use models::flops::Flops;
use seed::Seed;

use crate::link::{Carried, Traffic};
use crate::objective::Objective;
use crate::task::{Answers, Task};
use crate::trainer::{RoundSteps, Trainer};
use crate::{Error, Result, Round, Step, Update, Work, aggregate};

/// What a client remembers its own head under, where heads are private. A method neither sees nor sends it.
pub const HEAD: &str = "private-head";

/// One participant. It offers a method its shard, freshly initialised adapters, a memory that survives rounds, and training.
pub struct Client<'s> {
    id: usize,
    task: &'s dyn Task,
    shard: Vec<usize>,
    steps_per_round: usize,
    round: Round,
    share_of_steps: f64,
    /// The batch it is at, and how many came before it in this round.
    at: (usize, Vec<usize>),
    /// Named adapter sets that stay with the client across rounds. [`HEAD`] is none of a method's.
    pub memory: BTreeMap<String, Adapters>,
    /// What it remembered when it began to train in this round; nothing before.
    before: Option<BTreeMap<String, Adapters>>,
    /// Its own head, in training in this round: whatever trains here trains it too.
    head: BTreeMap<String, Var>,
    activations: Traffic,
    /// One of each pass that crossed a line.
    meters: Vec<Arc<Meter>>,
    flops: Flops,
}

/// What a round of local training gave.
#[derive(Debug, Clone, Default)]
pub struct Fit {
    /// The trained adapters.
    pub adapters: Adapters,
    /// What it took.
    pub work: Work,
}

impl<'s> Client<'s> {
    /// A client that trains `steps_per_round` steps a round on `shard`.
    pub fn new(id: usize, task: &'s dyn Task, shard: Vec<usize>, steps_per_round: usize) -> Self {
        let round = Round { index: 0, total: 0, clients: 0 };
        let (memory, activations, flops) = (BTreeMap::new(), Traffic::default(), Flops::default());
        let (at, head, meters) = ((0, Vec::new()), BTreeMap::new(), Vec::new());
        let (share_of_steps, before) = (1.0, None);
        Self { id, task, shard, steps_per_round, round, share_of_steps, at, memory, before, head, activations, meters, flops }
    }

    /// Its id, from 0.
    pub fn id(&self) -> usize {
        self.id
    }

    /// Its training examples.
    pub fn num_examples(&self) -> usize {
        self.shard.len()
    }

    /// Where the run stands.
    pub fn round(&self) -> Round {
        self.round
    }

    /// What is trained.
    pub fn spec(&self) -> &'s AdapterSpec {
        self.task.adapter()
    }

    /// The adapters every client of this experiment and seed starts from.
    pub fn initial(&self) -> Adapters {
        self.task.initial().clone()
    }

    /// Adapters drawn anew for this round, the same for every client.
    pub fn fresh(&self) -> Result<Adapters> {
        let Some((_, like)) = self.task.initial().iter().next() else { return Ok(Adapters::default()) };
        let mut stream = self.seed().round("fresh adapters", self.round.index);
        Ok(self.spec().draw(&mut stream, like.dtype(), like.device())?)
    }

    /// What it remembers under a name, or else what it is given.
    pub fn recall(&self, name: &str, or: impl FnOnce() -> Adapters) -> Adapters {
        self.memory.get(name).cloned().unwrap_or_else(or)
    }

    /// Its own head, as far as it has been trained; nothing where heads are shared, or where there is none.
    pub(crate) fn head(&self) -> Adapters {
        match self.task.head() {
            fresh if fresh.is_empty() => fresh,
            fresh => self.recall(HEAD, || fresh),
        }
    }

    /// Begins a round: batches are drawn from the stream of this round and client, and its own head goes on from where it was.
    pub fn begin_round(&mut self, round: Round) -> Result<()> {
        self.round = round;
        self.share_of_steps = 1.0;
        self.before = None;
        (self.activations, self.flops) = (Traffic::default(), Flops::default());
        self.meters.clear();
        self.head = self.head().to_vars()?;
        Ok(())
    }

    /// As it was after a round, with what it remembered then.
    pub(crate) fn resume(&mut self, after: Round, memory: BTreeMap<String, Adapters>) -> Result<()> {
        self.memory = memory;
        self.begin_round(after)
    }

    /// The round is left out: what it remembers is what it remembered when it began to train.
    pub(crate) fn forget_round(&mut self) {
        if let Some(before) = self.before.take() {
            self.memory = before;
        }
    }

    /// In this round, only so much of its steps.
    pub(crate) fn slow_down(&mut self, share_of_steps: f64) {
        self.share_of_steps = share_of_steps;
    }

    /// An update that sends nothing yet, of a round that took so much.
    pub fn update(&self, work: Work) -> Update {
        Update::new(self.id, self.num_examples(), work)
    }

    /// What split training moved since the round began.
    pub(crate) fn activations(&self) -> Traffic {
        self.activations
    }

    /// The same as it was measured, if it crossed a line.
    pub(crate) fn carried(&self) -> Option<Carried> {
        let sum = || self.meters.iter().fold(Carried::default(), |sum, meter| sum.with(meter.read()));
        (!self.meters.is_empty()).then(sum)
    }

    /// What its passes have computed since the round began.
    pub(crate) fn flops(&self) -> Flops {
        self.flops
    }

    fn seed(&self) -> Seed {
        Seed::new(self.task.experiment().seed)
    }

    /// Trains from `start` on this round's batches with a fresh AdamW: what nearly every method's local work is.
    pub fn fit(&mut self, start: &Adapters, objective: &mut dyn Objective) -> Result<Fit> {
        let mut trainer = self.trainer(start)?;
        let work = self.each_batch(|client, examples, step| {
            let trained = trainer.tensors();
            let at_work = objective.attach(client.spec(), &trained)?;
            let plain = client.answers(examples, &at_work, Pass::Training)?.loss()?;
            let value = client.finite(&plain)?;
            let gradients = objective.loss(plain, &trained)?.backward()?;
            trainer.descend(objective, step, gradients)?;
            Ok(value)
        })?;
        Ok(Fit { adapters: trainer.values()?, work })
    }

    /// Tensors in training from `start`, with a fresh AdamW that steps the client's own head too.
    pub fn trainer(&self, start: &Adapters) -> Result<Trainer> {
        let steps = RoundSteps { round: self.round.index, rounds: self.round.total, steps: self.steps_per_round };
        Trainer::new(start, &self.head, &self.task.experiment().optimizer, steps)
    }

    /// Does something with each of this round's batches, in order: every method's epoch loop. What it returns is the loss.
    pub fn each_batch(&mut self, mut train: impl FnMut(&mut Self, &[usize], Step) -> Result<f64>) -> Result<Work> {
        self.before.get_or_insert_with(|| self.memory.clone());
        let batches = self.batches();
        let mut work = Work { steps: batches.len(), ..Work::default() };
        for (index, (examples, in_last_epoch)) in batches.iter().enumerate() {
            let step = Step { index, total: batches.len(), in_last_epoch: *in_last_epoch };
            self.at = (index, examples.clone());
            work.loss += train(self, examples, step)? / batches.len() as f64;
            work.examples += examples.len();
        }
        if !self.head.is_empty() {
            self.memory.insert(HEAD.into(), Adapters::from_var_values(&self.head)?);
        }
        Ok(work)
    }

    /// What the model says at a batch's answer tokens, with the client's own head; in the split setting this is where activations travel.
    pub fn answers(&mut self, examples: &[usize], adapters: &Adapters, pass: Pass) -> Result<Answers> {
        let answers = self.task.answers(examples, &adapters.with(&Adapters::from_vars(&self.head)))?;
        let count = if pass == Pass::Training { 2 } else { 1 };
        answers.passes[..count].iter().for_each(|pass| self.activations += *pass);
        answers.flops[..count].iter().for_each(|pass| self.flops += *pass);
        self.meters.extend(answers.said.meter.clone());
        Ok(answers)
    }

    /// A loss as a number; an error if it is not finite.
    pub fn finite(&self, loss: &Tensor) -> Result<f64> {
        let value = loss.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?;
        if value.is_finite() {
            return Ok(value);
        }
        if self.round.index <= 1 && self.at.0 == 0 {
            return Err(Error::NotFiniteAtFirst { client: self.id, example: self.first_not_finite()?, loss: value });
        }
        let learning_rate = self.task.experiment().optimizer.learning_rate;
        Err(Error::Diverged { client: self.id, round: self.round.index, loss: value, learning_rate })
    }

    /// The first example of the batch whose own loss is not finite before training; the batch's first if all are.
    fn first_not_finite(&self) -> Result<String> {
        let (batch, start) = (&self.at.1, self.task.initial().with(&self.task.head()));
        for &example in batch {
            let loss = self.task.answers(&[example], &start)?.loss()?;
            if !loss.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?.is_finite() {
                return Ok(self.task.name(example));
            }
        }
        Ok(batch.first().map(|&example| self.task.name(example)).unwrap_or_default())
    }

    /// The diagonal of the empirical Fisher at `adapters`, averaged over at most `cap` examples of the shard (all without one).
    pub fn fisher(&mut self, adapters: &Adapters, cap: Option<usize>) -> Result<Adapters> {
        let mut examples = self.shard.clone();
        if let Some(cap) = cap {
            self.seed().client("fisher", self.round.index, self.id).shuffle(&mut examples);
            examples.truncate(cap.max(1));
        }
        examples.sort_by_key(|&example| (self.task.length(example), example));
        let mut sum = aggregate::Sum::default();
        for chunk in examples.chunks(self.task.experiment().federation.batch_size) {
            sum.add(self.squared_gradients(chunk, adapters)?)?;
        }
        let sum = sum.total().ok_or_else(|| Error::Usage(format!("client {} has no example to take a Fisher from", self.id)))?;
        Ok(sum.scale(1.0 / examples.len() as f64)?)
    }

    fn squared_gradients(&mut self, examples: &[usize], adapters: &Adapters) -> Result<Adapters> {
        let copies = fisher::copies(adapters, examples.len())?;
        let answers = self.answers(examples, &Adapters::from_vars(&copies), Pass::Training)?;
        Ok(fisher::sum_of_squares(&copies, &answers.log_likelihoods()?.sum_all()?.neg()?.backward()?)?)
    }

    /// This round's batches in order, each with whether it belongs to the last pass over the shard.
    fn batches(&self) -> Vec<(Vec<usize>, bool)> {
        let size = self.task.experiment().federation.batch_size;
        let steps = ((self.steps_per_round as f64 * self.share_of_steps).round() as usize).max(self.steps_per_round.min(1));
        let mut stream = self.seed().client("batches", self.round.index, self.id);
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut last_epoch = 0;
        while batches.len() < steps && !self.shard.is_empty() {
            last_epoch = batches.len();
            batches.extend(epoch(&self.shard, size, |example| self.task.length(example), &mut stream));
        }
        batches.truncate(steps);
        batches.into_iter().enumerate().map(|(i, batch)| (batch, i >= last_epoch)).collect()
    }
}

/// Whether a pass goes backward too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Forward and backward.
    Training,
    /// Forward alone: a teacher's.
    Forward,
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
