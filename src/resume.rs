//! Going on from where a run was: the checkpoint in its own folder, or that of the same run of fewer rounds.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use federation::{InProcess, Memories as _, Scope};
use guard::lock::Lock;
use remote::Memories;
use schema::{Environment, Experiment, run_dir, toml_file};
use study::Study;
use study::checkpoints::{Kept, Writer, stands_after};

use crate::environment::{kernels, program};
use crate::output::note;
use crate::session::Resolved;

/// Below a checkpoint's folder: what the clients of this process remember.
const CLIENTS: &str = "clients";

/// A longer `environment.json` is not read for what its run had read.
const MOST_ENVIRONMENT: u64 = 64 << 20;

/// What computes a run here.
pub fn writer(study: &Study, elsewhere: bool) -> Writer {
    let backbone = study.backbone();
    Writer {
        program: program().into(),
        device: study.experiment().backbone.device.clone(),
        kernels: kernels(backbone),
        clients: if elsewhere { "elsewhere" } else { "here" }.into(),
    }
}

/// Whether a run folder says that this very program wrote it.
pub fn is_of_this_program(run: &Path) -> bool {
    environment_of(run).is_some_and(|environment| environment.program.as_deref() == Some(program()))
}

fn environment_of(run: &Path) -> Option<Environment> {
    let text = guard::files::read_here(&run.join(run_dir::ENVIRONMENT), MOST_ENVIRONMENT).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The checkpoints of a run whose folder this process has locked. What lies there is gone on from, or else that of the same run of fewer
/// rounds below `out`; with `anew` neither.
pub fn kept(folder: &Path, study: &Study, resolved: &Resolved, writer: Writer, anew: bool) -> Kept {
    if anew {
        // What cannot be removed is not gone on from.
        let _ = fs::remove_dir_all(folder.join(run_dir::CHECKPOINT));
        let (mut kept, _) = Kept::open(folder, writer, remote::attempt());
        kept.begin_anew(remote::attempt());
        return kept;
    }
    let (kept, why) = Kept::open(folder, writer.clone(), remote::attempt());
    why.iter().for_each(|why| note(&format!("begins anew: {why}")));
    if kept.last().is_some() || study.row().scope == Scope::Nothing {
        return kept;
    }
    match shorter(folder, study, resolved).filter(|shorter| borrow(shorter, folder).is_ok()) {
        None => kept,
        Some(shorter) => {
            let (kept, why) = Kept::open(folder, writer, remote::attempt());
            let name = shorter.file_name().unwrap_or_default().display();
            match why {
                None => note(&format!("goes on from {name}, the same run of fewer rounds")),
                Some(why) => note(&format!("does not go on from {name}, the same run of fewer rounds: {why}")),
            }
            kept
        }
    }
}

/// The engine whose clients are in this process. A checkpoint without what they remembered is none: the run begins anew.
pub fn engine<'s>(study: &'s Study, kept: &mut Kept) -> Result<InProcess<'s>> {
    if study.row().scope == Scope::Nothing {
        return Ok(InProcess::new(study.host()?));
    }
    let memories = Memories::of_run(kept.folder(), CLIENTS)?;
    let remembered =
        |client: usize, after: usize| after == 0 || memories.recall(client, after).is_ok_and(|found| found.is_some());
    if let Some(last) = kept.last() {
        let is_whole = memories.attempt().as_deref() == Some(kept.attempt());
        if !is_whole || !last.after.iter().enumerate().all(|(client, after)| remembered(client, *after)) {
            note(&format!("begins anew: {}: what clients remember is not there, or damaged", kept.folder().display()));
            kept.begin_anew(remote::attempt());
        }
    }
    if kept.last().is_none() {
        memories.begin(kept.attempt())?;
    }
    Ok(InProcess::new(study.host()?.remembering(memories)))
}

/// Beside a run's folder, the folder of the same run of fewer rounds that got furthest; none where what is done in a round depends on how
/// many there are.
fn shorter(folder: &Path, study: &Study, resolved: &Resolved) -> Option<PathBuf> {
    if resolved.method.looks_ahead() || !study.experiment().optimizer.is_steady() {
        return None;
    }
    let name = folder.file_name()?.to_str()?;
    let (prefix, _) = name.rsplit_once('-')?;
    let mut found: Vec<(usize, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder.parent()?).ok()?.flatten() {
        let file_name = entry.file_name();
        let is_sibling = file_name.to_str().and_then(|name| name.rsplit_once('-')).is_some_and(|(of, _)| of == prefix);
        if is_sibling && file_name != *name {
            found.extend(rounds_of_the_same(&entry.path(), study, resolved).map(|rounds| (rounds, entry.path())));
        }
    }
    found.sort();
    found.pop().map(|(_, path)| path)
}

/// How many rounds a folder's checkpoint is after, if its run is this one but for fewer rounds.
fn rounds_of_the_same(run: &Path, study: &Study, resolved: &Resolved) -> Option<usize> {
    let mut experiment: Experiment = toml_file::read_here(&run.join(run_dir::EXPERIMENT)).ok()?;
    let wanted = study.experiment();
    if experiment.federation.rounds >= wanted.federation.rounds {
        return None;
    }
    experiment.federation.rounds = wanted.federation.rounds;
    (experiment.name, experiment.tuned) = (wanted.name.clone(), wanted.tuned.clone());
    if experiment != *wanted {
        return None;
    }
    if environment_of(run)?.inputs?.identity() != resolved.inputs.identity() {
        return None;
    }
    stands_after(run).map(|(round, _)| round)
}

/// Copies a run's checkpoint, with what its clients remember, unless another process is at that run.
fn borrow(from: &Path, to: &Path) -> std::io::Result<()> {
    let _lock = Lock::of_folder(from)?.ok_or_else(|| std::io::Error::other("another process is writing it"))?;
    let (from, to) = (from.join(run_dir::CHECKPOINT), to.join(run_dir::CHECKPOINT));
    let _ = fs::remove_dir_all(&to);
    copy_folder(&from, &to)
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, kind) = entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind)))?;
        let place = to.join(entry.file_name());
        if kind.is_dir() {
            copy_folder(&entry.path(), &place)?;
        } else if kind.is_file() && entry.file_name() != guard::lock::NAME {
            fs::copy(entry.path(), &place)?;
        }
    }
    Ok(())
}
