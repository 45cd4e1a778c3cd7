//! Does the gate see a regression that was planted on purpose, and nothing where there is none? Runs of the embedded backbone on
//! IconGen, written as run folders and read back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use candle_core::Device;
use data::{Answer, Dataset};
use data_scripts::generators;
use fedbench::runner;
use federation::registry::Registry;
use federation::{self, Client, InProcess, Method, Round, Sets, Unwatched, Update};
use models::adapter::Adapters;
use models::llava::Llava;
use models::{Backbone, nano};
use reports::Report;
use reports::gate::{Gate, Quantity, Rule, Verdict};
use schema::{Environment, Experiment};
use serde_json::Value;
use study::Study;
use study::record::RunDir;
use tasks::Split;
use tempfile::TempDir;

use crate::support::{Test, setup};

const RULE: Rule = Rule { margin: 0.02, loss_margin: 0.3, alpha: 0.05, allow_dirty: false, strict: false };

/// What is wrong with the code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Plant {
    Nothing,
    /// Optimizers that take no step.
    LearningRateZero,
    /// Updates that the server never gets.
    AdaptersNotSent,
    /// Fisher merging with 1 / F for F.
    FisherInverted,
    /// Training on the next choice instead of the right one.
    LabelsShifted,
    /// A decoder without its last block.
    LastLayerDropped,
}

struct World {
    backbone: Arc<dyn Backbone>,
    train: Arc<Split>,
    test: Arc<Split>,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| make_world(nano_of(None)).expect("the world"))
}

/// The embedded backbone, with so many blocks.
fn nano_of(blocks: Option<usize>) -> Arc<dyn Backbone> {
    setup();
    let load = || -> Result<Llava> {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/assets/nano");
        let [weights, tokenizer] = ["model.safetensors", "tokenizer.json"].map(|name| std::fs::read(assets.join(name)));
        let mut config = nano::config()?;
        config.text_config.num_hidden_layers = blocks.unwrap_or(config.text_config.num_hidden_layers);
        Ok(Llava::from_bytes("nano", &config, &weights?, &tokenizer?, &Device::Cpu)?)
    };
    Arc::new(load().expect("the embedded backbone"))
}

fn make_world(backbone: Arc<dyn Backbone>) -> Result<World> {
    let folder = tempfile::tempdir()?;
    let generator = generators::find("icongen").context("no such generator")?;
    let card = generators::write(generator, folder.path(), Some((300, 400)), 7)?;
    let load = |split: &str| -> Result<Arc<Split>> {
        Ok(Arc::new(Split::new(Dataset::load(folder.path(), &card, split, None)?, &*backbone)?))
    };
    Ok(World { train: load("train")?, test: load("test")?, backbone })
}

/// Clients that are alike, whose Fishers are too.
const ALIKE: &str = "clients = 3\n[federation]\nrounds = 4";
/// A client per skill, tuned for long: what they have learnt differs, so the Fisher decides what is merged.
const UNLIKE: &str = "scheme = \"natural\"\nkey = \"skills\"\nmin_examples = 1\n[federation]\nrounds = 3\nlocal_epochs = 3";

fn experiment(method: &str, clients: &str, seed: u64, plant: Plant) -> Result<Experiment> {
    let rate = if plant == Plant::LearningRateZero { 0.0 } else { 5e-3 };
    let text = format!(
        "seed = {seed}\n[data]\ndataset = \"icongen\"\n[partition]\n{clients}\nbatch_size = 16\n\
         [optimizer]\nlearning_rate = {rate}\n[method]\nname = \"{method}\"\n[evaluation]\nevery = 0\n"
    );
    Ok(toml::from_str(&text)?)
}

/// A method whose server does not do what it should.
struct Broken {
    method: Box<dyn Method>,
    plant: Plant,
}

impl Method for Broken {
    fn train(&self, client: &mut Client, received: &Sets) -> federation::Result<Update> {
        self.method.train(client, received)
    }

    fn sends(&self, round: Round) -> &'static [&'static str] {
        self.method.sends(round)
    }

    fn receive(&mut self, update: Update, global: &Adapters, round: Round) -> federation::Result<()> {
        match self.plant {
            Plant::FisherInverted => self.method.receive(with_inverted_fisher(&update)?, global, round),
            _ => self.method.receive(update, global, round),
        }
    }

    fn aggregate(&mut self, global: &Adapters, round: Round) -> federation::Result<Adapters> {
        let merged = self.method.aggregate(global, round)?;
        Ok(if self.plant == Plant::AdaptersNotSent { global.clone() } else { merged })
    }

    fn config(&self) -> BTreeMap<String, Value> {
        self.method.config()
    }
}

fn with_inverted_fisher(update: &Update) -> federation::Result<Update> {
    let invert = |(name, fisher): (&String, &candle_core::Tensor)| Ok((name.clone(), (fisher + 1e-12)?.recip()?));
    let fisher = update.set("fisher")?.iter().map(invert).collect::<federation::Result<Adapters>>()?;
    Ok(update.clone().with("fisher", fisher))
}

/// The training split with every answer moved to the next choice.
fn shifted(split: &Split, backbone: &dyn Backbone) -> Result<Arc<Split>> {
    let mut dataset = split.dataset.clone();
    for example in &mut dataset.examples {
        if let Answer::Choice(right) = &mut example.answer {
            *right = (*right + 1) % example.choices.len();
        }
    }
    Ok(Arc::new(Split::new(dataset, backbone)?))
}

/// Run folders, which the gate reads again, and their report.
struct Runs {
    _folder: TempDir,
    report: Report,
}

impl Runs {
    fn against(&self, baseline: &Self) -> Gate {
        Gate::new(&baseline.report, &self.report, RULE)
    }
}

/// Runs a method with this code over seeds.
fn runs(method: &str, clients: &str, seeds: impl IntoIterator<Item = u64>, plant: Plant) -> Result<Runs> {
    let sound = world();
    let dropped;
    let world = match plant {
        Plant::LastLayerDropped => {
            let blocks = nano::config()?.text_config.num_hidden_layers - 1;
            dropped = make_world(nano_of(Some(blocks)))?;
            &dropped
        }
        _ => sound,
    };
    let train = match plant {
        Plant::LabelsShifted => shifted(&world.train, &*world.backbone)?,
        _ => world.train.clone(),
    };
    let row = Registry::new(baselines::METHODS).find(method)?;
    let folder = tempfile::tempdir()?;
    for seed in seeds {
        let mut experiment = experiment(method, clients, seed, plant)?;
        let study = Study::new(experiment.clone(), &row, world.backbone.clone(), train.clone(), world.test.clone())?;
        let mut broken = Broken { method: (row.build)(&BTreeMap::new())?, plant };
        let outcome = study.run(&mut broken, &mut InProcess::new(study.host()?), &Unwatched)?;
        // A bug is not in the config: the gate sees the same experiment.
        experiment.optimizer.learning_rate = 5e-3;
        let name = format!("{method}-s{seed}");
        let run = RunDir::create(folder.path(), &name)?;
        run.write_setup(&study, &environment())?;
        run.write_toml(schema::run_dir::EXPERIMENT, &experiment)?;
        run.write_outcome(&study, &outcome, &runner::summary(&name, &study, &row, &outcome))?;
    }
    let report = Report::read(&[folder.path().into()])?;
    Ok(Runs { _folder: folder, report })
}

fn environment() -> Environment {
    Environment {
        resumed_after: None,
        program: None,
        format: 0,
        version: "0".into(),
        commit: "test".into(),
        dirty: false,
        command: Vec::new(),
        started: "2026-01-01T00:00:00Z".into(),
        rustc: String::new(),
        libraries: BTreeMap::new(),
        platform: String::new(),
        cpu: String::new(),
        device: "cpu".into(),
        threads: 1,
        kernels: BTreeMap::new(),
        backbone_sha256: "nano".into(),
        downloads: Vec::new(),
        doubts: Vec::new(),
        inputs: None,
        hosts: Vec::new(),
    }
}

/// A planted regression fails the gate, by accuracy.
#[test]
fn planted_regressions_fail() -> Test {
    let baseline = runs("fedavg-lora", ALIKE, 1..=3, Plant::Nothing)?;
    for plant in [Plant::LearningRateZero, Plant::AdaptersNotSent, Plant::LabelsShifted, Plant::LastLayerDropped] {
        let gate = runs("fedavg-lora", ALIKE, 4..=6, plant)?.against(&baseline);
        assert!(gate.errors.is_empty() && gate.checks[0].verdict == Verdict::Regressed, "{plant:?}: {}", gate.text());
    }
    Ok(())
}

/// Merging by the inverse of the Fisher leaves accuracy as it is, even here; but wrong answers are given with more confidence, so the
/// log-loss rises.
#[test]
fn an_inverted_fisher_fails_by_the_loss() -> Test {
    let baseline = runs("fednano", UNLIKE, 1..=3, Plant::Nothing)?;
    let gate = runs("fednano", UNLIKE, 4..=6, Plant::FisherInverted)?.against(&baseline);
    let loss = gate.checks.iter().find(|check| check.quantity == Quantity::Loss).context("no log-loss")?;
    assert!(gate.errors.is_empty() && loss.verdict == Verdict::Regressed, "{}", gate.text());
    Ok(())
}

/// Fifty times the same code with other seeds: none fails. `cargo test --release --workspace -- --ignored fifty`.
#[test]
#[ignore = "153 runs, about eight minutes"]
fn the_same_code_passes_fifty_times_of_fifty() -> Test {
    let baseline = runs("fedavg-lora", ALIKE, 1..=3, Plant::Nothing)?;
    for first in (10..160).step_by(3) {
        let gate = runs("fedavg-lora", ALIKE, first..first + 3, Plant::Nothing)?.against(&baseline);
        assert!(gate.passes(), "seeds {first} to {}: {}", first + 2, gate.text());
    }
    Ok(())
}
