//! `fedbench keep`: runs into a pack, a few files that reports read as they read the folders, and out again.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use reports::{Trust, keep, unpack};

use super::{note, place, say};

/// Runs into a pack, or a pack into run folders again.
#[derive(Args)]
pub(crate) struct Keep {
    /// Run folders or packs, or folders that hold some.
    #[arg(required_unless_present = "unpack", conflicts_with = "unpack")]
    runs: Vec<PathBuf>,
    /// Where the pack goes, a new folder; of `--unpack`, where the run folders go.
    #[arg(long)]
    out: PathBuf,
    /// Keep adapters, too: what takes most of the room, and no report reads.
    #[arg(long, conflicts_with = "unpack")]
    adapters: bool,
    /// Give a pack's run folders back.
    #[arg(long, value_name = "PACK")]
    unpack: Option<PathBuf>,
    /// Take runs as they are, without comparing them with their checksums.
    #[arg(long)]
    no_verify: bool,
}

impl Keep {
    pub(crate) fn run(self) -> Result<()> {
        place::check_outside_runs(&self.out)?;
        let trust = if self.no_verify { Trust::AsTheyAre } else { Trust::Verified };
        let Some(pack) = &self.unpack else {
            let kept = keep::keep(&self.runs, &self.out, self.adapters, trust)?;
            if kept.unverified > 0 {
                let count = kept.unverified;
                note(&format!(
                    "note: {count} of them came without a {}: not verified, and the pack says so",
                    schema::run_dir::MANIFEST
                ));
            }
            let (out, is) = (self.out.display(), if kept.was_there { "was there already" } else { "written" });
            say(&format!("pack: {out} {is}: {} runs, {} bytes of {}", kept.runs, kept.after, kept.before));
            return Ok(());
        };
        let unpacked = unpack::unpack(pack, &self.out, trust)?;
        if unpacked.without_adapters > 0 {
            let count = unpacked.without_adapters;
            note(&format!("note: {count} runs are without their adapters, which were not kept: read them with --no-verify"));
        }
        if let Some(first) = unpacked.rewritten.first() {
            let (count, first) = (unpacked.rewritten.len(), first.display());
            note(&format!("note: {count} parquet files have the same rows in other bytes than were kept, {first} first"));
        }
        say(&format!("unpacked: {} runs in {}", unpacked.runs, self.out.display()));
        Ok(())
    }
}
