//! Which of the files that a person writes one is: an experiment, a suite or a card.

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Document {
    Experiment,
    Suite,
    Card,
}

impl Document {
    /// What a file is by its keys; none where they are of no kind.
    pub(super) fn of(table: &toml::Table) -> Option<Self> {
        let has = |keys: &[&str]| keys.iter().any(|key| table.contains_key(*key));
        match () {
            () if has(&["seeds", "base", "axes", "experiments"]) => Some(Self::Suite),
            () if has(&["columns", "prompts", "splits", "choices"]) => Some(Self::Card),
            () if has(&["method", "data", "federation", "partition", "backbone", "adapter"]) => Some(Self::Experiment),
            () => None,
        }
    }

    /// Refuses a file of another kind, and says what takes it.
    pub(super) fn expect(origin: &str, table: &toml::Table, wanted: Self) -> Result<(), study::Error> {
        let Some(found) = Self::of(table).filter(|found| *found != wanted) else { return Ok(()) };
        let takes = match found {
            Self::Experiment => format!("this is an experiment: `fedbench run {origin}` runs it"),
            Self::Suite => format!("this is a suite: `fedbench suite {origin}` runs it"),
            Self::Card => format!("this is a card: an experiment names it by `dataset = \"{origin}\"`"),
        };
        Err(study::Error::Usage(format!("{origin}: {takes}; expected {}", wanted.words())))
    }

    fn words(self) -> &'static str {
        match self {
            Self::Experiment => "an experiment",
            Self::Suite => "a suite",
            Self::Card => "a card",
        }
    }
}
