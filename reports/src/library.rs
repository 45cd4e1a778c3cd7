//! What a report shows that no run folder holds: questions, labels and pictures. Who has the data at hand brings them.
//!
//! Run folders name examples by id. [`Library`] is where the rest comes from; without one, the report says what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schema::experiment::PartitionScheme;
use schema::metrics::Reported;

use crate::columns::Given;
use crate::figures::panels::{self, Panel};
use crate::{Group, ReportError, Run, columns, read};

/// Which examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Those that clients train on.
    Train,
    /// Those that everybody is judged on.
    Test,
}

/// One question.
#[derive(Debug, Clone, Default)]
pub struct Example {
    /// Its id, as in `predictions.parquet` and `partition.json`.
    pub id: String,
    /// The question.
    pub question: String,
    /// The options; none for free text.
    pub choices: Vec<String>,
    /// What the partition splits by.
    pub label: String,
    /// Its pictures, encoded as they lie in the data.
    pub pictures: Vec<Arc<[u8]>>,
}

/// The examples of a part, and what their labels are.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    /// The name of what the partition splits by.
    pub key: String,
    /// The examples.
    pub examples: Vec<Example>,
}

/// Where examples come from.
pub trait Library {
    /// The examples that a run read, or why they are not to be had.
    fn examples(&mut self, run: &Run, part: Part) -> Result<Examples, String>;
}

/// No data at hand.
#[derive(Debug, Clone, Copy)]
pub struct NoLibrary;

impl Library for NoLibrary {
    fn examples(&mut self, _: &Run, _: Part) -> Result<Examples, String> {
        Err("the report was made without the data".into())
    }
}

/// Training examples by client and label, of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// The dataset and the split.
    pub title: String,
    /// What the labels are.
    pub what: String,
    /// The clients' names.
    pub names: Vec<String>,
    /// Each client's count of each label.
    pub by_client: Vec<BTreeMap<String, u64>>,
    /// Whose partition it is: places in [`crate::Report::groups`].
    pub groups: Vec<usize>,
}

/// A few questions of a dataset with what was answered.
#[derive(Debug, Clone)]
pub struct Samples {
    /// The dataset and the split.
    pub title: String,
    /// The method by whose answers they were chosen.
    pub reference: String,
    /// What answers are worth by, where that is none of VQA's scores.
    pub metric: Option<&'static str>,
    /// Why there are no questions and pictures; nothing where there are.
    pub missing: Option<String>,
    /// The questions.
    pub samples: Vec<Sample>,
}

/// A question with all answers.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What is known of it; the id alone where the data are not at hand.
    pub example: Example,
    /// The right answer.
    pub gold: String,
    /// Whether the reference was right.
    pub right: bool,
    /// What each method answered.
    pub answers: Vec<(String, Given)>,
}

/// What a library brought.
#[derive(Debug, Default)]
pub struct Material {
    /// Partitions, one for each way to split a dataset.
    pub partitions: Vec<Counts>,
    /// Questions, for each dataset.
    pub samples: Vec<Samples>,
    /// What could not be shown, and why.
    pub missing: Vec<String>,
}

/// So many right and so many wrong answers of a dataset are shown.
const SHOWN: usize = 3;

/// Reads partitions and a few predictions, and asks the library for the rest.
pub fn collect(runs: &[Run], groups: &[Group], library: &mut dyn Library) -> Result<Material, ReportError> {
    let panels = panels::panels(runs, groups);
    let mut material = Material::default();
    for panel in &panels {
        match counts(runs, panel, library)? {
            Ok(counts) => material.partitions.extend(counts),
            Err(why) => material.missing.push(format!("the partition of {}: {why}", panel.title)),
        }
    }
    let mut datasets = BTreeSet::new();
    for panel in panels.iter().filter(|panel| datasets.insert(&panel.members[0].group.dataset)) {
        material.samples.extend(samples(runs, panel, library)?);
    }
    Ok(material)
}

/// The partition of a panel's first run; nothing where its clients are its labels, or it has no partition.
fn counts(runs: &[Run], panel: &Panel, library: &mut dyn Library) -> Result<Result<Option<Counts>, String>, ReportError> {
    let run = &runs[panel.members[0].group.runs[0]];
    let by_label = run.experiment.partition.scheme == PartitionScheme::Natural;
    let Some(partition) = read::partition(run)?.filter(|_| !by_label) else { return Ok(Ok(None)) };
    let examples = match library.examples(run, Part::Train) {
        Ok(examples) => examples,
        Err(why) => return Ok(Err(why)),
    };
    let labels: BTreeMap<&str, &str> = examples.examples.iter().map(|e| (e.id.as_str(), e.label.as_str())).collect();
    let count = |train: &Vec<String>| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for label in train.iter().map(|id| labels.get(id.as_str()).copied().unwrap_or("(not in the data)")) {
            *counts.entry(label.into()).or_default() += 1;
        }
        counts
    };
    Ok(Ok(Some(Counts {
        title: format!("{}, seed {}", panel.title, run.summary.seed),
        what: examples.key,
        names: (0..partition.shards.len()).map(|client| client.to_string()).collect(),
        by_client: partition.shards.iter().map(|shard| count(&shard.train)).collect(),
        groups: panel.members.iter().map(|member| member.index).collect(),
    })))
}

/// Questions that a panel's best method got right and wrong, in an order that only their ids decide.
fn samples(runs: &[Run], panel: &Panel, library: &mut dyn Library) -> Result<Option<Samples>, ReportError> {
    let run = |member: &panels::Member| &runs[member.group.runs[0]];
    let best = |a: &&panels::Member, b: &&panels::Member| {
        a.group.stat(Reported::Accuracy).mean.total_cmp(&b.group.stat(Reported::Accuracy).mean).then(b.index.cmp(&a.index))
    };
    let Some(reference) = panel.members.iter().max_by(best) else { return Ok(None) };
    let mut answers = Vec::new();
    for member in &panel.members {
        answers.push((
            member.label.clone(),
            columns::given(&run(member).source.rows(schema::run_dir::PREDICTIONS)?, run(member).part.as_deref())?,
        ));
    }
    let Some((_, judged)) = answers.iter().find(|(label, _)| *label == reference.label) else { return Ok(None) };
    let (known, missing) = match library.examples(run(reference), Part::Test) {
        Ok(examples) => (examples.examples, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let sample = |id: &String| {
        let example = known.iter().find(|example| example.id == *id).cloned();
        let of = |(label, answers): &(String, BTreeMap<String, Given>)| Some((label.clone(), answers.get(id)?.clone()));
        Sample {
            example: example.unwrap_or_else(|| Example { id: id.clone(), ..Example::default() }),
            gold: judged[id].gold.clone(),
            right: judged[id].correct,
            answers: answers.iter().filter_map(of).collect(),
        }
    };
    let samples = chosen(judged).into_iter().map(sample).collect();
    let (title, metric) = (panel.title.clone(), run(reference).summary.metric_title());
    Ok(Some(Samples { title, reference: reference.label.clone(), metric, missing, samples }))
}

/// A few right and a few wrong ones, by the hash of their ids.
fn chosen(judged: &BTreeMap<String, Given>) -> Vec<&String> {
    let mut ids: Vec<(String, &String)> = judged.keys().map(|id| (schema::sha256_hex(id.as_bytes()), id)).collect();
    ids.sort();
    let of = |right: bool| ids.iter().map(|(_, id)| *id).filter(move |id| judged[*id].correct == right).take(SHOWN);
    of(true).chain(of(false)).collect()
}
