//! What is measured: every metric's name on disk, its unit, which way is better and how it follows from others.
//!
//! [`table`] is the one place where a metric is named. From it follow what a run may record ([`Metric`]), what a card may name as its
//! score ([`Score`]), what a summary holds and by which [`Rule`] that follows from records ([`Summary`]), what reports show of every
//! run ([`Reported`]) and of those that have it ([`Optional`]), and `fedbench list metrics` ([`listed`]).
//!
//! A new metric is its rows there and the line that records it. A name that holds a value (`accuracy/<tag>=<value>`) is a variant with
//! a payload; so is a score by name (`score/<score>`), whose unit and direction its task's row says. What is no sum or mean of records,
//! a run gives beside them ([`Beside`]). Names are read from disk once ([`Metric::parse`]); one that is not in
//! the table, of a later version, is kept as it is.

mod names;
mod row;
mod rule;
mod shown;
pub mod table;

pub use names::{Variant, listed};
pub use row::{Direction, Per, Row, Unit};
pub use rule::{Rule, Value};
pub use shown::{Column, Section, Shown};
pub use table::{Beside, Metric, Optional, Reported, Score, Summary};
