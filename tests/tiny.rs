//! A tiny LLaVA with random weights, and studies of a few generated rows: small enough to run whole federations in a test.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use baselines::METHODS;
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use data::Dataset;
use data_scripts::generators;
use federation::registry::{MethodRow, Registry};
use federation::{Host, InProcess, Method, Outcome, Unwatched};
use models::adapter::{Adapt, AdapterSpec, Adapters};
use models::llava::{Llava, LlavaConfig};
use models::{Backbone, SiteSpec, pretrain};
use schema::Experiment;
use seed::Seed;
use study::record::{predictions, records};
use study::{Part, Study};
use tasks::Split;

use crate::support::{distance, nan_max, normal, relative, setup};

/// Width 16, two blocks, grouped queries, four tokens an image; a byte-level vocabulary.
pub fn config() -> LlavaConfig {
    let json = serde_json::json!({
        "vision_config": {
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 16, "patch_size": 8
        },
        "text_config": {
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "vocab_size": 320, "tie_word_embeddings": true
        },
        "chat": { "turn": "{images}Q: {prompt}", "image": "<image>", "answer": " A:", "end": "</s>", "begin": "<s>" }
    });
    serde_json::from_value(json).expect("a config")
}

/// `tokenizer.json` of a byte-level BPE with a config's special tokens.
pub fn tokenizer_json(config: &LlavaConfig) -> Result<Vec<u8>> {
    let corpus = ["Q: how many shapes are there?", "A: there are three shapes.", "which shape is to the left of the circle?"];
    let tokenizer = pretrain::train_tokenizer(config, corpus.into_iter().map(String::from))?;
    Ok(tokenizer.to_string(false).map_err(anyhow::Error::msg)?.into_bytes())
}

/// A model of these shapes with weights drawn by name, or given.
pub fn llava(config: &LlavaConfig, dtype: DType, weights: Option<VarBuilder>) -> Result<Llava> {
    setup();
    let corpus = ["Q: how many shapes are there?", "A: there are three shapes.", "which shape is to the left of the circle?"];
    let tokenizer = pretrain::train_tokenizer(config, corpus.into_iter().map(String::from))?;
    let weights = weights.unwrap_or_else(|| VarBuilder::from_backend(Box::new(Drawn), dtype, Device::Cpu));
    Ok(Llava::new("tiny", config, &weights, tokenizer, "drawn".into())?)
}

/// Weights drawn by name, large enough that every part matters (as in `fixtures/tiny.py`).
pub struct Drawn;

impl SimpleBackend for Drawn {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let fan_in: usize = shape.dims().iter().skip(1).product();
        let (mean, std) = match name {
            _ if name.ends_with("bias") => (0.0, 0.2),
            _ if name.contains("norm") => (1.0, 0.2),
            _ if name.contains("embed_tokens") || name.contains("position") || name.contains("class") => (0.0, 0.5),
            _ => (0.0, (2.0 / fan_in as f64).sqrt()),
        };
        let mut stream = Seed::new(5).stream(name);
        let values: Vec<f64> = (0..shape.elem_count()).map(|_| mean + std * stream.normal()).collect();
        Tensor::from_vec(values, shape, device)?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("weight `{name}` is asked for without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// The datasets that studies are made of: pictures and free text (icongen), rows without a picture and hints (scigen).
pub const DATASETS: [&str; 2] = ["icongen", "scigen"];

const TRAIN_ROWS: usize = 45;
const TEST_ROWS: usize = 40;

/// The backbone and both splits of every dataset, made once.
struct World {
    backbone: Arc<dyn Backbone>,
    splits: BTreeMap<&'static str, [Arc<Split>; 2]>,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| make_world().expect("the tiny world"))
}

fn make_world() -> Result<World> {
    let backbone: Arc<dyn Backbone> = Arc::new(llava(&config(), DType::F32, None)?);
    let splits = DATASETS.map(|name| Ok((name, splits_of(name, &*backbone)?))).into_iter().collect::<Result<_>>()?;
    Ok(World { backbone, splits })
}

/// A dataset's splits, no picture of them seen yet.
fn splits_of(dataset: &str, backbone: &dyn Backbone) -> Result<[Arc<Split>; 2]> {
    let folder = tempfile::tempdir()?;
    let generator = generators::find(dataset).context("no such generator")?;
    let card = generators::write(generator, folder.path(), Some((TRAIN_ROWS, TEST_ROWS)), 3)?;
    let load = |split: &str| -> Result<Arc<Split>> {
        Ok(Arc::new(Split::new(Dataset::load(folder.path(), &card, split, None)?, backbone)?))
    };
    Ok([load("train")?, load("test")?])
}

/// A process's part of a study, over splits of its own: no picture is there that it has not seen itself.
pub fn part_of_study(experiment: &Experiment, part: &Part) -> Result<Study> {
    let (row, [train, test]) = (chosen(experiment)?, splits_of(&experiment.data.dataset, backbone())?);
    Ok(Study::of_part(experiment.clone(), &row, world().backbone.clone(), train, test, part)?)
}

/// Three clients, two rounds, a few steps each.
pub fn experiment(method: &str) -> Experiment {
    let text = format!(
        "seed = 1\n[data]\ndataset = \"icongen\"\nmax_prompt_tokens = 40\n[partition]\nclients = 3\n\
         [federation]\nrounds = 2\nbatch_size = 4\n[optimizer]\nlearning_rate = 0.01\n[adapter]\nrank = 2\n\
         [method]\nname = \"{method}\"\n[evaluation]\nevery = 0\nmax_new_tokens = 3\n"
    );
    toml::from_str(&text).expect("an experiment")
}

/// The embedded backbone's little sister.
pub fn backbone() -> &'static dyn Backbone {
    &*world().backbone
}

/// The same, to be shared.
pub fn shared_backbone() -> Arc<dyn Backbone> {
    world().backbone.clone()
}

/// A dataset's training (0) or test (1) split.
pub fn split(dataset: &str, split: usize) -> &'static Split {
    &world().splits[dataset][split]
}

/// A method with its defaults.
pub fn method(name: &str) -> Result<Box<dyn Method>> {
    Ok((Registry::new(baselines::METHODS).find(name)?.build)(&BTreeMap::new())?)
}

/// The experiment's method, on the adapters that it chooses.
fn chosen(experiment: &Experiment) -> Result<MethodRow> {
    Ok(Registry::new(baselines::METHODS).choose(&experiment.method.name, experiment.adapter.kind.as_deref())?)
}

/// The experiment's row and its prepared study.
pub fn study(experiment: &Experiment) -> Result<(MethodRow, Study)> {
    study_behind(experiment, shared_backbone())
}

/// A study of other splits than the experiment names.
pub fn study_over(experiment: &Experiment, train: Arc<Split>, test: Arc<Split>) -> Result<Study> {
    let row = chosen(experiment)?;
    Ok(Study::new(experiment.clone(), &row, world().backbone.clone(), train, test)?)
}

/// A study behind another backbone, whose eyes and words are the tiny one's.
pub fn study_behind(experiment: &Experiment, backbone: Arc<dyn Backbone>) -> Result<(MethodRow, Study)> {
    let row = chosen(experiment)?;
    let [train, test] = world().splits.get(experiment.data.dataset.as_str()).context("no such dataset")?;
    Ok((row, Study::new(experiment.clone(), &row, backbone, train.clone(), test.clone())?))
}

/// A whole run.
pub fn run(experiment: &Experiment) -> Result<(MethodRow, Study, Outcome)> {
    run_on(experiment, shared_backbone())
}

/// A whole run on a backbone that is put together in another way.
pub fn run_on(experiment: &Experiment, backbone: Arc<dyn Backbone>) -> Result<(MethodRow, Study, Outcome)> {
    let (row, study) = study_behind(experiment, backbone)?;
    let mut method = (row.build)(&experiment.method.options)?;
    let outcome = study.run(&mut *method, &mut InProcess::new(study.host()?), &Unwatched)?;
    Ok((row, study, outcome))
}

/// A whole run with a method that no table has: the server's and the clients' copy of it.
pub fn run_with<M: Method + 'static>(study: &Study, method: impl Fn() -> M) -> study::Result<Outcome> {
    let mut engine = InProcess::new(Host::new(study.federation(), Box::new(method())));
    study.run(&mut method(), &mut engine, &Unwatched)
}

/// What a run leaves behind, timings aside.
pub fn bytes(outcome: &Outcome) -> Result<Vec<Vec<u8>>> {
    let mut all = vec![records(&outcome.measured.records)?, predictions(&outcome.predictions)?, outcome.global.to_bytes()?];
    for (_, own) in &outcome.personal {
        all.push(own.to_bytes()?);
    }
    Ok(all)
}

/// A row's adapters on the tiny backbone.
pub fn spec(row: &MethodRow) -> Result<AdapterSpec> {
    Ok(study(&experiment(row.name))?.1.adapter().clone())
}

/// Methods whose clients send adapters.
pub fn uploading() -> impl Iterator<Item = &'static MethodRow> {
    METHODS.iter().filter(|row| spec(row).is_ok_and(|spec| (row.traffic)(&spec, 3)[0] > 0))
}

/// The largest relative difference between two adapter sets.
pub fn difference(found: &Adapters, wanted: &Adapters) -> Result<f64> {
    assert_eq!(found.iter().map(|(name, _)| name).collect::<Vec<_>>(), wanted.iter().map(|(name, _)| name).collect::<Vec<_>>());
    let mut worst = 0f64;
    for (name, tensor) in found.iter() {
        worst = worst.max(relative(tensor, wanted.get(name).context("no such tensor")?)?);
    }
    Ok(worst)
}

/// What adapters add at a site to drawn hidden states.
pub fn effect(spec: &AdapterSpec, site: &SiteSpec, adapters: &Adapters) -> Result<Tensor> {
    let x = normal(&site.name, (1, 5, site.d_in), DType::F32)?;
    let nothing = || Tensor::zeros((1, 5, site.d_out), DType::F32, &Device::Cpu);
    Ok(spec.attach(adapters)?.delta(&site.name, &x)?.map_or_else(nothing, Ok)?)
}

/// The largest difference at any site between what two adapter sets add there.
pub fn difference_in_effect(spec: &AdapterSpec, found: &Adapters, wanted: &Adapters) -> Result<f64> {
    let at = |site| -> Result<f64> { Ok(distance(&effect(spec, site, found)?, &effect(spec, site, wanted)?)?) };
    spec.sites.iter().try_fold(0f64, |worst, site| Ok(nan_max(at(site)?, worst)))
}
