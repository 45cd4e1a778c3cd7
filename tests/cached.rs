//! Does a backbone that keeps what it computed of earlier tokens say what it says without, whatever adapters are in it, and how much
//! sooner?

use std::sync::Arc;

use anyhow::{Context, Result};
use baselines::METHODS;
use candle_core::{DType, Device};
use data::Dataset;
use data_scripts::generators;
use federation::registry::{MethodRow, Registry};
use models::adapter::{Adapters, KINDS};
use models::{Backbone, nano};
use schema::Experiment;
use study::Study;
use tasks::Split;
use tasks::generation::generate_with;
use tasks::judge::Judge;

use crate::support::{Test, normal, setup};
use crate::tiny;

/// The embedded backbone, which has learned to say little, and boxes to be said, with adapters of a kind.
fn study(kind: &str, tokens: usize, rows: usize) -> Result<Study> {
    setup();
    let backbone: Arc<dyn Backbone> = Arc::new(nano::load(DType::F32, &Device::Cpu)?);
    let folder = tempfile::tempdir()?;
    let generator = generators::find("icongen-boxes").context("no such generator")?;
    let card = generators::write(generator, folder.path(), Some((4, rows)), 5)?;
    let load = |split: &str| -> Result<Arc<Split>> {
        Ok(Arc::new(Split::new(Dataset::load(folder.path(), &card, split, None)?, &*backbone)?))
    };
    let (train, test) = (load("train")?, load("test")?);
    let (experiment, row) = experiment("icongen-boxes", kind, tokens)?;
    let study = Study::new(experiment, &row, backbone.clone(), train, test)?;
    study.judge().see()?;
    Ok(study)
}

/// A tiny backbone of random numbers, which says no end, with adapters of a kind.
fn endless(kind: &str, tokens: usize) -> Result<Study> {
    let (experiment, _) = experiment("icongen", kind, tokens)?;
    let (_, study) = tiny::study(&experiment)?;
    study.judge().see()?;
    Ok(study)
}

fn experiment(dataset: &str, kind: &str, tokens: usize) -> Result<(Experiment, MethodRow)> {
    let rank = if ["nano", "lora", "bottleneck"].contains(&kind) { "rank = 4\n" } else { "" };
    let text = format!(
        "[data]\ndataset = \"{dataset}\"\nmax_prompt_tokens = 40\n[partition]\nclients = 1\n[adapter]\nkind = \"{kind}\"\n{rank}\
         [method]\nname = \"fedavg\"\n[evaluation]\nmax_new_tokens = {tokens}\nbatch_size = 8\n"
    );
    let mut experiment: Experiment = toml::from_str(&text)?;
    let row = Registry::new(METHODS).settle(&mut experiment)?;
    Ok((experiment, row))
}

/// Adapters that change what is said: their first numbers, and noise.
fn adapters(study: &Study, scale: f64) -> Result<Adapters> {
    let mut noisy = Adapters::default();
    for (name, tensor) in study.initial().iter() {
        let noise = normal(name, tensor.shape(), tensor.dtype())?;
        noisy.insert(name.to_string(), (tensor + (noise * scale)?)?);
    }
    Ok(noisy)
}

fn said(judge: &Judge, study: &Study, adapters: &Adapters, keeps: bool) -> Result<Vec<String>> {
    let all: Vec<usize> = (0..judge.examples.len()).collect();
    Ok(generate_with(judge, &study.adapter().attach(adapters)?, &all, keeps)?)
}

#[test]
fn the_same_tokens_are_said() -> Test {
    let mut letters = 0;
    // The prompt's own embeddings stand in front of all that is kept.
    for kind in KINDS.iter().filter(|kind| kind.name != "prompt") {
        for (name, study) in [("nano", study(kind.name, 20, 12)?), ("tiny", endless(kind.name, 20)?)] {
            for scale in [0.0, 0.1] {
                let adapters = adapters(&study, scale)?;
                let [kept, anew] = [true, false].map(|keeps| said(study.judge(), &study, &adapters, keeps));
                let (kept, anew) = (kept?, anew?);
                assert_eq!(kept, anew, "{name} with {}, noise of {scale}", kind.name);
                letters += anew.iter().map(String::len).sum::<usize>();
            }
        }
    }
    assert!(letters > 100, "{letters} letters were said");
    Ok(())
}

/// Processor time of 30 tokens each (`cargo test cached:: -- --ignored --nocapture`).
#[test]
#[ignore = "a measurement"]
fn thirty_tokens_take_less() -> Test {
    let study = study("nano", 30, 40)?;
    // So much that no end is said.
    let adapters = adapters(&study, 3.0)?;
    for keeps in [false, true, false, true] {
        let before = processor_seconds()?;
        let tokens: usize = said(study.judge(), &study, &adapters, keeps)?.iter().map(String::len).sum();
        eprintln!("keeps {keeps}: {:.2} s of processors, {tokens} letters", processor_seconds()? - before);
    }
    Ok(())
}

/// User time of this process, all threads.
fn processor_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let user = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(11)).context("no user time")?;
    Ok(user.parse::<f64>()? / 100.0)
}
