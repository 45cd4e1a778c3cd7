//! Test examples behind a frozen backbone, ready to be answered with any adapters.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;
use models::adapter::{Adapt, AdapterSpec};
use models::{Backbone, Batch, Sequence};
use schema::Prediction;
use schema::experiment::EvaluationConfig;
use schema::metrics::Metric;

use crate::Result;
use crate::breakdown::breakdown;
use crate::example::TestExample;
use crate::prepare::Asking;
use crate::split::Split;

/// Whoever has one can say what adapters are worth: [`crate::judgement`] has the accuracies, [`crate::predict`] the answers.
pub struct Judge {
    /// The frozen model.
    pub backbone: Arc<dyn Backbone>,
    /// The adapters that are judged.
    pub adapter: AdapterSpec,
    /// Where the examples are from.
    pub split: Arc<Split>,
    /// All examples of the split.
    pub examples: Vec<TestExample>,
    /// Each client's test examples, by their places among these.
    pub shards: Vec<Vec<usize>>,
    /// Examples in a batch, and tokens of a generated answer.
    pub evaluation: EvaluationConfig,
    /// Prompts that were longer than asked for and lost their beginning.
    pub prompts_cut: usize,
}

impl Judge {
    /// A judge of adapters on a split whose images' features are prepared, with each client's test examples.
    pub fn new(
        backbone: Arc<dyn Backbone>,
        asking: &Asking,
        adapter: AdapterSpec,
        split: Arc<Split>,
        shards: Vec<Vec<usize>>,
        evaluation: &EvaluationConfig,
    ) -> Result<Self> {
        let (examples, prompts_cut) = asking.to_judge(&split, &owners(&shards, split.dataset.examples.len()))?;
        Ok(Self { backbone, adapter, split, examples, shards, evaluation: evaluation.clone(), prompts_cut })
    }

    /// Mean scores by kind of example ([`crate::breakdown`]).
    pub fn breakdown(&self, predictions: &[Prediction]) -> BTreeMap<Metric, f64> {
        breakdown(&self.split.dataset, predictions)
    }

    pub(crate) fn batch(&self, sequences: &[&Sequence]) -> Result<Batch> {
        let backbone = &*self.backbone;
        Ok(Batch::new(sequences, backbone.text().image_token(), backbone.dtype(), backbone.device())?)
    }

    /// Log-likelihoods of a batch's answer tokens, `[rows]`.
    pub(crate) fn log_likelihoods(&self, batch: &Batch, adapt: &dyn Adapt) -> Result<Tensor> {
        let embeddings = self.split.embed(batch, &*self.backbone, &self.adapter)?;
        Ok(self.backbone.log_likelihoods(&embeddings, &batch.targets, adapt)?)
    }

    /// Logits of a batch, `[rows, vocabulary]`.
    pub(crate) fn logits(&self, batch: &Batch, adapt: &dyn Adapt) -> Result<Tensor> {
        Ok(self.backbone.decode(&self.split.embed(batch, &*self.backbone, &self.adapter)?, adapt)?)
    }
}

/// The client whose test shard holds each example.
fn owners(shards: &[Vec<usize>], n: usize) -> Vec<Option<usize>> {
    let owner: BTreeMap<usize, usize> =
        shards.iter().enumerate().flat_map(|(client, shard)| shard.iter().map(move |&example| (example, client))).collect();
    (0..n).map(|example| owner.get(&example).copied()).collect()
}
