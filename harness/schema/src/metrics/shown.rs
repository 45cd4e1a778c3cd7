//! What reports show of a summary: the table's rows as a type.

use super::row::{Direction, Unit};

/// A number of a run, as reports show it; `S` is the summary that tells it.
#[derive(Debug, Clone, Copy)]
pub struct Shown<S, T> {
    /// Its name in reports.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Which way is better.
    pub direction: Direction,
    /// Whether a summary holds it under this name; else others of it give it.
    pub is_held: bool,
    /// Where tables show it by themselves; none of what is placed by hand.
    pub column: Option<Column>,
    /// The number itself.
    pub of: fn(&S) -> T,
}

/// A column that a table has where some run has the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The table's section.
    pub section: Section,
    /// The column's header, with unit and direction.
    pub header: &'static str,
}

/// Sections of a report whose tables have such columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Accuracies without pictures.
    Pictures,
    /// What options' lengths have to do with accuracies.
    Ranking,
    /// Accuracies of clients on their own examples.
    Clients,
    /// Time, memory and operations.
    Cost,
}

/// A field of a summary as the number that reports show.
pub(super) trait Held<T> {
    fn held(self) -> T;
}

impl Held<f64> for u64 {
    fn held(self) -> f64 {
        self as f64
    }
}

impl<T> Held<T> for T {
    fn held(self) -> T {
        self
    }
}

/// Makes a type of rows, each `Name = a summary's field, its unit, its direction`, with `=> how` where others give it, and
/// `in Section "header"` where a table shows it by itself.
macro_rules! shown {
    ($(#[doc = $doc:literal])* $all:ident of $type:ty { $( $variant:ident = $name:ident, $unit:ident, $direction:ident
        $(=> $how:expr)? $(, in $section:ident $header:literal)?; )* }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $all {
            $( #[doc = concat!("`", stringify!($name), "`: see [`crate::Summary`].")] $variant, )*
        }

        impl $all {
            /// Each once, in the order of reports.
            pub const ALL: &[Self] = &[$( Self::$variant ),*];

            /// Its row.
            pub fn row(self) -> &'static Shown<Summary, $type> {
                const ROWS: &[Shown<Summary, $type>] = &[$( Shown {
                    name: stringify!($name),
                    unit: Unit::$unit,
                    direction: Direction::$direction,
                    is_held: shown!(@held $($how)?),
                    column: shown!(@column $($section $header)?),
                    of: shown!(@of $name $($how)?),
                } ),*];
                &ROWS[self as usize]
            }

            /// Its number in a run.
            pub fn of(self, summary: &Summary) -> $type {
                (self.row().of)(summary)
            }
        }
    };
    (@held) => { true };
    (@held $how:expr) => { false };
    (@column) => { None };
    (@column $section:ident $header:literal) => { Some(Column { section: Section::$section, header: $header }) };
    (@of $name:ident) => { |summary| summary.$name.held() };
    (@of $name:ident $how:expr) => { $how };
}
pub(super) use shown;
