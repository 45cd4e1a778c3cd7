//! `fedbench tables`: the tables that a page quotes, made again from the runs they are of.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use reports::quoted::Page;

use super::{report, say};

/// Make the tables of a page (Markdown) again from the runs that the comments above them name.
#[derive(Args)]
pub(crate) struct Tables {
    /// The pages; a table stands below a comment, `<!-- table ... -->`, and above `<!-- /table -->`.
    #[arg(required = true)]
    pages: Vec<PathBuf>,
    /// Write nothing; exit 1 where a table is not what its runs give.
    #[arg(long)]
    check: bool,
}

impl Tables {
    pub(crate) fn run(self) -> Result<()> {
        // All are read before any is written.
        let pages = self.pages.iter().map(|path| Page::read(path)).collect::<Result<Vec<_>, _>>()?;
        let mut stale = Vec::new();
        for (path, page) in self.pages.iter().zip(&pages) {
            report::notice_of(page.unverified);
            let lines: Vec<String> = page.stale().map(|table| table.line.to_string()).collect();
            let (all, name) = (page.tables.len(), path.display());
            if lines.is_empty() {
                let (tables, their) = if all == 1 { ("table", "its") } else { ("tables", "their") };
                say(&format!("{name}: {all} {tables}, as {their} runs give them"));
            } else if self.check {
                stale.push(format!("{name}, line {}", lines.join(", ")));
            } else {
                page.renew()?;
                say(&format!("{name}: {} of {all} tables renewed (line {})", lines.len(), lines.join(", ")));
            }
        }
        if !stale.is_empty() {
            bail!("not what the runs give: {}; `fedbench tables` without --check makes them again", stale.join("; "));
        }
        Ok(())
    }
}
