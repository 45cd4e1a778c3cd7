//! The Hugging Face Hub: models and datasets by id and revision, in the cache that Python's huggingface_hub keeps as well.
//!
//! hf-hub knows names, addresses and the cache's folders. Listings and transfers are ours, because hf-hub 0.5 checks no checksum,
//! appends a whole file to a part where a server ignores ranges, cannot finish a part that is complete, does not read `Retry-After`,
//! waits for a silent server for ever and sends the token along to the host that a redirect names.
//!
//! - [`settings`]: the environment variables;
//! - [`id`]: names, revisions, checksums, patterns;
//! - [`listing`]: what a repository holds;
//! - [`cache`]: what is at hand;
//! - `line`, `transfer`: requests, and one file's way into the cache;
//! - [`Hub`]: all of it together.

pub mod cache;
pub mod id;
pub mod listing;
pub mod settings;

pub(crate) mod checksum;
mod error;
mod line;
mod transfer;
mod watch;

use std::path::PathBuf;

pub use cache::Snapshot;
pub use error::HubError;
pub use id::HubId;
pub use listing::{Listing, Remote};
pub use settings::{Limits, Settings};
pub use watch::Watch;

use cache::{Held, Shelf};
use line::Line;
use transfer::Transfer;

/// Which files of a repository are wanted: patterns whose `*` stand for any characters but `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// A repository without a file for each of these is refused.
    pub needed: Vec<String>,
    /// These come along where there are any.
    pub also: Vec<String>,
}

impl Wanted {
    /// What a backbone is read from.
    pub fn model() -> Self {
        let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect();
        Self {
            needed: texts(&["config.json", "tokenizer.json", "model*.safetensors"]),
            also: texts(&["*.json", "*.jinja", "*.model", "*.txt"]),
        }
    }

    /// Every parquet file, for a dataset without a card.
    pub fn parquet() -> Self {
        Self { needed: vec![], also: vec!["*.parquet".into(), "*/*.parquet".into(), "*/*/*.parquet".into()] }
    }

    /// These, and nothing else.
    pub fn exactly(patterns: Vec<String>) -> Self {
        Self { needed: patterns, also: vec![] }
    }

    fn patterns(&self) -> Vec<&str> {
        self.needed.iter().chain(&self.also).map(String::as_str).collect()
    }
}

/// What is to come before it comes: for the person who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The repository.
    pub id: HubId,
    /// Its files that are wanted, at hand or not.
    pub listing: Listing,
    /// Those that are not at hand.
    pub missing: Vec<Remote>,
    /// Paths of those among them whose place in the cache holds something else.
    pub spoiled: Vec<String>,
}

impl Plan {
    /// Bytes that are not at hand; parts that an earlier command left count as missing.
    pub fn missing_bytes(&self) -> u64 {
        listing::sum(&self.missing)
    }
}

/// The Hub, and the cache of what came from it.
#[derive(Debug, Clone)]
pub struct Hub {
    settings: Settings,
}

impl Hub {
    /// With the settings of `HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and their like; an error names the variable that cannot be used.
    pub fn from_env() -> Result<Self, HubError> {
        Ok(Self::new(Settings::from_env()?))
    }

    /// With these settings; nothing is asked or written yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Whether the network may not be used (`HF_HUB_OFFLINE`).
    pub fn offline(&self) -> bool {
        self.settings.offline
    }

    /// The Hub's address, without a slash at the end.
    pub fn endpoint(&self) -> &str {
        &self.settings.endpoint
    }

    /// Tries whether the cache can be written to: before anything is asked or fetched.
    pub fn try_cache(&self) -> Result<(), HubError> {
        guard::files::try_folder(&self.settings.cache).map_err(HubError::file(&self.settings.cache))
    }

    /// The folder that a repository has in the cache, whether or not it is there.
    pub fn folder(&self, id: &HubId) -> PathBuf {
        Shelf::new(&self.settings.cache, id).folder
    }

    /// What is at hand of a revision; none where that is nothing. Never asks the network.
    pub fn cached(&self, id: &HubId) -> Option<Snapshot> {
        Shelf::new(&self.settings.cache, id).snapshot()
    }

    /// What is at hand of a revision, if that is everything needed; the wanted files alone.
    pub fn cached_whole(&self, id: &HubId, wanted: &Wanted) -> Result<Option<Snapshot>, HubError> {
        let Some(mut snapshot) = self.cached(id) else { return Ok(None) };
        for pattern in &wanted.needed {
            if snapshot.matching(pattern)?.is_empty() {
                return Ok(None);
            }
        }
        let patterns = wanted.patterns();
        snapshot.files.retain(|path| patterns.iter().any(|pattern| id::fits(pattern, path)));
        Ok(Some(snapshot))
    }

    /// Asks the Hub what would have to come.
    pub fn plan(&self, id: &HubId, wanted: &Wanted, watch: &dyn Watch) -> Result<Plan, HubError> {
        let shelf = Shelf::new(&self.settings.cache, id);
        if self.settings.offline {
            return Err(HubError::Offline { repo: id.to_string(), folder: shelf.folder });
        }
        let told = Line::new(&self.settings).listing(id, watch)?;
        let listing = Listing::read(&told, id, &wanted.needed, &wanted.patterns())?;
        let (mut missing, mut spoiled) = (Vec::new(), Vec::new());
        for file in &listing.files {
            let held = shelf.held(&listing.commit, file, || watch.checking(&file.path, file.size))?;
            if held != Held::Whole {
                missing.push(file.clone());
            }
            if held == Held::Spoiled {
                spoiled.push(file.path.clone());
            }
        }
        Ok(Plan { id: id.clone(), listing, missing, spoiled })
    }

    /// Fetches what a plan lists, and remembers its commit.
    pub fn fetch(&self, plan: &Plan, watch: &dyn Watch) -> Result<Snapshot, HubError> {
        let shelf = Shelf::new(&self.settings.cache, &plan.id);
        let line = Line::new(&self.settings);
        for remote in &plan.missing {
            Transfer { line: &line, shelf: &shelf, id: &plan.id, commit: &plan.listing.commit, remote, watch }.run()?;
        }
        shelf.remember(&plan.listing.commit)?;
        shelf.remember_host(&plan.listing)?;
        let files = plan.listing.files.iter().map(|file| file.path.clone()).collect();
        Ok(Snapshot { folder: shelf.snapshot_folder(&plan.listing.commit), commit: plan.listing.commit.clone(), files })
    }
}
