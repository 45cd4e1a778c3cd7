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
//!
//! # How it is fetched
//!
//! `data-scripts/src/hub/` fetches models and datasets by id and revision into the cache that Python's huggingface_hub keeps
//! (`refs/`, `blobs/`, `snapshots/`, `.locks/`), so what one of them downloaded the other finds. It reads the same variables:
//! `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN` (and the token file), `HF_HUB_OFFLINE`, `HF_HUB_DOWNLOAD_TIMEOUT`.
//!
//! - **Runs never use the network.** `fedbench data fetch` and `fedbench model fetch` do, and nothing else; above 100 MiB they
//!   say how much would come, under which licence, and go on with `--yes` or an answer at the terminal. Everything else reads the
//!   cache.
//! - **A pinned revision is a commit.** A card may say `main`; what a run resolves is the commit that was fetched, which takes
//!   the place of the card's `revision`, so the run's name covers it. `environment.json` lists commit and every file's size and
//!   checksum.
//! - **What has its name is whole.** The listing (`/api/.../revision/...?blobs=true`) gives each file's size and checksum:
//!   SHA-256 for large files, git's blob id for the others. Content grows in `<etag>.incomplete`, is checked, synced and then
//!   renamed; the snapshot's link comes last. Without a checksum nothing is fetched. Files whose names promise more of them
//!   (`-00000-of-00003`) are used together or not at all.
//! - **hf-hub 0.5 with its blocking client** (`default-features = false, features = ["ureq"]`; rustls with the web's roots built
//!   in) gives the names, addresses and folders. hf-hub 1.0 wants tokio, reqwest and hf-xet: 225 crates by itself instead of 55.
//!   Listing and transfer (`hub/transfer.rs`, `hub/line.rs`) are ours over the same ureq, because hf-hub's checks no checksum and
//!   no length, appends a whole body to a part where a server ignores ranges, never finishes a part that is complete (its range
//!   is answered 416), retries a 404 like a 503 and reads no `Retry-After`, and sends the token along to the host that a redirect
//!   names. Ours tries five times without progress, doubles its pauses, and waits as long as the Hub asks for, up to two minutes.
//! - **A server may be slow, wrong or somebody else's.** `hub/settings.rs` has the limits: seconds to connect, for a head and of
//!   silence, and bytes that a window of time must bring; a few bytes an attempt are no progress. A listing's names and sizes are
//!   checked before anything is asked for, and the host that gave it is kept beside the snapshot (`.fedbench/<commit>.json`), for
//!   `environment.json`.
//! - **Length is not content.** Whatever is fetched is read for its checksum, at hand or not; runs compare what they read
//!   themselves.
//! - It adds 21 crates to the build.
//! - **Cards of the Hub state what nobody here could check.** They were written from READMEs, without the Hub at hand; each
//!   begins with what is unverified. SNUMPR/HFLB (FedDAT's federation, rebuilt by FedMosaic) is questions in JSON beside
//!   pictures: `fedbench data import hflb FOLDER` (`data-scripts/hflb.rs`) reads its folders, takes the options out of the
//!   authors' prompts (`conversations.rs`) and writes one parquet dataset whose tag `client` is the federation. Folders, files
//!   and prompts are those that the authors' code names; the published files were not at hand, so what does not fit is counted
//!   and told by file and record, never guessed.

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

    /// What a vision tower is loaded from: no tokenizer.
    pub fn tower() -> Self {
        Self { needed: vec!["config.json".into(), "model*.safetensors".into()], also: vec!["*.txt".into()] }
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
