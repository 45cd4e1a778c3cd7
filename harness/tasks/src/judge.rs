//! Test examples behind a frozen backbone, ready to be answered with any adapters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use candle_core::Tensor;
use models::adapter::{Adapt, AdapterSpec};
use models::{Backbone, Batch, Sequence};
use schema::Prediction;
use schema::experiment::EvaluationConfig;
use schema::metrics::Metric;

use crate::breakdown::breakdown;
use crate::classes::Heads;
use crate::example::TestExample;
use crate::prepare::Asking;
use crate::reach::check_reach;
use crate::split::Split;
use crate::table::measure;
use crate::task::{Answered, Measure};
use crate::{Error, Result};

/// Examples that are judged by one metric.
pub struct Part<'a> {
    /// The dataset, or all of them.
    pub name: &'a str,
    /// By what they are judged.
    pub metric: &'static Measure,
    /// The examples.
    pub examples: Vec<&'a TestExample>,
    /// What classes stand for, of a backbone that answers by class.
    pub heads: Option<&'a Heads>,
}

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
    /// The score that the card's `metric` names, recorded as `accuracy`; of datasets with several metrics the first one's.
    pub metric: &'static Measure,
    /// Whether its datasets are judged by several metrics ([`Self::parts`]).
    pub is_mixed: bool,
    /// Each client's test examples, by their places among these.
    pub shards: Vec<Vec<usize>>,
    /// Examples in a batch, and tokens of a generated answer.
    pub evaluation: EvaluationConfig,
    /// What classes stand for, where the backbone answers by class.
    pub heads: Option<Heads>,
    /// Prompts that were longer than asked for and lost their beginning.
    pub prompts_cut: usize,
}

impl Judge {
    /// A judge of adapters on a split, with each client's test examples: its rows are rendered, and no picture is seen yet. A metric by
    /// which every answer to every row would be worth nothing is refused.
    pub fn new(
        backbone: Arc<dyn Backbone>,
        asking: &Asking,
        adapter: AdapterSpec,
        split: Arc<Split>,
        shards: Vec<Vec<usize>>,
        evaluation: &EvaluationConfig,
    ) -> Result<Self> {
        let dataset = &split.dataset;
        asking.check(&dataset.card)?;
        let (examples, prompts_cut) = asking.to_judge(&split, &owners(&shards, dataset.examples.len()))?;
        let card = dataset.card.each().next().unwrap_or(&dataset.card);
        let metric = measure(split.tasks.of(card)?, card)?;
        let is_mixed = dataset.card.is_mixed();
        let (evaluation, heads) = (evaluation.clone(), None);
        let judge = Self { backbone, adapter, split, examples, metric, is_mixed, shards, evaluation, heads, prompts_cut };
        judge.check_shards()?;
        judge.parts().iter().try_for_each(|part| check_reach(part.metric, &part.examples))?;
        Ok(judge)
    }

    /// The same examples without their pictures ([`Split::blind`]), seen already.
    pub fn blind(&self) -> Result<Self> {
        let split = Arc::new(self.split.blind(&*self.backbone)?);
        let judge = Self {
            backbone: self.backbone.clone(),
            adapter: self.adapter.clone(),
            split,
            examples: self.examples.clone(),
            metric: self.metric,
            is_mixed: self.is_mixed,
            shards: self.shards.clone(),
            evaluation: self.evaluation.clone(),
            heads: self.heads.clone(),
            prompts_cut: self.prompts_cut,
        };
        judge.see()?;
        Ok(judge)
    }

    /// Sees the pictures, which answering needs.
    pub fn see(&self) -> Result<()> {
        self.split.prepare(&self.split.dataset.examples, &*self.backbone, &self.adapter)
    }

    /// Its datasets where they are judged by several metrics, in their order; else all of it as one.
    pub fn parts(&self) -> Vec<Part<'_>> {
        if !self.is_mixed {
            let name = &*self.split.dataset.card.name;
            let (examples, heads) = (self.examples.iter().collect(), self.heads.as_ref());
            return vec![Part { name, metric: self.metric, examples, heads }];
        }
        let mut parts: Vec<Part> = Vec::new();
        for (example, asked) in self.split.dataset.examples.iter().zip(&self.examples) {
            let name = &*example.card.name;
            match parts.iter_mut().find(|part| part.name == name) {
                Some(part) => part.examples.push(asked),
                None => {
                    let (examples, heads) = (vec![asked], self.heads.as_ref());
                    parts.push(Part { name, metric: asked.metric, examples, heads });
                }
            }
        }
        parts
    }

    /// Each client is judged by one metric.
    fn check_shards(&self) -> Result<()> {
        for (client, shard) in self.shards.iter().enumerate().filter(|_| self.is_mixed) {
            let metrics: BTreeSet<&str> = shard.iter().map(|&example| self.examples[example].metric.row.name).collect();
            if metrics.len() > 1 {
                let metrics = metrics.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
                return Err(Error::Usage(format!(
                    "client {client} has test rows that are judged by {metrics}, of which there is no mean; a federation of several metrics has \
                     its datasets at different clients: `partition.scheme = \"natural\"` with `partition.key = \"dataset\"`"
                )));
            }
        }
        Ok(())
    }

    /// By the card's metric; none of no answers, and of answers that are judged by several metrics.
    pub(crate) fn accuracy(&self, predictions: &[&Prediction]) -> Option<f64> {
        if !self.is_mixed {
            return self.worth(self.metric, predictions);
        }
        let places: BTreeMap<&str, &TestExample> = self.examples.iter().map(|example| (&*example.id, example)).collect();
        let mut metrics = predictions.iter().filter_map(|prediction| Some(places.get(&*prediction.example)?.metric));
        let first = metrics.next()?;
        if metrics.all(|metric| metric.row.name == first.row.name) { self.worth(first, predictions) } else { None }
    }

    /// The examples that a client is asked, in order: its own test shard's, or (if `everywhere`) all.
    pub fn asked(&self, client: usize, everywhere: bool) -> Vec<usize> {
        if everywhere { (0..self.examples.len()).collect() } else { self.shards[client].clone() }
    }

    /// The card's metric by kind of example ([`crate::breakdown`]), and the other scores of its tasks.
    pub fn breakdown(&self, predictions: &[Prediction]) -> BTreeMap<Metric, f64> {
        let worth = |of_kind: &[&Prediction]| self.accuracy(of_kind);
        let mut found = breakdown(&self.split.dataset, predictions, worth);
        for further in self.further() {
            let name = further.row.name;
            let has = |example: &TestExample| example.metric.row.name != name && example.task.score(name).is_some();
            let of_these: BTreeSet<&str> =
                self.examples.iter().filter(|example| has(example)).map(|example| &*example.id).collect();
            let of_these: Vec<&Prediction> = predictions.iter().filter(|p| of_these.contains(&*p.example)).collect();
            found.extend(self.worth(further, &of_these).map(|value| (Metric::ScoreOf(further.row.name.into()), value)));
        }
        found
    }

    /// The scores of its examples' tasks that are not the card's metric, each once.
    fn further(&self) -> Vec<&'static Measure> {
        let mut found: Vec<&'static Measure> = Vec::new();
        for example in &self.examples {
            for score in example.task.scores {
                let name = score.row.name;
                if name != example.metric.row.name && found.iter().all(|known| known.row.name != name) {
                    found.push(score);
                }
            }
        }
        found
    }

    /// What answers are worth together; none of none. A corpus is one answerer's, and of several the mean counts.
    pub(crate) fn worth(&self, score: &Measure, predictions: &[&Prediction]) -> Option<f64> {
        let value = |prediction: &&Prediction| match prediction.further.get(score.row.name) {
            Some(value) => *value,
            None => prediction.value(),
        };
        match score.aggregate.together() {
            None => mean(predictions.iter().map(value)),
            Some(together) => {
                let places: BTreeMap<&str, &TestExample> = self.examples.iter().map(|example| (&*example.id, example)).collect();
                let mut by_answerer: BTreeMap<Option<u32>, Vec<Answered>> = BTreeMap::new();
                for prediction in predictions {
                    if let Some(example) = places.get(&*prediction.example) {
                        let answered = Answered { text: &prediction.prediction, gold: example.gold() };
                        by_answerer.entry(prediction.client).or_default().push(answered);
                    }
                }
                mean(by_answerer.values().map(|corpus| together(corpus)))
            }
        }
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

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// The client whose test shard holds each example.
fn owners(shards: &[Vec<usize>], n: usize) -> Vec<Option<usize>> {
    let owner: BTreeMap<usize, usize> =
        shards.iter().enumerate().flat_map(|(client, shard)| shard.iter().map(move |&example| (example, client))).collect();
    (0..n).map(|example| owner.get(&example).copied()).collect()
}
