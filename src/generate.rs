//! Generated datasets in their cache: made once, by one process, and nothing half made stays.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use data_scripts::generated::{self, Generator};
use guard::lock::Lock;
use schema::toml_file;

use crate::session::{GENERATOR_SEED, Located, cache_root};

/// A generated dataset, made now if it is not in the cache.
pub(crate) fn located(generator: &Generator) -> Result<Located> {
    let cache = cache_root();
    let folder = cache.join(format!("{}-v{}-s{GENERATOR_SEED}", generator.name, generated::VERSION));
    let card = folder.join("card.toml");
    if !card.is_file() {
        make(generator, &cache, &folder).with_context(|| {
            format!("cannot keep {} in {}; FEDBENCH_CACHE names another folder for it", generator.title, cache.display())
        })?;
    }
    Ok(Located { card: toml_file::read(&card).map_err(harness::Error::from)?, folder, download: None })
}

/// Makes a dataset aside and renames it. Others wait until it is there.
fn make(generator: &Generator, cache: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(cache)?;
    let _lock = Lock::of_folder_in_turn(cache).with_context(|| format!("cannot lock {}", cache.display()))?;
    // What has the lock's protection and was not finished is nobody's any more.
    let aside = cache.join(format!(".{}.part", generator.name));
    remove(&aside)?;
    sweep(generator.name, cache);
    if folder.join("card.toml").is_file() {
        return Ok(());
    }
    remove(folder)?;
    let made = generated::write(generator, &aside, None, GENERATOR_SEED).map_err(anyhow::Error::from).and_then(|_| {
        fs::rename(&aside, folder).with_context(|| format!("cannot move {} to {}", aside.display(), folder.display()))
    });
    if made.is_err() {
        // On a full disk it would be in the way.
        let _ = remove(&aside);
    }
    made
}

/// Removes folders that earlier versions made aside, named by their process, where that is gone.
fn sweep(name: &str, cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let process =
            found.to_str().and_then(|found| found.strip_prefix('.')?.strip_prefix(name)?.strip_prefix('-')?.parse().ok());
        if process.is_some_and(is_gone) {
            // It is in nobody's way.
            let _ = remove(&entry.path());
        }
    }
}

/// Whether a process has ended; never said where the system does not tell.
fn is_gone(process: u32) -> bool {
    Path::new("/proc/self").exists() && !Path::new("/proc").join(process.to_string()).exists()
}

fn remove(folder: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(folder),
        Ok(_) => fs::remove_file(folder),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
