//! `fedbench run`: one experiment, one seed.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use schema::metrics::Score;

use super::arguments::ExperimentFile;
use super::decoder::Elsewhere;
use super::{flower, place, say};
use crate::runner::{self, Options, Ran};
use crate::session::Session;

/// One experiment, one seed.
#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    file: ExperimentFile,
    /// The seed, instead of the file's.
    #[arg(long, value_parser = super::arguments::seed())]
    seed: Option<u64>,
    /// The rounds, instead of the file's. A run of fewer that lies in `--out` is gone on from.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rounds: Option<u64>,
    /// Where run folders go.
    #[arg(long, default_value = "runs")]
    out: PathBuf,
    /// Who brings orders to the clients.
    #[arg(long, value_enum, default_value_t)]
    engine: Engine,
    /// With `--engine flower`: the connection of Flower's configuration to use, instead of its default.
    #[arg(long)]
    superlink: Option<String>,
    /// No plan and no progress.
    #[arg(long)]
    quiet: bool,
    /// Take a finished run that is there for complete, whatever its checksums say.
    #[arg(long)]
    no_verify: bool,
    /// Run it again, from the first round, though it is complete or was interrupted.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    elsewhere: Elsewhere,
}

/// Who brings orders to the clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// This process has them.
    #[default]
    InProcess,
    /// Flower, to workers at its nodes.
    Flower,
}

impl Run {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        place::check_for_runs(&self.out)?;
        let mut experiment = self.file.resolve()?;
        experiment.seed = self.seed.unwrap_or(experiment.seed);
        experiment.federation.rounds = self.rounds.map_or(experiment.federation.rounds, |rounds| rounds as usize);
        self.elsewhere.apply(&mut experiment, session);
        if self.superlink.is_some() && self.engine != Engine::Flower {
            return Err(study::Error::Usage("--superlink goes with --engine flower".into()).into());
        }
        if self.engine == Engine::Flower {
            if self.no_verify || self.force {
                return Err(study::Error::Usage("--no-verify and --force go with --engine in-process".into()).into());
            }
            return flower::run(session, &experiment, &self.out, self.superlink.as_deref(), self.quiet);
        }
        let options = Options { quiet: self.quiet, unverified: self.no_verify, force: self.force };
        say_ran(&runner::run(session, &experiment, &self.out, options)?);
        Ok(())
    }
}

/// Says what came of a run.
pub(super) fn say_ran(ran: &Ran) {
    match ran {
        Ran::Now(folder, summary) if summary.is_mixed() => {
            for (dataset, part) in &summary.parts {
                let score = part.metric.as_deref().and_then(Score::parse);
                let (title, most) = (score.as_ref().and_then(Score::title), score.and_then(|score| score.row()?.unit.most()));
                let unit = if most.is_some_and(|most| most > 1.0) { " (x 100)" } else { "%" };
                say(&format!("{} {:.1}{unit} on {dataset}", title.unwrap_or("accuracy"), 100.0 * part.accuracy));
            }
            say(&format!("in {:.1} s: {}", summary.wall_seconds, folder.display()));
        }
        Ran::Now(folder, summary) => say(&format!(
            "{} {} (clients {} on average{}, {} the worst) in {:.1} s: {}",
            summary.metric_title().unwrap_or("accuracy"),
            in_words(summary, summary.accuracy),
            in_words(summary, summary.client_accuracy_mean),
            over(summary),
            in_words(summary, summary.client_accuracy_min),
            summary.wall_seconds,
            folder.display()
        )),
        Ran::Before(folder) => say(&format!("complete already: {}", folder.display())),
    }
}

/// A value of the card's metric: `50.0%`, or `34.2 (x 100)`.
fn in_words(summary: &schema::Summary, value: f64) -> String {
    match summary.sign() {
        "%" => format!("{:.1}%", 100.0 * value),
        sign => format!("{:.1} ({sign})", 100.0 * value),
    }
}

/// Over how many clients a mean is, where some have no test example.
fn over(summary: &schema::Summary) -> String {
    let judged = summary.clients_judged;
    judged.map_or_else(String::new, |judged| format!(" over the {judged} of {} with test examples", summary.clients))
}
