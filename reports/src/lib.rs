//! Run folders to tables: means and deviations over seeds, paired comparisons, and every doubt beside its number.
//!
//! - [`read`]: folders and packs to [`Run`]s; [`source`]: a run's files, wherever they lie; [`pack`]: many runs in a few files,
//!   [`keep`] and [`unpack`]: into them and out again, `written` as their files;
//! - [`columns`]: the parquet files, only the columns that are needed, batch by batch ([`rows`]);
//! - [`agree`]: do a run's files say the same? By what [`follows`] from its records, and what [`guesses`] would have reached;
//! - [`identity`]: which runs are the same configuration, by what they read; `differences`: and in which keys others differ;
//! - [`Families`]: what kind of method each run has, as the method's row says, or as its runs show where nobody here knows it;
//! - [`aggregate`]: runs that differ in nothing but the seed become a [`Group`] (polars);
//! - [`kinds`]: accuracy by subject, sub-task or skill;
//! - [`targets`]: rounds and bytes until an accuracy is reached;
//! - [`paired`]: differences over equal seeds and examples, McNemar's test and what follows, on [`stats`] and [`bootstrap`];
//! - [`claims`]: what papers claim, judged on runs;
//! - [`compare`]: two reports, metric by metric;
//! - [`gate`]: runs against a baseline, for a CI that may fail on regressions and on nothing else;
//! - `tuning`: which values were tuned, and how;
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
//!
//! # What is compared, and how
//!
//! `reports` reads nothing else; a page's questions, labels and pictures come through `reports::library::Library`, which the
//! command line has for data at hand (`src/library.rs`). `report` reads datasets by their names, and by a path only within
//! `FEDBENCH_DATA` and the folders of `--data`, since run folders may come from anybody and a page is shown to others; a suite's
//! own report reads what the suite read.
//!
//! A difference of accuracies has two sources of chance, examples and seeds. `paired` gives it a bootstrap's interval over both
//! (`bootstrap`: seeds and examples drawn independently, an example with all its seeds), a t-test whose variance is the sum of
//! both (`stats::TwoSources`, also the gate's), Holm's correction over all comparisons of the report, and a verdict that needs
//! interval and p, and the difference that would be found four times of five (`power_tests.rs` holds both against thousands of
//! simulated studies); of one seed, none of these. Clients' own answers count as one per example, their mean. `claims` judges a
//! paper's claims on such rows, `compare` two sets of runs. `reports::gate` compares two sets, configuration by configuration, by
//! accuracy and by the log-loss of the right option (of a softmax over the options' scores; it sees what leaves every answer as
//! it is), and says regressed, passes or too few to tell; what cannot be compared (other rows, cards, backbones, keys, a dirty
//! build) is an error that names the key, both values and the file. A report groups runs that differ in the seed alone
//! (`reports/src/identity.rs`); datasets or backbones of one name with other contents get a mark behind the name (`icongen [rows
//! 1a2b3c4d]`), so that nothing is averaged or paired over them; it compares methods on equal seeds and equal examples, and
//! prints every doubt (few seeds, unequal steps, limits, mixed weights or commits) beside the numbers.
//!
//! `report.csv` has a row per configuration and metric, so its unit is a column; in `configurations.csv`, `runs.csv`,
//! `rounds.csv`, `clients.csv`, `targets.csv` and `breakdowns.csv` a column's name says the unit (`accuracy_fraction_mean`, `uplink_bytes`). Parquet holds the
//! same sheets. In CSV, a text that a spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`, a tab or a line
//! break, and is no number) has an apostrophe in front.

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
pub mod exports;
mod families;
pub mod figures;
#[cfg(test)]
mod fixture;
pub mod follows;
pub mod format;
pub mod gate;
pub mod guesses;
mod headers;
pub mod identity;
pub mod keep;
pub mod keys;
pub mod kinds;
pub mod latex;
pub mod library;
pub mod markdown;
mod mixed;
#[cfg(test)]
mod nasty;
pub mod pack;
pub mod page;
pub mod paired;
#[cfg(test)]
mod power_tests;
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
mod tuning;
pub mod unpack;
pub mod warnings;
pub mod write;
mod written;

pub use aggregate::Group;
pub use error::ReportError;
pub use families::Families;
pub use figures::Figure;
pub use library::{Library, NoLibrary};
pub use paired::Comparison;
pub use read::{Run, Trust};
pub use report::Report;
pub use stats::Stat;
pub use warnings::Warning;
pub use write::Format;
