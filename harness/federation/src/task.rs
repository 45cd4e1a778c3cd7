//! What clients train on, as a client sees it.

use candle_core::Tensor;
use models::adapter::{AdapterSpec, Adapters};
use models::crossing::{Said, Words};
use models::flops::Flops;
use models::nn;
use schema::Experiment;

use crate::link::Traffic;
use crate::{Error, Result};

/// Training examples behind a frozen model with adapters. A prepared study is the real one; a test may bring a problem small
/// enough to be solved elsewhere too.
pub trait Task: Sync {
    /// The experiment: optimizer, batches, rounds, seed.
    fn experiment(&self) -> &Experiment;

    /// What is trained.
    fn adapter(&self) -> &AdapterSpec;

    /// The adapters everybody starts from.
    fn initial(&self) -> &Adapters;

    /// The head that each client keeps to itself, as everybody starts; without one, nothing.
    fn head(&self) -> Adapters {
        Adapters::default()
    }

    /// How many examples there are.
    fn examples(&self) -> usize;

    /// An example's length in tokens; batches hold examples of like length.
    fn length(&self, example: usize) -> usize;

    /// An example's id, for messages.
    fn name(&self, example: usize) -> String {
        example.to_string()
    }

    /// What sending an example's raw row costs.
    fn raw_bytes(&self, example: usize) -> u64;

    /// What the model says at a batch's answer tokens, with these adapters.
    fn answers(&self, examples: &[usize], adapters: &Adapters) -> Result<Answers>;
}

/// What the model says at a batch's answer tokens.
#[derive(Debug, Clone)]
pub struct Answers {
    /// In logits, or in log-likelihoods where the loss is computed elsewhere.
    pub said: Said,
    /// The right tokens, `[rows]`.
    pub targets: Tensor,
    /// Soft targets of rows that several people answered, where a backbone answers by class.
    pub soft: Option<Soft>,
    /// What the pass moves in the split setting: forward, and backward if there is one.
    pub passes: [Traffic; 2],
    /// What the pass computes: forward, and backward if there is one.
    pub flops: [Flops; 2],
}

/// Soft targets: every class a question of its own.
#[derive(Debug, Clone)]
pub struct Soft {
    /// What each class is worth, in [0, 1], `[rows, classes]`; of rows without, anything.
    pub targets: Tensor,
    /// 1 where a row has some, 0 where it has one right class, `[rows]`, as `u8`.
    pub rows: Tensor,
}

impl Soft {
    /// The log-likelihood of every row, `[rows]`: of its soft targets, where it has some, or else what it is without.
    fn log_likelihoods(&self, logits: &Tensor, without: &Tensor) -> candle_core::Result<Tensor> {
        let soft = nn::soft_log_likelihood(logits, &self.targets)?;
        self.rows.where_cond(&soft, without)
    }
}

impl Answers {
    /// Logits, `[rows, vocabulary]`; an error where they stay at a decoder elsewhere.
    pub fn logits(&self) -> Result<&Tensor> {
        match &self.said.words {
            Words::Logits(logits) => Ok(logits),
            Words::LogLikelihoods(_) => Err(Error::Usage(
                "federation.loss_at = \"server\": this method compares logits, which stay at the decoder then; expected \"client\"".into(),
            )),
        }
    }

    /// Log-likelihood of every answer token, or of every example's class or soft targets, `[rows]`.
    pub fn log_likelihoods(&self) -> Result<Tensor> {
        match &self.said.words {
            Words::Logits(logits) => {
                let hard = nn::log_likelihood(logits, &self.targets)?;
                match &self.soft {
                    Some(soft) => Ok(soft.log_likelihoods(logits, &hard)?),
                    None => Ok(hard),
                }
            }
            Words::LogLikelihoods(found) => Ok(found.clone()),
        }
    }

    /// Mean negative log-likelihood over the answer tokens: what every method descends.
    pub fn loss(&self) -> Result<Tensor> {
        Ok(self.log_likelihoods()?.mean_all()?.neg()?)
    }
}
