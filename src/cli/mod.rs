//! The command line: what a user types, and what they get back.

mod adapters;
mod arguments;
mod compare;
mod coordinate;
mod cost;
mod counted;
mod data;
mod decoder;
mod document;
mod elsewhere;
mod encoder;
mod eval;
mod export;
mod flower;
mod forecast;
mod gate;
mod init;
mod keep;
mod keys;
mod list;
mod looking;
mod model;
mod place;
mod pretrain;
mod pretraining;
mod reference;
mod report;
mod reproduce;
mod run;
mod shell;
mod smol;
mod suite;
mod tables;
mod tune;
mod validate;
mod weights;
mod worker;

pub use suite::experiments_of;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser, Subcommand};
use data_scripts::OutputError;
use data_scripts::hflb::ImportError;
use data_scripts::hub::HubError;
use data_scripts::import::TableError;
use federation::registry::Registry;
use schema::toml_file;

pub(crate) use crate::output::{note, say, say_json};
use crate::session::Session;
use crate::{locate, output};

/// Federated tuning of multimodal LLMs, benchmarked: accuracy, client storage and communication, reproducibly.
#[derive(Parser)]
#[command(name = "fedbench", version, about)]
struct Cli {
    /// Worker threads; all of the machine's without it. Never changes a result.
    #[arg(long, global = true)]
    threads: Option<usize>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Eight methods on embedded data with the embedded backbone, then the report (also without a command).
    Quickstart(suite::Quickstart),
    /// Write a commented example that validates: an experiment, a suite or a card.
    Init(init::Init),
    /// One experiment, one seed.
    Run(run::Run),
    /// A backbone's decoder, for clients who train through it (`run --decoder`).
    Decoder(decoder::Decoder),
    /// Experiments x seeds; runs that are complete are skipped.
    Suite(suite::RunSuite),
    /// The server of an experiment whose clients are at workers.
    Coordinate(coordinate::Coordinate),
    /// Some clients of an experiment, for a server that calls.
    Worker(worker::Worker),
    /// An app that runs an experiment over Flower's nodes.
    FlowerApp(flower::FlowerApp),
    /// Judge a backbone, with or without adapters; writes predictions.
    Eval(eval::Eval),
    /// Runs as other tools read them: TensorBoard, lm-evaluation-harness, Every Eval Ever, PEFT.
    Export(export::Export),
    /// Tables from run folders.
    Report(report::MakeReport),
    /// A paper's claims, each beside what comes out here.
    #[command(subcommand)]
    Reproduce(reproduce::Reproduce),
    /// Compare two sets of runs, or two revisions' kept ones, metric by metric, with verdicts.
    Compare(compare::RunCompare),
    /// Compare runs with a baseline: exit 1 only if accuracy fell by more than the margin and by more than chance.
    Gate(gate::RunGate),
    /// Runs into a pack: a few files that reports read as they read the folders; and out again.
    Keep(keep::Keep),
    /// The tables that a page quotes, made again from the runs.
    Tables(tables::Tables),
    /// What a client stores and sends, in both ledgers, without weights.
    Cost(cost::Cost),
    /// Make, fetch, inspect and partition datasets.
    #[command(subcommand)]
    Data(data::Data),
    /// Fetch backbones from the Hub.
    #[command(subcommand)]
    Model(model::Model),
    /// What there is: methods, adapters, backbones, datasets, suites, tasks, metrics.
    List(list::List),
    /// Everything that can be known of an experiment, a suite or a card before computing.
    Validate(validate::Validate),
    /// Every key of the files that a person writes or reads: type, default, meaning.
    Reference(reference::Reference),
    /// What completes commands and options in a shell.
    Completions(shell::Completions),
    /// Manual pages.
    Man(shell::Man),
    /// Make the weights that ship with the suite again.
    #[command(subcommand)]
    Pretrain(pretrain::Pretrain),
}

/// Parses the command line, does it, and says how it went: 0, 1 (the run or check failed, or its result could not be written), 2
/// (usage).
pub fn main(registry: Registry) -> ExitCode {
    let done = match Cli::try_parse() {
        Ok(cli) => {
            machine::threads::init(cli.threads).map_err(anyhow::Error::from).and_then(|()| dispatch(cli.command, registry))
        }
        // It holds what was typed: never in colours, which are escape sequences, too.
        Err(wrong) if wrong.use_stderr() => {
            output::wrong(wrong.render().to_string().trim_end());
            return ExitCode::from(2);
        }
        Err(help) => {
            output::keep(help.print());
            Ok(())
        }
    };
    match done.and_then(|()| output::finish().context("cannot write the result to standard output")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::from(if is_usage(&error) { 2 } else { 1 })
        }
    }
}

fn dispatch(command: Option<Command>, registry: Registry) -> Result<()> {
    registry.check()?;
    locate::add(registry.datasets())?;
    let mut session = Session::new(registry);
    match command.unwrap_or_else(|| Command::Quickstart(suite::Quickstart::default())) {
        Command::Quickstart(command) => command.run(&mut session),
        Command::Init(command) => command.run(),
        Command::Run(command) => command.run(&mut session),
        Command::Decoder(command) => command.run(&mut session),
        Command::Suite(command) => command.run(&mut session),
        Command::Coordinate(command) => command.run(&mut session),
        Command::Worker(command) => command.run(&mut session),
        Command::FlowerApp(command) => command.run(&mut session),
        Command::Eval(command) => command.run(&mut session),
        Command::Export(command) => command.run(),
        Command::Report(command) => command.run(&session),
        Command::Reproduce(command) => command.run(&mut session),
        Command::Compare(command) => command.run(&session),
        Command::Gate(command) => command.run(&session),
        Command::Keep(command) => command.run(),
        Command::Tables(command) => command.run(),
        Command::Cost(command) => command.run(&session),
        Command::Data(command) => command.run(),
        Command::Model(command) => command.run(&session),
        Command::List(command) => command.run(&session),
        Command::Validate(command) => command.run(&mut session),
        Command::Reference(command) => command.run(&Cli::command()),
        Command::Completions(command) => command.run(Cli::command()),
        Command::Man(command) => command.run(Cli::command()),
        Command::Pretrain(command) => command.run(&mut session),
    }
}

/// Whether the person at the keyboard can mend it by typing something else.
fn is_usage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<study::Error>().is_some_and(study::Error::is_usage)
            || cause.downcast_ref::<federation::Error>().is_some_and(federation::Error::is_usage)
            || cause.downcast_ref::<tasks::Error>().is_some_and(tasks::Error::is_usage)
            || matches!(cause.downcast_ref::<models::Error>(), Some(models::Error::Usage(_)))
            || cause.downcast_ref::<machine::threads::Error>().is_some()
            || cause.downcast_ref::<toml_file::TomlError>().is_some()
            || cause.downcast_ref::<remote::Error>().is_some_and(remote::Error::is_usage)
            || matches!(
                cause.downcast_ref::<ImportError>(),
                Some(ImportError::Nothing { .. } | ImportError::Output(OutputError::Foreign { .. }))
            )
            || matches!(cause.downcast_ref::<OutputError>(), Some(OutputError::Foreign { .. }))
            || matches!(cause.downcast_ref::<TableError>(), Some(TableError::Output(OutputError::Foreign { .. })))
            || matches!(cause.downcast_ref::<HubError>(), Some(HubError::Id { .. } | HubError::Variable { .. }))
    })
}
