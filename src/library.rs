//! Questions, labels and pictures for a report's page, from the data that its runs read, where those are still at hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::{Dataset, Example, Rows};
use reports::library::{Examples, Library, Part};
use reports::{Run, library};
use schema::{Card, InputFile, run_dir};
use study::checksums::Checksums;

use crate::locate::locate_all;
use crate::located::{self, card_of, data_root};
use crate::output::with_causes;
use crate::session::{self, taken};

/// A split with more rows is not read for a few pictures.
const MOST_ROWS: usize = 50_000;

/// A dataset's name, the checksums of its card and of its rows as the run read them (none of an old run), a split, and how many rows
/// of it.
type Key = (String, Option<String>, Option<String>, String, Option<usize>);

/// The data of this machine, each split read once.
#[derive(Default)]
pub struct AtHand {
    loaded: BTreeMap<Key, Result<Arc<Dataset>, String>>,
    /// The folders in which a run's dataset may lie that is named by a path; none where every path is the user's own.
    declared: Option<Vec<PathBuf>>,
    checksums: Checksums,
}

impl AtHand {
    /// Of runs that come from anywhere: a path that they name is read in these folders and in `FEDBENCH_DATA` alone, since a report
    /// shows what it reads to others.
    pub fn below(mut folders: Vec<PathBuf>) -> Self {
        folders.push(data_root());
        Self { declared: Some(folders), ..Self::default() }
    }

    /// Of runs that this process was asked for, whose data it has read already.
    pub fn of_this_process() -> Self {
        Self::default()
    }

    /// An error where a dataset, or one of several, is a path that leads out of the declared folders.
    fn check_declared(&self, datasets: &str) -> Result<(), String> {
        let Some(declared) = &self.declared else { return Ok(()) };
        let parts = if Path::new(datasets).exists() { vec![datasets] } else { datasets.split('+').map(str::trim).collect() };
        let lies_in = |path: &Path, folder: &PathBuf| folder.canonicalize().is_ok_and(|folder| path.starts_with(folder));
        for path in parts.into_iter().filter(|part| is_path(part)) {
            let resolved = Path::new(path).canonicalize().map_err(|error| format!("{}: {error}", guard::text::line(path, 80)))?;
            if !declared.iter().any(|folder| lies_in(&resolved, folder)) {
                let shown = guard::text::line(path, 80);
                return Err(format!("the runs name `{shown}`, which lies in no declared folder; `--data FOLDER` declares one"));
            }
        }
        Ok(())
    }
}

/// Whether a dataset is meant by where it lies rather than by its name, as [`locate`](crate::locate::locate) tells it.
fn is_path(dataset: &str) -> bool {
    let path = Path::new(dataset);
    let is_card = path.extension().is_some_and(|extension| extension == "toml");
    is_card || (path.is_dir() && (dataset.contains(std::path::MAIN_SEPARATOR) || path.join("card.toml").is_file()))
}

impl Library for AtHand {
    fn examples(&mut self, run: &Run, part: Part) -> Result<Examples, String> {
        let data = &run.experiment.data;
        let (split, limit) = match part {
            Part::Train => (&data.train_split, None),
            Part::Test => (&data.test_split, taken(data).read()),
        };
        self.check_declared(&data.dataset)?;
        let read = run.inputs().and_then(|inputs| inputs.splits.get(split)).cloned();
        let key = (data.dataset.clone(), run.card.clone(), read, split.clone(), limit);
        let load = || load(run, split, limit, &mut self.checksums).map(Arc::new);
        let dataset = self.loaded.entry(key).or_insert_with(load).clone()?;
        let named = run.experiment.partition.key.clone().or_else(|| dataset.card.partition_keys.first().cloned());
        let key = named.unwrap_or_else(|| "answer".into());
        Ok(Examples { examples: dataset.examples.iter().map(|e| example(&dataset, e, &key)).collect(), key })
    }
}

fn load(run: &Run, split: &str, limit: Option<usize>, checksums: &mut Checksums) -> Result<Dataset, String> {
    let located = locate_all(&run.experiment.data.dataset).map_err(|error| with_causes(&error))?;
    check_card(run, &card_of(&located).map_err(|error| error.to_string())?)?;
    let rows = located.iter().filter_map(|located| located.card.splits.get(split)?.rows).max().unwrap_or(0);
    if rows as usize > MOST_ROWS {
        return Err(format!("the split `{split}` has {rows} rows; a page reads at most {MOST_ROWS}"));
    }
    let was_read = |files: &[InputFile]| {
        let Some(inputs) = run.inputs() else { return true };
        let same = |a: &InputFile, b: &InputFile| (&a.part, &a.sha256) == (&b.part, &b.sha256);
        files.iter().all(|file| inputs.files.iter().any(|read| same(file, read)))
    };
    let files = session::split_files(checksums, &located, split).map_err(|error| with_causes(&error))?;
    if !was_read(&files) {
        return Err(other_version(run));
    }
    let dataset = located::load(&located, split, Rows::first(limit)).map_err(|error| error.to_string())?;
    let pictures = session::pictures(checksums, &located, split, &dataset).map_err(|error| with_causes(&error))?;
    if was_read(&pictures) { Ok(dataset) } else { Err(other_version(run)) }
}

fn other_version(run: &Run) -> String {
    format!("the {} at hand is another version than the run read", run.experiment.data.dataset)
}

/// Ids mean something in the version that the run read, and in no other.
fn check_card(run: &Run, card: &Card) -> Result<(), String> {
    let read: Card = run.source.toml(run_dir::CARD).map_err(|error| error.to_string())?;
    match read == *card {
        true => Ok(()),
        false => Err(other_version(run)),
    }
}

fn example(dataset: &Dataset, example: &Example, key: &str) -> library::Example {
    library::Example {
        id: example.id.clone(),
        question: [example.hint.as_str(), &example.question].join(" ").trim().into(),
        choices: example.choices.clone(),
        label: dataset.label(example, key),
        pictures: example.images.iter().map(|&image| dataset.images[image].clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_declared_folders_alone() {
        let (ours, theirs) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        for root in [&ours, &theirs] {
            std::fs::create_dir(root.path().join("data")).expect("a folder");
            std::fs::write(root.path().join("data/card.toml"), "").expect("written");
        }
        std::os::unix::fs::symlink(theirs.path().join("data"), ours.path().join("link")).expect("a link");
        let data = AtHand::below(vec![ours.path().into()]);
        let path = |root: &tempfile::TempDir, rest: &str| root.path().join(rest).display().to_string();
        for allowed in ["icongen", "a-okvqa@main", &path(&ours, "data"), &path(&ours, "data/card.toml")] {
            assert_eq!(data.check_declared(allowed), Ok(()), "{allowed}");
        }
        let joined = format!("icongen + {}", path(&theirs, "data"));
        for refused in [&path(&theirs, "data"), &path(&theirs, "data/card.toml"), &path(&ours, "link"), &joined, "/etc/x.toml"] {
            let error = data.check_declared(refused).expect_err(refused);
            assert!(error.contains("no declared folder") || error.contains("No such file"), "{error}");
        }
        assert_eq!(AtHand::of_this_process().check_declared(&path(&theirs, "data")), Ok(()));
    }
}
