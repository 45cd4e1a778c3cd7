//! `fedbench eval`: a backbone, zero-shot or with saved adapters, on a dataset's split.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use data::Rows;
use federation::registry::Registry;
use models::adapter::{AdapterSpec, Adapters};
use schema::experiment::{AdapterConfig, BackboneConfig, EvaluationConfig};
use schema::metrics::{Metric, Score, Unit};
use schema::record::Download;
use schema::{Experiment, Inputs, Prediction, manifest, run_dir};
use serde::Serialize;
use study::Terms;
use study::record::RunDir;
use tasks::doubts::doubts;
use tasks::judgement::judge_global;
use tasks::prepare::Asking;
use tasks::task::Aggregate;
use tasks::trivial::trivial_accuracies;
use tasks::{Judge, Split};

use super::adapters::{self, Whose};
use super::looking::Looking;
use super::{note, place, say};
use crate::environment::environment;
use crate::held::{Held, nothing_there};
use crate::locate::locate_all;
use crate::located::card_of;
use crate::session::{Named, Session};
use crate::trained_on;

/// Judge a backbone, with or without adapters; writes predictions.
#[derive(Args)]
pub(crate) struct Eval {
    /// A backbone's name, folder or id on the Hub.
    #[arg(long)]
    backbone: String,
    /// Where weights lie that the backbone asks for, as `smol` does for a language model: a file or a folder.
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
    /// Without pictures, each replaced by the split's mean picture: `only` so, or `beside` the answers to the pictures, with the difference.
    #[arg(long, num_args = 0..=1, default_missing_value = "only", value_name = "WHAT")]
    blind: Option<Blind>,
    /// Take adapters of a run whatever its checksums say.
    #[arg(long)]
    no_verify: bool,
    /// Where predictions go; no run's folder.
    #[arg(long)]
    out: PathBuf,
    /// No progress.
    #[arg(long)]
    quiet: bool,
}

/// Whether the pictures are shown, too, where they are taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Blind {
    /// They are not.
    Only,
    /// Once with them and once without.
    Beside,
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
    /// Of the accuracy over examples, taken as independent; none of one example, or where examples have no worth of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    standard_error: Option<f64>,
    chance_accuracy: f64,
    majority_accuracy: f64,
    unparsed_rate: f64,
    /// The card's metric; `accuracy` holds its value.
    metric: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    breakdown: BTreeMap<Metric, f64>,
    /// Whether all of this is of rows without their pictures.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    blind: bool,
    /// What the same rows are worth without their pictures, where that was asked for beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    without_pictures: Option<WithoutPictures>,
}

/// The same rows without their pictures.
#[derive(Serialize)]
struct WithoutPictures {
    accuracy: f64,
    unparsed_rate: f64,
    /// With pictures minus without, row by row.
    difference: f64,
    /// Where that lies over other rows, 95% (Student's, rows taken as independent); none of a single row, or where rows have no worth of
    /// their own.
    interval: Option<[f64; 2]>,
}

impl WithoutPictures {
    /// Judges blind, and compares with what was answered to the pictures.
    fn of(judge: &Judge, adapters: &Adapters, sighted: &Evaluation, seen: &[Prediction]) -> Result<(Self, Vec<Prediction>)> {
        let (judgement, predictions) = judge_global(&judge.blind()?, adapters)?;
        let accuracy = judgement.accuracy.unwrap_or_default();
        let by_row: Vec<f64> = seen.iter().zip(&predictions).map(|(with, without)| with.value() - without.value()).collect();
        let of_rows = matches!(judge.metric.aggregate, Aggregate::Mean);
        let interval = reports::Stat::of(&by_row).filter(|_| of_rows).and_then(|stat| stat.interval());
        let (unparsed_rate, difference) = (judgement.unparsed_rate, sighted.accuracy - accuracy);
        Ok((Self { accuracy, unparsed_rate, difference, interval }, predictions))
    }

    fn tell(&self, judge: &Judge) {
        let points = |share: f64| format!("{:+.1}", 100.0 * share);
        let interval = self.interval.map(|[low, high]| format!(" [{}, {}]", points(low), points(high))).unwrap_or_default();
        let worth = in_words(judge, self.accuracy);
        say(&format!("without pictures {worth}; with minus without {}{interval}", points(self.difference)));
    }
}

/// A value of the card's metric: `50.0%`, or `34.2 (x 100)`.
fn in_words(judge: &Judge, value: f64) -> String {
    match judge.metric.row.unit {
        Unit::Fraction => format!("{:.1}%", 100.0 * value),
        _ => format!("{:.1} (x 100)", 100.0 * value),
    }
}

/// What an evaluation's numbers depend on, besides what it reads.
#[derive(Serialize)]
struct Asked<'a> {
    split: &'a str,
    limit: Option<usize>,
    prompt: &'a str,
    max_prompt_tokens: usize,
    max_new_tokens: usize,
    device: &'a str,
    dtype: Option<&'a str>,
    /// What is judged; none where the backbone is.
    adapter: Option<&'a AdapterConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blind: Option<Blind>,
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
        let evaluation = EvaluationConfig { batch_size: self.batch_size, ..EvaluationConfig::default() };
        let located = locate_all(&self.dataset)?;
        let card = card_of(&located)?;
        self.terms(adapter.as_ref().unwrap_or(&AdapterConfig::default()), &evaluation).check(&card)?;
        session.registry().tasks().check_card(&card)?;
        let backbone = session.backbone(&self.backbone_config())?;
        let split = session.split(&located, &self.split, self.limit, &backbone)?;
        let inputs = session.inputs_of_rows(&located, &[(&self.split, Rows::first(self.limit))], &backbone, Named::default())?;
        if let (Some(path), false) = (&self.adapters, self.no_verify) {
            trained_on::check(path, &inputs, backbone.model.weights_sha256(), " (--no-verify judges them all the same)")?;
        }
        let identity = self.identity(adapter.as_ref(), &evaluation, &inputs, session)?;
        place::check_same(&self.out, &identity)?;
        let looking = Looking::new(self.quiet);
        looking.at(&format!("{} examples, {} pictures to see", split.dataset.examples.len(), split.dataset.images.len()));
        let judge = self.judge(adapter_spec(adapter.as_ref(), session.registry(), &backbone)?, &evaluation, &backbone, split)?;
        let adapters = match &self.adapters {
            Some(path) => adapters::read(path, self.client, &judge.adapter, &*backbone.model)?,
            None => Adapters::default(),
        };
        let (judgement, predictions) = looking.judged(&judge, &adapters)?;
        let (chance_accuracy, majority_accuracy) = trivial_accuracies(&judge.parts()[0]);
        let mut evaluation = Evaluation {
            identity,
            accuracy: judgement.accuracy.unwrap_or_default(),
            standard_error: standard_error(&judge, &predictions),
            unparsed_rate: judgement.unparsed_rate,
            breakdown: judge.breakdown(&predictions),
            chance_accuracy,
            majority_accuracy,
            ..self.evaluation(&judge)
        };
        let mut kept = vec![(run_dir::PREDICTIONS, predictions)];
        if self.blind == Some(Blind::Beside) {
            let (without, blind) = WithoutPictures::of(&judge, &adapters, &evaluation, &kept[0].1)?;
            evaluation.without_pictures = Some(without);
            kept.push((place::BLIND_PREDICTIONS, blind));
        }
        let downloads = session.downloads(&located, &backbone);
        self.write(&folder, &judge, &evaluation, &kept, (downloads, inputs))?;
        self.tell(&judge, &evaluation);
        Ok(())
    }

    fn terms<'a>(&'a self, adapter: &'a AdapterConfig, evaluation: &'a EvaluationConfig) -> Terms<'a> {
        let (prompt, limit, max_prompt_tokens) = (&*self.prompt, self.limit, self.max_prompt_tokens);
        Terms { prompt, limit, max_prompt_tokens, adapter, evaluation }
    }

    /// One judge of all examples, as if they were one client's.
    fn judge(&self, adapter: AdapterSpec, evaluation: &EvaluationConfig, backbone: &Held, split: Arc<Split>) -> Result<Judge> {
        let asking = Asking {
            backbone: &*backbone.model,
            prompt: &self.prompt,
            max_prompt_tokens: self.max_prompt_tokens,
            virtual_tokens: adapter.virtual_tokens(),
        };
        if split.dataset.card.is_mixed() {
            let message = format!(
                "the datasets of `{}` are judged by several metrics ({}), of which there is no mean; evaluate each by itself",
                split.dataset.card.name, split.dataset.card.metric
            );
            return Err(study::Error::Usage(message).into());
        }
        let all = vec![(0..split.dataset.examples.len()).collect()];
        let judge = Judge::new(backbone.model.clone(), &asking, adapter, split, all, evaluation)?;
        match self.blind {
            Some(Blind::Only) => Ok(judge.blind()?),
            Some(Blind::Beside) | None => judge.see().map(|()| judge).map_err(Into::into),
        }
    }

    /// Without what it came to.
    fn evaluation(&self, judge: &Judge) -> Evaluation {
        let dataset = &judge.split.dataset;
        Evaluation {
            identity: String::new(),
            backbone: self.backbone.clone(),
            dataset: dataset.card.name.clone(),
            split: self.split.clone(),
            prompt: self.prompt.clone(),
            adapters: self.adapters.as_ref().map(|path| path.display().to_string()),
            client: match self.client {
                Some(Whose::Client(client)) => Some(client),
                Some(Whose::Shared) | None => None,
            },
            examples: judge.examples.len(),
            skipped: dataset.skipped.len(),
            prompts_cut: judge.prompts_cut,
            accuracy: 0.0,
            standard_error: None,
            chance_accuracy: 0.0,
            majority_accuracy: 0.0,
            unparsed_rate: 0.0,
            metric: dataset.card.metric.clone(),
            breakdown: BTreeMap::new(),
            blind: self.blind == Some(Blind::Only),
            without_pictures: None,
        }
    }

    fn write(
        &self,
        folder: &RunDir,
        judge: &Judge,
        evaluation: &Evaluation,
        kept: &[(&str, Vec<Prediction>)],
        (downloads, inputs): (Vec<Download>, Inputs),
    ) -> Result<()> {
        folder.remove(place::EVALUATION)?;
        for (name, predictions) in kept {
            folder.write(name, &study::record::predictions(predictions)?)?;
        }
        let environment = environment(&*judge.backbone, &self.device, doubts(judge, None), downloads, inputs);
        folder.write_json(run_dir::ENVIRONMENT, &environment)?;
        folder.write_json(run_dir::SKIPPED, &judge.split.dataset.skipped)?;
        Ok(folder.write_json(place::EVALUATION, evaluation)?)
    }

    fn tell(&self, judge: &Judge, evaluation: &Evaluation) {
        let cut = match evaluation.prompts_cut {
            0 => String::new(),
            cut => format!(", {cut} prompts lost their beginning"),
        };
        let error =
            evaluation.standard_error.map(|error| format!(" ± {:.1} (standard error)", 100.0 * error)).unwrap_or_default();
        say(&format!(
            "{} {}{error}{} on {} examples ({} skipped{cut}); chance {}, majority {}: {}",
            Score::parse(judge.metric.row.name).and_then(|score| score.title()).unwrap_or("accuracy"),
            in_words(judge, evaluation.accuracy),
            if evaluation.blind { " without pictures" } else { "" },
            evaluation.examples,
            evaluation.skipped,
            in_words(judge, evaluation.chance_accuracy),
            in_words(judge, evaluation.majority_accuracy),
            self.out.display()
        ));
        evaluation.without_pictures.iter().for_each(|without| without.tell(judge));
        doubts(judge, None).iter().for_each(|doubt| say(&format!("  {doubt}")));
    }

    /// Of this evaluation; how many examples are in a batch changes no prediction.
    fn identity(
        &self,
        adapter: Option<&AdapterConfig>,
        evaluation: &EvaluationConfig,
        inputs: &Inputs,
        session: &mut Session,
    ) -> Result<String> {
        let asked = Asked {
            split: &self.split,
            limit: self.limit,
            prompt: &self.prompt,
            max_prompt_tokens: self.max_prompt_tokens,
            max_new_tokens: evaluation.max_new_tokens,
            device: &self.device,
            dtype: self.dtype.as_deref(),
            adapter,
            blind: self.blind,
        };
        let mut text = serde_json::to_string(&asked)? + &inputs.identity();
        if let Some(path) = &self.adapters {
            text.push_str(&session.sha256(path)?);
        }
        if let Some(whose) = &self.client {
            text.push_str(&format!(" {whose:?}"));
        }
        Ok(schema::sha256_hex(text.as_bytes()))
    }

    /// The adapter section of the run that the adapters come from, its kind given; none where the backbone alone is judged.
    fn adapter_config(&self, registry: &Registry) -> Result<Option<AdapterConfig>> {
        let Some(path) = &self.adapters else { return Ok(None) };
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
        let kind = match &trained.adapter.kind {
            Some(kind) => kind.clone(),
            // What older versions wrote, or somebody by hand.
            None => registry.find(&trained.method.name)?.adapter.name.to_owned(),
        };
        Ok(Some(AdapterConfig { kind: Some(kind), ..trained.adapter }))
    }

    fn backbone_config(&self) -> BackboneConfig {
        BackboneConfig {
            name: self.backbone.clone(),
            device: self.device.clone(),
            dtype: self.dtype.clone(),
            weights: self.weights.clone(),
            ..BackboneConfig::default()
        }
    }
}

/// Of the mean over examples, taken as independent.
fn standard_error(judge: &Judge, predictions: &[Prediction]) -> Option<f64> {
    let values: Vec<f64> = predictions.iter().map(Prediction::value).collect();
    let of_rows = matches!(judge.metric.aggregate, Aggregate::Mean);
    let sd = reports::Stat::of(&values).filter(|_| of_rows)?.sd?;
    Some(sd / (values.len() as f64).sqrt())
}

/// What is judged: adapters of a kind that a config gives, or none.
fn adapter_spec(config: Option<&AdapterConfig>, registry: &Registry, backbone: &Held) -> Result<AdapterSpec> {
    let Some(config) = config else { return Ok(AdapterSpec::none()) };
    let kind = registry.adapters().find(config.kind.as_deref().unwrap_or_default())?;
    Ok(AdapterSpec::of(kind, config, backbone.model.spec())?)
}
