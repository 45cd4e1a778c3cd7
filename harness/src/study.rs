//! One experiment's prepared parts: examples as token sequences, cached image features, shards, adapters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Tensor;
use schema::card::Scoring;
use schema::experiment::Budget;
use schema::partition::Partition;
use schema::{Card, Experiment};
use seed::Seed;

use crate::accounting::clock::Stopwatch;
use crate::accounting::flops;
use crate::accounting::memory::available_bytes;
use crate::adapter::{Adapt, AdapterSpec, Adapters};
use crate::backbone::{Backbone, Batch, Embeddings, Sequence, Shown};
use crate::data::{Dataset, Example, ShardIndices, partition, prompt};
use crate::features::Features;
use crate::federation::link::{Traffic, split_passes};
use crate::federation::{Answers, Client, Scope, Task};
use crate::lengths::{check_lengths, check_memory, check_told_apart, options_of};
pub use crate::limits::check;
use crate::limits::check_steps;
use crate::metrics::evaluate::{Options, TestExample};
use crate::registry::MethodRow;
use crate::{Error, Result};

/// A training example, ready for batches.
#[derive(Debug, Clone)]
pub struct TrainExample {
    /// Its id.
    pub id: String,
    /// Prompt and gold answer.
    pub sequence: Sequence,
    /// What sending the raw row costs.
    pub raw_bytes: u64,
}

/// A dataset's split with its images' frozen features, shared by all experiments that use it with one backbone. The frozen tower
/// never changes, so each image that an experiment wants is computed once.
pub struct Split {
    /// The examples.
    pub dataset: Dataset,
    /// Where each of the dataset's images is among the features.
    shown: Vec<Shown>,
    /// What leaves the connector.
    features: Features,
    /// What enters the connector, for adapters that lie there.
    seen: Features,
    seconds: Mutex<f64>,
}

impl Split {
    /// A loaded split, no image of it computed yet. Of what is free now, a quarter may be taken by its images' features.
    pub fn new(dataset: Dataset, backbone: &dyn Backbone) -> Result<Self> {
        let shown = shown(backbone, &dataset)?;
        let squares = shown.iter().map(|shown| shown.tiles.squares()).sum();
        let room = available_bytes().map_or(u64::MAX, |free| free / 8);
        let [features, seen] = [(); 2].map(|()| Features::new(squares, room));
        Ok(Self { dataset, shown, features, seen, seconds: Mutex::new(0.0) })
    }

    /// Seconds that its images took.
    pub fn features_seconds(&self) -> f64 {
        *self.seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers of its images' features in memory.
    pub fn features_in_memory(&self) -> usize {
        self.features.numbers_in_memory() + self.seen.numbers_in_memory()
    }

    /// An example's pictures among the features.
    fn pictures(&self, example: &Example) -> Vec<Shown> {
        example.images.iter().map(|&image| self.shown[image]).collect()
    }

    /// Computes the features of some examples' images, unless they are there.
    fn prepare<'e>(
        &self,
        examples: impl IntoIterator<Item = &'e Example>,
        backbone: &dyn Backbone,
        adapter: &AdapterSpec,
    ) -> Result<()> {
        let clock = Stopwatch::start();
        let wanted = examples.into_iter().flat_map(|example| &example.images).map(|&image| (image, self.shown[image].rows()));
        match adapter.reaches_connector() {
            true => self.seen.prepare(wanted, |images| Ok(backbone.see(&self.pixels(images, backbone)?)?))?,
            false => self.features.prepare(wanted, |images| Ok(backbone.encode(&self.pixels(images, backbone)?)?))?,
        }
        *self.seconds.lock().unwrap_or_else(PoisonError::into_inner) += clock.seconds();
        Ok(())
    }

    /// Images as the tower sees them, `[squares, 3, size, size]`.
    fn pixels(&self, images: &[usize], backbone: &dyn Backbone) -> Result<Tensor> {
        let preprocess = backbone.preprocess();
        let size = preprocess.size;
        let mut pixels = Vec::with_capacity(images.len() * 3 * size * size);
        for &image in images {
            pixels.extend(self.dataset.pixels(image, preprocess)?);
        }
        let squares = pixels.len() / (3 * size * size);
        let pixels = Tensor::from_vec(pixels, (squares, 3, size, size), backbone.device())?;
        Ok(pixels.to_dtype(backbone.dtype())?)
    }

    /// A batch of this split's sequences as the decoder will see it.
    fn embed(&self, batch: &Batch, backbone: &dyn Backbone, adapter: &AdapterSpec) -> Result<Embeddings> {
        let (images, device) = (batch.images.to_vec1()?, batch.images.device());
        let in_order = Batch { images: Tensor::arange(0, images.len() as u32, device)?, ..batch.clone() };
        let (spec, dtype) = (backbone.spec(), backbone.dtype());
        let none = || Tensor::zeros((0, spec.image_tokens, spec.d_model), dtype, device);
        match adapter.reaches_connector() {
            true => Ok(backbone.embed_unconnected(&in_order, &self.seen.of(&images, none)?)?),
            false => Ok(backbone.embed(&in_order, &self.features.of(&images, none)?)?),
        }
    }
}

/// Where the squares of a dataset's images will be, one image after the other.
fn shown(backbone: &dyn Backbone, dataset: &Dataset) -> Result<Vec<Shown>> {
    let mut squares = 0;
    let place = |image: &Arc<[u8]>| {
        let shown = Shown { first: squares, tiles: backbone.preprocess().tiles(image)? };
        squares += shown.tiles.squares();
        Ok(shown)
    };
    dataset.images.iter().map(place).collect()
}

/// One experiment, prepared: all that training and evaluation read.
pub struct Study {
    experiment: Experiment,
    backbone: Arc<dyn Backbone>,
    adapter: AdapterSpec,
    initial: Adapters,
    train_split: Arc<Split>,
    test_split: Arc<Split>,
    train: Vec<TrainExample>,
    test: Vec<TestExample>,
    partition: Partition,
    shards: Vec<ShardIndices>,
    /// Of the training and the test examples.
    prompts_cut: [usize; 2],
    step_cost: f64,
}

impl Study {
    /// Prepares an experiment over loaded splits: samples, partitions, renders and tokenizes. The row is its method's.
    pub fn new(
        experiment: Experiment,
        row: &MethodRow,
        backbone: Arc<dyn Backbone>,
        train_split: Arc<Split>,
        test_split: Arc<Split>,
    ) -> Result<Self> {
        let seed = Seed::new(experiment.seed);
        let adapter = AdapterSpec::resolve(&experiment.adapter, row.adapter, backbone.spec())?;
        let initial = adapter.init(seed, crate::backbone::adapter_dtype(&*backbone), backbone.device())?;
        let kept = sample(&train_split.dataset.examples, experiment.data.train_limit, seed);
        let train_examples: Vec<_> = kept.iter().map(|&i| train_split.dataset.examples[i].clone()).collect();
        let test_examples = &test_split.dataset.examples;
        if row.scope != Scope::Nothing {
            train_split.prepare(&train_examples, &*backbone, &adapter)?;
        }
        test_split.prepare(test_examples, &*backbone, &adapter)?;

        let partition = match &experiment.partition.file {
            Some(file) => {
                let path = std::path::Path::new(file);
                let partition = partition::load(path)?;
                partition::check(&partition, path, &experiment.partition, &train_split.dataset.card.name)?;
                partition
            }
            None => partition::draw(
                &experiment.partition,
                experiment.seed,
                &train_split.dataset.card.name,
                &train_examples,
                test_examples,
            )?,
        };
        let shards = partition::resolve(&partition, &train_examples, test_examples)?;

        let limit = experiment.data.max_prompt_tokens;
        let virtual_tokens = if row.scope == Scope::Nothing { 0 } else { adapter.virtual_tokens() };
        let mut prompts_cut = [0, 0];
        let mut train = Vec::with_capacity(train_examples.len());
        for example in &train_examples {
            let rendered = prompt::render(example, template(&example.card, &experiment.data.prompt)?);
            let (sequence, cut) = backbone.text().training(&rendered, &train_split.pictures(example), limit)?;
            prompts_cut[0] += usize::from(cut);
            let sequence = sequence.behind_virtual_tokens(virtual_tokens);
            check_lengths(&example.id, &sequence, &sequence.branches)?;
            train.push(TrainExample { id: example.id.clone(), sequence, raw_bytes: example.raw_bytes });
        }
        if row.scope != Scope::Nothing {
            check_memory(&train, &experiment, &*backbone)?;
        }
        let owners = owners(&shards, test_examples.len());
        let mut test = Vec::with_capacity(test_examples.len());
        let mut options = Arc::<Options>::default();
        let mut told_apart = options.clone();
        for (example, shard) in test_examples.iter().zip(owners) {
            let template = template(&example.card, &experiment.data.prompt)?;
            let mut rendered = prompt::render(example, template);
            let texts = std::mem::take(&mut rendered.targets);
            let scoring = if texts.is_empty() { Scoring::Generation } else { example.card.scoring };
            let (sequence, cut) = backbone.text().scoring(&rendered, &test_split.pictures(example), limit)?;
            prompts_cut[1] += usize::from(cut);
            let sequence = sequence.behind_virtual_tokens(virtual_tokens);
            options = options_of(texts, example, backbone.text(), options)?;
            if scoring == Scoring::OptionLikelihood && !Arc::ptr_eq(&options, &told_apart) {
                check_told_apart(&example.id, &options)?;
                told_apart = options.clone();
            }
            check_lengths(&example.id, &sequence, &options.branches)?;
            let inputs = options.branches.iter().map(|branch| branch.tokens.len().saturating_sub(1)).sum::<usize>();
            test.push(TestExample {
                id: example.id.clone(),
                tokens: sequence.len() + inputs,
                sequence,
                options: options.clone(),
                rendered,
                target: template.target,
                scoring,
                option_score: example.card.option_score,
                shard,
            });
        }
        let step_cost = match experiment.federation.budget {
            Budget::Steps => 1.0,
            Budget::Flops => row.compute,
        };
        let study = Self {
            experiment,
            backbone,
            adapter,
            initial,
            train_split,
            test_split,
            train,
            test,
            partition,
            shards,
            prompts_cut,
            step_cost,
        };
        if row.scope != Scope::Nothing {
            let steps: Vec<usize> = (0..study.shards.len()).map(|client| study.steps_per_round(client)).collect();
            check_steps(&steps, row.scope == Scope::Pooled)?;
        }
        Ok(study)
    }

    /// The experiment.
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// The root of its randomness.
    pub fn seed(&self) -> Seed {
        Seed::new(self.experiment.seed)
    }

    /// The frozen model.
    pub fn backbone(&self) -> &dyn Backbone {
        &*self.backbone
    }

    /// What is trained.
    pub fn adapter(&self) -> &AdapterSpec {
        &self.adapter
    }

    /// The adapters everybody starts from.
    pub fn initial(&self) -> &Adapters {
        &self.initial
    }

    /// The dataset's card.
    pub fn card(&self) -> &Card {
        &self.train_split.dataset.card
    }

    /// The training split.
    pub fn train_split(&self) -> &Split {
        &self.train_split
    }

    /// The test split.
    pub fn test_split(&self) -> &Split {
        &self.test_split
    }

    /// Training examples.
    pub fn train(&self) -> &[TrainExample] {
        &self.train
    }

    /// Test examples.
    pub(crate) fn test(&self) -> &[TestExample] {
        &self.test
    }

    /// Test examples.
    pub fn num_test(&self) -> usize {
        self.test.len()
    }

    /// The partition as it is saved.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// The partition as indices.
    pub fn shards(&self) -> &[ShardIndices] {
        &self.shards
    }

    /// Prompts of either split that were longer than `data.max_prompt_tokens` and lost their beginning.
    pub fn prompts_cut(&self) -> usize {
        self.prompts_cut.iter().sum()
    }

    /// The same of the test split alone.
    pub fn test_prompts_cut(&self) -> usize {
        self.prompts_cut[1]
    }

    /// Optimizer steps of a client in a round.
    pub fn steps_per_round(&self, client: usize) -> usize {
        let federation = &self.experiment.federation;
        let per_epoch = self.shards[client].train.len().div_ceil(federation.batch_size);
        let steps = federation.local_steps.unwrap_or(per_epoch.saturating_mul(federation.local_epochs));
        if steps == 0 { 0 } else { ((steps as f64 / self.step_cost).round() as usize).max(1) }
    }

    /// Clients of a scope: one per shard, or one that holds all shards and all clients' steps.
    pub fn clients(&self, scope: Scope) -> Vec<Client<'_>> {
        let all = 0..self.shards.len();
        match scope {
            Scope::Nothing => Vec::new(),
            Scope::Shard => {
                all.map(|id| Client::new(id, self, self.shards[id].train.clone(), self.steps_per_round(id))).collect()
            }
            Scope::Pooled => {
                let steps = all.map(|id| self.steps_per_round(id)).sum();
                vec![Client::new(0, self, (0..self.train.len()).collect(), steps)]
            }
        }
    }

    /// The clients of a round: a seeded sample of `federation.cohort` of them, at least one, in id order.
    pub fn cohort(&self, round: usize, clients: usize) -> Vec<usize> {
        let wanted = ((self.experiment.federation.cohort * clients as f64).round() as usize).clamp(1, clients.max(1));
        let mut cohort = self.seed().round("cohort", round).sample(clients, wanted);
        cohort.sort_unstable();
        cohort
    }

    /// Those of a cohort whose updates never arrive: a seeded sample of `federation.dropout` of them, never all.
    pub fn dropped(&self, round: usize, cohort: &[usize]) -> Vec<usize> {
        let lost = self.share_of(cohort, self.experiment.federation.dropout).min(cohort.len().saturating_sub(1));
        self.some_of(cohort, lost, "dropout", round)
    }

    /// Those of a cohort that take fewer steps: a seeded sample of `federation.stragglers` of them.
    pub fn stragglers(&self, round: usize, cohort: &[usize]) -> Vec<usize> {
        self.some_of(cohort, self.share_of(cohort, self.experiment.federation.stragglers), "stragglers", round)
    }

    fn share_of(&self, cohort: &[usize], share: f64) -> usize {
        (share * cohort.len() as f64).round() as usize
    }

    fn some_of(&self, cohort: &[usize], count: usize, stream: &str, round: usize) -> Vec<usize> {
        self.seed().round(stream, round).sample(cohort.len(), count).into_iter().map(|i| cohort[i]).collect()
    }

    /// Whether a round ends with an evaluation.
    pub fn evaluates_after(&self, round: usize) -> bool {
        let every = self.experiment.evaluation.every;
        round == self.experiment.federation.rounds || (every > 0 && round.is_multiple_of(every))
    }

    /// Training examples as a batch.
    pub fn train_batch(&self, examples: &[usize]) -> Result<Batch> {
        let sequences: Vec<&Sequence> = examples.iter().map(|&i| &self.train[i].sequence).collect();
        self.batch(&sequences)
    }

    /// Sequences as a batch.
    pub(crate) fn batch(&self, sequences: &[&Sequence]) -> Result<Batch> {
        let backbone = self.backbone();
        Ok(Batch::new(sequences, backbone.text().image_token(), backbone.dtype(), backbone.device())?)
    }

    /// Log-likelihoods of a test batch's answer tokens, `[rows]`.
    pub(crate) fn test_log_likelihoods(&self, batch: &Batch, adapt: &dyn Adapt) -> Result<Tensor> {
        let embeddings = self.test_split.embed(batch, self.backbone(), &self.adapter)?;
        Ok(self.backbone.log_likelihoods(&embeddings, &batch.targets, adapt)?)
    }

    /// Logits of a test batch, `[rows, vocabulary]`.
    pub(crate) fn test_logits(&self, batch: &Batch, adapt: &dyn Adapt) -> Result<Tensor> {
        self.logits(batch, &self.test_split, adapt)
    }

    fn logits(&self, batch: &Batch, split: &Split, adapt: &dyn Adapt) -> Result<Tensor> {
        Ok(self.backbone.decode(&split.embed(batch, self.backbone(), &self.adapter)?, adapt)?)
    }
}

impl Task for Study {
    fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    fn adapter(&self) -> &AdapterSpec {
        &self.adapter
    }

    fn initial(&self) -> &Adapters {
        &self.initial
    }

    fn length(&self, example: usize) -> usize {
        self.train[example].sequence.len()
    }

    fn name(&self, example: usize) -> String {
        self.train[example].id.clone()
    }

    fn raw_bytes(&self, example: usize) -> u64 {
        self.train[example].raw_bytes
    }

    fn answers(&self, examples: &[usize], adapters: &Adapters) -> Result<Answers> {
        let batch = self.train_batch(examples)?;
        let logits = self.logits(&batch, &self.train_split, &self.adapter.attach(adapters)?)?;
        let passes = match self.adapter.is_split() {
            true => split_passes(&batch, self.backbone.spec(), self.experiment.federation.loss_at),
            false => [Traffic::default(); 2],
        };
        let sequences: Vec<&Sequence> = examples.iter().map(|&i| &self.train[i].sequence).collect();
        let flops = flops::passes(&sequences, self.backbone.spec(), &self.adapter);
        Ok(Answers { logits, targets: batch.targets, passes, flops })
    }
}

/// The card's prompt variant of this name.
pub fn template<'c>(card: &'c Card, name: &str) -> Result<&'c schema::card::Prompt> {
    card.prompts.get(name).ok_or_else(|| {
        Error::unknown(&format!("prompt of dataset `{}`", card.name), name, card.prompts.keys().map(String::as_str))
    })
}

/// A seeded sample of `limit` of each dataset's examples, in their order.
fn sample(examples: &[Example], limit: Option<usize>, seed: Seed) -> Vec<usize> {
    let mut by_dataset: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, example) in examples.iter().enumerate() {
        by_dataset.entry(&example.card.name).or_default().push(index);
    }
    let mut stream = seed.stream("train-limit");
    let mut kept: Vec<usize> = Vec::new();
    for of_dataset in by_dataset.into_values() {
        match limit {
            Some(limit) if limit < of_dataset.len() => {
                kept.extend(stream.sample(of_dataset.len(), limit).into_iter().map(|i| of_dataset[i]));
            }
            _ => kept.extend(of_dataset),
        }
    }
    kept.sort_unstable();
    kept
}

/// The client whose test shard holds each example.
fn owners(shards: &[ShardIndices], n: usize) -> Vec<Option<usize>> {
    let owner: BTreeMap<usize, usize> =
        shards.iter().enumerate().flat_map(|(client, shard)| shard.test.iter().map(move |&example| (example, client))).collect();
    (0..n).map(|example| owner.get(&example).copied()).collect()
}
