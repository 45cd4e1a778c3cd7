//! Generated datasets in their cache: made once, by one process, and nothing half made stays.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use data_scripts::generators::{self, Generator};
use guard::leftovers::{remove, sweep};
use guard::lock::Lock;

use crate::located::{GENERATOR_SEED, Located, cache_root};

/// A generated dataset, made now if it is not in the cache.
pub(crate) fn located(generator: &Generator) -> Result<Located> {
    let cache = cache_root();
    let folder = cache.join(format!("{}-v{}-s{GENERATOR_SEED}", generator.name, generators::VERSION));
    if !folder.join("card.toml").is_file() {
        make(generator, &cache, &folder).with_context(|| {
            format!("cannot keep {} in {}; FEDBENCH_CACHE names another folder for it", generator.title, cache.display())
        })?;
    }
    // Whatever happened to it since: it is what was generated, or it is refused.
    Ok(Located { card: generators::check(generator, &folder, None, GENERATOR_SEED)?, folder, download: None })
}

/// Makes a dataset aside and renames it. Others wait until it is there.
fn make(generator: &Generator, cache: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(cache)?;
    let _lock = Lock::of_folder_in_turn(cache).with_context(|| format!("cannot lock {}", cache.display()))?;
    // What has the lock's protection and was not finished is nobody's any more.
    let aside = cache.join(format!(".{}.part", generator.name));
    remove(&aside)?;
    // Earlier versions named it by their process.
    sweep(cache, &format!(".{}-", generator.name), str::is_empty);
    if folder.join("card.toml").is_file() {
        return Ok(());
    }
    remove(folder)?;
    let made = generators::write(generator, &aside, None, GENERATOR_SEED).map_err(anyhow::Error::from).and_then(|_| {
        fs::rename(&aside, folder).with_context(|| format!("cannot move {} to {}", aside.display(), folder.display()))
    });
    if made.is_err() {
        // On a full disk it would be in the way.
        let _ = remove(&aside);
    }
    made
}
