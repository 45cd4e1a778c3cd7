//! What is known of a backbone: a row of the table, which a user's own crate can add to.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};

use super::folder::Folder;
use super::{Backbone, Half, Spec};
use crate::Result;

/// A model with its weights, or why there is none.
pub type Opened = Result<Box<dyn Backbone>>;

/// A row of `fedbench list backbones`.
#[derive(Debug, Clone, Copy)]
pub struct BackboneRow {
    /// The name a user types.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub sentence: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// What of it is known, and how it is opened.
    pub kind: BackboneKind,
}

/// What of a backbone is known, and how it is opened.
#[derive(Debug, Clone, Copy)]
pub enum BackboneKind {
    /// An architecture: reads every folder that it recognises.
    Folders(Architecture),
    /// A model by its shapes alone, for `fedbench cost`; its weights lie in a folder of its architecture.
    Shapes(fn() -> Result<Spec>),
    /// A model that ships with the program.
    Shipped(Shipped),
    /// A model that asks for weights from elsewhere.
    Asking(Asking),
}

/// How folders are read.
#[derive(Debug, Clone, Copy)]
pub struct Architecture {
    /// The `model_type`s of the `config.json`s that it recognises.
    pub matches: &'static [&'static str],
    /// Shapes, counts and sites, without weights.
    pub spec: fn(&Folder) -> Result<Spec>,
    /// The folder's half of the model with its weights, as this type, on this device.
    pub open: fn(&Folder, DType, &Device) -> Opened,
}

/// A model whose weights are in the program.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// Shapes, counts and sites.
    pub spec: fn() -> Result<Spec>,
    /// SHA-256 of what ships and [`Backbone::weights_sha256`] does not cover; empty where that covers everything.
    pub sha256: fn() -> String,
    /// The model or a half of it, as this type, on this device.
    pub open: fn(Half, DType, &Device) -> Opened,
}

/// A model that is not whole without weights from elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// Shapes, counts and sites, with the weights it is meant for.
    pub spec: fn() -> Result<Spec>,
    /// As [`Shipped::sha256`], of what ships.
    pub sha256: fn() -> String,
    /// What it asks for, in order. A config's `backbone.weights` names where the first lies.
    pub parts: &'static [Part],
    /// The model around the parts at such places, in their order, or a half of it, as this type, on this device.
    pub open: fn(&[PathBuf], Half, DType, &Device) -> Opened,
}

impl Asking {
    /// Its parts by name, as a sentence lists them.
    pub fn parts_named(&self) -> String {
        self.parts.iter().map(|part| part.name).collect::<Vec<_>>().join(" and ")
    }
}

/// Weights that a model asks for: from where an environment variable says, or from the Hub's cache.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Which part of the model they are.
    pub name: &'static str,
    /// Their name, size and licence.
    pub weights: &'static str,
    /// Their id on the Hub.
    pub hub: &'static str,
    /// Whether a tokenizer belongs to them.
    pub has_tokenizer: bool,
    /// The environment variable that may say where they lie.
    pub variable: &'static str,
    /// What may lie there.
    pub form: &'static str,
    /// The files at such a place that are read.
    pub files: fn(&Path) -> Result<Vec<PathBuf>>,
}
