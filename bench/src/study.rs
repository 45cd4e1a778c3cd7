//! A small study on the embedded backbone and generated rows.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::{DType, Device};
use data::Dataset;
use data_scripts::generators;
use federation::registry::Registry;
use models::{Backbone, nano};
use schema::card::Card;
use study::Study;
use tasks::Split;

/// A study, and the folder its rows were read from.
pub struct Task {
    /// Ready to train and judge.
    pub study: Study,
    /// The dataset's card.
    pub card: Card,
    folder: tempfile::TempDir,
}

impl Task {
    /// Where the parquet files are.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }
}

/// `rows` training and test rows of IconGen, five clients, FedNano's adapters.
pub fn task(rows: usize) -> Result<Task> {
    let folder = tempfile::tempdir()?;
    let generator = generators::find("icongen").context("no generator `icongen`")?;
    let card = generators::write(generator, folder.path(), Some((rows, rows)), 3)?;
    let backbone: Arc<dyn Backbone> = Arc::new(nano::load(DType::F32, &Device::Cpu)?);
    let split = |name: &str| -> Result<Arc<Split>> {
        Ok(Arc::new(Split::new(Dataset::load(folder.path(), &card, name, None)?, &*backbone)?))
    };
    let experiment = toml::from_str("seed = 1\n[data]\ndataset = \"icongen\"\n[method]\nname = \"fednano\"\n")?;
    let row = Registry::new(baselines::METHODS).find("fednano")?;
    let study = Study::new(experiment, &row, backbone.clone(), split("train")?, split("test")?)?;
    Ok(Task { study, card, folder })
}
