//! Where datasets lie, and what they are.

use std::path::PathBuf;

use data::{Dataset, Rows, join_cards};
use schema::Card;
use schema::record::Download;

/// The seed that the embedded datasets are generated with; part of their cards' revision.
pub const GENERATOR_SEED: u64 = 0;

/// Where a dataset lies and what it is.
#[derive(Debug, Clone)]
pub struct Located {
    /// Its folder.
    pub folder: PathBuf,
    /// Its card.
    pub card: Card,
    /// What of it came from the Hub.
    pub download: Option<Download>,
}

/// Reads a split of one dataset, or of several as one; so many rows of each.
pub fn load(located: &[Located], split: &str, rows: Rows) -> Result<Dataset, study::Error> {
    let one =
        |located: &Located| Dataset::load(&located.folder, &located.card, split, rows.read()).map(|dataset| rows.of(dataset));
    match located {
        [alone] => Ok(one(alone)?),
        several => Ok(Dataset::join(several.iter().map(one).collect::<Result<_, _>>()?)?),
    }
}

/// The card of one dataset, or of several as one.
pub fn card_of(located: &[Located]) -> Result<Card, study::Error> {
    match located {
        [alone] => Ok(alone.card.clone()),
        several => Ok(join_cards(&several.iter().map(|located| located.card.clone()).collect::<Vec<_>>())?),
    }
}

/// Where datasets that are not generated are looked for.
pub(crate) fn data_root() -> PathBuf {
    std::env::var_os("FEDBENCH_DATA").map_or_else(|| PathBuf::from("data"), PathBuf::from)
}

/// Where generated datasets are kept: `$FEDBENCH_CACHE`, else the user's cache folder.
pub fn cache_root() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("FEDBENCH_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("fedbench")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/fedbench")))
        .unwrap_or_else(|| PathBuf::from(".fedbench-cache"))
}
