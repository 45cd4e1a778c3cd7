//! Hostile files: safetensors, GGUF, tokenizers and configs with damage from a seed are errors or models, never a panic, a hang or
//! memory without bound.
//!
//! A short, fixed series runs with the tests. `FEDBENCH_FUZZ_SECONDS=600 cargo test --release --test suite -- hostile:: --test-threads 1`
//! goes on for so long with each target; `FEDBENCH_FUZZ_SEED` is the first case's number. A failure names target and case, and says
//! where the file is kept that did it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use harness::accounting::clock::Stopwatch;
use harness::adapter::Untouched;
use harness::backbone::llama::Llama;
use harness::backbone::smol::Llm;
use harness::backbone::{self, Backbone, Batch, Branch, Sequence};
use seed::{Seed, Stream};

use crate::mutate;
use crate::support::{Test, setup};

/// Cases of a target in the short series.
const CASES: u64 = 300;
/// A case that takes longer hangs; seconds.
const PATIENCE: f64 = 120.0;
/// Memory of the whole process beyond which a case is taken to fill it; bytes.
const MEMORY: u64 = 6 << 30;

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
    let watch = Watch::start(target);
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
    fn start(target: &str) -> Self {
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
                let (hangs, fills) = (since.seconds() > PATIENCE, resident().is_some_and(|bytes| bytes > MEMORY));
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

/// A copy of a fixture's folder in which one file is replaced from case to case.
struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn of(name: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for entry in std::fs::read_dir(fixtures().join("folders").join(name))? {
            let entry = entry?;
            if entry.file_name() != "expect.safetensors" {
                std::fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
            }
        }
        Ok(Self { folder })
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        Ok(std::fs::read(self.folder.path().join(name))?)
    }

    /// Loads the model with this in the file's place; then a picture and a prompt go through it.
    fn with(&self, name: &str, bytes: &[u8]) -> Result<()> {
        std::fs::write(self.folder.path().join(name), bytes)?;
        use_it(&*backbone::load(self.folder.path().to_str().context("a path in UTF-8")?, &Device::Cpu)?)
    }
}

fn use_it(model: &dyn Backbone) -> Result<()> {
    let (preprocess, text) = (model.preprocess(), model.text());
    let picture = std::fs::read(fixtures().join("preprocess/tall.png"))?;
    let tiles = preprocess.tiles(&picture)?;
    let pixels = preprocess.pixels(&picture, u64::MAX)?;
    let shape = (tiles.squares(), 3, preprocess.size, preprocess.size);
    let features = model.encode(&Tensor::from_vec(pixels, shape, &Device::Cpu)?)?;
    let (prefix, _) = text.prefix("Which is it? <image> é 12\nA. x", &[tiles], 64)?;
    let images = (0..tiles.squares()).collect();
    let sequence = Sequence { prefix, images, branches: vec![Branch::answer(text.answer("B")?)] };
    let batch = Batch::new(&[&sequence], text.image_token(), DType::F32, &Device::Cpu)?;
    let logits = model.decode(&model.embed(&batch, &features)?, &Untouched)?;
    text.decode(&[logits.dim(0)? as u32])?;
    Ok(())
}

/// The same file of several folders.
fn folders(target: &str, of: &[(&str, &str)], damage: fn(&[u8], &mut Stream) -> Vec<u8>) -> Test {
    let folders = of.iter().map(|(name, _)| Folder::of(name)).collect::<Result<Vec<_>>>()?;
    let files = folders.iter().zip(of).map(|(folder, (_, file))| folder.read(file)).collect::<Result<Vec<_>>>()?;
    for ((folder, (_, name)), file) in folders.iter().zip(of).zip(&files) {
        folder.with(name, file)?;
    }
    attack(target, &files, damage, |which, bytes| folders[which].with(of[which].1, bytes))
}

#[test]
fn safetensors() -> Test {
    let files = [
        ("llava", "model-00006-of-00006.safetensors"),
        ("llava-tied", "model.safetensors"),
        ("smolvlm", "model.safetensors"),
        ("minigpt4", "model.safetensors"),
    ];
    folders("safetensors", &files, mutate::bytes)
}

/// The header alone, its length set right again, so that damage reaches what the header says.
#[test]
fn safetensors_headers() -> Test {
    let files = [("llava-tied", "model.safetensors"), ("smolvlm", "model.safetensors")];
    folders("safetensors headers", &files, |file, stream| {
        let length = u64::from_le_bytes(file[..8].try_into().expect("8 bytes")) as usize;
        let header = mutate::json(&file[8..8 + length], stream);
        [&(header.len() as u64).to_le_bytes(), header.as_slice(), &file[8 + length..]].concat()
    })
}

#[test]
fn shard_indices() -> Test {
    folders("shard indices", &[("llava", "model.safetensors.index.json")], mutate::json)
}

#[test]
fn configs() -> Test {
    folders("configs", &["llava", "llava-tied", "smolvlm", "minigpt4"].map(|name| (name, "config.json")), mutate::json)
}

#[test]
fn image_processors() -> Test {
    let files = [
        ("llava", "processor_config.json"),
        ("llava-tied", "preprocessor_config.json"),
        ("smolvlm", "processor_config.json"),
        ("smolvlm-tiles", "processor_config.json"),
        ("minigpt4", "preprocessor_config.json"),
    ];
    folders("image processors", &files, mutate::json)
}

#[test]
fn tokenizers() -> Test {
    folders("tokenizers", &["llava", "smolvlm"].map(|name| (name, "tokenizer.json")), mutate::json)
}

#[test]
fn gguf() -> Test {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("damaged.gguf");
    let file = std::fs::read(fixtures().join("smol/tiny.gguf"))?;
    attack("gguf", &[file], mutate::bytes, |_, bytes| {
        std::fs::write(&path, bytes)?;
        let llm = Llm::open(&path)?;
        llm.tokenizer().encode("the 12 threes, é <|im_end|>", false).map_err(anyhow::Error::msg)?;
        let config = llm.config().clone();
        Llama::new(&config, &llm.weights(DType::F32, &Device::Cpu))?;
        Ok(())
    })
}
