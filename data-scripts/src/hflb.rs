//! HFLB, FedDAT's federation (Chen et al., arXiv 2308.12305) as FedMosaic rebuilt it (Seo et al., ICLR 2026; `SNUMPR/HFLB` on the
//! Hub): nine clients, four tasks each, every question with a list of options.
//!
//! Its authors' code reads `NAME/train/dataset-K.json` and `NAME/test/dataset-K.json` ([`crate::conversations`]) beside folders of
//! pictures, by their README from archives to unpack. [`import`] makes one dataset of them: a parquet file per split, and a card.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use arrow_array::RecordBatch;
use guard::files::{self, Growing};
use guard::text;
use schema::Card;
use schema::card::Split;
use serde_json::Value;

use crate::conversations::{Question, records};
use crate::output::{Output, OutputError, SplitFile};
use crate::{cards, parquet_out};

/// The dataset's name, and its card's.
pub const NAME: &str = "hflb";

/// Who asks what, after the authors' scenario (github.com/ta3h30nk1m/HeteroPFCL, `scenarios/HFLB_homo_llava_llama_3B.json`).
#[derive(Debug)]
pub struct Client {
    /// The client's name, which its rows carry in the column `client`.
    pub name: &'static str,
    /// The folder of its questions and pictures, as its archive unpacks; three clients share one.
    pub dataset: &'static str,
    /// The K of its first task's files, of four in a row. AQUA's are 0 to 3 in the scenario of that name, 100 to 103 in others.
    first_task: &'static [u32],
}

/// The nine clients.
pub static CLIENTS: [Client; 9] = [
    Client { name: "gqa-1", dataset: "GQA", first_task: &[10] },
    Client { name: "gqa-2", dataset: "GQA", first_task: &[20] },
    Client { name: "gqa-3", dataset: "GQA", first_task: &[30] },
    Client { name: "abstract-vqa", dataset: "Abstract", first_task: &[0] },
    Client { name: "snli-ve", dataset: "SNLI-VE", first_task: &[0] },
    Client { name: "coco-qa", dataset: "COCOQA", first_task: &[0] },
    Client { name: "nlvr2", dataset: "NLVR2_feddat", first_task: &[0] },
    Client { name: "vizwiz", dataset: "VizWiz-Original", first_task: &[0] },
    Client { name: "aqua", dataset: "AQUA", first_task: &[0, 100] },
];

/// Tasks of a client, each in a file of its own.
const TASKS: u32 = 4;
/// Columns for pictures; NLVR2 asks about two.
const PICTURES: usize = 2;
/// The largest file of questions that is read; the archives' largest has some megabytes.
const LARGEST_QUESTIONS: u64 = 256 << 20;
/// Bytes of a picture; a record with a larger one is left out.
const LARGEST_PICTURE: u64 = 64 << 20;
/// Bytes of pictures that wait for being written; 500 rows of the archives have a tenth of that.
const MOST_WAITING: usize = 512 << 20;
/// Kinds of reasons that are told apart, and characters of one.
const MOST_REASONS: usize = 20;
const LONGEST_REASON: usize = 300;

/// One file of questions: a client's task, in one split.
#[derive(Debug)]
pub struct Source {
    /// `train` or `test`.
    pub split: &'static str,
    /// Who asks them.
    pub client: &'static Client,
    /// The K of the file's name.
    pub task: u32,
    /// Where the file lies.
    pub file: PathBuf,
}

/// What became of one [`Source`].
#[derive(Debug)]
pub struct Imported {
    /// Records that became rows.
    pub rows: usize,
    /// How many records were left out and why one of them, by the kind of reason.
    pub left_out: Vec<(usize, String)>,
}

/// Why an import ended.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Nothing of the dataset is there.
    #[error("{folder} holds none of {names}; unpack the archives of SNUMPR/HFLB there (`tar -xf GQA.tar`), one or all of them")]
    Nothing {
        /// The folder that the command was given.
        folder: PathBuf,
        /// The folders of which one would do, joined by commas.
        names: String,
    },
    /// A file or folder could not be read.
    #[error("{path}: {source}")]
    Io {
        /// What was opened, listed or read.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file of questions is no list of records.
    #[error("{path}: {message}; expected a JSON list of records with `image` and `conversations`")]
    Questions {
        /// The file of questions.
        path: PathBuf,
        /// What it is instead, or where the list breaks off.
        message: String,
    },
    /// No record of a file can be used.
    #[error("{path}: none of its {records} records can be used; the first: {first}")]
    Unusable {
        /// The file of questions.
        path: PathBuf,
        /// How many it has.
        records: usize,
        /// Why the first of them cannot be used.
        first: String,
    },
    /// The dataset could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The card cannot be used.
    #[error("the card of `{NAME}`: {0}")]
    Card(String),
}

impl ImportError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// The files of every client whose folder is there, training before test; a folder has all its files or none.
pub fn sources(folder: &Path) -> Result<Vec<Source>, ImportError> {
    let there: Vec<&'static Client> = CLIENTS.iter().filter(|client| folder.join(client.dataset).is_dir()).collect();
    if there.is_empty() {
        let names: BTreeSet<&str> = CLIENTS.iter().map(|client| client.dataset).collect();
        return Err(ImportError::Nothing { folder: folder.into(), names: Vec::from_iter(names).join(", ") });
    }
    let file =
        |client: &Client, split: &str, task: u32| folder.join(client.dataset).join(split).join(format!("dataset-{task}.json"));
    let mut sources = Vec::new();
    for split in ["train", "test"] {
        for &client in &there {
            let begins = |first: &&u32| file(client, split, **first).is_file();
            let first = client.first_task.iter().find(begins).unwrap_or(&client.first_task[0]);
            sources.extend((*first..first + TASKS).map(|task| Source { split, client, task, file: file(client, split, task) }));
        }
    }
    for source in &sources {
        std::fs::metadata(&source.file).map_err(ImportError::io(&source.file))?;
    }
    Ok(sources)
}

/// Writes the sources' rows into a folder, at most `rows` (training, test) of each file, and tells of each file as it is done.
/// All files are written aside and renamed when everything is there, the card last; its revision says how many records were left
/// out. Nothing is read that lies outside `folder`, whatever links there are in it.
pub fn import(
    folder: &Path,
    sources: &[Source],
    rows: Option<(usize, usize)>,
    out: &Path,
    tell: &mut dyn FnMut(&Source, &Imported),
) -> Result<Card, ImportError> {
    let mut card = cards::card(NAME).map_err(ImportError::Card)?;
    card.splits.clear();
    let archive = Archive { folder, root: std::fs::canonicalize(folder).map_err(ImportError::io(folder))? };
    let output = Output::open(out, NAME)?;
    let (train, test) = rows.unwrap_or((usize::MAX, usize::MAX));
    let (mut done, mut left_out) = (Vec::new(), 0);
    for (split, most) in [("train", train), ("test", test)] {
        let mut rows = SplitRows::new(output.split(split, batch(&[]).schema())?);
        for source in sources.iter().filter(|source| source.split == split) {
            let imported = rows.take(&archive, source, most)?;
            left_out += imported.left_out.iter().map(|(count, _)| count).sum::<usize>();
            tell(source, &imported);
        }
        let (entry, file) = rows.finish()?;
        done.push(file);
        card.splits.insert(split.into(), entry);
    }
    card.revision = format!("imported, {left_out} records left out");
    output.finish(done, &card)?;
    Ok(card)
}

/// The unpacked archives: as they were named, and where they are.
struct Archive<'a> {
    folder: &'a Path,
    root: PathBuf,
}

/// A question on its way into a file.
struct Row {
    id: String,
    client: &'static str,
    task: String,
    question: Question,
    pictures: Vec<Vec<u8>>,
}

impl Row {
    fn read(archive: &Archive, source: &Source, index: usize, record: &[u8]) -> Result<Self, String> {
        // Within a record the depth is bounded by serde_json, and the size by whoever read it.
        let record: Value = serde_json::from_slice(record).map_err(|error| error.to_string())?;
        let question = Question::read(&record)?;
        if question.images.is_empty() || question.images.len() > PICTURES {
            return Err(format!("{} pictures; there are columns for one or {PICTURES}", question.images.len()));
        }
        let picture = |named: &String| {
            let path = picture(archive.folder, source.client.dataset, named)?;
            let read = files::read_within(&archive.root, &path, LARGEST_PICTURE);
            read.map_err(|error| format!("picture `{}`: {error}", text::line(&path.display().to_string(), 120)))
        };
        let pictures = question.images.iter().map(picture).collect::<Result<_, _>>()?;
        let task = format!("{}-{}", source.client.dataset, source.task);
        Ok(Self { id: format!("{}-{task}-{index}", source.split), client: source.client.name, task, question, pictures })
    }
}

/// Where a picture lies that the authors call `dataset/NAME/...`; nowhere outside the folder.
fn picture(folder: &Path, dataset: &str, named: &str) -> Result<PathBuf, String> {
    let path = Path::new(named);
    if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(format!("picture `{}`: expected a path within the dataset", text::line(named, 120)));
    }
    let within: PathBuf = path.components().skip_while(|part| part.as_os_str() != dataset).collect();
    Ok(folder.join(if within.as_os_str().is_empty() { path } else { &within }))
}

fn batch(rows: &[Row]) -> RecordBatch {
    let picture = |at: usize| parquet_out::images(rows.iter().map(|row| row.pictures.get(at)), "picture");
    parquet_out::batch(vec![
        ("id", parquet_out::strings(rows, |row| row.id.clone())),
        ("image", picture(0)),
        ("image_1", picture(1)),
        ("question", parquet_out::strings(rows, |row| row.question.text.clone())),
        ("choices", parquet_out::lists(rows.iter().map(|row| &row.question.choices))),
        ("answer", parquet_out::strings(rows, |row| row.question.answer.clone())),
        ("client", parquet_out::strings(rows, |row| row.client.into())),
        ("task", parquet_out::strings(rows, |row| row.task.clone())),
    ])
}

/// A split's rows on their way into its file.
struct SplitRows {
    file: SplitFile,
    waiting: Vec<Row>,
    /// Bytes of the pictures of rows that wait.
    bytes: usize,
}

impl SplitRows {
    fn new(file: SplitFile) -> Self {
        Self { file, waiting: Vec::new(), bytes: 0 }
    }

    /// Adds a source's rows; records that cannot be used are counted.
    fn take(&mut self, archive: &Archive, source: &Source, most: usize) -> Result<Imported, ImportError> {
        let path = &source.file;
        let bytes = files::read_within(&archive.root, path, LARGEST_QUESTIONS).map_err(ImportError::io(path))?;
        let mut imported = Imported { rows: 0, left_out: Vec::new() };
        let mut reasons: BTreeMap<String, (usize, String)> = BTreeMap::new();
        let mut failed = None;
        let count = records(&bytes, &mut |index, record| {
            if imported.rows == most || failed.is_some() {
                return;
            }
            match Row::read(archive, source, index, record) {
                Ok(row) => {
                    imported.rows += 1;
                    failed = self.add(row).err();
                }
                Err(reason) => note(&mut reasons, index, &reason),
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        let count = count.map_err(|message| ImportError::Questions { path: path.clone(), message })?;
        imported.left_out = reasons.into_values().collect();
        match imported.left_out.first() {
            Some((_, first)) if imported.rows == 0 => {
                Err(ImportError::Unusable { path: path.clone(), records: count, first: first.clone() })
            }
            _ => Ok(imported),
        }
    }

    fn add(&mut self, row: Row) -> Result<(), OutputError> {
        self.bytes += row.pictures.iter().map(Vec::len).sum::<usize>();
        self.waiting.push(row);
        if self.bytes > MOST_WAITING {
            self.write()?;
            return self.file.flush();
        }
        if self.waiting.len() == parquet_out::ROW_GROUP { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), OutputError> {
        self.bytes = 0;
        self.file.write(&batch(&std::mem::take(&mut self.waiting)))
    }

    fn finish(mut self) -> Result<(Split, Growing), OutputError> {
        self.write()?;
        self.file.finish()
    }
}

/// Counts a reason by its kind, what it says before it quotes anything.
fn note(reasons: &mut BTreeMap<String, (usize, String)>, index: usize, reason: &str) {
    let kind = text::line(reason.split(['`', '"']).next().unwrap_or_default(), LONGEST_REASON);
    let is_known = reasons.contains_key(&kind) || reasons.len() < MOST_REASONS;
    let kind = if is_known { kind } else { "other".into() };
    let said = || format!("record {index}: {}", text::line(reason, LONGEST_REASON));
    reasons.entry(kind).or_insert_with(|| (0, said())).0 += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_lies_below_the_datasets_folder_and_nowhere_else() {
        let at = |named: &str| picture(Path::new("x"), "GQA", named);
        assert_eq!(at("dataset/GQA/images/1.jpg").unwrap(), Path::new("x/GQA/images/1.jpg"));
        assert_eq!(at("images/1.jpg").unwrap(), Path::new("x/images/1.jpg"));
        for outside in ["/etc/passwd", "dataset/GQA/../../y.jpg"] {
            assert!(at(outside).unwrap_err().contains("within the dataset"), "{outside}");
        }
    }
}
