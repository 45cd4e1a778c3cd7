//! `fedbench worker`: some clients, waiting for a server.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use federation::Unwatched;
use federation::order::Kind;
use line::{Address, Listener};
use remote::{Memories, Notice};
use study::Part;

use super::arguments::{Clients, ExperimentFile, Protection, clients, seed};
use super::decoder::Elsewhere;
use super::{note, say};
use crate::runner::introduction;
use crate::session::Session;

/// Some clients of an experiment, for a server that calls (`fedbench coordinate`). It loads the same experiment as the server, encodes
/// its own clients' pictures alone, and runs until it is stopped. Started again, it goes on from what `--state` holds.
#[derive(Args)]
pub(crate) struct Worker {
    #[command(flatten)]
    file: ExperimentFile,
    /// The seed, instead of the file's.
    #[arg(long, value_parser = seed())]
    seed: Option<u64>,
    /// The clients that it has: `0,2,5-9`.
    #[arg(long, value_parser = clients)]
    clients: Clients,
    /// Where it waits: `unix:PATH`, `tcp://127.0.0.1:PORT` or `tls://HOST:PORT`.
    #[arg(long)]
    listen: Address,
    /// Where what its clients remember is kept, for as long as the run takes.
    #[arg(long)]
    state: PathBuf,
    #[command(flatten)]
    protection: Protection,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// No line for each round.
    #[arg(long)]
    quiet: bool,
}

impl Worker {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        let mut experiment = self.file.resolve()?;
        experiment.seed = self.seed.unwrap_or(experiment.seed);
        self.elsewhere.apply(&mut experiment, session);
        let listener = Listener::bind(&self.listen, &self.protection.security()).map_err(remote::Error::from)?;
        let mut resolved = session.resolve(&experiment)?;
        session.complete(&mut resolved)?;
        let Clients(ids) = self.clients;
        let study = session.study_of(&resolved, &Part::Clients(ids.clone()))?;
        let memories = Memories::of_run(&self.state, &resolved.name)?;
        let host = study.host()?.of(&ids);
        let introduction = introduction(&study, &resolved.name, ids.clone())?;
        say(&format!("{}: clients {} at {}", resolved.name, listed(&ids), listener.address()));
        crate::output::finish().context("cannot write the result to standard output")?;
        remote::Worker::new(host, &memories, introduction, &Unwatched).serve(&listener, &Lines { quiet: self.quiet })?;
        Ok(())
    }
}

/// What a person reads who watches a worker.
struct Lines {
    quiet: bool,
}

impl Notice for Lines {
    fn turned_away(&self, why: &str) {
        note(&format!("turned away: {why}"));
    }

    fn done(&self, round: usize, kind: Kind, clients: &[usize]) {
        let what = match kind {
            Kind::Train { .. } => "trained",
            Kind::Judge { .. } => "judged",
            Kind::Own => "gave their adapters",
        };
        if !self.quiet {
            note(&format!("  round {round:>3}  clients {} {what}", listed(clients)));
        }
    }
}

fn listed(clients: &[usize]) -> String {
    clients.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
