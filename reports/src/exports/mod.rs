//! Runs in formats that other tools read: TensorBoard's event files, results as lm-evaluation-harness writes them, Every Eval Ever's JSON.
//!
//! A run is a folder of its own below the target, under the run's name, but for Every Eval Ever, which has a layout of its own. What these
//! formats have no place for stays out; what they demand and a run does not say is said to be unknown.

mod every_eval;
mod files;
mod lm_eval;
mod tensorboard;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::rows::bad;
use crate::{ReportError, Run};

/// A format of another tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Event files: every recorded number by round.
    TensorBoard,
    /// `results_*.json` and `samples_*.jsonl`.
    LmEval,
    /// One JSON file a run, in the community's schema.
    EveryEvalEver,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TensorBoard, Self::LmEval, Self::EveryEvalEver];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::TensorBoard => "tensorboard",
            Self::LmEval => "lm-eval",
            Self::EveryEvalEver => "every-eval-ever",
        }
    }

    /// Writes a run below a folder; the files that were written.
    pub fn write(self, run: &Run, out: &Path) -> Result<Vec<PathBuf>, ReportError> {
        if self != Self::TensorBoard && (run.summary.metric.is_some() || run.summary.is_mixed()) {
            let message = "its metric is no accuracy, and this format has no other; `tensorboard` takes all that was recorded";
            return Err(bad(&run.dir, &message));
        }
        match self {
            Self::TensorBoard => tensorboard::write(run, out),
            Self::LmEval => lm_eval::write(run, out),
            Self::EveryEvalEver => every_eval::write(run, out),
        }
    }
}

impl FromStr for Target {
    type Err = ReportError;

    fn from_str(text: &str) -> Result<Self, ReportError> {
        let known = || schema::nearest(text, Self::ALL.iter().map(|target| target.name())).join(", ");
        let unknown = || ReportError::UnknownFormat { wanted: text.into(), known: known() };
        Self::ALL.into_iter().find(|target| target.name() == text).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests;
