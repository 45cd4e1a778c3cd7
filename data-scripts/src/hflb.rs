//! HFLB, FedDAT's federation (Chen et al., arXiv 2308.12305) as FedMosaic rebuilt it (Seo et al., ICLR 2026; `SNUMPR/HFLB` on the
//! Hub): nine clients, four tasks each, every question with a list of options.
//!
//! Its authors' code reads `NAME/train/dataset-K.json` and `NAME/test/dataset-K.json` ([`crate::conversations`]) beside folders of
//! pictures, by their README from archives to unpack. [`import`] makes one dataset of them: a parquet file per split, and a card.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use schema::Card;
use schema::card::Split;
use serde_json::Value;

use crate::conversations::Question;
use crate::hub::checksum;
use crate::{cards, parquet_out};

/// Its name, and its card's.
pub const NAME: &str = "hflb";

/// Who asks what, after the authors' scenario (github.com/ta3h30nk1m/HeteroPFCL, `scenarios/HFLB_homo_llava_llama_3B.json`).
#[derive(Debug)]
pub struct Client {
    /// The client's name.
    pub name: &'static str,
    /// The folder of its questions and pictures.
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

/// A client's tasks.
const TASKS: u32 = 4;
/// Columns for pictures; NLVR2 asks about two.
const PICTURES: usize = 2;

/// A task's questions of a split.
#[derive(Debug)]
pub struct Source {
    /// `train` or `test`.
    pub split: &'static str,
    /// Whose.
    pub client: &'static Client,
    /// K.
    pub task: u32,
    /// The JSON file.
    pub file: PathBuf,
}

/// What became of a file.
#[derive(Debug)]
pub struct Imported {
    /// Rows written.
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
        /// Where it was looked for.
        folder: PathBuf,
        /// The folders that would do.
        names: String,
    },
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of questions is no list of records.
    #[error("{path}: {message}; expected a JSON list of records with `image` and `conversations`")]
    Questions {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// No record of a file can be used.
    #[error("{path}: none of its {records} records can be used; the first: {first}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// How many there are.
        records: usize,
        /// Why not the first.
        first: String,
    },
    /// The parquet writer failed.
    #[error("cannot write {path} as parquet: {source}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the writer said.
        source: ParquetError,
    },
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
/// out.
pub fn import(
    folder: &Path,
    sources: &[Source],
    rows: Option<(usize, usize)>,
    out: &Path,
    tell: &mut dyn FnMut(&Source, &Imported),
) -> Result<Card, ImportError> {
    let mut card = cards::card(NAME).map_err(ImportError::Card)?;
    card.splits.clear();
    std::fs::create_dir_all(out).map_err(ImportError::io(out))?;
    let (train, test) = rows.unwrap_or((usize::MAX, usize::MAX));
    let (mut done, mut left_out) = (Vec::new(), 0);
    for (split, most) in [("train", train), ("test", test)] {
        let mut file = SplitFile::create(out, split)?;
        for source in sources.iter().filter(|source| source.split == split) {
            let imported = file.take(folder, source, most)?;
            left_out += imported.left_out.iter().map(|(count, _)| count).sum::<usize>();
            tell(source, &imported);
        }
        done.push(file.path.clone());
        card.splits.insert(split.into(), file.finish()?);
    }
    card.revision = format!("imported, {left_out} records left out");
    let text = toml::to_string(&card).map_err(|error| ImportError::Card(error.to_string()))?;
    let path = out.join("card.toml");
    std::fs::write(aside(&path), text).map_err(ImportError::io(&path))?;
    done.push(path);
    for path in done {
        std::fs::rename(aside(&path), &path).map_err(ImportError::io(&path))?;
    }
    Ok(card)
}

/// Where a file grows.
fn aside(path: &Path) -> PathBuf {
    path.with_extension("partial")
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
    fn read(folder: &Path, source: &Source, index: usize, record: &Value) -> Result<Self, String> {
        let question = Question::read(record)?;
        if question.images.is_empty() || question.images.len() > PICTURES {
            return Err(format!("{} pictures; there are columns for one or {PICTURES}", question.images.len()));
        }
        let picture = |named: &String| {
            let path = picture(folder, source.client.dataset, named)?;
            std::fs::read(&path).map_err(|error| format!("picture `{}`: {error}", path.display()))
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
        return Err(format!("picture `{named}`: expected a path within the dataset"));
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

/// A split's parquet file, growing.
struct SplitFile {
    path: PathBuf,
    writer: ArrowWriter<File>,
    waiting: Vec<Row>,
    rows: usize,
}

impl SplitFile {
    fn create(out: &Path, split: &str) -> Result<Self, ImportError> {
        let path = out.join(format!("{split}-00000-of-00001.parquet"));
        let file = File::create(aside(&path)).map_err(ImportError::io(&path))?;
        let writer = parquet_out::writer(file, batch(&[]).schema())
            .map_err(|source| ImportError::Parquet { path: path.clone(), source })?;
        Ok(Self { path, writer, waiting: Vec::new(), rows: 0 })
    }

    /// Adds a source's rows; records that cannot be used are counted.
    fn take(&mut self, folder: &Path, source: &Source, most: usize) -> Result<Imported, ImportError> {
        let path = &source.file;
        let questions = |error: serde_json::Error| ImportError::Questions { path: path.clone(), message: error.to_string() };
        let file = BufReader::new(File::open(path).map_err(ImportError::io(path))?);
        let records: Vec<Value> = serde_json::from_reader(file).map_err(questions)?;
        let mut imported = Imported { rows: 0, left_out: Vec::new() };
        let mut reasons: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for (index, record) in records.iter().enumerate() {
            if imported.rows == most {
                break;
            }
            match Row::read(folder, source, index, record) {
                Ok(row) => {
                    self.waiting.push(row);
                    imported.rows += 1;
                }
                Err(reason) => {
                    let kind = reason.split('`').next().unwrap_or_default().to_owned();
                    reasons.entry(kind).or_insert((0, format!("record {index}: {reason}"))).0 += 1;
                }
            }
            if self.waiting.len() == parquet_out::ROW_GROUP {
                self.flush()?;
            }
        }
        imported.left_out = reasons.into_values().collect();
        match imported.left_out.first() {
            Some((_, first)) if imported.rows == 0 => {
                Err(ImportError::Unusable { path: path.clone(), records: records.len(), first: first.clone() })
            }
            _ => Ok(imported),
        }
    }

    fn flush(&mut self) -> Result<(), ImportError> {
        let rows = std::mem::take(&mut self.waiting);
        self.rows += rows.len();
        self.writer.write(&batch(&rows)).map_err(|source| ImportError::Parquet { path: self.path.clone(), source })
    }

    fn finish(mut self) -> Result<Split, ImportError> {
        self.flush()?;
        let Self { path, writer, rows, .. } = self;
        writer.close().map_err(|source| ImportError::Parquet { path: path.clone(), source })?;
        let sha256 = checksum::sha256(&aside(&path)).map_err(ImportError::io(&path))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Split { files: vec![name], pictures: vec![], rows: Some(rows), sha256: Some(sha256), fold: None })
    }
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
