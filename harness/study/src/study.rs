//! One experiment, put together: what is prepared, who takes part when, and who judges.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use data::{Example, ShardIndices, partition};
use federation::link::{Traffic, split_passes};
use federation::registry::MethodRow;
use federation::{Answers, Checkpoints, Engine, Federation, Host, Method, Outcome, Schedule, Soft, Task, Watch};
use models::adapter::{AdapterSpec, Adapters};
use models::crossing::{Crossing, Said};
use models::{Backbone, Batch, Sequence, flops};
use schema::experiment::Checkpoint;
use schema::partition::Partition;
use schema::{Card, Experiment, Scope};
use seed::Seed;
use tasks::doubts::doubts;
use tasks::lookup::lookups;
use tasks::prepare::{Asking, TrainExample, check_memory, step_bytes};
use tasks::{Judge, Split};

use crate::by_class::{self, ByClass, Rows};
use crate::check::{check_steps, check_warm};
use crate::{Error, Result};

/// One experiment, prepared: all that training and evaluation read.
pub struct Study {
    experiment: Experiment,
    row: MethodRow,
    backbone: Arc<dyn Backbone>,
    adapter: AdapterSpec,
    initial: Adapters,
    head: Adapters,
    train_split: Arc<Split>,
    train: Vec<TrainExample>,
    judge: Judge,
    partition: Partition,
    shards: Vec<ShardIndices>,
    schedule: Schedule,
    prompts_cut: usize,
    lookups: Vec<f64>,
    /// What classes leave out, in words.
    beyond_classes: Vec<String>,
}

/// How much of an experiment a process has to do, and so which pictures it has to see: all of its tables it has anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All.
    Whole,
    /// The server's: it judges, and its clients are elsewhere.
    Server,
    /// These clients': they train, and judge themselves if they have adapters or a head of their own.
    Clients(Vec<usize>),
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
        Self::of_part(experiment, row, backbone, train_split, test_split, &Part::Whole)
    }

    /// The same for a process that does a part of it.
    pub fn of_part(
        experiment: Experiment,
        row: &MethodRow,
        backbone: Arc<dyn Backbone>,
        train_split: Arc<Split>,
        test_split: Arc<Split>,
        part: &Part,
    ) -> Result<Self> {
        let (seed, trains) = (Seed::new(experiment.seed), row.scope != Scope::Nothing);
        by_class::check(backbone.spec(), row)?;
        let adapter = row.resolve(&experiment.adapter, backbone.spec())?;
        let asking = Asking {
            backbone: &*backbone,
            prompt: &experiment.data.prompt,
            max_prompt_tokens: experiment.data.max_prompt_tokens,
            virtual_tokens: if trains { adapter.virtual_tokens() } else { 0 },
        };
        asking.check(&train_split.dataset.card)?;
        let dtype = models::adapter_dtype(&*backbone);
        let drawn = adapter.init(seed, dtype, backbone.device())?;
        let initial = match &experiment.adapter.start {
            Some(file) => saved(Path::new(file), &drawn, &adapter)?,
            None => drawn,
        };
        let head = adapter.init_private(seed, dtype, backbone.device())?;
        let kept = sample(&train_split.dataset.examples, experiment.data.train_limit, seed);
        let mut train_examples: Vec<_> = kept.iter().map(|&i| train_split.dataset.examples[i].clone()).collect();
        let test_examples = &test_split.dataset.examples;
        let mut partition = partition_of(&experiment, &train_split.dataset.card.name, &train_examples, test_examples)?;
        // A saved one may be of the whole split.
        let left_out: BTreeSet<&String> = test_split.dataset.deduplicated.iter().collect();
        partition.shards.iter_mut().for_each(|shard| shard.test.retain(|id| !left_out.contains(id)));
        let mut shards = partition::resolve(&partition, &train_examples, test_examples)?;
        part.check(row, shards.len())?;
        let (train, test) = (&mut train_examples, &**test_examples);
        let rows = Rows { train, shards: &mut shards, partition: &mut partition, test };
        let by_class = ByClass::of(backbone.spec(), &adapter, &train_split.tasks, rows)?;
        if trains {
            train_split.prepare(
                part.trained_on(train_examples.len(), &shards).into_iter().map(|i| &train_examples[i]),
                &*backbone,
                &adapter,
            )?;
        }
        let (train, prompts_cut) = asking.to_train(&train_split, &train_examples, by_class.as_ref().map(|by| &*by.rights))?;
        let of_shards = shards.iter().map(|shard| shard.test.clone()).collect();
        let mut judge = Judge::new(backbone.clone(), &asking, adapter.clone(), test_split, of_shards, &experiment.evaluation)?;
        let (heads, beyond_classes) = by_class.map(|by| (by.heads, by.doubts)).unzip();
        judge.heads = heads;
        if experiment.evaluation.blind {
            judge.split.check_pictures()?;
        }
        if part.judges(row, &adapter) {
            judge.see()?;
        }
        let lookups = lookups(&judge, &train_examples);
        let of_clients = shards.iter().map(|shard| shard.train.len());
        let schedule = Schedule::new(&experiment.federation, &experiment.evaluation, seed, of_clients, row.compute);
        if trains {
            check_memory(&train, experiment.federation.batch_size, &*backbone, experiment.backbone.checkpoint)?;
            check_steps(schedule.steps(), row.scope == Scope::Pooled)?;
            check_warm(&experiment, schedule.steps(), row.scope == Scope::Pooled)?;
        }
        Ok(Self {
            experiment,
            row: *row,
            backbone,
            adapter,
            initial,
            head,
            train_split,
            train,
            judge,
            partition,
            shards,
            schedule,
            prompts_cut,
            lookups,
            beyond_classes: beyond_classes.unwrap_or_default(),
        })
    }

    /// As the loop of rounds sees it.
    pub fn federation(&self) -> Federation<'_> {
        let (judge, schedule, shards) = (&self.judge, &self.schedule, &*self.shards);
        Federation { row: &self.row, task: self, judge, schedule, shards, device: self.backbone.device() }
    }

    /// A host of all its clients, with the method that the experiment names.
    pub fn host(&self) -> Result<Host<'_>> {
        Ok(Host::new(self.federation(), (self.row.build)(&self.experiment.method.options)?))
    }

    /// Runs it with a method, whose clients an engine has.
    pub fn run(&self, method: &mut dyn Method, engine: &mut dyn Engine, watch: &dyn Watch) -> Result<Outcome> {
        self.run_from(method, engine, watch, &mut ())
    }

    /// The same from the last checkpoint that somebody keeps.
    pub fn run_from(
        &self,
        method: &mut dyn Method,
        engine: &mut dyn Engine,
        watch: &dyn Watch,
        checkpoints: &mut dyn Checkpoints,
    ) -> Result<Outcome> {
        Ok(federation::run_from(self.federation(), method, engine, watch, checkpoints)?)
    }

    /// The experiment.
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// What is known of its method.
    pub fn row(&self) -> &MethodRow {
        &self.row
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
        &self.judge.split
    }

    /// Training examples.
    pub fn train(&self) -> &[TrainExample] {
        &self.train
    }

    /// Who says what adapters are worth.
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// The partition as it is saved.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// The partition as indices.
    pub fn shards(&self) -> &[ShardIndices] {
        &self.shards
    }

    /// Who takes part when.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Prompts of either split that were longer than `data.max_prompt_tokens` and lost their beginning.
    pub fn prompts_cut(&self) -> usize {
        self.prompts_cut + self.judge.prompts_cut
    }

    /// What its training rows' texts alone answer ([`tasks::lookup`]), of each of its judge's parts.
    pub fn lookups(&self) -> &[f64] {
        &self.lookups
    }

    /// What its data make doubtful, in words: scores that nobody can reach, rows that are there twice, texts that are not asked as they
    /// are.
    pub fn doubts(&self) -> Vec<String> {
        let of_data = doubts(&self.judge, Some(&self.train_split));
        of_data.into_iter().chain(self.beyond_classes.iter().cloned()).collect()
    }

    /// Bytes that a step on the longest examples takes, about, besides weights and features.
    pub fn step_bytes(&self) -> u64 {
        let experiment = &self.experiment;
        step_bytes(&self.train, experiment.federation.batch_size, self.backbone().spec(), experiment.backbone.checkpoint)
    }

    /// Training examples as a batch.
    pub fn train_batch(&self, examples: &[usize]) -> candle_core::Result<Batch> {
        let (sequences, backbone) = (self.sequences(examples), self.backbone());
        let mut batch = Batch::new(&sequences, backbone.text().image_token(), backbone.dtype(), backbone.device())?;
        batch.checkpoint = self.experiment.backbone.checkpoint == Checkpoint::Block;
        Ok(batch)
    }

    fn sequences(&self, examples: &[usize]) -> Vec<&Sequence> {
        examples.iter().map(|&i| &self.train[i].sequence).collect()
    }

    fn answers_to(&self, examples: &[usize], adapters: &Adapters) -> federation::Result<Answers> {
        let (batch, backbone) = (self.train_batch(examples)?, self.backbone());
        let embeddings = self.train_split.embed(&batch, backbone, &self.adapter)?;
        let attached = self.adapter.attach(adapters)?;
        let crossing =
            Crossing { activations: self.experiment.federation.activations, loss_at: self.experiment.federation.loss_at };
        let (said, passes) = match self.adapter.is_split() {
            true => {
                let said = backbone.said(&embeddings, &batch.targets, &attached, crossing)?;
                (said, split_passes(&batch, backbone, crossing))
            }
            false => (Said::here(backbone.decode(&embeddings, &attached)?), [Traffic::default(); 2]),
        };
        let flops = flops::passes(&self.sequences(examples), backbone.spec(), &self.adapter);
        let soft = self.soft(examples)?;
        Ok(Answers { said, targets: batch.targets, soft, passes, flops })
    }

    /// Soft targets of a batch, if any of its rows has some.
    fn soft(&self, examples: &[usize]) -> candle_core::Result<Option<Soft>> {
        let Some(width) = examples.iter().find_map(|&i| self.train[i].soft.as_ref()).map(Vec::len) else { return Ok(None) };
        let targets = examples.iter().flat_map(|&i| self.train[i].soft.clone().unwrap_or_else(|| vec![0.0; width])).collect();
        let rows: Vec<u8> = examples.iter().map(|&i| u8::from(self.train[i].soft.is_some())).collect();
        let (dtype, device) = (models::adapter_dtype(self.backbone()), self.backbone().device());
        let targets = Tensor::from_vec(targets, (examples.len(), width), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?;
        Ok(Some(Soft { targets, rows: Tensor::new(rows, device)? }))
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

    fn head(&self) -> Adapters {
        self.head.clone()
    }

    fn examples(&self) -> usize {
        self.train.len()
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

    fn answers(&self, examples: &[usize], adapters: &Adapters) -> federation::Result<Answers> {
        self.answers_to(examples, adapters)
    }
}

impl Part {
    /// Fails unless the method has clients, and these among them.
    fn check(&self, row: &MethodRow, clients: usize) -> Result<()> {
        let wrong = match self {
            Self::Whole => None,
            _ if row.scope != Scope::Shard => Some(format!("method `{}` has no clients that could be elsewhere", row.name)),
            Self::Clients(ids) if ids.is_empty() => Some("a worker needs at least one client".into()),
            Self::Clients(ids) => ids
                .iter()
                .find(|id| **id >= clients)
                .map(|id| format!("there is no client {id}: the experiment's are 0 to {}", clients.saturating_sub(1))),
            Self::Server => None,
        };
        wrong.map_or(Ok(()), |wrong| Err(Error::Usage(wrong)))
    }

    /// The training examples whose pictures it has to see.
    fn trained_on(&self, examples: usize, shards: &[ShardIndices]) -> Vec<usize> {
        match self {
            Self::Whole => (0..examples).collect(),
            Self::Server => Vec::new(),
            Self::Clients(ids) => ids.iter().flat_map(|id| shards[*id].train.iter().copied()).collect(),
        }
    }

    /// Whether it answers test examples: the server does, and clients with adapters or a head of their own are asked for all.
    fn judges(&self, row: &MethodRow, adapter: &AdapterSpec) -> bool {
        !matches!(self, Self::Clients(_)) || row.personal || adapter.private_head().is_some()
    }
}

/// Saved adapters to start from: all that would be drawn, and nothing else but clients' own, which stay out of it.
fn saved(path: &Path, drawn: &Adapters, spec: &AdapterSpec) -> Result<Adapters> {
    let wrong = |what: String| Error::Usage(format!("adapter.start = \"{}\": {what}", path.display()));
    let file = Adapters::read(path, &Device::Cpu)?.filter(|name| !name.starts_with("client-"));
    let mut start = Adapters::default();
    for (name, place) in drawn.iter() {
        let missing = || wrong(format!("`{name}` is missing; it holds {}", listed(&file)));
        let tensor = file.get(name).ok_or_else(missing)?;
        start.insert(name.clone(), tensor.to_dtype(place.dtype()).and_then(|tensor| tensor.to_device(place.device()))?);
    }
    let shown =
        |what: String| wrong(format!("{what} has no place among adapters of kind {} and rank {}", spec.kind.name, spec.rank));
    if let Some((name, _)) = file.iter().find(|(name, _)| drawn.get(name).is_none()) {
        return Err(shown(format!("`{}`", guard::text::line(name, 120))));
    }
    match spec.misfit(&start, false) {
        Some(tensor) => Err(shown(format!("`{tensor}`"))),
        None => Ok(start),
    }
}

/// The first few tensors of a file.
fn listed(file: &Adapters) -> String {
    let names: Vec<String> = file.iter().take(4).map(|(name, _)| format!("`{}`", guard::text::line(name, 80))).collect();
    if names.is_empty() { "no adapters".into() } else { format!("{}, ...", names.join(", ")) }
}

/// The partition that the experiment's file holds, or one that is drawn.
fn partition_of(experiment: &Experiment, dataset: &str, train: &[Example], test: &[Example]) -> Result<Partition> {
    let Some(file) = &experiment.partition.file else {
        return Ok(partition::draw(&experiment.partition, experiment.seed, dataset, train, test)?);
    };
    let path = Path::new(file);
    let partition = partition::load(path)?;
    partition::check(&partition, path, &experiment.partition, dataset)?;
    Ok(partition)
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
