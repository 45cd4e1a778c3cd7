//! `fedbench init`: a commented file to begin with.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use super::say;

/// Write a commented example that validates: an experiment, a suite or a card.
#[derive(Args)]
pub(crate) struct Init {
    /// What to write.
    #[arg(value_enum, default_value = "experiment")]
    what: What,
    /// Where; `experiment.toml`, `suite.toml` or `card.toml` without it, `-` is the screen.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    Experiment,
    Suite,
    Card,
}

impl What {
    /// The file's name, and what it holds.
    fn example(self) -> (&'static str, &'static str) {
        match self {
            Self::Experiment => ("experiment.toml", include_str!("experiment.toml")),
            Self::Suite => ("suite.toml", include_str!("suite.toml")),
            Self::Card => ("card.toml", include_str!("card.toml")),
        }
    }
}

impl Init {
    pub(crate) fn run(self) -> Result<()> {
        let (name, text) = self.what.example();
        let out = self.out.unwrap_or_else(|| name.into());
        if out.as_os_str() == "-" {
            say(text.trim_end());
            return Ok(());
        }
        if out.symlink_metadata().is_ok() {
            let message = format!("{} is there already; give another file as --out", out.display());
            return Err(study::Error::Usage(message).into());
        }
        guard::files::write_unlocked(&out, text.as_bytes()).with_context(|| format!("cannot write {}", out.display()))?;
        say(&format!("{0}: now `fedbench validate {0}`", out.display()));
        Ok(())
    }
}
