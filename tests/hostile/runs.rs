//! What runs are made of, and what they leave: experiments, suites, run folders.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fedbench::plan::Plan;
use fedbench::session::Session;
use federation::registry::Registry;
use reports::read::Trust;
use reports::{Format, NoLibrary, Report};
use schema::{Experiment, toml_file};

use super::attack;
use crate::cli::Desk;
use crate::mutate;
use crate::support::Test;

/// Every section and most keys, small.
const EXPERIMENT: &str = r#"name = "hostile"
seed = 3
[backbone]
name = "nano"
device = "cpu"
[data]
dataset = "DATA"
train_limit = 12
test_limit = 6
max_prompt_tokens = 64
[partition]
clients = 3
scheme = "dirichlet"
key = "answer"
alpha = 1.0
classes_per_client = 2
min_examples = 1
[federation]
rounds = 2
local_epochs = 1
local_steps = 2
batch_size = 4
budget = "steps"
cohort = 0.7
dropout = 0.2
stragglers = 0.5
straggler_steps = 0.5
uplink = "int8"
loss_at = "client"
[optimizer]
learning_rate = 0.001
beta1 = 0.9
beta2 = 0.999
epsilon = 1e-8
weight_decay = 0.01
[adapter]
kind = "lora"
rank = 2
alpha = 4.0
sites = ["q_proj", "v_proj"]
[method]
name = "fedprox"
mu = 0.1
[evaluation]
every = 1
batch_size = 4
max_new_tokens = 4
[privacy]
mode = "local"
clip = 1.0
noise_multiplier = 0.5
delta = 1e-5
"#;

/// A few generated rows, and the experiment on them.
fn experiment(folder: &Path) -> Result<String> {
    let data = folder.join("data");
    let generator = data_scripts::generators::find("icongen").context("no such generator")?;
    data_scripts::generators::write(generator, &data, Some((12, 6)), 3)?;
    Ok(EXPERIMENT.replace("DATA", data.to_str().context("a path in UTF-8")?))
}

/// What `fedbench validate` does.
fn validate(path: &Path) -> Result<()> {
    let experiment: Experiment = toml_file::read(path)?;
    let mut session = Session::new(Registry::new(baselines::METHODS));
    let resolved = session.resolve(&experiment)?;
    let study = session.sketch(&resolved)?;
    Plan::new(&study, &resolved.row, &resolved.inputs, &mut session.pace)?.lines();
    Ok(())
}

#[test]
fn experiments() -> Test {
    let folder = tempfile::tempdir()?;
    let text = experiment(folder.path())?;
    let path = folder.path().join("x.toml");
    let read = |_: usize, text: &[u8]| -> Result<()> {
        std::fs::write(&path, text)?;
        validate(&path)
    };
    read(0, text.as_bytes()).context("sound")?;
    attack("experiments", &[text.into_bytes()], mutate::json, read)
}

const SUITE: &str = r#"name = "hostile"
description = "Every way to list experiments."
seeds = [1, 2, 3]
[base.data]
dataset = "icongen"
train_limit = 12
[base.federation]
rounds = 2
[base.method]
name = "fedavg-lora"
[[axes.alpha]]
partition = { scheme = "dirichlet", key = "answer", alpha = 0.1 }
[[axes.alpha]]
partition = { scheme = "dirichlet", key = "answer", alpha = 1.0 }
[[axes.rank]]
adapter = { rank = 2 }
[[axes.rank]]
adapter = { rank = 4, alpha = 8.0 }
[[experiments]]
name = "alone"
method = { name = "local" }
[[experiments]]
method = { name = "fedprox", mu = 0.1 }
"#;

#[test]
fn suites() -> Test {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("suite.toml");
    let name = path.to_str().context("a path in UTF-8")?;
    let read = |_: usize, text: &[u8]| -> Result<()> {
        std::fs::write(&path, text)?;
        assert!(!fedbench::cli::experiments_of(name)?.is_empty());
        Ok(())
    };
    read(0, SUITE.as_bytes()).context("sound")?;
    attack("suites", &[SUITE.into()], mutate::json, read)
}

/// A small finished run, and its files.
fn finished(desk: &Desk) -> Result<(PathBuf, Vec<PathBuf>)> {
    let text = experiment(desk.path())?.replace("every = 1", "every = 0");
    desk.write("x.toml", &text).expect(&["run", "x.toml", "--out", "runs", "--quiet"], 0, &[]);
    let run = std::fs::read_dir(desk.path().join("runs"))?.next().context("a run")??.path();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&run)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok((run, files))
}

/// A finished run whose files are held against their checksums: damage is refused before anything is read of it.
#[test]
fn run_folders() -> Test {
    damaged_runs("run folders", Trust::Verified)
}

/// The same read without the checksums: whatever is damaged is read as far as it goes.
#[test]
fn run_folders_unverified() -> Test {
    damaged_runs("run folders unverified", Trust::AsTheyAre)
}

/// Each file of a pack of a run, whose checksums are not compared: whatever is damaged is read as far as it goes.
#[test]
fn packs() -> Test {
    let desk = Desk::new();
    finished(&desk)?;
    desk.expect(&["keep", "runs", "--out", "pack"], 0, &[]);
    let pack = desk.path().join("pack");
    let paths = schema::pack::FILES.map(|name| pack.join(name));
    let files = paths.iter().map(|path| Ok(std::fs::read(path)?)).collect::<Result<Vec<_>>>()?;
    let out = desk.path().join("report");
    let report = || -> Result<()> {
        let mut report = Report::read_with(std::slice::from_ref(&pack), Trust::AsTheyAre)?;
        report.illustrate(&mut NoLibrary)?;
        report.write(&out, Format::ALL)?;
        Ok(())
    };
    report().context("sound")?;
    let damage = |file: &[u8], stream: &mut seed::Stream| match stream.chance(0.5) {
        true => mutate::parquet_footer(file, stream),
        false => mutate::bytes(file, stream),
    };
    attack("packs", &files, damage, |which, bytes| {
        std::fs::write(&paths[which], bytes)?;
        let folder = tempfile::tempdir()?;
        let (reported, unpacked) = (report(), reports::unpack::unpack(&pack, folder.path(), Trust::AsTheyAre));
        std::fs::write(&paths[which], &files[which])?;
        unpacked?;
        reported
    })
}

/// A pack's manifest: what is damaged in it is an error, or damaged nothing.
#[test]
fn pack_manifests() -> Test {
    let desk = Desk::new();
    finished(&desk)?;
    desk.expect(&["keep", "runs", "--out", "pack"], 0, &[]);
    let pack = desk.path().join("pack");
    let path = pack.join(schema::pack::MANIFEST);
    let whole = std::fs::read(&path)?;
    attack("pack manifests", &[whole], mutate::json, |_, bytes| {
        std::fs::write(&path, bytes)?;
        Report::read_with(std::slice::from_ref(&pack), Trust::Verified)?;
        Ok(())
    })
}

/// Each file of a finished run in turn, the rest as they are; then the report of it in every format.
fn damaged_runs(target: &str, trust: Trust) -> Test {
    let desk = Desk::new();
    let (run, paths) = finished(&desk)?;
    let files = paths.iter().map(|path| Ok(std::fs::read(path)?)).collect::<Result<Vec<_>>>()?;
    let out = desk.path().join("report");
    let report = || -> Result<()> {
        let mut report = Report::read_with(std::slice::from_ref(&run), trust)?;
        report.illustrate(&mut NoLibrary)?;
        report.write(&out, Format::ALL)?;
        report.terminal();
        Ok(())
    };
    report().context("sound")?;
    let text = |path: &Path| path.extension().is_some_and(|ending| ending == "json" || ending == "toml");
    let texts: Vec<bool> = paths.iter().map(|path| text(path)).collect();
    let tagged: Vec<Vec<u8>> =
        files.iter().zip(&texts).map(|(file, &text)| [&[u8::from(text)], file.as_slice()].concat()).collect();
    let damage = |file: &[u8], stream: &mut seed::Stream| match file.split_first() {
        Some((1, text)) => mutate::json(text, stream),
        Some((_, bytes)) if bytes.ends_with(b"PAR1") && stream.chance(0.5) => mutate::parquet_footer(bytes, stream),
        Some((_, bytes)) => mutate::bytes(bytes, stream),
        None => Vec::new(),
    };
    attack(target, &tagged, damage, |which, bytes| {
        std::fs::write(&paths[which], bytes)?;
        let reported = report();
        std::fs::write(&paths[which], &files[which])?;
        reported
    })
}
