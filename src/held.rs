//! A loaded backbone, and what it was loaded from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::Device;
use models::{Asking, Backbone, BackboneKind, Backbones, Half, Shipped, folder};
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
    /// In the program, if anywhere: its name says all.
    Named(Option<Shipped>),
    /// A folder.
    Folder(PathBuf, Option<Found>),
    /// In the program but for weights that it asks for.
    Asked(Asking, PathBuf, Option<Found>),
}

impl BackbonePlace {
    /// By name, folder or id on the Hub.
    pub fn find(config: &BackboneConfig, backbones: &Backbones) -> Result<Self> {
        let known = backbones.find(&config.name);
        if let Some(BackboneKind::Asking(asking)) = known {
            let (path, found) = asked_weights(&config.name, &asking, config.weights.as_deref())?;
            return Ok(Self::Asked(asking, path, found));
        }
        if let Some(weights) = &config.weights {
            return Err(takes_none(&config.name, weights, backbones).into());
        }
        if let Some(BackboneKind::Shipped(shipped)) = known {
            return Ok(Self::Named(Some(shipped)));
        }
        if let Some(found) = hub::find_backbone(&config.name)? {
            return Ok(Self::Folder(found.folder().into(), Some(found)));
        }
        let path = Path::new(&config.name);
        match path.is_dir() {
            true => Ok(Self::Folder(path.into(), None)),
            false if config.name.contains(std::path::MAIN_SEPARATOR) && !path.exists() => {
                Err(nothing_there("backbone", path).into())
            }
            false => Ok(Self::Named(None)),
        }
    }

    /// The files that are read of it.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        Ok(match self {
            Self::Named(_) => Vec::new(),
            Self::Folder(path, _) => folder::files(path)?,
            Self::Asked(asking, path, _) => (asking.files)(path)?,
        })
    }

    /// What their paths are below of.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Named(_) => PathBuf::new(),
            Self::Folder(path, _) | Self::Asked(_, path, _) if path.is_dir() => path.clone(),
            Self::Folder(path, _) | Self::Asked(_, path, _) => path.parent().map(Path::to_owned).unwrap_or_default(),
        }
    }

    /// Reads it, or a half of it.
    pub fn load(&self, config: &BackboneConfig, backbones: &Backbones, half: Half) -> Result<Arc<dyn Backbone>> {
        let (dtype, device) = (models::parse_dtype(config.dtype.as_deref())?, parse_device(&config.device)?);
        let loaded = match self {
            Self::Named(_) => backbones.open_half(&config.name, half, dtype, &device)?,
            Self::Folder(path, _) => backbones.open_half(&path.display().to_string(), half, dtype, &device)?,
            Self::Asked(asking, path, _) => (asking.open)(path, half, dtype, &device)?,
        };
        Ok(loaded.into())
    }

    /// What of it came from the Hub.
    pub fn download(&self) -> Result<Option<Download>> {
        match self {
            Self::Folder(_, Some(found)) | Self::Asked(_, _, Some(found)) => found.record().map(Some),
            _ => Ok(None),
        }
    }

    /// SHA-256 of what ships of it besides weights; empty where nothing does.
    pub fn shipped_sha256(&self) -> String {
        match self {
            Self::Named(Some(shipped)) => (shipped.sha256)(),
            Self::Asked(asking, ..) => (asking.sha256)(),
            Self::Named(None) | Self::Folder(..) => String::new(),
        }
    }
}

/// Weights were named for a backbone that asks for none.
fn takes_none(name: &str, weights: &str, backbones: &Backbones) -> study::Error {
    let [name, weights] = [name, weights].map(|text| guard::text::line(text, 80));
    let asking = backbones.rows().iter().filter(|row| matches!(row.kind, BackboneKind::Asking(_)));
    let asking: Vec<String> = asking.map(|row| format!("`{}`", row.name)).collect();
    study::Error::Usage(format!(
        "backbone.weights (--weights) `{weights}`: backbone `{name}` takes none, only {} does; leave it out",
        asking.join(" or ")
    ))
}

/// Over what the model says of itself, what ships with the suite, and each of its files by name: the same bytes are another model where
/// they are another file. A GGUF file may be called anything.
pub(crate) fn made_of(shipped_sha256: &str, model: &dyn Backbone, files: &[InputFile]) -> String {
    let mut text = format!("{}\n{shipped_sha256}\n", model.weights_sha256());
    for file in files {
        let name = if file.path.ends_with(".gguf") { "gguf" } else { &file.path };
        text.push_str(&format!("{} {name}\n", file.sha256));
    }
    schema::sha256_hex(text.as_bytes())
}

/// Where weights are that a backbone asks for: where a config says, where its variable says, or in the Hub's cache.
pub(crate) fn asked_weights(name: &str, asking: &Asking, stated: Option<&str>) -> Result<(PathBuf, Option<Found>)> {
    let variable = || std::env::var_os(asking.variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = stated.map(PathBuf::from).or_else(variable) {
        return match path.exists() {
            true => Ok((path, None)),
            false => Err(nothing_there(&format!("{name}'s {}", asking.part), &path).into()),
        };
    }
    let found = hub::find_backbone(&format!("hf:{}", asking.hub));
    let found = found.with_context(|| {
        format!(
            "backbone `{name}` needs {}; `{}`, or `backbone.weights`, may name {}",
            asking.weights, asking.variable, asking.form
        )
    })?;
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
    let hint = match cfg!(feature = "cuda") {
        true => "no CUDA device of this number answers (it needs an NVIDIA GPU and its driver)",
        false => "this program is built without CUDA (`--features cuda`)",
    };
    Device::new_cuda(index).with_context(|| format!("cannot use device cuda:{index}: {hint}; `--device cpu` always works"))
}
