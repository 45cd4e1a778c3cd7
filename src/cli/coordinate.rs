//! `fedbench coordinate`: the server of an experiment whose clients are elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{ArgGroup, Args};
use federation::Engine;
use line::{Address, Line, Listener, Security};
use remote::{Introduction, Relay, Workers};
use schema::record::HostFacts;
use study::checkpoints::Kept;
use study::{Part, Study};

use super::arguments::{ExperimentFile, Protection, seed};
use super::note;
use super::place::check_for_runs;
use super::run::say_ran;
use crate::runner::{self, Options, Place};
use crate::session::Session;

/// The server of an experiment whose clients are at workers (`fedbench worker`): it sends, receives, aggregates and judges. The run folder
/// is the one of `fedbench run`, to the byte.
#[derive(Args)]
#[command(group = ArgGroup::new("where").required(true))]
pub(crate) struct Coordinate {
    #[command(flatten)]
    file: ExperimentFile,
    /// The seed, instead of the file's.
    #[arg(long, value_parser = seed())]
    seed: Option<u64>,
    /// Where workers wait, separated by commas: `unix:PATH`, `tcp://127.0.0.1:PORT` or `tls://HOST:PORT`.
    #[arg(long, value_delimiter = ',', group = "where")]
    workers: Vec<Address>,
    /// Where a program may call that brings orders to workers itself, as Flower's server does.
    #[arg(long, group = "where")]
    relay: Option<Address>,
    /// Seconds after which a worker that says nothing is lost; a worker that trains says so every second.
    #[arg(long, default_value_t = 60, conflicts_with = "relay", value_parser = clap::value_parser!(u64).range(5..=86_400))]
    patience: u64,
    #[command(flatten)]
    protection: Protection,
    /// Where run folders go.
    #[arg(long, default_value = "runs")]
    out: PathBuf,
    /// No progress.
    #[arg(long)]
    quiet: bool,
    /// Take a finished run that is there for complete, whatever its checksums say.
    #[arg(long)]
    no_verify: bool,
    /// Run what is there again, from the first round.
    #[arg(long)]
    force: bool,
}

impl Coordinate {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        check_for_runs(&self.out)?;
        let mut experiment = self.file.resolve()?;
        experiment.seed = self.seed.unwrap_or(experiment.seed);
        let options = Options { quiet: self.quiet, unverified: self.no_verify, force: self.force };
        let (security, patience) = (self.protection.security(), Duration::from_secs(self.patience));
        let relay = self.relay.map(|address| Listener::bind(&address, &security)).transpose().map_err(remote::Error::from)?;
        let mut place = AtWorkers { workers: self.workers, relay, security, patience };
        say_ran(&runner::run_at(&mut place, session, &experiment, &self.out, options)?);
        Ok(())
    }
}

/// The first caller that may speak; whoever may not is told why, and the next one heard.
fn admitted(listener: &Listener) -> Result<Line> {
    loop {
        match listener.hear().map_err(remote::Error::from)?.admit() {
            Ok(line) => return Ok(line),
            Err(error) => note(&format!("turned away: {error}")),
        }
    }
}

/// At workers.
struct AtWorkers {
    workers: Vec<Address>,
    relay: Option<Listener>,
    security: Security,
    patience: Duration,
}

impl Place for AtWorkers {
    fn part(&self) -> Part {
        Part::Server
    }

    fn engine<'s>(
        &mut self,
        study: &'s Study,
        here: Introduction,
        kept: &mut Kept,
    ) -> Result<(Box<dyn Engine + 's>, Vec<HostFacts>)> {
        let attempt = kept.attempt().to_owned();
        let clients = study.shards().len();
        Ok(match &self.relay {
            Some(listener) => {
                note(&format!("waiting for a program that brings orders, at {}", listener.address()));
                let relay = Relay::meet(admitted(listener)?, &here, clients, attempt)?;
                let hosts = relay.hosts();
                (Box::new(relay), hosts)
            }
            None => {
                let workers = Workers::meet(&self.workers, &self.security, self.patience, &here, clients, attempt)?;
                let hosts = workers.hosts();
                (Box::new(workers), hosts)
            }
        })
    }
}
