//! `fedbench export`: runs in formats that other tools read, and adapters as PEFT loads them.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use reports::exports::Target;
use reports::{Run, Trust, read};

use super::{note, place, say};
use crate::peft;

/// Runs in formats that other tools read: TensorBoard's event files, lm-evaluation-harness' results and samples, Every Eval Ever's JSON;
/// trained LoRA as PEFT loads it.
#[derive(Args)]
pub(crate) struct Export {
    /// Run folders, or folders that hold some; packs, too.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// What to write: tensorboard, lm-eval, every-eval-ever, peft.
    #[arg(long = "as", value_delimiter = ',', required = true, value_name = "FORMAT")]
    formats: Vec<String>,
    /// Where it goes; each format has a folder of its own below, where there are several.
    #[arg(long)]
    out: PathBuf,
    /// Read run folders as they are, whatever their checksums say.
    #[arg(long)]
    no_verify: bool,
}

/// What a run can be exported as.
enum Format {
    Results(Target),
    Peft,
}

impl Format {
    fn parse(name: &str) -> Result<Self, study::Error> {
        let known = || Target::ALL.map(Target::name).into_iter().chain([peft::NAME]);
        match name {
            peft::NAME => Ok(Self::Peft),
            name => name.parse().map(Self::Results).map_err(|_| study::Error::unknown("export format", name, known())),
        }
    }
}

impl Export {
    pub(crate) fn run(self) -> Result<()> {
        let formats =
            self.formats.iter().map(|name| Ok((name, Format::parse(name)?))).collect::<Result<Vec<_>, study::Error>>()?;
        place::check_outside_runs(&self.out)?;
        let trust = if self.no_verify { Trust::AsTheyAre } else { Trust::Verified };
        let runs: Vec<Run> = read::find(&self.runs)?.read(trust)?;
        runs.iter().try_for_each(|run| place::check_outside_runs(&self.out.join(&run.summary.run)))?;
        for (name, format) in &formats {
            let out = if formats.len() > 1 { self.out.join(name) } else { self.out.clone() };
            let mut written = 0;
            for run in &runs {
                written += match format {
                    Format::Results(target) => target.write(run, &out)?.len(),
                    Format::Peft => match peft::write(run, &out)? {
                        Ok(files) => files.len(),
                        Err(why) if runs.len() > 1 => {
                            note(&format!("{}: {why}: left out", run.summary.run));
                            0
                        }
                        Err(why) => return Err(study::Error::Usage(format!("{}: {why}", run.summary.run)).into()),
                    },
                };
            }
            say(&format!("{name}: {written} files of {} runs in {}", runs.len(), out.display()));
        }
        Ok(())
    }
}
