//! `fedbench flower-app`, and `fedbench run --engine flower`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use federation::Scope;
use schema::Experiment;

use super::arguments::{ExperimentFile, seed};
use super::{note, place, say};
use crate::flower::{App, submit};
use crate::progress::bytes;
use crate::session::Session;

/// An app for Flower that runs an experiment over its nodes: workers of this suite, whose frames Flower carries.
#[derive(Args)]
pub(crate) struct FlowerApp {
    #[command(flatten)]
    file: ExperimentFile,
    /// The seed, instead of the file's.
    #[arg(long, value_parser = seed())]
    seed: Option<u64>,
    /// The app's folder.
    #[arg(long)]
    out: PathBuf,
    /// Where the run folder goes, on the SuperLink's machine.
    #[arg(long, default_value = "runs")]
    runs: PathBuf,
}

impl FlowerApp {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        let mut experiment = self.file.resolve()?;
        experiment.seed = self.seed.unwrap_or(experiment.seed);
        check(session, &experiment)?;
        place::check_outside_runs(&self.out)?;
        let app = App::write(&self.out, &experiment, &self.runs)?.folder;
        say(&format!("app: {}\non each node: sh {0}/node.sh CLIENTS SUPERLINK\nthen: flwr run {0} SUPERLINK", app.display()));
        Ok(())
    }
}

/// One experiment over Flower's nodes, from the submission to the run folder, which is on this machine if the SuperLink is.
pub(super) fn run(
    session: &mut Session,
    experiment: &Experiment,
    out: &Path,
    superlink: Option<&str>,
    quiet: bool,
) -> Result<()> {
    check(session, experiment)?;
    let mut resolved = session.resolve(experiment)?;
    session.complete(&mut resolved)?;
    let app = App::write(&out.join(format!(".flower-{}", resolved.name)), experiment, out)?;
    let said = |line: &str| {
        if !quiet {
            note(line);
        }
    };
    let submitted = submit(&app, superlink, said);
    std::fs::remove_dir_all(&app.folder).with_context(|| format!("cannot remove {}", app.folder.display()))?;
    let traffic = submitted?;
    let run = out.join(&resolved.name);
    let place = if run.join(schema::run_dir::SUMMARY).is_file() { "" } else { " (on the SuperLink's machine)" };
    let (up, down) = (bytes(traffic.inbound_bytes), bytes(traffic.outbound_bytes));
    say(&format!("{}{place}; Flower's messages took {up} up, {down} down", run.display()));
    Ok(())
}

/// Flower has nodes, so the method has to have clients.
fn check(session: &Session, experiment: &Experiment) -> Result<()> {
    let row = session.registry().settle(&mut experiment.clone())?;
    match row.scope {
        Scope::Shard => Ok(()),
        _ => Err(study::Error::Usage(format!("method `{}` has no clients that could be at Flower's nodes", row.name)).into()),
    }
}
