//! A loaded backbone, and what it was loaded from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::Device;
use models::{Asking, Backbone, BackboneKind, Backbones, Half, Part, Shipped, folder};
use schema::InputFile;
use schema::experiment::BackboneConfig;
use schema::record::Download;

use crate::hub::{self, Found};
use crate::wheel;

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
    pub downloads: Vec<Download>,
}

/// Where a backbone is.
pub(crate) enum BackbonePlace {
    /// In the program, if anywhere: its name says all.
    Named(Option<Shipped>),
    /// A folder.
    Folder(PathBuf, Option<Found>),
    /// In the program but for weights that it asks for.
    Asked(Asking, Vec<(PathBuf, Option<Found>)>),
}

/// Files of a part of a backbone that lie in one folder.
pub(crate) struct PartFiles<'a> {
    /// What their names begin with in a run's inputs: nothing in a backbone's first part.
    pub prefix: String,
    /// What their paths are below of.
    pub folder: PathBuf,
    /// Those that are read.
    pub files: Vec<PathBuf>,
    found: Option<&'a Found>,
}

impl<'a> PartFiles<'a> {
    fn at(prefix: String, path: &Path, files: Vec<PathBuf>, found: Option<&'a Found>) -> Self {
        let folder = if path.is_dir() { Some(path) } else { path.parent() };
        Self { prefix, folder: folder.map(Path::to_owned).unwrap_or_default(), files, found }
    }

    /// What of it came from the Hub.
    pub fn download(&self) -> Result<Option<Download>> {
        self.found.map(Found::record).transpose()
    }
}

impl BackbonePlace {
    /// By name, folder or id on the Hub.
    pub fn find(config: &BackboneConfig, backbones: &Backbones) -> Result<Self> {
        let known = backbones.find(&config.name);
        if let Some(BackboneKind::Asking(asking)) = known {
            return Ok(Self::Asked(asking, asked_weights(&config.name, &asking, config.weights.as_deref())?));
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

    /// The files that are read of it, part by part.
    pub fn parts(&self) -> Result<Vec<PartFiles<'_>>> {
        Ok(match self {
            Self::Named(_) => Vec::new(),
            Self::Folder(path, found) => vec![PartFiles::at(String::new(), path, folder::files(path)?, found.as_ref())],
            Self::Asked(asking, places) => {
                let mut parts = Vec::new();
                for (asked, (path, found)) in asking.parts.iter().zip(places) {
                    let prefix = if parts.is_empty() { String::new() } else { format!("{}/", asked.name) };
                    parts.push(PartFiles::at(prefix, path, (asked.files)(path)?, found.as_ref()));
                }
                parts
            }
        })
    }

    /// Reads it, or a half of it.
    pub fn load(&self, config: &BackboneConfig, backbones: &Backbones, half: Half) -> Result<Arc<dyn Backbone>> {
        let (dtype, device) = (models::parse_dtype(config.dtype.as_deref())?, parse_device(&config.device)?);
        let loaded = match self {
            Self::Named(_) => backbones.open_half(&config.name, half, dtype, &device)?,
            Self::Folder(path, _) => backbones.open_half(&path.display().to_string(), half, dtype, &device)?,
            Self::Asked(asking, places) => {
                let paths: Vec<PathBuf> = places.iter().map(|(path, _)| path.clone()).collect();
                (asking.open)(&paths, half, dtype, &device)?
            }
        };
        Ok(loaded.into())
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

/// Where the parts are that a backbone asks for: where a config says (the first), where their variables say, or in the Hub's cache.
pub(crate) fn asked_weights(name: &str, asking: &Asking, stated: Option<&str>) -> Result<Vec<(PathBuf, Option<Found>)>> {
    let stated = |i: usize| stated.filter(|_| i == 0);
    asking.parts.iter().enumerate().map(|(i, part)| asked_part(name, part, stated(i))).collect()
}

fn asked_part(name: &str, part: &Part, stated: Option<&str>) -> Result<(PathBuf, Option<Found>)> {
    let variable = || std::env::var_os(part.variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = stated.map(PathBuf::from).or_else(variable) {
        return match path.exists() {
            true if part.has_tokenizer => Ok((wheel::resolved(&path)?, None)),
            true => Ok((path, None)),
            false => Err(nothing_there(&format!("{name}'s {}", part.name), &path).into()),
        };
    }
    let found = hub::find_part(part);
    let found = found.with_context(|| {
        let key = if part.has_tokenizer { ", or `backbone.weights`," } else { "" };
        format!("backbone `{name}` needs {} as its {}; `{}`{key} may name {}", part.weights, part.name, part.variable, part.form)
    })?;
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
