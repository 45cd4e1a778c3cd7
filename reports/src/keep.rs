//! Runs into a pack ([`schema::pack`]): looked at, written, and read back before the pack has its manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use guard::lock::Lock;
use schema::manifest::{Entry, Manifest, Standing};
use schema::{pack as format, run_dir};

use crate::error::ReportError;
use crate::pack::{CONTENT, COUNTS, HELD, Held, NAME, Pack, SHA256};
use crate::read::{self, Run, Trust};
use crate::rows::Rows;
use crate::source::{MOST_BYTES, Source};
use crate::written::{self, Columns, Texts};

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// How many runs.
    pub runs: usize,
    /// How many of them nobody can vouch for.
    pub unverified: usize,
    /// Bytes of the runs' files, kept or not.
    pub before: u64,
    /// Bytes of the pack.
    pub after: u64,
    /// Whether the pack was there already.
    pub was_there: bool,
}

/// A run that is to be kept.
struct Candidate {
    name: String,
    run: Run,
    manifest: Option<String>,
    held: Held,
}

/// Keeps all runs in some folders as one pack, with or without their adapters.
pub fn keep(dirs: &[PathBuf], out: &Path, adapters: bool, trust: Trust) -> Result<Kept, ReportError> {
    let candidates = candidates(dirs, trust)?;
    if let Some(pack) = there_already(out, &candidates, adapters)? {
        return Ok(Kept { was_there: true, ..kept(&candidates, &pack, out) });
    }
    fs::create_dir_all(out).map_err(|source| ReportError::Write { path: out.into(), source })?;
    let lock = Lock::of_folder(out).map_err(|source| ReportError::Write { path: out.into(), source })?;
    let _lock = lock.ok_or_else(|| cannot(out, "another process is keeping runs there".into()))?;
    written::write_rows(out, format::RECORDS, &columns(&candidates, run_dir::RECORDS)?)?;
    written::write_rows(out, format::PREDICTIONS, &columns(&candidates, run_dir::PREDICTIONS)?)?;
    write_texts(out, &candidates)?;
    let mut names: Vec<String> = format::FILES.map(String::from).to_vec();
    if adapters {
        names.extend(copy_adapters(out, &candidates)?);
    }
    read_back(out, &candidates, trust)?;
    let unverified = candidates.iter().filter(|candidate| candidate.manifest.is_none()).count() as u64;
    let files = names.into_iter().map(|name| Ok((name.clone(), entry(&out.join(name))?)));
    let files = files.collect::<Result<BTreeMap<_, _>, ReportError>>()?;
    let pack = format::Pack { format: format::FORMAT, runs: candidates.len() as u64, unverified, files };
    let text = serde_json::to_string_pretty(&pack).expect("plain data") + "\n";
    written::write(&out.join(format::MANIFEST), text.as_bytes())?;
    guard::files::sync_folder(out);
    Ok(kept(&candidates, &pack, out))
}

fn kept(candidates: &[Candidate], pack: &format::Pack, out: &Path) -> Kept {
    let of_run = |candidate: &Candidate| {
        let files: u64 = candidate.held.files.values().map(|entry| entry.bytes).sum();
        files + candidate.manifest.as_ref().map_or(0, String::len) as u64
    };
    let own = out.join(format::MANIFEST).metadata().map_or(0, |found| found.len());
    Kept {
        runs: candidates.len(),
        unverified: pack.unverified as usize,
        before: candidates.iter().map(of_run).sum(),
        after: pack.files.values().map(|entry| entry.bytes).sum::<u64>() + own,
        was_there: false,
    }
}

fn cannot(path: &Path, what: String) -> ReportError {
    ReportError::Keep { path: path.into(), what }
}

fn entry(path: &Path) -> Result<Entry, ReportError> {
    let read = guard::files::open_here(path).and_then(Entry::of_file);
    read.map_err(|source| ReportError::Read { path: path.into(), source })
}

/// Every run in some folders, by its name; an error where one is unfinished, or two cannot be told apart.
fn candidates(dirs: &[PathBuf], trust: Trust) -> Result<Vec<Candidate>, ReportError> {
    let found = read::find(dirs)?;
    if let Some(unfinished) = found.incomplete.first() {
        return Err(cannot(unfinished, "is unfinished: `fedbench run` or `fedbench suite` again completes it".into()));
    }
    let mut candidates = found.read(trust)?.into_iter().map(Candidate::new).collect::<Result<Vec<_>, _>>()?;
    candidates.sort_by(|a, b| a.name.cmp(&b.name));
    let mut seen: BTreeMap<(&str, u64), &Candidate> = BTreeMap::new();
    for candidate in &candidates {
        if let Some(other) = seen.insert((&candidate.run.identity, candidate.run.summary.seed), candidate) {
            let other = other.run.dir.display();
            return Err(cannot(&candidate.run.dir, format!("is the same experiment and seed as {other}: name one of the two")));
        }
    }
    if let Some(pair) = candidates.windows(2).find(|pair| pair[0].name == pair[1].name) {
        let other = pair[0].run.dir.display();
        return Err(cannot(&pair[1].run.dir, format!("has the name of {other}: rename one, or keep them in two packs")));
    }
    match candidates.len() as u64 > format::MOST_RUNS {
        true => {
            Err(cannot(&dirs[0], format!("{} runs; a pack holds at most {}: make several", candidates.len(), format::MOST_RUNS)))
        }
        false => Ok(candidates),
    }
}

impl Candidate {
    fn new(run: Run) -> Result<Self, ReportError> {
        let name = run.dir.file_name().and_then(|name| name.to_str()).filter(|name| format::is_name(name));
        let name =
            name.ok_or_else(|| cannot(&run.dir, "a run's folder in a pack has a name in UTF-8: rename it".into()))?.to_owned();
        let manifest = run.source.optional(run_dir::MANIFEST, MOST_BYTES)?;
        let manifest = manifest.map(|text| utf8(&run.source, run_dir::MANIFEST, text)).transpose()?;
        let held = held(&run.source)?;
        // What no pack holds would be missing from the run for ever.
        let path = run.source.path(run_dir::MANIFEST);
        let named = manifest.as_ref().and_then(|text| Manifest::parse(&path, text.as_bytes()).ok());
        let unknown = named.iter().flat_map(|named| named.files.keys()).find(|name| !run_dir::FILES.contains(&name.as_str()));
        match unknown {
            Some(name) => {
                Err(cannot(&run.source.path(name), "no pack holds such a file: a newer fedbench wrote this run".into()))
            }
            None => Ok(Self { name, run, manifest, held }),
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, ReportError> {
        if name == run_dir::MANIFEST {
            return Ok(self.manifest.clone());
        }
        let text = self.run.source.optional(name, MOST_BYTES)?;
        text.map(|text| utf8(&self.run.source, name, text)).transpose()
    }
}

fn utf8(source: &Source, name: &str, text: Vec<u8>) -> Result<String, ReportError> {
    String::from_utf8(text).map_err(|_| cannot(&source.path(name), "it is not text in UTF-8".into()))
}

/// What a run's folder holds.
fn held(source: &Source) -> Result<Held, ReportError> {
    if let Source::Packed(pack, run) = source {
        return Ok(pack.entered()[*run].held.clone());
    }
    let is_there = |name: &&str| source.path(name).symlink_metadata().is_ok();
    let files = run_dir::FILES.into_iter().filter(is_there);
    let files = files.map(|name| Ok((name.into(), entry(&source.path(name))?))).collect::<Result<_, ReportError>>()?;
    let columns = |name| {
        let had = |rows: Rows| rows.schema().fields().iter().map(|field| (field.name().clone(), field.is_nullable())).collect();
        source.rows(name).map(had)
    };
    Ok(Held { files, records: columns(run_dir::RECORDS)?, predictions: columns(run_dir::PREDICTIONS)? })
}

/// The manifest of the pack that lies at `out`, if it is one of these very runs; none where nothing does, or a pack that was not
/// finished.
fn there_already(out: &Path, candidates: &[Candidate], adapters: bool) -> Result<Option<format::Pack>, ReportError> {
    let Ok(found) = fs::symlink_metadata(out) else { return Ok(None) };
    if !found.is_dir() {
        return Err(cannot(out, "is there already, and no folder: give a new one".into()));
    }
    if out.join(format::MANIFEST).symlink_metadata().is_ok() {
        let pack = Pack::verified(out)?;
        let same = pack.entered().len() == candidates.len()
            && pack.entered().iter().zip(candidates).all(|(a, b)| a.name == b.name && a.held == b.held);
        if !same {
            return Err(cannot(out, "is a pack of other runs: give a new folder".into()));
        }
        if adapters && (0..candidates.len()).any(|run| has_adapters(&candidates[run]) && pack.adapters(run).is_none()) {
            return Err(cannot(out, "is a pack of these runs without their adapters: give a new folder".into()));
        }
        return format::Pack::read(out).map(Some).map_err(ReportError::Pack);
    }
    let entries = fs::read_dir(out).map_err(|source| ReportError::Read { path: out.into(), source })?;
    for entry in entries {
        let entry = entry.map_err(|source| ReportError::Read { path: out.into(), source })?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let whole = name.strip_prefix('.').and_then(|name| name.strip_suffix(".part")).unwrap_or(&name);
        if !format::FILES.contains(&whole) && ![format::ADAPTERS, format::MANIFEST, guard::lock::NAME].contains(&whole) {
            let name = guard::text::line(&name, 80);
            return Err(cannot(out, format!("holds `{name}`, which is no pack's: give a new folder")));
        }
    }
    Ok(None)
}

fn has_adapters(candidate: &Candidate) -> bool {
    candidate.held.files.contains_key(run_dir::ADAPTERS)
}

/// The rows of all runs, and the columns that they have together.
fn columns(candidates: &[Candidate], name: &str) -> Result<Columns, ReportError> {
    let of_run = |candidate: &Candidate| {
        let had = if name == run_dir::RECORDS { &candidate.held.records } else { &candidate.held.predictions };
        Ok((candidate.run.source.rows(name)?, had.clone()))
    };
    Columns::new(candidates.iter().map(of_run).collect::<Result<Vec<(Rows, _)>, ReportError>>()?)
}

/// `runs.parquet` and `texts.parquet`.
fn write_texts(out: &Path, candidates: &[Candidate]) -> Result<(), ReportError> {
    let files = format::OWN_TEXTS.into_iter().chain([run_dir::MANIFEST]);
    let texts = [NAME, HELD].into_iter().chain(files.map(format::column));
    let mut runs = Texts::create(&out.join(format::RUNS), &texts.collect::<Vec<_>>(), &COUNTS)?;
    let mut shared = Texts::create(&out.join(format::TEXTS), &[SHA256, CONTENT], &[])?;
    let mut seen = BTreeSet::new();
    for candidate in candidates {
        let held = serde_json::to_string(&candidate.held).expect("plain data");
        let mut row = vec![Some(candidate.name.clone()), Some(held)];
        for name in format::OWN_TEXTS.into_iter().chain([run_dir::MANIFEST]) {
            row.push(candidate.text(name)?);
        }
        let count = |name| candidate.run.source.rows(name).map(|rows| rows.count());
        runs.push(row, &[count(run_dir::RECORDS)?, count(run_dir::PREDICTIONS)?])?;
        for name in format::SHARED_TEXTS {
            if let Some(text) = candidate.text(name)? {
                let sha256 = schema::sha256_hex(text.as_bytes());
                if seen.insert(sha256.clone()) {
                    shared.push(vec![Some(sha256), Some(text)], &[])?;
                }
            }
        }
    }
    runs.finish()?;
    shared.finish()
}

/// Copies each run's adapters, equal ones once; their names in the pack.
fn copy_adapters(out: &Path, candidates: &[Candidate]) -> Result<BTreeSet<String>, ReportError> {
    let mut names = BTreeSet::new();
    for candidate in candidates.iter().filter(|candidate| has_adapters(candidate)) {
        let from = match &candidate.run.source {
            Source::Folder(dir) => dir.join(run_dir::ADAPTERS),
            Source::Packed(pack, run) => pack.adapters(*run).ok_or_else(|| {
                cannot(&candidate.run.dir, format!("{} holds no adapters: keep the run's folder", pack.folder().display()))
            })?,
        };
        let name = format::adapters(&candidate.held.files[run_dir::ADAPTERS].sha256);
        if names.insert(name.clone()) {
            written::copy(&from, &out.join(name))?;
        }
    }
    Ok(names)
}

/// Reads what was written, as a report will, and compares it with what the runs are.
fn read_back(out: &Path, candidates: &[Candidate], trust: Trust) -> Result<(), ReportError> {
    let pack = Arc::new(Pack::open(out)?);
    let differs = |candidate: &Candidate| cannot(&candidate.run.dir, "was changed while it was kept: keep it again".into());
    for (place, candidate) in candidates.iter().enumerate() {
        let run = Run::read(Source::Packed(pack.clone(), place), trust)?;
        let same = run.summary.says(&candidate.run.summary)
            && run.predictions == candidate.run.predictions
            && run.recorded == candidate.run.recorded
            && run.standing == candidate.run.standing
            && pack.entered()[place].held == candidate.held;
        if !same || (trust == Trust::Verified && (run.standing == Some(Standing::Unverified)) != candidate.manifest.is_none()) {
            return Err(differs(candidate));
        }
    }
    Ok(())
}
