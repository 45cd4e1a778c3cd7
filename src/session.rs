//! What a process has loaded: backbones, datasets and their frozen features, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use data::{Dataset, Rows};
use decoder::{Place, Remote};
use federation::Method;
use federation::registry::{MethodRow, Registry};
use line::Security;
use models::{Backbone, Half};
use schema::experiment::{AdapterConfig, BackboneConfig, Checkpoint, DataConfig, Dedup, TestRows};
use schema::record::Download;
use schema::{Card, Experiment, InputFile, Inputs};
use study::checksums::{Checksum, Checksums};
use study::{Part, Study};
use tasks::Split;

use crate::held::{BackbonePlace, Held, PartFiles, made_of};
use crate::locate::locate_all;
use crate::located::{Located, cache_root, card_of, load};
use crate::plan::Pace;
use crate::trained_on;

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
    pub backbone: Held,
    /// All of it that is read, by content.
    pub inputs: Inputs,
}

/// What an experiment names beside its data and backbone.
#[derive(Clone, Copy, Default)]
pub struct Named<'a> {
    /// The partition's file.
    pub partition: Option<&'a str>,
    /// The file of adapters to start from.
    pub start: Option<&'a str>,
    /// The version of the method's code, where it is not the first.
    pub method_version: Option<u32>,
}

impl<'a> Named<'a> {
    /// By an experiment and its method's row.
    pub fn of(experiment: &'a Experiment, row: &MethodRow) -> Self {
        Self {
            partition: experiment.partition.file.as_deref(),
            start: experiment.adapter.start.as_deref(),
            method_version: (row.version > 1).then_some(row.version),
        }
    }
}

/// Everything loaded so far. What was loaded is found again by all that it was made of: the same name, path or folder may hold
/// something else by now.
pub struct Session {
    registry: Registry,
    checksums: Checksums,
    /// By what a config says of it, and where its decoder is, if that is elsewhere.
    backbones: BTreeMap<(BackboneConfig, Option<String>), Held>,
    splits: BTreeMap<SplitKey, Loaded>,
    /// Splits without the rows of others.
    without: Vec<Without>,
    /// What batches take, as far as plans have timed them.
    pub pace: Pace,
    /// What protects lines to decoders elsewhere.
    pub decoder_security: Security,
}

/// All that a loaded split depends on.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SplitKey {
    /// The datasets' folders (pictures may lie there that only the rows name) and cards.
    datasets: Vec<(PathBuf, String)>,
    split: String,
    rows: Rows,
    files: Vec<InputFile>,
    backbone: String,
    sketch: bool,
}

/// A split without the rows that another one has, both as they were loaded.
struct Without {
    test: Arc<Split>,
    train: Arc<Split>,
    dedup: Dedup,
    sketch: bool,
    split: Arc<Split>,
}

/// How long a run waits for a decoder that does not listen yet, or was started again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A split, and the pictures that its rows name by path.
#[derive(Clone)]
struct Loaded {
    split: Arc<Split>,
    pictures: Vec<InputFile>,
}

impl Session {
    /// Nothing loaded yet.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            checksums: Checksums::remembered(cache_root().join("checksums.json")),
            backbones: BTreeMap::new(),
            splits: BTreeMap::new(),
            without: Vec::new(),
            pace: Pace::default(),
            decoder_security: Security::default(),
        }
    }

    /// The methods there are.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Fills in an experiment's defaults, finds everything it names and says by content what that is; reads no row of data.
    pub fn resolve(&mut self, experiment: &Experiment) -> Result<Resolved> {
        let mut experiment = experiment.clone().with_plain_zeros();
        let row = self.registry.settle(&mut experiment)?;
        let method = (row.build)(&experiment.method.options)?;
        let located = locate_all(&experiment.data.dataset)?;
        let card = card_of(&located)?;
        study::check(&experiment, &card)?;
        self.registry.tasks().check_card(&card)?;
        check_partition_key(&experiment, &card)?;
        // The default has one spelling, so that it has one hash.
        experiment.backbone.dtype.take_if(|dtype| dtype == "f32");
        let backbone = self.held(&experiment.backbone, experiment.federation.decoder.as_deref())?;
        let adapter = row.resolve(&experiment.adapter, backbone.model.spec())?;
        study::check_decoder(&experiment, &row, &adapter)?;
        experiment.adapter = AdapterConfig { start: experiment.adapter.start.take(), ..adapter.config() };
        experiment.method.options = method.config();
        let splits = [experiment.data.train_split.as_str(), &experiment.data.test_split];
        let named = Named::of(&experiment, &row);
        let inputs = self.inputs(&located, &splits, &backbone, named)?;
        if let Some(start) = &experiment.adapter.start {
            trained_on::check(Path::new(start), &inputs, backbone.model.weights_sha256(), "")?;
        }
        let name = experiment.run_name(&card.name, &inputs.identity());
        Ok(Resolved { name, experiment, row, method, located, backbone, inputs })
    }

    /// Loads a resolved experiment's data: all that training and evaluation read.
    pub fn study(&mut self, resolved: &Resolved) -> Result<Study> {
        self.study_of(resolved, &Part::Whole)
    }

    /// The same for a process that does a part of the experiment.
    pub fn study_of(&mut self, resolved: &Resolved, part: &Part) -> Result<Study> {
        self.prepared(resolved, part, false)
    }

    /// The same for a forecast: each dataset's first picture stands for all, so that no other passes the tower.
    pub fn sketch(&mut self, resolved: &Resolved) -> Result<Study> {
        self.prepared(resolved, &Part::Whole, true)
    }

    fn prepared(&mut self, resolved: &Resolved, part: &Part, sketch: bool) -> Result<Study> {
        let Resolved { experiment, row, located, backbone, .. } = resolved;
        let [train, test] = splits_of(experiment).map(|(split, rows)| self.loaded(located, split, rows, backbone, sketch));
        let (train, mut test) = (train?.split, test?.split);
        if let Some(dedup) = experiment.data.dedup {
            test = self.deduplicated(resolved, dedup, sketch)?;
        }
        let study = Study::of_part(experiment.clone(), row, backbone.model.clone(), train, test, part)?;
        if !sketch {
            self.check_unchanged(resolved)?;
        }
        Ok(study)
    }

    /// The test split without the rows that stand in the whole training split, too; which they are does not depend on a run's seed.
    fn deduplicated(&mut self, resolved: &Resolved, dedup: Dedup, sketch: bool) -> Result<Arc<Split>> {
        let Resolved { experiment, located, backbone, .. } = resolved;
        // A sketch has one picture for all: what is shown twice is known without.
        let [train, test] = splits_of(experiment).map(|(split, rows)| self.loaded(located, split, rows, backbone, false));
        let (train, test) = (train?.split, test?.split);
        let is_it = |known: &&Without| {
            Arc::ptr_eq(&known.train, &train) && Arc::ptr_eq(&known.test, &test) && (known.dedup, known.sketch) == (dedup, sketch)
        };
        if let Some(known) = self.without.iter().find(is_it) {
            return Ok(known.split.clone());
        }
        let mut dataset = test.dataset.without(&train.dataset, dedup).map_err(study::Error::from)?;
        if sketch {
            one_picture(&mut dataset);
        }
        let split = Arc::new(Split::new(dataset, &*backbone.model)?.with_tasks(self.registry.tasks().clone()));
        self.without.push(Without { test, train, dedup, sketch, split: split.clone() });
        Ok(split)
    }

    /// Reads the rows. Where these name pictures by their paths, the run's identity holds these, too, and its name is another one.
    pub fn complete(&mut self, resolved: &mut Resolved) -> Result<()> {
        resolved.inputs = self.complete_inputs(resolved)?;
        resolved.name = resolved.experiment.run_name(&card_of(&resolved.located)?.name, &resolved.inputs.identity());
        Ok(())
    }

    fn complete_inputs(&mut self, resolved: &Resolved) -> Result<Inputs> {
        let named = Named::of(&resolved.experiment, &resolved.row);
        self.inputs_of_rows(&resolved.located, &splits_of(&resolved.experiment), &resolved.backbone, named)
    }

    /// What was read is what the run is named after.
    fn check_unchanged(&mut self, resolved: &Resolved) -> Result<()> {
        match self.complete_inputs(resolved)?.differing_files(&resolved.inputs).next() {
            Some(file) => Err(study::Error::Changed { path: file.path.clone().into() }.into()),
            None => Ok(()),
        }
    }

    /// [`Session::inputs`] with the pictures that rows name by path; each split with at most so many rows.
    pub fn inputs_of_rows(
        &mut self,
        located: &[Located],
        splits: &[(&str, Rows)],
        backbone: &Held,
        named: Named,
    ) -> Result<Inputs> {
        let names: Vec<&str> = splits.iter().map(|(split, _)| *split).collect();
        let mut inputs = self.inputs(located, &names, backbone, named)?;
        let mut pictures: BTreeMap<&str, BTreeSet<InputFile>> = BTreeMap::new();
        for (split, rows) in splits {
            pictures.entry(split).or_default().extend(self.loaded(located, split, *rows, backbone, false)?.pictures);
        }
        for (split, pictures) in pictures {
            inputs.add_pictures(split, pictures);
        }
        Ok(inputs)
    }

    /// A backbone with its weights.
    pub fn backbone(&mut self, config: &BackboneConfig) -> Result<Held> {
        self.held(config, None)
    }

    /// The decoder's half of a backbone, to be served to others.
    pub fn decoder(&self, config: &BackboneConfig) -> Result<Arc<dyn Backbone>> {
        let backbones = self.registry.backbones();
        BackbonePlace::find(config, backbones)?.load(config, backbones, Half::Decoder)
    }

    /// A backbone with its weights; of one whose decoder is elsewhere, the clients' half, and a line to it.
    fn held(&mut self, config: &BackboneConfig, decoder: Option<&str>) -> Result<Held> {
        let half = if decoder.is_some() { Half::Client } else { Half::Whole };
        let backbones = self.registry.backbones();
        let place = BackbonePlace::find(config, backbones)?;
        // A folder that is no model says so better when it is read as one.
        let parts = place.parts().or_else(|error| place.load(config, backbones, half).and(Err(error)))?;
        let files = files_of(&mut self.checksums, &parts)?;
        let key = (BackboneConfig { checkpoint: Checkpoint::None, ..config.clone() }, decoder.map(str::to_owned));
        if let Some(held) = self.backbones.get(&key).filter(|held| held.files == files) {
            return Ok(held.clone());
        }
        let mut model = place.load(config, backbones, half)?;
        if let Some(decoder) = decoder {
            model = Arc::new(Remote::new(model, self.decoder_place(decoder)?)?);
        }
        if files_of(&mut self.checksums, &parts)? != files {
            let path = parts.first().map(|part| part.folder.clone()).unwrap_or_default();
            return Err(study::Error::Changed { path }.into());
        }
        let mut downloads = Vec::new();
        for part in &parts {
            let Some(download) = part.download()? else { continue };
            let fetch = format!("model fetch {}@{}", download.id, download.commit);
            let files = checksums_of(&mut self.checksums, "backbone", &part.folder, &part.files)?;
            check_download(Some(&download), &part.folder, &files, &fetch)?;
            downloads.push(download);
        }
        let held = Held { sha256: made_of(&place.shipped_sha256(), &*model, &files), model, files, downloads };
        self.backbones.insert(key, held.clone());
        Ok(held)
    }

    fn decoder_place(&self, address: &str) -> Result<Place> {
        let address = address.parse().map_err(|error| study::Error::Usage(format!("federation.decoder: {error}")))?;
        Ok(Place { address, security: self.decoder_security.clone(), patience: PATIENCE })
    }

    /// What came from the Hub of datasets and a loaded backbone.
    pub fn downloads(&self, located: &[Located], backbone: &Held) -> Vec<Download> {
        located.iter().filter_map(|located| located.download.as_ref()).chain(&backbone.downloads).cloned().collect()
    }

    /// By content: what is read of datasets' splits, a backbone, and a partition's file.
    pub fn inputs(&mut self, located: &[Located], splits: &[&str], backbone: &Held, named: Named) -> Result<Inputs> {
        let mut files = backbone.files.clone();
        let mut by_split = BTreeMap::new();
        for split in splits {
            if !by_split.contains_key(*split) {
                let of_split = split_files(&mut self.checksums, located, split)?;
                by_split.insert((*split).to_owned(), joint_sha256(&of_split));
                files.extend(of_split);
            }
        }
        let mut of_file = |part: &str, path: Option<&str>| -> Result<Option<String>> {
            let Some(path) = path.map(PathBuf::from) else { return Ok(None) };
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            let of_part = checksums_of(&mut self.checksums, part, &folder, &[path])?;
            let sha256 = of_part.first().map(|file| file.sha256.clone());
            files.extend(of_part);
            Ok(sha256)
        };
        let (partition_sha256, start_sha256) = (of_file("partition", named.partition)?, of_file("start", named.start)?);
        let card_sha256 = schema::sha256_hex(&serde_json::to_vec(&card_of(located)?)?);
        Ok(Inputs {
            card_sha256,
            splits: by_split,
            backbone_sha256: backbone.sha256.clone(),
            partition_sha256,
            start_sha256,
            method_version: named.method_version,
            files,
        })
    }

    /// The checksums of files read so far, and of those to come.
    pub(crate) fn checksums(&mut self) -> &mut Checksums {
        &mut self.checksums
    }

    /// A file's checksum.
    pub fn sha256(&mut self, path: &Path) -> Result<String> {
        Ok(self.checksums.of(&[path.into()])?.remove(0).sha256)
    }

    /// A split, of one dataset or of several as one, with its frozen features; of each, at most `limit` rows.
    pub fn split(&mut self, located: &[Located], split: &str, limit: Option<usize>, backbone: &Held) -> Result<Arc<Split>> {
        Ok(self.loaded(located, split, Rows::first(limit), backbone, false)?.split)
    }

    fn loaded(&mut self, located: &[Located], split: &str, rows: Rows, backbone: &Held, sketch: bool) -> Result<Loaded> {
        let folder = |located: &Located| located.folder.canonicalize().unwrap_or_else(|_| located.folder.clone());
        let card = |located: &Located| serde_json::to_string(&located.card);
        let datasets = located.iter().map(|located| Ok((folder(located), card(located)?))).collect::<Result<_>>()?;
        let files = split_files(&mut self.checksums, located, split)?;
        let model = &*backbone.model;
        let identity = format!("{} {} {:?}", backbone.sha256, model.weights_dtype().as_str(), model.device().location());
        let key = SplitKey { datasets, split: split.to_owned(), rows, files, backbone: identity, sketch };
        if let Some(loaded) = self.splits.get(&key) {
            let now = pictures(&mut self.checksums, located, split, &loaded.split.dataset)?;
            if now == loaded.pictures {
                return Ok(loaded.clone());
            }
        }
        let mut dataset = load(located, split, rows)?;
        let pictures = pictures(&mut self.checksums, located, split, &dataset)?;
        if split_files(&mut self.checksums, located, split)? != key.files {
            let path = key.datasets.first().map(|(folder, _)| folder.clone()).unwrap_or_default();
            return Err(study::Error::Changed { path }.into());
        }
        if sketch {
            one_picture(&mut dataset);
        }
        let split = Split::new(dataset, model)?.with_tasks(self.registry.tasks().clone());
        let loaded = Loaded { split: Arc::new(split), pictures };
        self.splits.insert(key, loaded.clone());
        Ok(loaded)
    }
}

/// Lets the first picture stand for all.
fn one_picture(dataset: &mut Dataset) {
    dataset.images.truncate(1);
    dataset.examples.iter_mut().for_each(|example| example.images.fill(0));
}

/// The splits that an experiment reads, and which rows of each.
fn splits_of(experiment: &Experiment) -> [(&str, Rows); 2] {
    let data = &experiment.data;
    [(&data.train_split, Rows::default()), (&data.test_split, taken(data))]
}

/// The rows of its test split that an experiment takes.
pub(crate) fn taken(data: &DataConfig) -> Rows {
    Rows { most: data.test_limit, sampled: data.test_rows == TestRows::Sample }
}

/// The pictures that a loaded split's rows name by path: what was read of it and is no file of the card.
pub(crate) fn pictures(checksums: &mut Checksums, located: &[Located], split: &str, dataset: &Dataset) -> Result<Vec<InputFile>> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut named = BTreeSet::new();
    for one in located {
        let files = data::of_split(&one.folder, &one.card, split).map_err(study::Error::from)?;
        named.extend(files.iter().map(|path| real(path)));
    }
    let others: BTreeSet<PathBuf> = dataset.files.iter().filter(|path| !named.contains(&real(path))).cloned().collect();
    let others: Vec<PathBuf> = others.into_iter().collect();
    let folders: Vec<PathBuf> = located.iter().flat_map(|one| [one.folder.clone(), real(&one.folder)]).collect();
    let mut found = checksums_of(checksums, &format!("split {split}"), Path::new(""), &others)?;
    for (file, path) in found.iter_mut().zip(&others) {
        // Never the whole path, which says where it lay.
        let below = folders.iter().find_map(|folder| path.strip_prefix(folder).ok());
        file.path = below.or(path.file_name().map(Path::new)).unwrap_or(path).display().to_string();
    }
    found.sort();
    Ok(found)
}

/// The files of a split in the order they are read, with their checksums.
pub(crate) fn split_files(checksums: &mut Checksums, located: &[Located], split: &str) -> Result<Vec<InputFile>> {
    let mut files = Vec::new();
    for dataset in located {
        let paths = data::of_split(&dataset.folder, &dataset.card, split).map_err(study::Error::from)?;
        let found = checksums_of(checksums, &format!("split {split}"), &dataset.folder, &paths)?;
        let fetch = format!("data fetch {}", dataset.card.name);
        check_download(dataset.download.as_ref(), &dataset.folder, &found, &fetch)?;
        files.extend(found.into_iter().map(|file| match located.len() {
            1 => file,
            _ => InputFile { path: format!("{}/{}", dataset.card.name, file.path), ..file },
        }));
    }
    Ok(files)
}

/// The files of a backbone's parts with their checksums.
fn files_of(checksums: &mut Checksums, parts: &[PartFiles]) -> Result<Vec<InputFile>> {
    let mut files = Vec::new();
    for part in parts {
        let of_part = checksums_of(checksums, "backbone", &part.folder, &part.files)?;
        files.extend(of_part.into_iter().map(|file| InputFile { path: format!("{}{}", part.prefix, file.path), ..file }));
    }
    Ok(files)
}

/// Files of a folder with their checksums.
fn checksums_of(checksums: &mut Checksums, part: &str, folder: &Path, paths: &[PathBuf]) -> Result<Vec<InputFile>> {
    let below = |path: &Path| path.strip_prefix(folder).unwrap_or(path).display().to_string();
    let found = checksums.of(paths)?;
    let file = |(path, sum): (&PathBuf, Checksum)| InputFile {
        part: part.into(),
        path: below(path),
        bytes: sum.bytes,
        sha256: sum.sha256,
    };
    Ok(paths.iter().zip(found).map(file).collect())
}

/// One checksum of several files, in their order and whatever they are called.
fn joint_sha256(files: &[InputFile]) -> String {
    let text: String = files.iter().map(|file| format!("{}\n", file.sha256)).collect();
    schema::sha256_hex(text.as_bytes())
}

/// A file of the Hub is named by its checksum; one that has another content was damaged on this machine.
fn check_download(download: Option<&Download>, folder: &Path, files: &[InputFile], fetch: &str) -> Result<()> {
    let named = |file: &InputFile| {
        let known = download?.files.iter().find(|known| known.path == file.path)?;
        known.sha256.clone().filter(|sha256| *sha256 != file.sha256)
    };
    match files.iter().find_map(|file| Some((file, named(file)?))) {
        Some((file, wanted)) => anyhow::bail!(
            "{}: its content has SHA-256 {}, the Hub's has {wanted}: it was changed in the cache; remove it and run `fedbench \
             {fetch}`",
            folder.join(&file.path).display(),
            file.sha256,
        ),
        None => Ok(()),
    }
}

/// A partition's key must be one that the card offers.
fn check_partition_key(experiment: &Experiment, card: &Card) -> Result<()> {
    match &experiment.partition.key {
        Some(key) if !card.partition_keys.contains(key) => {
            let kind = format!("partition.key for dataset `{}`", card.name);
            Err(study::Error::unknown(&kind, key, card.partition_keys.iter().map(String::as_str)).into())
        }
        _ => Ok(()),
    }
}
