//! `fedbench model`: backbones from the Hub.

use anyhow::Result;
use clap::{Args, Subcommand};
use data_scripts::hub::{HubId, Wanted};
use models::{BackboneKind, Part};
use schema::record::RepoKind;

use super::say;
use crate::hub::{self, How};
use crate::session::Session;

/// Backbones from the Hub.
#[derive(Subcommand)]
pub(crate) enum Model {
    /// Download a model: config, tokenizer and safetensors; of a vision tower, no tokenizer.
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
    pub(crate) fn run(self, session: &Session) -> Result<()> {
        match self {
            Model::Fetch(command) => command.run(session),
        }
    }
}

impl Fetch {
    fn run(self, session: &Session) -> Result<()> {
        let id = self.id.strip_prefix("hf:").unwrap_or(&self.id);
        let id = super::arguments::with_revision(HubId::parse(RepoKind::Model, id)?, self.revision)?;
        let part = part(session, &id.name);
        let snapshot = hub::fetch(&id, &part.map_or_else(Wanted::model, hub::wanted), None, self.how)?;
        say(&format!("{} at commit {}: {}", id.name, snapshot.commit, snapshot.folder.display()));
        match part {
            Some(part) if !part.has_tokenizer => say(&format!("it is a part of a backbone: a {}", part.name)),
            _ => say(&format!("its name as a backbone: {}@{}", id.name, snapshot.commit)),
        }
        Ok(())
    }
}

/// The part of a backbone that has this id.
fn part(session: &Session, id: &str) -> Option<&'static Part> {
    let rows = session.registry().backbones().rows().iter();
    let asking = rows.filter_map(|row| if let BackboneKind::Asking(asking) = row.kind { Some(asking) } else { None });
    asking.flat_map(|asking| asking.parts).find(|part| part.hub == id)
}
