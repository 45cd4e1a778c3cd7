//! Progress of an evaluation.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use models::adapter::Adapters;
use schema::Prediction;
use tasks::Judge;
use tasks::judgement::{Judgement, judge_watched};

use super::note;

/// Shows how far an evaluation is, on standard error: lines, and on a terminal a bar with an ETA.
pub(super) struct Looking {
    quiet: bool,
}

impl Looking {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// What comes now.
    pub(super) fn at(&self, what: &str) {
        if !self.quiet {
            note(&format!("  {what}"));
        }
    }

    /// Judges, and shows how far it is.
    pub(super) fn judged(&self, judge: &Judge, adapters: &Adapters) -> Result<(Judgement, Vec<Prediction>)> {
        let bar = if self.quiet { ProgressBar::hidden() } else { ProgressBar::new(judge.examples.len() as u64) };
        if let Ok(style) = ProgressStyle::with_template("  {bar:30} {pos}/{len} examples, {elapsed} gone, about {eta} left") {
            bar.set_style(style);
        }
        let judged = judge_watched(judge, adapters, &mut |examples| bar.inc(examples as u64));
        bar.finish_and_clear();
        Ok(judged?)
    }
}
