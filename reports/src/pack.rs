//! Packs, read: [`schema::pack`] says what lies where. A pack's files are opened once; of what they hold no more is in memory than is
//! asked for at a time, and the few words about each run.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, StringArray, UInt64Array};
use schema::manifest::{Entry, Manifest, Mismatch, Standing};
use schema::{pack as format, run_dir};
use serde::{Deserialize, Serialize};

use crate::error::ReportError;
use crate::rows::{Opened, Rows, bad, column};

/// A run in `runs.parquet`, without its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// Its folder's name.
    pub name: String,
    /// What its folder held, kept or not.
    pub held: Held,
    /// The row groups of its records and its predictions.
    groups: [Range<usize>; 2],
}

/// What a run's folder held, kept or not: the column `held`, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Size and SHA-256 of every file.
    pub files: BTreeMap<String, Entry>,
    /// The columns of its records, and whether each may be null.
    pub records: Vec<(String, bool)>,
    /// The same of its predictions.
    pub predictions: Vec<(String, bool)>,
}

/// An open pack.
#[derive(Debug)]
pub struct Pack {
    folder: PathBuf,
    runs: Places,
    texts: Places,
    /// Where each of the shared texts stands, by its SHA-256.
    shared: BTreeMap<String, u64>,
    /// `records.parquet` and `predictions.parquet`.
    rows: [Arc<Opened>; 2],
    entered: Vec<Entered>,
}

/// A file of which single rows are read.
#[derive(Debug)]
struct Places {
    opened: Arc<Opened>,
    /// Before which row each row group begins, and where the last ends.
    begins: Vec<u64>,
}

impl Pack {
    /// Opens a pack; an error where a file is not as its manifest says.
    pub fn verified(folder: &Path) -> Result<Self, ReportError> {
        let manifest = format::Pack::read(folder).map_err(changed)?;
        manifest.compare(folder).map_err(changed)?;
        let pack = Self::open(folder)?;
        let found = pack.entered.len() as u64;
        match found == manifest.runs {
            true => Ok(pack),
            false => Err(pack.wrong(format::MANIFEST, format!("it says {} runs, {} has {found}", manifest.runs, format::RUNS))),
        }
    }

    /// Opens a pack as it is, without its manifest.
    pub fn open(folder: &Path) -> Result<Self, ReportError> {
        let open = |name: &str| Opened::new(&folder.join(name)).map(Arc::new);
        let rows = [open(format::RECORDS)?, open(format::PREDICTIONS)?];
        let mut pack = Self {
            runs: Places::new(open(format::RUNS)?),
            texts: Places::new(open(format::TEXTS)?),
            shared: BTreeMap::new(),
            entered: Vec::new(),
            folder: folder.into(),
            rows,
        };
        pack.shared = pack.read_shared()?;
        pack.entered = pack.read_entered()?;
        Ok(pack)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its runs, in the order of their names.
    pub fn entered(&self) -> &[Entered] {
        &self.entered
    }

    /// The folder that a run would be in the pack's.
    pub fn dir(&self, run: usize) -> PathBuf {
        self.folder.join(&self.entered[run].name)
    }

    /// A text of a run; none where its folder had none, or no pack holds such a file.
    pub fn text(&self, run: usize, name: &str) -> Result<Option<String>, ReportError> {
        if format::OWN_TEXTS.contains(&name) || name == run_dir::MANIFEST {
            return self.runs.text(run as u64, format::column(name));
        }
        let Some(entry) = self.entered[run].held.files.get(name).filter(|_| format::SHARED_TEXTS.contains(&name)) else {
            return Ok(None);
        };
        match self.shared.get(&entry.sha256) {
            Some(&row) => self.texts.text(row, CONTENT),
            None => Err(self.wrong(format::TEXTS, format!("it lacks {name} of {}", self.entered[run].name))),
        }
    }

    /// The records or predictions of a run, as if they lay in a file of their own.
    pub fn rows(&self, run: usize, name: &str) -> Result<Rows, ReportError> {
        let entered = &self.entered[run];
        let (which, columns) = match name {
            run_dir::RECORDS => (0, &entered.held.records),
            _ => (1, &entered.held.predictions),
        };
        let columns = columns.iter().map(|(column, _)| column.clone()).collect();
        let path = self.dir(run).join(name);
        Ok(Rows::of_groups(&self.rows[which], entered.groups[which].clone(), path).with_columns(columns))
    }

    /// Where a run's adapters are, if they were kept.
    pub fn adapters(&self, run: usize) -> Option<PathBuf> {
        let entry = self.entered[run].held.files.get(run_dir::ADAPTERS).filter(|entry| format::is_sha256(&entry.sha256))?;
        Some(self.folder.join(format::adapters(&entry.sha256))).filter(|path| path.symlink_metadata().is_ok())
    }

    /// Whether a run is as its own manifest says, which came with it.
    pub fn standing(&self, run: usize) -> Result<Standing, ReportError> {
        let (path, files) = (self.dir(run).join(run_dir::MANIFEST), &self.entered[run].held.files);
        for name in format::OWN_TEXTS.into_iter().chain(format::SHARED_TEXTS) {
            let found = self.text(run, name)?.map(|text| Entry::of(text.as_bytes()));
            if found.as_ref() != files.get(name) {
                return Err(changed(Mismatch {
                    path: self.dir(run).join(name),
                    what: "it is not the file that was kept".into(),
                }));
            }
        }
        let Some(text) = self.text(run, run_dir::MANIFEST)? else { return self.unverified(run, path) };
        let manifest = Manifest::parse(&path, text.as_bytes())?;
        match manifest.files.iter().find(|(name, entry)| files.get(*name) != Some(entry)) {
            Some((name, _)) => {
                let what = format!("its content is not the one in {}", run_dir::MANIFEST);
                Err(Mismatch { path: self.dir(run).join(name), what }.into())
            }
            None => Ok(Standing::Whole),
        }
    }

    /// Of a run without a manifest: as for a folder, its environment says whether there should be one.
    fn unverified(&self, run: usize, path: PathBuf) -> Result<Standing, ReportError> {
        #[derive(Deserialize)]
        struct Stated {
            #[serde(default)]
            format: u32,
        }
        let text = self.text(run, run_dir::ENVIRONMENT)?.unwrap_or_default();
        let named = self.dir(run).join(run_dir::ENVIRONMENT);
        let stated: Stated = serde_json::from_str(&text).map_err(|source| ReportError::Json { path: named, source })?;
        match stated.format {
            0 => Ok(Standing::Unverified),
            _ => Err(Mismatch { path, what: "is missing: the run was interrupted at its end, or it was removed".into() }.into()),
        }
    }

    fn read_shared(&self) -> Result<BTreeMap<String, u64>, ReportError> {
        let (mut shared, mut row) = (BTreeMap::new(), 0);
        let rows = self.texts.all();
        for batch in rows.batches(&[SHA256])? {
            let batch = batch?;
            let names: &StringArray = column(rows.path(), &batch, SHA256)?;
            for name in names.iter() {
                shared.insert(name.unwrap_or_default().to_owned(), row);
                row += 1;
            }
        }
        Ok(shared)
    }

    fn read_entered(&self) -> Result<Vec<Entered>, ReportError> {
        let (mut entered, mut cursors) = (Vec::<Entered>::new(), self.rows.each_ref().map(|opened| Cursor::new(opened)));
        let rows = self.runs.all();
        if rows.count() == 0 || rows.count() > format::MOST_RUNS {
            let expected = format!("expected 1 to {}", format::MOST_RUNS);
            return Err(self.wrong(format::RUNS, format!("it holds {} runs; {expected}", rows.count())));
        }
        for batch in rows.batches(&[NAME, HELD, COUNTS[0], COUNTS[1]])? {
            let batch = batch?;
            let [names, held]: [&StringArray; 2] = [column(rows.path(), &batch, NAME)?, column(rows.path(), &batch, HELD)?];
            let counts: [&UInt64Array; 2] = [column(rows.path(), &batch, COUNTS[0])?, column(rows.path(), &batch, COUNTS[1])?];
            for row in 0..batch.num_rows() {
                let name = names.value(row).to_owned();
                self.check_name(&name, entered.last().map(|run| run.name.as_str()))?;
                let held = serde_json::from_str(held.value(row))
                    .map_err(|source| ReportError::Json { path: self.folder.join(&name).join(HELD), source })?;
                let [records, predictions] = &mut cursors;
                let groups = [records.take(counts[0].value(row))?, predictions.take(counts[1].value(row))?];
                entered.push(Entered { name, held, groups });
            }
        }
        cursors.into_iter().try_for_each(|cursor| cursor.end())?;
        Ok(entered)
    }

    /// Runs stand in the order of their names, so that none is there twice.
    fn check_name(&self, name: &str, before: Option<&str>) -> Result<(), ReportError> {
        let shown = guard::text::line(name, 80);
        if !format::is_name(name) {
            return Err(self.wrong(format::RUNS, format!("`{shown}` is no name of a run's folder")));
        }
        match before {
            Some(before) if before == name => Err(self.wrong(format::RUNS, format!("it holds the run `{shown}` twice"))),
            Some(before) if before > name => {
                Err(self.wrong(format::RUNS, format!("`{shown}` is not in its place: expected runs in the order of their names")))
            }
            _ => Ok(()),
        }
    }

    fn wrong(&self, name: &str, what: String) -> ReportError {
        changed(Mismatch { path: self.folder.join(name), what })
    }
}

/// An error where two of a pack's runs are one experiment with one seed: `identities` in the order of the runs.
pub fn check_once(pack: &Pack, identities: &[(String, u64)]) -> Result<(), ReportError> {
    let mut seen = BTreeSet::new();
    match identities.iter().zip(&pack.entered).find(|(identity, _)| !seen.insert(*identity)) {
        Some((_, run)) => {
            let what = format!("`{}` is the same experiment and seed as another of its runs", guard::text::line(&run.name, 80));
            Err(pack.wrong(format::RUNS, what))
        }
        None => Ok(()),
    }
}

/// The column of a run's name.
pub const NAME: &str = "run";
/// The column of what its folder held.
pub const HELD: &str = "held";
/// The columns of how many records and predictions it has.
pub const COUNTS: [&str; 2] = ["records", "predictions"];
/// The column of a shared text's SHA-256.
pub const SHA256: &str = "sha256";
/// The column of what it says.
pub const CONTENT: &str = "content";

impl Places {
    fn new(opened: Arc<Opened>) -> Self {
        let mut begins = vec![0u64];
        for rows in opened.group_rows() {
            begins.push(begins[begins.len() - 1].saturating_add(rows));
        }
        Self { opened, begins }
    }

    fn all(&self) -> Rows {
        Rows::of_groups(&self.opened, 0..self.begins.len() - 1, self.opened.path().into())
    }

    /// The text of a column in one row; none where it is null.
    fn text(&self, row: u64, name: &str) -> Result<Option<String>, ReportError> {
        let group = self.begins.partition_point(|begin| *begin <= row) - 1;
        let rows = Rows::of_groups(&self.opened, group..group + 1, self.opened.path().into());
        let only = rows.only((row - self.begins[group]) as usize);
        let batch = only.batches(&[name])?.next().ok_or_else(|| bad(only.path(), &format!("it has no row {row}")))??;
        let texts: &StringArray = column(only.path(), &batch, name)?;
        Ok(texts.is_valid(0).then(|| texts.value(0).to_owned()))
    }
}

/// Gives each run its row groups, and sees that they are of the size that they should be.
struct Cursor<'a> {
    opened: &'a Opened,
    groups: Vec<u64>,
    next: usize,
}

impl<'a> Cursor<'a> {
    fn new(opened: &'a Opened) -> Self {
        Self { groups: opened.group_rows(), opened, next: 0 }
    }

    fn take(&mut self, rows: u64) -> Result<Range<usize>, ReportError> {
        let (begin, mut left) = (self.next, rows);
        while left > 0 {
            let expected = left.min(format::GROUP_ROWS);
            if self.groups.get(self.next) != Some(&expected) {
                return Err(self.unfit());
            }
            (left, self.next) = (left - expected, self.next + 1);
        }
        Ok(begin..self.next)
    }

    fn end(self) -> Result<(), ReportError> {
        if self.next == self.groups.len() { Ok(()) } else { Err(self.unfit()) }
    }

    fn unfit(&self) -> ReportError {
        let what = format!("its row groups are not those of the runs in {}", format::RUNS);
        changed(Mismatch { path: self.opened.path().into(), what })
    }
}

fn changed(mismatch: Mismatch) -> ReportError {
    ReportError::Pack(mismatch)
}
