//! `fedbench eval`: a backbone, zero-shot or with saved adapters, on a dataset's split.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use federation::Scope;
use federation::registry::Registry;
use models::adapter::{Adapters, Shape};
use schema::experiment::{
    AdapterConfig, BackboneConfig, DataConfig, EvaluationConfig, FederationConfig, MethodConfig, OptimizerConfig, PartitionConfig,
};
use schema::metrics::Metric;
use schema::{Experiment, Inputs, manifest, run_dir};
use serde::Serialize;
use study::record::RunDir;

use super::adapters::{self, Whose};
use super::{note, place, say};
use crate::environment::environment;
use crate::held::nothing_there;
use crate::locate::locate_all;
use crate::located::card_of;
use crate::session::Session;

/// Judge a backbone, with or without adapters; writes predictions.
#[derive(Args)]
pub(crate) struct Eval {
    /// A backbone's name, folder or id on the Hub.
    #[arg(long)]
    backbone: String,
    /// Where the language model of `smol` lies: a GGUF file or a folder.
    #[arg(long)]
    weights: Option<String>,
    /// A dataset's name, card or folder.
    #[arg(long)]
    dataset: String,
    /// The split.
    #[arg(long, default_value = "test")]
    split: String,
    /// The card's prompt variant.
    #[arg(long, default_value = "default")]
    prompt: String,
    /// At most so many examples.
    #[arg(long)]
    limit: Option<usize>,
    /// A longer prompt loses its beginning.
    #[arg(long, default_value_t = 512)]
    max_prompt_tokens: usize,
    /// Adapters from a run folder (`adapters.safetensors`); its experiment.toml beside it says what they are.
    #[arg(long)]
    adapters: Option<PathBuf>,
    /// Whose of these: a client's number, for the adapters that a run keeps for each client, or `shared`.
    #[arg(long, requires = "adapters")]
    client: Option<Whose>,
    /// Examples in a batch; changes speed, never a prediction.
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// `cpu` or `cuda:N`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// How the weights are held: `f32`, `bf16` or `f16`.
    #[arg(long)]
    dtype: Option<String>,
    /// Take adapters of a run whatever its checksums say.
    #[arg(long)]
    no_verify: bool,
    /// Where predictions go; no run's folder.
    #[arg(long)]
    out: PathBuf,
}

/// `evaluation.json`.
#[derive(Serialize)]
struct Evaluation {
    /// SHA-256 over all that the numbers depend on: another evaluation may not take this one's place.
    identity: String,
    backbone: String,
    dataset: String,
    split: String,
    prompt: String,
    adapters: Option<String>,
    /// The client whose own adapters these are.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<usize>,
    examples: usize,
    skipped: usize,
    prompts_cut: usize,
    accuracy: f64,
    chance_accuracy: f64,
    majority_accuracy: f64,
    unparsed_rate: f64,
    /// The card's metric; `accuracy` holds its value.
    metric: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    breakdown: BTreeMap<Metric, f64>,
}

impl Eval {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        // First, so that nobody waits for what cannot be written, or is written by two.
        place::check_outside_runs(&self.out)?;
        // Dropped behind the folder's lock: a failed evaluation leaves no empty folder.
        let _made = place::Made::on_the_way(&self.out);
        let folder = RunDir::beside_runs(&self.out)?;
        place::check_for_evaluation(&self.out)?;
        let adapter = self.adapter_config(session.registry())?;
        let experiment = self.experiment(adapter);
        let located = locate_all(&self.dataset)?;
        study::check(&experiment, &card_of(&located)?)?;
        let backbone = session.backbone(&self.backbone_config())?;
        let split = session.split(&located, &self.split, self.limit, &backbone)?;
        let mut row = session.registry().find("zero-shot")?;
        if experiment.adapter.kind.as_deref().is_some_and(stands_in_front) {
            // Whoever trains nothing has no place for these in front of a prompt.
            row.scope = Scope::Shard;
        }
        let inputs = session.inputs_of_rows(&located, &[(&self.split, self.limit)], &backbone, None)?;
        if let (Some(path), false) = (&self.adapters, self.no_verify) {
            adapters::check_backbone(path, &inputs, backbone.model.weights_sha256())?;
        }
        let identity = self.identity(&experiment, &inputs, session)?;
        place::check_same(&self.out, &identity)?;
        let study = study::Study::new(experiment, &row, backbone.model.clone(), split.clone(), split)?;
        let adapters = match &self.adapters {
            Some(path) => adapters::read(path, self.client, &study)?,
            None => Adapters::default(),
        };
        let (judgement, predictions) = tasks::judgement::judge_global(study.judge(), &adapters)?;
        let (chance, majority) = tasks::trivial::trivial_accuracies(study.judge());
        let evaluation = Evaluation {
            identity,
            backbone: self.backbone.clone(),
            dataset: study.card().name.clone(),
            split: self.split.clone(),
            prompt: self.prompt.clone(),
            adapters: self.adapters.as_ref().map(|path| path.display().to_string()),
            client: match self.client {
                Some(Whose::Client(client)) => Some(client),
                Some(Whose::Shared) | None => None,
            },
            examples: study.judge().examples.len(),
            skipped: study.test_split().dataset.skipped.len(),
            prompts_cut: study.judge().prompts_cut,
            accuracy: judgement.accuracy.unwrap_or_default(),
            chance_accuracy: chance,
            majority_accuracy: majority,
            unparsed_rate: judgement.unparsed_rate,
            metric: study.card().metric.clone(),
            breakdown: study.judge().breakdown(&predictions),
        };
        folder.remove(place::EVALUATION)?;
        let downloads = session.downloads(&located, &backbone);
        folder.write(run_dir::PREDICTIONS, &study::record::predictions(&predictions)?)?;
        folder.write_json(run_dir::ENVIRONMENT, &environment(&study, &self.device, downloads, inputs))?;
        folder.write_json(run_dir::SKIPPED, &study.test_split().dataset.skipped)?;
        folder.write_json(place::EVALUATION, &evaluation)?;
        let cut = match evaluation.prompts_cut {
            0 => String::new(),
            cut => format!(", {cut} prompts lost their beginning"),
        };
        say(&format!(
            "accuracy {:.1}% on {} examples ({} skipped{cut}); chance {:.1}%, majority {:.1}%: {}",
            100.0 * evaluation.accuracy,
            evaluation.examples,
            evaluation.skipped,
            100.0 * chance,
            100.0 * majority,
            self.out.display()
        ));
        study.doubts().iter().for_each(|doubt| say(&format!("  {doubt}")));
        Ok(())
    }

    /// Of this evaluation; how many examples are in a batch changes no prediction.
    fn identity(&self, experiment: &Experiment, inputs: &Inputs, session: &mut Session) -> Result<String> {
        let mut bare = experiment.without_names();
        bare.evaluation.batch_size = 0;
        let mut text = serde_json::to_string(&bare)? + &inputs.identity();
        if let Some(path) = &self.adapters {
            text.push_str(&session.sha256(path)?);
        }
        if let Some(whose) = &self.client {
            text.push_str(&format!(" {whose:?}"));
        }
        Ok(schema::sha256_hex(text.as_bytes()))
    }

    /// The adapter section of the run that the adapters come from.
    fn adapter_config(&self, registry: &Registry) -> Result<AdapterConfig> {
        let Some(path) = &self.adapters else { return Ok(AdapterConfig::default()) };
        if !path.exists() {
            return Err(nothing_there("--adapters", path).into());
        }
        let file = path.with_file_name(run_dir::EXPERIMENT);
        if let (false, Some(run)) = (self.no_verify, file.parent()) {
            let standing = manifest::check(run);
            let standing = standing.context("the adapters' run is not as it was written (--no-verify takes them as they are)")?;
            if standing != manifest::Standing::Whole {
                note(&format!(
                    "note: {}: its folder has no {}, so nothing says that these adapters are as a run wrote them",
                    path.display(),
                    run_dir::MANIFEST
                ));
            }
        }
        let trained: Experiment = schema::toml_file::read(&file)
            .with_context(|| format!("adapters are read with the {} of their run folder beside them", run_dir::EXPERIMENT))?;
        let kind = registry.find(&trained.method.name).map(|row| row.adapter.to_owned()).ok();
        Ok(AdapterConfig { kind: trained.adapter.kind.clone().or(kind), ..trained.adapter })
    }

    fn backbone_config(&self) -> BackboneConfig {
        BackboneConfig {
            name: self.backbone.clone(),
            device: self.device.clone(),
            dtype: self.dtype.clone(),
            weights: self.weights.clone(),
        }
    }

    /// One client that holds everything.
    fn experiment(&self, adapter: AdapterConfig) -> Experiment {
        Experiment {
            name: "eval".into(),
            seed: 0,
            backbone: self.backbone_config(),
            data: DataConfig {
                dataset: self.dataset.clone(),
                prompt: self.prompt.clone(),
                train_split: self.split.clone(),
                test_split: self.split.clone(),
                train_limit: None,
                test_limit: self.limit,
                max_prompt_tokens: self.max_prompt_tokens,
            },
            partition: PartitionConfig { clients: 1, min_examples: 1, ..PartitionConfig::default() },
            federation: FederationConfig::default(),
            optimizer: OptimizerConfig::default(),
            adapter,
            method: MethodConfig { name: "zero-shot".into(), options: Default::default() },
            privacy: None,
            evaluation: EvaluationConfig { batch_size: self.batch_size, ..EvaluationConfig::default() },
        }
    }
}

/// Whether adapters of this kind are tokens of their own.
fn stands_in_front(kind: &str) -> bool {
    models::adapter::kind(kind).is_ok_and(|kind| matches!(kind.shape, Shape::Tokens { .. }))
}
