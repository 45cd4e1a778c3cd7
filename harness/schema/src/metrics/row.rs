//! A row of the table: what it says, and the type that rows become.

use std::fmt;

use serde::{Serialize, Serializer};

/// A row of the table, as `fedbench list metrics` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its name in records, summaries and cards.
    pub name: &'static str,
    /// Of whom there are records of it; none of what is not recorded under this name.
    pub per: Option<Per>,
    /// Its unit.
    pub unit: Unit,
    /// Which way is better.
    pub direction: Direction,
    /// What it is, in a sentence.
    pub sentence: &'static str,
    /// Where its definition comes from.
    pub source: &'static str,
}

/// Of whom a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// A client in a round.
    Client,
    /// The whole federation in a round.
    Federation,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// A fact, not a merit.
    None,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A share in 0..1.
    Fraction,
    /// Numbers of a model or an adapter.
    Parameters,
    /// Bytes.
    Bytes,
    /// Optimizer steps.
    Steps,
    /// Seconds of a clock.
    Seconds,
    /// Training examples in a second.
    ExamplesPerSecond,
    /// Natural logarithms' unit.
    Nats,
    /// Floating-point operations.
    Flops,
    /// Clients.
    Clients,
    /// Test examples.
    Examples,
    /// A score from 0 to 10, of which people write a hundredfold.
    UpToTen,
    /// What the score that its name says is counted in.
    Own,
}

impl Unit {
    /// The most that a score in this unit can be; none of what is no such score.
    pub fn most(self) -> Option<f64> {
        match self {
            Self::Fraction => Some(1.0),
            Self::UpToTen => Some(10.0),
            _ => None,
        }
    }

    /// As reports write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fraction => "fraction",
            Self::Parameters => "parameters",
            Self::Bytes => "bytes",
            Self::Steps => "steps",
            Self::Seconds => "seconds",
            Self::ExamplesPerSecond => "examples/second",
            Self::Nats => "nats",
            Self::Flops => "flops",
            Self::Clients => "clients",
            Self::Examples => "examples",
            Self::UpToTen => "0 to 10",
            Self::Own => "the score's own",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// Makes a type of rows, each `Name(payload) = "its name on disk" per whom, its unit, its direction, a sentence, a source`.
macro_rules! named {
    ($(#[doc = $doc:literal])* $all:ident { $( $variant:ident $(($of:ty))? =
        $name:literal $(per $per:ident)?, $unit:ident, $direction:ident, $sentence:literal, $source:expr; )* } $($unnamed:tt)*) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $all {
            $( #[doc = $sentence] $variant $(($of))?, )*
            $($unnamed)*
        }

        impl $all {
            /// One of each row, in the table's order; with a payload, an empty one.
            pub const ALL: &[Self] = &[$( Self::$variant $((<$of>::new()))? ),*];

            /// Its row; none of what is not in the table.
            pub const fn row(&self) -> Option<&'static Row> {
                #[allow(unreachable_patterns)] // Not every table has names that it does not know.
                match self {
                    $( Self::$variant { .. } => Some(&Row {
                        name: $name,
                        per: named!(@per $($per)?),
                        unit: Unit::$unit,
                        direction: Direction::$direction,
                        sentence: $sentence,
                        source: $source,
                    }), )*
                    _ => None,
                }
            }
        }
    };
    (@per) => { None };
    (@per $per:ident) => { Some(Per::$per) };
}
pub(super) use named;
