//! Run folders to tables: means and deviations over seeds, paired comparisons, and every doubt beside its number.
//!
//! - [`read`]: folders to [`Run`]s; [`columns`]: the parquet files, only the columns that are needed;
//! - [`metrics`]: which numbers of a summary are reported, with unit and direction;
//! - [`agree`]: do a run's files say the same?
//! - [`identity`]: which runs are the same configuration, by what they read;
//! - [`aggregate`]: runs that differ in nothing but the seed become a [`Group`] (polars);
//! - [`kinds`]: accuracy by subject, sub-task or skill;
//! - [`targets`]: rounds and bytes until an accuracy is reached;
//! - [`paired`]: differences over equal seeds and examples, McNemar's test and what follows, on [`stats`] and [`bootstrap`];
//! - [`claims`]: what papers claim, judged on runs;
//! - [`compare`]: two reports, metric by metric;
//! - [`gate`]: runs against a baseline, for a CI that may fail on regressions and on nothing else;
//! - [`warnings`] and [`provenance`]: what a reader must know before believing a number;
//! - [`tables`]: the report as blocks; [`markdown`], [`terminal`] and [`latex`] draw them, [`data`] makes CSV, parquet and JSON of
//!   [`sheet`]s;
//! - [`figures`]: pictures among the blocks; [`page`]: all of it as one HTML file; [`library`]: what both need of the data;
//! - and [`write`] writes files.
//!
//! ```no_run
//! let report = reports::Report::read(&["runs".into()])?;
//! println!("{}", report.terminal());
//! report.write("report".as_ref(), reports::Format::DEFAULT)?;
//! # Ok::<(), reports::ReportError>(())
//! ```

pub mod aggregate;
pub mod agree;
pub mod bootstrap;
pub mod claims;
pub mod columns;
pub mod compare;
pub mod data;
pub mod error;
pub mod figures;
pub mod format;
pub mod gate;
pub mod identity;
pub mod kinds;
pub mod latex;
pub mod library;
pub mod markdown;
pub mod metrics;
#[cfg(test)]
mod nasty;
pub mod page;
pub mod paired;
pub mod provenance;
pub mod read;
pub mod sheet;
pub mod stats;
#[cfg(test)]
mod stats_tests;
pub mod tables;
pub mod targets;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod warnings;
pub mod write;

use std::path::PathBuf;

use schema::manifest::Standing;

pub use aggregate::Group;
pub use error::ReportError;
pub use figures::Figure;
pub use library::{Library, NoLibrary};
pub use paired::Comparison;
pub use read::{Run, Trust};
pub use stats::Stat;
pub use warnings::Warning;
pub use write::Format;

/// Everything that is reported about some runs.
#[derive(Debug)]
pub struct Report {
    /// The runs, by dataset, method, setting and seed.
    pub runs: Vec<Run>,
    /// Runs that differ in nothing but the seed, in the order of the tables.
    pub groups: Vec<Group>,
    /// Each method against the reference of its dataset.
    pub comparisons: Vec<Comparison>,
    /// The accuracies of which it is said what it took to reach them, fractions; none where [`targets`] chooses.
    pub targets: Vec<f64>,
    /// What casts doubt on the numbers.
    pub warnings: Vec<Warning>,
    /// How many run folders were written before there were manifests, so that nothing says whether they are as they were written.
    pub unverified: usize,
    /// What pictures and examples need beside the runs; nothing until [`Report::illustrate`].
    pub material: library::Material,
}

impl Report {
    /// Reads run folders, or folders searched recursively for run folders (those with a `summary.json`); an error where one is not as
    /// it was written.
    pub fn read(dirs: &[PathBuf]) -> Result<Self, ReportError> {
        Self::read_with(dirs, Trust::Verified)
    }

    /// The same, with or without asking whether they are as they were written.
    pub fn read_with(dirs: &[PathBuf], trust: Trust) -> Result<Self, ReportError> {
        let found = read::find(dirs)?;
        let mut runs = found.complete.iter().map(|dir| Run::read(dir, trust)).collect::<Result<Vec<_>, _>>()?;
        let unverified = runs.iter().filter(|run| run.standing == Some(Standing::Unverified)).count();
        let told_apart = identity::tell_apart(&mut runs);
        let (runs, repeats) = aggregate::sort_and_deduplicate(runs);
        let groups = aggregate::groups(&runs)?;
        let comparisons = paired::compare(&runs, &groups);
        let (targets, warnings, material) = (Vec::new(), Vec::new(), library::Material::default());
        let mut report = Self { runs, groups, comparisons, targets, warnings, unverified, material };
        report.warnings = warnings::collect(&report, &found.incomplete, &repeats, &told_apart);
        Ok(report)
    }

    /// Reads what pictures and examples need beside the runs: partitions, predictions, and what the library has of the data.
    pub fn illustrate(&mut self, library: &mut dyn Library) -> Result<(), ReportError> {
        self.material = library::collect(self, library)?;
        Ok(())
    }

    /// The tables with their pictures.
    pub fn illustrated(&self) -> Vec<tables::Block> {
        figures::illustrate(self, tables::blocks(self))
    }

    /// The report as Markdown, without pictures.
    pub fn markdown(&self) -> String {
        markdown::render(&tables::blocks(self))
    }

    /// The report as LaTeX: a document, a table each.
    pub fn latex(&self) -> String {
        latex::render(&tables::blocks(self))
    }

    /// The report as one page that needs nothing else.
    pub fn html(&self) -> Result<String, ReportError> {
        page::render(self, &self.illustrated())
    }

    /// The report as plain text.
    pub fn terminal(&self) -> String {
        terminal::render(&tables::blocks(self))
    }

    /// One row per dataset, backbone, method (and setting) and metric.
    pub fn csv(&self) -> String {
        data::tidy(self).csv()
    }

    /// The same rows as a parquet file.
    pub fn parquet(&self) -> Vec<u8> {
        data::tidy(self).parquet()
    }

    /// One row per run: the summaries as they are.
    pub fn runs_csv(&self) -> String {
        data::runs_csv(self)
    }

    /// One row per group, units in the header.
    pub fn configurations_csv(&self) -> String {
        data::configurations(self).csv()
    }

    /// One row per group and target accuracy: rounds and bytes until it was reached.
    pub fn targets_csv(&self) -> String {
        data::targets(self).csv()
    }

    /// One row per group and kind of example.
    pub fn breakdowns_csv(&self) -> String {
        data::breakdowns(self).csv()
    }

    /// Everything, with the values of every seed.
    pub fn json(&self) -> String {
        data::json(self)
    }
}
