//! Hostile files: whatever the suite reads, with damage from a seed, is an error or is read, never a panic, an abort, a hang or memory
//! without bound.
//!
//! - [`models`]: safetensors, tokenizers, configs and GGUF of backbones;
//! - [`data`]: parquet, pictures, cards, and the archives of HFLB;
//! - [`runs`]: experiments, suites and run folders.
//!
//! A short, fixed series runs with the tests. `FEDBENCH_FUZZ_SECONDS=600 cargo test --release --test suite -- hostile:: --test-threads 1`
//! goes on for so long with each target, and is stricter: no case may take 20 seconds or the process 2 GB. `FEDBENCH_FUZZ_SEED` is the
//! first case's number. A failure names target and case, and says where the file is kept that did it.

mod data;
mod models;
mod runs;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use machine::clock::Stopwatch;
use seed::{Seed, Stream};

use crate::support::{Test, setup};

/// Cases of a target in the short series.
const CASES: u64 = 300;

/// Seconds after which a case hangs, and memory of the whole process, in bytes, beyond which it fills it: in the short series, beside
/// other tests, and in the long one, alone.
const PATIENCE: [(f64, u64); 2] = [(120.0, 6 << 30), (20.0, 2 << 30)];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Feeds damaged copies of `files` to `read`, which gives whether it was taken.
fn attack(
    target: &str,
    files: &[Vec<u8>],
    damage: fn(&[u8], &mut Stream) -> Vec<u8>,
    mut read: impl FnMut(usize, &[u8]) -> Result<()>,
) -> Test {
    setup();
    let budget = number("FEDBENCH_FUZZ_SECONDS").map(|seconds| seconds as f64);
    let (first, clock) = (number("FEDBENCH_FUZZ_SEED").unwrap_or(0), Stopwatch::start());
    let watch = Watch::start(target, PATIENCE[usize::from(budget.is_some())]);
    let (mut taken, mut case) = (0u64, first);
    while budget.map_or(case < first + CASES, |budget| clock.seconds() < budget) {
        let mut stream = Seed::new(case).stream(target);
        let which = stream.below(files.len());
        let file = damage(&files[which], &mut stream);
        watch.next(case, &file);
        match catch_unwind(AssertUnwindSafe(|| read(which, &file))) {
            Ok(result) => taken += u64::from(result.is_ok()),
            Err(panic) => anyhow::bail!("{target}, case {case} panicked: {}; {}", said(&*panic), keep(target, case, &file)?),
        }
        case += 1;
    }
    let cases = case - first;
    eprintln!("{target}: {cases} damaged files in {:.0} s, {taken} taken", clock.seconds());
    // Damage that is never taken never gets past the first check, and damage that is always taken does none.
    assert!(taken > 0 && taken < cases, "{taken} of {cases} taken");
    Ok(())
}

fn said(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied()).unwrap_or("no text")
}

fn keep(target: &str, case: u64, file: &[u8]) -> Result<String> {
    let path = std::env::temp_dir().join(format!("hostile-{}-{case}", target.replace(['/', ' '], "-")));
    std::fs::write(&path, file)?;
    Ok(format!("its file is {}", path.display()))
}

/// Ends the process if a case hangs or fills memory: neither ends by itself.
struct Watch {
    case: Arc<Mutex<(u64, Vec<u8>)>>,
    count: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
}

impl Watch {
    fn start(target: &str, (seconds, bytes): (f64, u64)) -> Self {
        let watch = Self { case: Default::default(), count: Default::default(), done: Default::default() };
        let (case, count, done, target) = (watch.case.clone(), watch.count.clone(), watch.done.clone(), target.to_owned());
        std::thread::spawn(move || {
            let (mut known, mut since) = (0, Stopwatch::start());
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
                let now = count.load(Ordering::Relaxed);
                if now != known {
                    (known, since) = (now, Stopwatch::start());
                }
                let (hangs, fills) = (since.seconds() > seconds, resident().is_some_and(|now| now > bytes));
                if hangs || fills {
                    let (case, file) = case.lock().map(|case| case.clone()).unwrap_or_default();
                    let what = if hangs { "hangs" } else { "fills memory" };
                    eprintln!("{target}, case {case} {what}; {}", keep(&target, case, &file).unwrap_or_default());
                    std::process::abort();
                }
            }
        });
        watch
    }

    fn next(&self, case: u64, file: &[u8]) {
        if let Ok(mut current) = self.case.lock() {
            *current = (case, file.to_vec());
        }
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

/// Memory in use by this process, bytes, where the system tells.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<u64>().ok()? * 4096)
}
