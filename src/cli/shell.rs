//! `fedbench completions` and `fedbench man`: what a shell and `man` know of the command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::Shell;

use super::say;

/// What completes this program's commands and options in a shell: `fedbench completions bash > FILE`.
#[derive(Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Manual pages: the program's on the screen, or all of them in a folder.
#[derive(Args)]
pub(crate) struct Man {
    /// A folder for the pages of the program and of every command.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Completions {
    pub(crate) fn run(self, mut command: Command) -> Result<()> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, "fedbench", &mut text);
        say(String::from_utf8(text).context("completions are text")?.trim_end());
        Ok(())
    }
}

impl Man {
    pub(crate) fn run(self, command: Command) -> Result<()> {
        let Some(out) = self.out else {
            say(String::from_utf8(page(command)?).context("a manual page is text")?.trim_end());
            return Ok(());
        };
        std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        let pages = write(&out, "fedbench", command)?;
        say(&format!("{pages} pages in {}", out.display()));
        Ok(())
    }
}

fn page(command: Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}

/// The page of a command and of those below it; how many.
fn write(out: &Path, name: &str, command: Command) -> Result<usize> {
    let mut pages = 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        pages += write(out, &format!("{name}-{}", below.get_name()), below.clone())?;
    }
    let path = out.join(format!("{name}.1"));
    let text = page(command.display_name(name).bin_name(name.replace('-', " ")))?;
    guard::files::write_unlocked(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(pages)
}
