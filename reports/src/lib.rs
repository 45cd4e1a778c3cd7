//! Run folders to tables: means and deviations over seeds, paired comparisons, and every doubt beside its number.
//!
//! - [`read`]: folders and packs to [`Run`]s; [`source`]: a run's files, wherever they lie; [`pack`]: many runs in a few files,
//!   [`keep`] and [`unpack`]: into them and out again, `written` as their files;
//! - [`columns`]: the parquet files, only the columns that are needed, batch by batch ([`rows`]);
//! - [`agree`]: do a run's files say the same? By what [`follows`] from its records, and what [`guesses`] would have reached;
//! - [`identity`]: which runs are the same configuration, by what they read; `differences`: and in which keys others differ;
//! - [`aggregate`]: runs that differ in nothing but the seed become a [`Group`] (polars);
//! - [`kinds`]: accuracy by subject, sub-task or skill;
//! - [`targets`]: rounds and bytes until an accuracy is reached;
//! - [`paired`]: differences over equal seeds and examples, McNemar's test and what follows, on [`stats`] and [`bootstrap`];
//! - [`claims`]: what papers claim, judged on runs;
//! - [`compare`]: two reports, metric by metric;
//! - [`gate`]: runs against a baseline, for a CI that may fail on regressions and on nothing else;
//! - [`warnings`] and [`provenance`]: what a reader must know before believing a number;
//! - [`Report`]: all of these about some runs;
//! - [`tables`]: a report as [`blocks`]; [`markdown`], [`terminal`] and [`latex`] draw them, [`data`] makes CSV, parquet and JSON of
//!   [`sheet`]s; `render` chooses;
//! - [`figures`]: pictures among the blocks; [`page`]: all of it as one HTML file; [`library`]: what both need of the data;
//! - [`quoted`]: tables that a page quotes, made again from the runs;
//! - and [`mod@write`] writes files.
//!
//! ```no_run
//! let report = reports::Report::read(&["runs".into()])?;
//! println!("{}", report.terminal());
//! report.write("report".as_ref(), reports::Format::DEFAULT)?;
//! # Ok::<(), reports::ReportError>(())
//! ```

pub mod aggregate;
pub mod agree;
pub mod blocks;
pub mod bootstrap;
pub mod claims;
pub mod columns;
pub mod compare;
pub mod data;
mod differences;
pub mod error;
pub mod figures;
#[cfg(test)]
mod fixture;
pub mod follows;
pub mod format;
pub mod gate;
pub mod guesses;
pub mod identity;
pub mod keep;
pub mod kinds;
pub mod latex;
pub mod library;
pub mod markdown;
#[cfg(test)]
mod nasty;
pub mod pack;
pub mod page;
pub mod paired;
pub mod provenance;
pub mod quoted;
pub mod read;
mod render;
mod report;
pub mod rows;
pub mod sheet;
mod shown;
pub mod source;
pub mod stats;
#[cfg(test)]
mod stats_tests;
pub mod tables;
pub mod targets;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod unpack;
pub mod warnings;
pub mod write;
mod written;

pub use aggregate::Group;
pub use error::ReportError;
pub use figures::Figure;
pub use library::{Library, NoLibrary};
pub use paired::Comparison;
pub use read::{Run, Trust};
pub use report::Report;
pub use stats::Stat;
pub use warnings::Warning;
pub use write::Format;
