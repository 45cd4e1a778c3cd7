//! `fedbench data import`: a person's own files, or a dataset that is published otherwise, become parquet and a card.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use data::draft::{Draft, Found, draft};
use data_scripts::hflb;
use data_scripts::import::{self, Look, Table, TableError, Written, choices, parts};

use super::super::say;
use super::said::{pair, say_splits};
use crate::located::data_root;

/// Pixels of a picture, at most, as cards have it.
const MOST_PIXELS: u64 = 64_000_000;
/// What a column of unique names may be called.
const IDS: [&str; 6] = ["id", "question_id", "qid", "questionid", "uid", "pid"];

/// Make a dataset of your own files, or of one that is published otherwise.
#[derive(Args)]
pub(crate) struct Import {
    /// What it is.
    #[arg(value_enum)]
    form: Form,
    /// The CSV or JSON-lines file, the folder of pictures, or the folder in which the archives of `hflb` were unpacked.
    source: PathBuf,
    /// Where it goes, a new or an empty folder; where datasets are looked for without it (`$FEDBENCH_DATA/NAME`, else `data/NAME`).
    #[arg(long)]
    out: Option<PathBuf>,
    /// What it is called; the file's or the folder's name without it.
    #[arg(long)]
    name: Option<String>,
    /// A second file: the rows that are judged on. Without it a column `split` says, or every fifth row is drawn.
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// The share of rows that are drawn to be judged on.
    #[arg(long, default_value_t = 0.2, value_parser = share)]
    test_share: f64,
    /// The seed of that draw.
    #[arg(long, default_value_t = 0, value_parser = super::super::arguments::seed())]
    seed: u64,
    /// A column with paths of pictures, from the file's folder; may be repeated. Found by itself where all its cells end like a picture's
    /// name.
    #[arg(long, value_name = "COLUMN")]
    image: Vec<String>,
    /// The folder that paths of pictures go from, if it is not the file's.
    #[arg(long, value_name = "FOLDER")]
    pictures: Option<PathBuf>,
    /// The column of the options, or several with one option each: `--choices A,B,C,D`. Found by itself where they are called so.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    choices: Vec<String>,
    /// What parts the cells of a CSV; seen in its first line.
    #[arg(long, value_parser = delimiter)]
    delimiter: Option<u8>,
    /// What every picture is asked, where no column has questions.
    #[arg(long)]
    question: Option<String>,
    /// Of `hflb`: at most so many training and test rows of each task, the first usable ones.
    #[arg(long, value_delimiter = ',', num_args = 2)]
    rows: Option<Vec<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A table with the columns' names in its first line.
    Csv,
    /// An object a line.
    Jsonl,
    /// Pictures in folders that are called like their labels, or beside a `metadata.csv`.
    Imagefolder,
    /// FedDAT's federation.
    Hflb,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if share > 0.0 && share < 1.0 { Ok(share) } else { Err("expected a share between 0 and 1".into()) }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "\\t" | "tab" => Ok(b'\t'),
        one if one.len() == 1 && !one.starts_with(['"', '\n', '\r']) => Ok(one.as_bytes()[0]),
        _ => Err("expected one character, or `tab`".into()),
    }
}

impl Import {
    pub(crate) fn run(self) -> Result<()> {
        match self.form {
            Form::Hflb => self.hflb(),
            Form::Csv | Form::Jsonl | Form::Imagefolder => self.own(),
        }
    }

    fn own(self) -> Result<()> {
        let stem = if self.source.is_dir() { self.source.file_name() } else { self.source.file_stem() };
        let name = self.name.clone().or_else(|| stem.map(|stem| stem.to_string_lossy().into_owned())).unwrap_or_default();
        if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(study::Error::Usage("give the dataset a name: `--name NAME`, without slashes".into()).into());
        }
        let (tables, said) = self.tables()?;
        let out = self.out.clone().unwrap_or_else(|| data_root().join(&name));
        let mut drafted = None;
        let asked = self.question.as_deref();
        // A folder's pictures are one column, whatever else is called like a picture.
        let pictures = [String::from("image")];
        let named = if self.form == Form::Imagefolder && self.image.is_empty() { &pictures[..] } else { &self.image };
        let made = import::write(
            &tables,
            named,
            &out,
            &name,
            &mut Look {
                picture: &|bytes| data::try_picture(bytes, MOST_PIXELS),
                card: &mut |written| {
                    let draft = drafted_of(written, &name, asked)?;
                    Ok(drafted.insert(draft).card.clone())
                },
            },
        )?;
        say_splits(&made.card, &out);
        let pictures = (made.without > 0).then(|| format!("{} rows have no picture", made.without));
        let notes = drafted.into_iter().flat_map(|draft| draft.notes);
        said.into_iter().chain(pictures).chain(notes).for_each(|note| say(&format!("  {note}")));
        say(&format!("an experiment takes it as `dataset = \"{0}\"`; its card is {0}/card.toml", out.display()));
        Ok(())
    }

    /// The rows by split, and what was done to them.
    fn tables(&self) -> Result<(BTreeMap<String, Table>, Vec<String>)> {
        let mut said = Vec::new();
        let mut tables = match (self.form, &self.test) {
            (Form::Imagefolder, Some(_)) => {
                return Err(
                    study::Error::Usage("--test: folders of pictures are parted by folders `train` and `test`".into()).into()
                );
            }
            (Form::Imagefolder, None) => import::folders(&self.source)?,
            (_, None) => BTreeMap::from([(String::new(), self.table(&self.source)?)]),
            (_, Some(test)) => {
                BTreeMap::from([("train".to_owned(), self.table(&self.source)?), ("test".to_owned(), self.table(test)?)])
            }
        };
        for table in tables.values_mut() {
            said = choices::gather(table, &self.choices)?.into_iter().collect();
            let is_id = |name: &String| IDS.contains(&name.to_lowercase().as_str());
            if !table.columns.iter().any(is_id) {
                table.push("id", |record| import::table::Value::Text(format!("line-{}", record.line)));
            }
        }
        if let Some(whole) = tables.remove("") {
            tables = parts::parts(whole, self.test_share, self.seed)?;
        } else if let (false, Some(train)) = (tables.contains_key("test"), tables.remove("train")) {
            tables.extend(parts::parts(train, self.test_share, self.seed)?);
        }
        match tables.contains_key("train") {
            true => Ok((tables, said)),
            false => Err(TableError::file(&self.source, "there is a folder `test`, but none is called `train`").into()),
        }
    }

    fn table(&self, path: &Path) -> Result<Table, TableError> {
        let mut table = import::read(path, self.delimiter)?;
        if let Some(folder) = &self.pictures {
            table.folder.clone_from(folder);
        }
        Ok(table)
    }

    fn hflb(self) -> Result<()> {
        let out = self.out.unwrap_or_else(|| data_root().join(hflb::NAME));
        let sources = hflb::sources(&self.source)?;
        say(&format!("{} files of questions in {}", sources.len(), self.source.display()));
        let mut done = 0;
        let card = hflb::import(&self.source, &sources, pair(self.rows.as_deref()), &out, &mut |source, imported| {
            done += 1;
            say(&format!(
                "{done}/{} {} {} {}-{}: {} rows",
                sources.len(),
                source.split,
                source.client.name,
                source.client.dataset,
                source.task,
                imported.rows
            ));
            for (count, example) in &imported.left_out {
                say(&format!("  left out {count}: {example}"));
            }
        })?;
        say_splits(&card, &out);
        Ok(())
    }
}

/// A card for what was written; an error that names the line of a row that no run could read.
fn drafted_of(written: &Written, name: &str, question: Option<&str>) -> Result<Draft, TableError> {
    let splits = written.files.iter().map(|(split, file)| (split.clone(), vec![file.clone()])).collect();
    let found = Found { name: name.into(), folder: written.folder.clone(), splits };
    let first = || written.lines.values().next().map(|(path, _)| path.clone()).unwrap_or_default();
    let mut draft = draft(&found).map_err(|error| TableError::file(&first(), error.to_string()))?;
    if let Some(row) = draft.unread.first()
        && let Some((path, lines)) = written.lines.get(&row.split)
    {
        let more =
            if draft.unread_rows > 1 { format!("; {} more rows are no examples", draft.unread_rows - 1) } else { String::new() };
        return Err(TableError::row(path, lines[row.row], format!("{}{more}", row.reason)));
    }
    if let Some(split) = written.files.keys().find(|split| !draft.card.splits.contains_key(*split)) {
        return Err(TableError::file(&first(), format!("no row of split `{split}` can be read: {}", draft.notes.join("; "))));
    }
    match (question, &draft.card.columns.question) {
        (Some(_), Some(column)) => {
            let message = format!("--question: the column `{column}` has the questions; leave the option out");
            Err(TableError::file(&first(), message))
        }
        (Some(question), None) => {
            draft.card.question = Some(question.into());
            draft.notes.retain(|note| !note.starts_with("no column is the question"));
            Ok(draft)
        }
        (None, _) => Ok(draft),
    }
}
