//! `fedbench validate`: everything that can be known of an experiment before computing.

use anyhow::Result;
use clap::Args;
use data::label_table;

use super::arguments::ExperimentFile;
use super::say;
use crate::plan::Plan;
use crate::session::Session;

/// Everything that can be known of an experiment before computing.
#[derive(Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    file: ExperimentFile,
}

impl Validate {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        let experiment = self.file.resolve()?;
        let mut resolved = session.resolve(&experiment)?;
        session.complete(&mut resolved)?;
        let study = session.study(&resolved)?;
        say(&format!("{} is valid; its run is {}", self.file.experiment.display(), resolved.name));
        for line in Plan::new(&study, &resolved.row, &resolved.inputs, &mut session.pace)?.lines() {
            say(&line);
        }
        let skipped = study.train_split().dataset.skipped.len() + study.test_split().dataset.skipped.len();
        if skipped > 0 {
            say(&format!("  {skipped} rows are left out, as the card allows"));
        }
        if let Some(key) = &experiment.partition.key {
            let kept: Vec<_> = study.train_split().dataset.examples.clone();
            if kept.len() == study.train().len() {
                say(&label_table(study.shards(), &kept, key).to_string());
            }
        }
        Ok(())
    }
}
