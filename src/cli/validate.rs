//! `fedbench validate`: everything that can be known of an experiment, a suite or a card before computing.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use data::{Rows, inspect, label_table};
use schema::{Card, toml_file};

use super::arguments::ExperimentFile;
use super::document::Document;
use super::suite::RunSuite;
use super::{note, say};
use crate::locate::locate;
use crate::located::load;
use crate::plan::Plan;
use crate::session::{Resolved, Session, taken};

/// Everything that can be known of an experiment, a suite or a card before computing.
#[derive(Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    file: ExperimentFile,
}

impl Validate {
    pub(crate) fn run(self, session: &mut Session) -> Result<()> {
        let path = &self.file.experiment;
        let shipped = path.to_str().filter(|name| baselines::SUITES.iter().any(|(shipped, _)| shipped == name) && !path.exists());
        if let Some(name) = shipped {
            return self.suite(session, name);
        }
        match Document::of(&toml_file::read_table(path).map_err(study::Error::from)?) {
            Some(Document::Suite) => self.suite(session, &path.display().to_string()),
            Some(Document::Card) => card(session, path),
            Some(Document::Experiment) | None => self.experiment(session),
        }
    }

    fn experiment(&self, session: &mut Session) -> Result<()> {
        let experiment = self.file.resolve()?;
        let mut resolved = session.resolve(&experiment)?;
        session.complete(&mut resolved)?;
        check_pictures(&resolved)?;
        // One picture for all: whether the others can be seen is known by now, and nothing below depends on what they show.
        let study = session.sketch(&resolved)?;
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

    /// Every experiment of a suite, with each of its seeds.
    fn suite(&self, session: &mut Session, name: &str) -> Result<()> {
        let mut suite = RunSuite::plain(name, "runs".into(), true, false);
        suite.overrides = self.file.overrides.clone();
        let (read, experiments) = suite.experiments()?;
        suite.check_members(session, &read, &experiments)?;
        say(&format!(
            "{name} is a valid suite: {} runs ({} experiments x {} seeds), all different",
            experiments.len(),
            experiments.len() / read.seeds.len(),
            read.seeds.len()
        ));
        note(&format!("`fedbench suite {name} --plan` says what they take"));
        Ok(())
    }
}

/// Decodes every picture that is read, and lets it go: an error names the first that cannot be seen.
fn check_pictures(resolved: &Resolved) -> Result<()> {
    let data = &resolved.experiment.data;
    for (split, rows) in [(&data.train_split, Rows::default()), (&data.test_split, taken(data))] {
        load(&resolved.located, split, rows)?.check_pictures().map_err(study::Error::from)?;
    }
    Ok(())
}

/// A card, and what its files hold where they are there.
fn card(session: &Session, path: &Path) -> Result<()> {
    let card: Card = toml_file::read(path).map_err(study::Error::from)?;
    data::check_card(&card).map_err(study::Error::from)?;
    session.registry().tasks().check_card(&card)?;
    let shown = path.display();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let missing = card.splits.keys().find_map(|split| data::of_split(folder, &card, split).err());
    if card.hub.is_none()
        && let Some(missing) = missing
    {
        say(&format!("{shown} is a valid card; its files are not there yet: {missing}"));
        return Ok(());
    }
    let located = locate(&path.display().to_string())?;
    let inspection = inspect(&located.folder, &located.card).map_err(study::Error::from)?;
    say(&format!("{shown} is a valid card"));
    for (split, found) in &inspection.splits {
        let skipped = found.skipped.first().map(|row| format!("; row {}: {}", row.row, row.reason)).unwrap_or_default();
        let out = found.skipped.len();
        say(&format!("  {split}: {} examples of {} rows, {out} cannot be read{skipped}", found.examples, found.rows));
    }
    Ok(())
}
