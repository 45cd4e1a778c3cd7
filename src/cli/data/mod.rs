//! `fedbench data`: make, fetch, import, inspect and partition datasets.

mod draft;
mod import;
mod said;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand, ValueEnum};
use data::{Dataset, draw, inspect, label_table, resolve, save};
use data_scripts::generators;
use data_scripts::hub::{HubId, Wanted};
use schema::experiment::{PartitionConfig, PartitionScheme};
use schema::record::RepoKind;
use schema::toml_file;

use super::{say, say_json};
use crate::hub::{self, How};
use crate::locate::{known_card, locate};
use crate::located::GENERATOR_SEED;
use said::{pair, say_splits};

/// Make, fetch, import, inspect and partition datasets.
#[derive(Subcommand)]
pub(crate) enum Data {
    /// Make a generated dataset: parquet files and a card.
    Prepare(Prepare),
    /// Download a dataset from the Hub.
    Fetch(Fetch),
    /// Make a dataset of your own CSV, JSON lines or folders of pictures, or of one that is published otherwise.
    Import(import::Import),
    /// Show a dataset's columns, counts and examples; of parquet files without a card, a draft of one.
    Inspect(Inspect),
    /// Draft a card for parquet files that have none: `fedbench data card FOLDER > FOLDER/card.toml`.
    Card(draft::DraftCard),
    /// Draw a partition, show its label table and save it.
    Partition(Partition),
}

/// Make a generated dataset.
#[derive(Args)]
pub(crate) struct Prepare {
    /// The generator's name.
    name: String,
    /// Its folder, a new or an empty one; the cache that runs use without it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Training and test rows, as `4000 1000`; the generator's own sizes without it.
    #[arg(long, value_delimiter = ',', num_args = 2, value_parser = rows())]
    rows: Option<Vec<usize>>,
    /// The seed.
    #[arg(long, default_value_t = GENERATOR_SEED, value_parser = super::arguments::seed())]
    seed: u64,
}

/// Download a dataset from the Hub.
#[derive(Args)]
pub(crate) struct Fetch {
    /// A dataset's name or card, or any id on the Hub (`owner/name`), of which all parquet files come.
    dataset: String,
    /// A branch, a tag or a commit, instead of the card's.
    #[arg(long)]
    revision: Option<String>,
    /// Only these splits of the card.
    #[arg(long, value_delimiter = ',')]
    splits: Vec<String>,
    /// Only files that fit, for an id without a card: `--include 'data/test-*.parquet'`; may be repeated.
    #[arg(long, conflicts_with = "splits")]
    include: Vec<String>,
    #[command(flatten)]
    how: How,
}

/// Show a dataset's columns, counts and examples.
#[derive(Args)]
pub(crate) struct Inspect {
    /// A dataset's name, card or folder; a folder of parquet files, or one such file.
    dataset: String,
    /// How to print it.
    #[arg(long, value_enum, default_value = "text")]
    format: InspectFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum InspectFormat {
    Text,
    Json,
}

/// Draw a partition, show its label table and save it.
#[derive(Args)]
pub(crate) struct Partition {
    /// A dataset's name, card or folder.
    dataset: String,
    /// Clients.
    #[arg(long, default_value_t = 5)]
    clients: usize,
    /// `iid`, `dirichlet`, `pathological`, `quantity` or `natural`.
    #[arg(long, default_value = "iid")]
    scheme: String,
    /// The label to split and to tabulate by.
    #[arg(long)]
    key: Option<String>,
    /// Concentration, for `dirichlet` and `quantity`.
    #[arg(long, default_value_t = 1.0)]
    alpha: f64,
    /// Labels per client, for `pathological`.
    #[arg(long, default_value_t = 2)]
    classes_per_client: usize,
    /// The seed.
    #[arg(long, default_value_t = 1, value_parser = super::arguments::seed())]
    seed: u64,
    /// The splits, training and test.
    #[arg(long, value_delimiter = ',', num_args = 2, default_values = ["train", "test"])]
    splits: Vec<String>,
    /// Where to save it, as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Data {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Data::Prepare(command) => command.run(),
            Data::Fetch(command) => command.run(),
            Data::Import(command) => command.run(),
            Data::Inspect(command) => command.run(),
            Data::Card(command) => command.run(),
            Data::Partition(command) => command.run(),
        }
    }
}

/// How many rows a generated split may have.
fn rows() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=generators::MOST_ROWS as u64)
}

impl Prepare {
    fn run(self) -> Result<()> {
        let names = generators::GENERATORS.iter().map(|generator| generator.name);
        let generator = generators::find(&self.name).ok_or_else(|| study::Error::unknown("generator", &self.name, names))?;
        let sizes = pair(self.rows.as_deref());
        let Some(out) = self.out else {
            say(&format!("{}", locate(generator.name)?.folder.display()));
            return Ok(());
        };
        let card = generators::write(generator, &out, sizes, self.seed)?;
        say_splits(&card, &out);
        let shortcuts = generators::shortcuts::measure(generator, sizes, self.seed);
        say(&format!(
            "without looking: chance {:.1}%, always the most frequent answer {:.1}%, the best text-only model {:.1}%",
            shortcuts.chance,
            shortcuts.most_frequent_answer,
            shortcuts.text_only()
        ));
        Ok(())
    }
}

impl Fetch {
    fn run(self) -> Result<()> {
        let (name, snapshot) = match self.card()? {
            Some(card) => {
                let (_, within) = self.named();
                let snapshot = hub::fetch_dataset(&card, self.revision.as_deref().or(within), &self.splits, self.how)?;
                (card.name, snapshot)
            }
            None => {
                let id = self.dataset.strip_prefix("hf:").unwrap_or(&self.dataset);
                let id = super::arguments::with_revision(HubId::parse(RepoKind::Dataset, id)?, self.revision)?;
                let wanted = if self.include.is_empty() { Wanted::parquet() } else { Wanted::exactly(self.include) };
                let snapshot = hub::fetch(&id, &wanted, None, self.how)?;
                (id.name, snapshot)
            }
        };
        say(&format!("{name} at commit {}: {} files in {}", snapshot.commit, snapshot.files.len(), snapshot.folder.display()));
        Ok(())
    }

    /// The name, and the revision in `name@revision`.
    fn named(&self) -> (&str, Option<&str>) {
        self.dataset.split_once('@').map_or((&self.dataset, None), |(name, revision)| (name, Some(revision)))
    }

    /// The card of a known name or of a file; none for an id.
    fn card(&self) -> Result<Option<schema::Card>> {
        let (name, _) = self.named();
        if name.ends_with(".toml") {
            return Ok(Some(toml_file::read(Path::new(name)).map_err(study::Error::from)?));
        }
        if name.contains('/') { Ok(None) } else { known_card(name).map(Some) }
    }
}

impl Inspect {
    fn run(self) -> Result<()> {
        if let Some(path) = draft::without_card(&self.dataset) {
            return draft::inspect(path, matches!(self.format, InspectFormat::Json));
        }
        let located = locate(&self.dataset)?;
        let inspection = inspect(&located.folder, &located.card).map_err(study::Error::from)?;
        match self.format {
            InspectFormat::Text => say(&inspection.to_string()),
            InspectFormat::Json => say_json(&serde_json::to_string_pretty(&inspection)?),
        }
        Ok(())
    }
}

impl Partition {
    fn run(self) -> Result<()> {
        let located = locate(&self.dataset)?;
        let load = |split: &str| Dataset::load(&located.folder, &located.card, split, None).map_err(study::Error::from);
        let (train, test) = (load(&self.splits[0])?, load(&self.splits[1])?);
        let config = PartitionConfig {
            clients: self.clients,
            scheme: scheme(&self.scheme)?,
            key: self.key.clone(),
            alpha: self.alpha,
            classes_per_client: self.classes_per_client,
            ..PartitionConfig::default()
        };
        let partition =
            draw(&config, self.seed, &located.card.name, &train.examples, &test.examples).map_err(study::Error::from)?;
        let shards = resolve(&partition, &train.examples, &test.examples).map_err(study::Error::from)?;
        let key = self.key.or_else(|| located.card.partition_keys.first().cloned()).unwrap_or_else(|| "answer".into());
        say(&label_table(&shards, &train.examples, &key).to_string());
        say(&format!("hash {}", partition.hash));
        if let Some(out) = &self.out {
            check_place(out, &partition)?;
            save(&partition, out).map_err(study::Error::from)?;
            say(&format!("saved: {}", out.display()));
        }
        Ok(())
    }
}

/// The largest file that may hold a partition.
const LARGEST_PARTITION: u64 = 1 << 30;

/// What lies there already must be this very partition: runs may have been made on it.
fn check_place(out: &Path, partition: &schema::partition::Partition) -> Result<()> {
    if out.symlink_metadata().is_err() {
        return Ok(());
    }
    let kept = guard::files::read_here(out, LARGEST_PARTITION).ok();
    match kept {
        Some(kept) if kept == serde_json::to_vec_pretty(partition)? => Ok(()),
        _ => {
            let message =
                format!("{} is there already and holds something else; remove it, or give another --out", out.display());
            Err(study::Error::Usage(message).into())
        }
    }
}

fn scheme(name: &str) -> Result<PartitionScheme, study::Error> {
    const NAMES: [&str; 5] = ["iid", "dirichlet", "pathological", "quantity", "natural"];
    serde_json::from_value(serde_json::Value::String(name.into()))
        .map_err(|_| study::Error::unknown("partition scheme", name, NAMES))
}
