//! `fedbench model`: backbones from the Hub.

use anyhow::Result;
use clap::{Args, Subcommand};
use data_scripts::hub::{HubId, Wanted};
use schema::record::RepoKind;

use super::say;
use crate::hub::{self, How};

/// Backbones from the Hub.
#[derive(Subcommand)]
pub(crate) enum Model {
    /// Download a model: config, tokenizer and safetensors.
    Fetch(Fetch),
}

/// Download a model.
#[derive(Args)]
pub(crate) struct Fetch {
    /// Its id on the Hub: `owner/name` or `owner/name@revision`.
    id: String,
    /// A branch, a tag or a commit.
    #[arg(long)]
    revision: Option<String>,
    #[command(flatten)]
    how: How,
}

impl Model {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Model::Fetch(command) => command.run(),
        }
    }
}

impl Fetch {
    fn run(self) -> Result<()> {
        let id = self.id.strip_prefix("hf:").unwrap_or(&self.id);
        let id = super::arguments::with_revision(HubId::parse(RepoKind::Model, id)?, self.revision)?;
        let snapshot = hub::fetch(&id, &Wanted::model(), None, self.how)?;
        say(&format!("{} at commit {}: {}", id.name, snapshot.commit, snapshot.folder.display()));
        say(&format!("its name as a backbone: {}@{}", id.name, snapshot.commit));
        Ok(())
    }
}
