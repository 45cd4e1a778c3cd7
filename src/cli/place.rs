//! Where a command may write: nothing that is kept is overwritten by something else.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use schema::run_dir;
use serde::Deserialize;

/// What an evaluation came to; written last.
pub(crate) const EVALUATION: &str = "evaluation.json";

/// What was answered without pictures, where both were asked for.
pub(crate) const BLIND_PREDICTIONS: &str = "predictions-blind.parquet";

/// What an evaluation's folder may hold.
const OF_EVALUATIONS: [&str; 7] = [
    EVALUATION,
    run_dir::PREDICTIONS,
    BLIND_PREDICTIONS,
    run_dir::ENVIRONMENT,
    run_dir::SKIPPED,
    run_dir::MANIFEST,
    guard::lock::NAME,
];

/// An `evaluation.json` is longer than this only if somebody else wrote it.
const LONGEST: u64 = 16 << 20;

/// What of an older evaluation says which one it is.
#[derive(Deserialize)]
struct Before {
    #[serde(default)]
    identity: String,
}

/// Whether a folder holds a run, finished or not.
fn holds_a_run(folder: &Path) -> bool {
    [run_dir::EXPERIMENT, run_dir::SUMMARY, run_dir::MANIFEST].iter().any(|name| folder.join(name).symlink_metadata().is_ok())
}

/// Runs go below a folder; in a run's own folder no report would find them.
pub(crate) fn check_for_runs(out: &Path) -> Result<(), study::Error> {
    match holds_a_run(out) {
        true => Err(taken(out, "that folder is a run's own; give the folder above it, or another one")),
        false => check_outside_runs(out),
    }
}

/// Nothing goes into a run's folder, however deep: there it is found by nobody, and lost when the run is run again.
pub(crate) fn check_outside_runs(out: &Path) -> Result<(), study::Error> {
    let absolute = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
    let Some(there) = absolute.ancestors().find_map(|folder| folder.canonicalize().ok()) else { return Ok(()) };
    // An experiment alone may lie anywhere.
    let is_run = |folder: &&Path| {
        [run_dir::EXPERIMENT, run_dir::ENVIRONMENT].iter().all(|name| folder.join(name).symlink_metadata().is_ok())
    };
    match there.ancestors().find(is_run) {
        Some(run) => Err(taken(out, &format!("{} is a run's own folder; give one outside of it", run.display()))),
        None => Ok(()),
    }
}

/// An evaluation goes into a folder of its own: an empty one, or one that holds an evaluation ([`check_same`] asks which) and no run
/// ([`study::record::RunDir::beside_runs`]).
pub(crate) fn check_for_evaluation(out: &Path) -> Result<()> {
    check_outside_runs(out)?;
    for entry in std::fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let aside = name.starts_with('.') && name.ends_with(".part");
        if !aside && !OF_EVALUATIONS.contains(&name.as_str()) {
            let name = guard::text::line(&name, 80);
            return Err(taken(out, &format!("that folder holds `{name}`, which is no evaluation's; give a new folder")).into());
        }
    }
    Ok(())
}

/// The folders that a command is about to make on the way to another; dropped, those that are empty go again. What was written stays.
pub(crate) struct Made(Vec<PathBuf>);

impl Made {
    /// Those that are missing now.
    pub(crate) fn on_the_way(out: &Path) -> Self {
        Self(out.ancestors().take_while(|folder| folder.symlink_metadata().is_err()).map(Path::to_owned).collect())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // From the innermost; what is not empty is not removed.
        let _ = self.0.iter().try_for_each(std::fs::remove_dir);
    }
}

/// An evaluation may replace itself, and no other one.
pub(crate) fn check_same(out: &Path, identity: &str) -> Result<(), study::Error> {
    let path = out.join(EVALUATION);
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let before = guard::files::read_here(&path, LONGEST).ok().and_then(|text| serde_json::from_slice::<Before>(&text).ok());
    match before {
        Some(before) if before.identity == identity => Ok(()),
        _ => Err(taken(
            out,
            "that folder holds another evaluation (other data, backbone, adapters or keys, or an older version's); give a new folder",
        )),
    }
}

fn taken(out: &Path, why: &str) -> study::Error {
    study::Error::Usage(format!("--out {}: {why}", out.display()))
}
