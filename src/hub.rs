//! The Hub as a user meets it: what is at hand, what would come and whether it may, and how far it is.
//!
//! Runs never use the network: they read what `fedbench data fetch` and `fedbench model fetch` brought.

use std::cell::RefCell;
use std::io::{BufRead, IsTerminal};
use std::path::Path;

use anyhow::{Context, Result};
use data_scripts::hub::{Hub, HubId, Plan, Snapshot, Wanted, Watch};
use indicatif::{ProgressBar, ProgressStyle};
use models::Part;
use schema::Card;
use schema::record::{Download, RepoKind};

use crate::located::Located;
use crate::output::{ask, note};
use crate::progress::bytes;

/// A file's name is shown up to so many characters: a line of a terminal.
const LONGEST_NAME: usize = 80;
/// A download that is larger than this is asked about first.
const LARGE: u64 = 100 << 20;

/// How a download goes.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct How {
    /// Download without asking, however large it is.
    #[arg(long)]
    pub yes: bool,
    /// No progress.
    #[arg(long)]
    pub quiet: bool,
}

/// A dataset's files in the cache, through a card that names a repository of the Hub. The card's revision becomes the commit, so
/// that a run's name covers it.
pub fn dataset(mut card: Card, revision: Option<&str>) -> Result<Located> {
    let id = dataset_id(&card, revision)?;
    let fetch = format!("`fedbench data fetch {}` downloads it ({}; licence {})", card.name, id.name, card.license);
    let Some(snapshot) = Hub::from_env()?.cached(&id) else { return Err(not_at_hand("dataset", &card.name, &id, &fetch)) };
    let mut files = Vec::new();
    for pattern in card.splits.values().flat_map(|split| split.patterns()) {
        files.extend(snapshot.matching(pattern).with_context(|| fetch.clone())?.into_iter().map(str::to_owned));
    }
    if files.is_empty() {
        return Err(not_at_hand("dataset", &card.name, &id, &fetch));
    }
    let snapshot = Snapshot { files, ..snapshot };
    card.revision.clone_from(&snapshot.commit);
    Ok(Located { download: Some(snapshot.record(&id)?), folder: snapshot.folder, card })
}

/// Whether a dataset of the Hub is at hand, whole or in part.
pub fn has_dataset(card: &Card) -> Result<bool> {
    let id = dataset_id(card, None)?;
    let Some(snapshot) = Hub::from_env()?.cached(&id) else { return Ok(false) };
    let mut patterns = card.splits.values().flat_map(|split| &split.files);
    Ok(patterns.any(|pattern| snapshot.matching(pattern).is_ok_and(|files| !files.is_empty())))
}

fn dataset_id(card: &Card, revision: Option<&str>) -> Result<HubId> {
    let name = card.hub.as_deref().ok_or_else(|| {
        let message =
            format!("dataset `{}` is not from the Hub: its card has no key `hub`; it comes from {}", card.name, card.source);
        study::Error::Usage(message)
    })?;
    Ok(HubId::new(RepoKind::Dataset, name, revision.unwrap_or(&card.revision))?)
}

fn not_at_hand(kind: &str, name: &str, id: &HubId, fetch: &str) -> anyhow::Error {
    let folder = Hub::from_env().map(|hub| hub.folder(id).display().to_string()).unwrap_or_default();
    study::Error::Usage(format!("{kind} `{name}` is not at hand: nothing of {id} in {folder}; {fetch}")).into()
}

/// A backbone that is named by a Hub id and lies in the cache.
pub struct Found {
    id: HubId,
    snapshot: Snapshot,
}

impl Found {
    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.snapshot.folder
    }

    /// What a run's folder says of it; reads files whose checksum is not their name.
    pub fn record(&self) -> Result<Download> {
        Ok(self.snapshot.record(&self.id)?)
    }
}

/// A backbone that is named by a Hub id (`hf:owner/name@revision`, or `owner/name` where that is no folder); none for any other name.
pub fn find_backbone(name: &str) -> Result<Option<Found>> {
    let Some(text) = name.strip_prefix("hf:").or_else(|| bare(name)) else { return Ok(None) };
    find_model(name, text, &Wanted::model()).map(Some)
}

/// A part of a backbone that lies in the cache.
pub fn find_part(part: &Part) -> Result<Found> {
    find_model(&format!("hf:{}", part.hub), part.hub, &wanted(part))
}

/// What is fetched of a part.
pub fn wanted(part: &Part) -> Wanted {
    if part.has_tokenizer { Wanted::model() } else { Wanted::tower() }
}

fn find_model(name: &str, text: &str, wanted: &Wanted) -> Result<Found> {
    let id = HubId::parse(RepoKind::Model, text)?;
    let fetch = format!("`fedbench model fetch {text}` downloads it");
    match Hub::from_env()?.cached_whole(&id, wanted).with_context(|| fetch.clone())? {
        Some(snapshot) => Ok(Found { id, snapshot }),
        None if name == text => Err(not_at_hand("backbone", name, &id, &format!("no folder of this name either; {fetch}"))),
        None => Err(not_at_hand("backbone", name, &id, &fetch)),
    }
}

/// What a table calls a backbone: by its id, if it has one, because the name of its folder is a commit.
pub fn shown<'a>(name: &'a str, folder: &'a str) -> &'a str {
    if name.starts_with("hf:") || bare(name).is_some() { name } else { folder }
}

/// A name that can only be an id: one slash within, and no such folder.
fn bare(name: &str) -> Option<&str> {
    let (owner, rest) = name.split_once('/')?;
    (!owner.is_empty() && !owner.starts_with(['.', '~']) && !rest.contains('/') && !rest.is_empty() && !Path::new(name).exists())
        .then_some(name)
}

/// Fetches a card's files, of the given splits or of all.
pub fn fetch_dataset(card: &Card, revision: Option<&str>, splits: &[String], how: How) -> Result<Snapshot> {
    let id = dataset_id(card, revision)?;
    let known = || card.splits.keys().map(String::as_str);
    if let Some(split) = splits.iter().find(|split| !card.splits.contains_key(*split)) {
        return Err(study::Error::unknown(&format!("split of dataset `{}`", card.name), split, known()).into());
    }
    let chosen = card.splits.iter().filter(|(name, _)| splits.is_empty() || splits.contains(name));
    let patterns = chosen.flat_map(|(_, split)| split.patterns().cloned()).collect();
    fetch(&id, &Wanted::exactly(patterns), Some(&card.license), how)
}

/// Fetches what is wanted of a repository, unless it is at hand. `license` is what the card says of it.
pub fn fetch(id: &HubId, wanted: &Wanted, license: Option<&str>, how: How) -> Result<Snapshot> {
    let (hub, bar) = (Hub::from_env()?, Bar::new(how.quiet));
    let whole = if wanted.needed.is_empty() { None } else { hub.cached_whole(id, wanted).ok().flatten() };
    if let Some(snapshot) = whole.filter(|snapshot| snapshot.commit == id.revision || hub.offline()) {
        match snapshot.check(|path, size| bar.checking(path, size)) {
            Ok(()) => return Ok(snapshot),
            // What is spoiled is fetched again, where that is possible.
            Err(error) if hub.offline() => return Err(error.into()),
            Err(_) => {}
        }
    }
    hub.try_cache()?;
    let plan = hub.plan(id, wanted, &bar)?;
    if !how.quiet {
        tell_doubts(&hub, &plan);
    }
    if !plan.missing.is_empty() {
        announce(&plan, license, how)?;
    }
    Ok(hub.fetch(&plan, &bar)?)
}

/// Says who answered, where that is not who was asked, and what in the cache is not what it says it is.
fn tell_doubts(hub: &Hub, plan: &Plan) {
    if !hub.endpoint().eq_ignore_ascii_case(&plan.listing.host) && !hub.endpoint().starts_with(&format!("{}/", plan.listing.host))
    {
        note(&format!("{}: {} sent the question on; what follows is listed by {}", plan.id, hub.endpoint(), plan.listing.host));
    }
    for path in &plan.spoiled {
        note(&format!("{}: {path} in the cache is not what the Hub lists; it is fetched again", plan.id));
    }
}

/// Says what would come; goes on if it is little, allowed or agreed to.
fn announce(plan: &Plan, license: Option<&str>, how: How) -> Result<()> {
    let stated = plan.listing.license.as_deref();
    let license = match (license, stated) {
        (Some(ours), Some(stated)) if !ours.eq_ignore_ascii_case(stated) => format!("{ours} (the Hub says {stated})"),
        (ours, stated) => ours.or(stated).unwrap_or("not stated").to_owned(),
    };
    let line = format!(
        "{} (commit {}): {} to download in {} of {} files, licence {license}",
        plan.id,
        plan.listing.commit,
        bytes(plan.missing_bytes()),
        plan.missing.len(),
        plan.listing.files.len(),
    );
    if plan.missing_bytes() <= LARGE || how.yes {
        if !how.quiet {
            note(&line);
        }
        return Ok(());
    }
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && agreed(&line) {
        return Ok(());
    }
    Err(study::Error::Usage(format!("{line}; `--yes` downloads it")).into())
}

fn agreed(line: &str) -> bool {
    ask(&format!("{line}. Go on? [y/N] "));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

/// A bar per file on a terminal, a line per file elsewhere, nothing when quiet.
struct Bar {
    bar: RefCell<ProgressBar>,
    quiet: bool,
}

impl Bar {
    fn new(quiet: bool) -> Self {
        Self { bar: RefCell::new(ProgressBar::hidden()), quiet }
    }
}

/// A file at hand that is larger than this takes a while to check, which is said.
const SLOW_TO_CHECK: u64 = 256 << 20;

impl Watch for Bar {
    fn checking(&self, path: &str, size: u64) {
        if !self.quiet && size > SLOW_TO_CHECK {
            note(&format!("  checking {path} ({})", bytes(size)));
        }
    }

    fn started(&self, path: &str, size: u64) {
        if self.quiet {
            return;
        }
        if !std::io::stderr().is_terminal() {
            note(&format!("  {} ({})", guard::text::line(path, LONGEST_NAME), bytes(size)));
            return;
        }
        let bar = ProgressBar::new(size).with_message(guard::text::line(path, LONGEST_NAME));
        if let Ok(style) = ProgressStyle::with_template("  {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left  {msg}")
        {
            bar.set_style(style);
        }
        self.bar.replace(bar);
    }

    fn at(&self, bytes: u64) {
        self.bar.borrow().set_position(bytes);
    }

    fn waiting(&self, seconds: f64, why: &str) {
        if !self.quiet {
            self.bar.borrow().suspend(|| note(&format!("  {why}: trying again in {seconds:.0} s")));
        }
    }

    fn finished(&self) {
        self.bar.borrow().finish_and_clear();
    }
}
