//! One run: from an experiment to a complete run folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use federation::registry::MethodRow;
use federation::{self, Engine, Outcome, Scope};
use machine::memory;
use models::flops::Flops;
use remote::Introduction;
use reports::source::Source;
use reports::{Run, Trust};
use schema::card::{BadRow, Scoring};
use schema::metrics::{Beside, Metric, Score};
use schema::record::{HostFacts, Skipped};
use schema::{Card, Environment, Experiment, OfDataset, Prediction, Summary, manifest, run_dir};
use study::checkpoints::Kept;
use study::parameters::client_parameters;
use study::record::RunDir;
use study::{Part, Study};
use tasks::judge::Part as Judged;
use tasks::ranked::ranked;
use tasks::task::Aggregate;
use tasks::trivial::trivial_accuracies;

use crate::environment::{environment, host_facts};
use crate::hub;
use crate::output::note;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::resume;
use crate::session::{Resolved, Session};

/// What became of a run.
#[derive(Debug, Clone)]
pub enum Ran {
    /// It ran now.
    Now(PathBuf, Box<Summary>),
    /// A complete folder of it was there.
    Before(PathBuf),
}

impl Ran {
    /// The run's folder.
    pub fn folder(&self) -> &Path {
        match self {
            Ran::Now(folder, _) | Ran::Before(folder) => folder,
        }
    }
}

/// A longer list of rows that were left out is not read to see whether it is empty.
const MOST_SKIPPED: u64 = 16 << 20;

/// How runs are run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// No plan and no progress.
    pub quiet: bool,
    /// A folder with a summary is complete, whatever its manifest says.
    pub unverified: bool,
    /// What is there is run again, from the first round.
    pub force: bool,
}

/// Where a run's clients are.
pub trait Place {
    /// What this process does of the experiment.
    fn part(&self) -> Part;

    /// The engine that brings orders to them, given who this side is and what the run goes on from, and the other processes that have them.
    fn engine<'s>(
        &mut self,
        study: &'s Study,
        here: Introduction,
        kept: &mut Kept,
    ) -> Result<(Box<dyn Engine + 's>, Vec<HostFacts>)>;
}

/// In this process.
pub struct Here;

impl Place for Here {
    fn part(&self) -> Part {
        Part::Whole
    }

    fn engine<'s>(
        &mut self,
        study: &'s Study,
        _here: Introduction,
        kept: &mut Kept,
    ) -> Result<(Box<dyn Engine + 's>, Vec<HostFacts>)> {
        Ok((Box::new(resume::engine(study, kept)?), Vec::new()))
    }
}

/// Runs an experiment into a folder below `out`, unless it is complete there.
pub fn run(session: &mut Session, experiment: &Experiment, out: &Path, options: Options) -> Result<Ran> {
    run_at(&mut Here, session, experiment, out, options)
}

/// The same with clients that may be elsewhere.
pub fn run_at(
    place: &mut dyn Place,
    session: &mut Session,
    experiment: &Experiment,
    out: &Path,
    options: Options,
) -> Result<Ran> {
    let (resolved, before) = look(session, experiment, out, options)?;
    before.map_or_else(|| go(place, session, resolved, out, options), Ok)
}

/// What an experiment's run is, and whether it is complete below `out`.
pub fn look(session: &mut Session, experiment: &Experiment, out: &Path, options: Options) -> Result<(Resolved, Option<Ran>)> {
    let mut resolved = session.resolve(experiment)?;
    if options.force {
        session.complete(&mut resolved)?;
        return Ok((resolved, None));
    }
    let before = complete(&out.join(&resolved.name), options);
    if before.as_ref().is_some_and(|before| !may_have_lacked_pictures(before.folder(), &resolved)) {
        return Ok((resolved, before));
    }
    let without_pictures = resolved.name.clone();
    session.complete(&mut resolved)?;
    let before = if resolved.name == without_pictures { before } else { complete(&out.join(&resolved.name), options) };
    Ok((resolved, before))
}

/// Whether a folder holds a run that is as it was written.
pub fn is_complete(folder: &Path, options: Options) -> bool {
    matches!(standing(folder, options), Standing::Complete)
}

/// Runs what is not complete yet.
pub fn go(place: &mut dyn Place, session: &mut Session, mut resolved: Resolved, out: &Path, options: Options) -> Result<Ran> {
    let (name, row) = (resolved.name.clone(), resolved.row);
    if RunDir::is_taken(out, &name) {
        return Err(study::Error::Busy { path: out.join(&name) }.into());
    }
    let part = place.part();
    let study = session.study_of(&resolved, &part)?;
    let rounds = if row.scope == Scope::Nothing { 0 } else { resolved.experiment.federation.rounds };
    let progress = Progress::new(rounds * study.shards().len(), options.quiet);
    progress.line(&name);
    // A forecast times a batch, which nobody who wants no plan should wait for.
    if !options.quiet && part == Part::Whole {
        Plan::new(&study, &row, &resolved.inputs, &mut session.pace)?.lines().iter().for_each(|line| progress.line(line));
    }

    let folder = RunDir::create(out, &name)?;
    // Another process may have finished it since.
    if !options.force && is_complete(folder.path(), options) {
        return Ok(Ran::Before(folder.path().into()));
    }
    let mut kept = resume::kept(folder.path(), &study, &resolved, resume::writer(&study, part != Part::Whole), options.force);
    let (mut engine, hosts) = place.engine(&study, introduction(&study, &name, Vec::new())?, &mut kept)?;
    note_commits(&hosts);
    folder.clear()?;
    let resumed_after = kept.last().map(|last| last.round.index as u32);
    progress.resume(folder.path(), resumed_after, rounds, study.shards().len());
    let downloads = session.downloads(&resolved.located, &resolved.backbone);
    let environment =
        environment(study.backbone(), &resolved.experiment.backbone.device, study.doubts(), downloads, resolved.inputs);
    folder.write_setup(&study, &Environment { hosts, resumed_after, ..environment })?;
    let outcome = study.run_from(&mut *resolved.method, &mut *engine, &progress, &mut kept)?;
    let summary = summary(&name, &study, &row, &outcome);
    folder.write_outcome(&study, &outcome, &summary)?;
    Ok(Ran::Now(folder.path().into(), Box::new(summary)))
}

/// Says which workers were built from other code than this process.
fn note_commits(hosts: &[HostFacts]) {
    let own = env!("FEDBENCH_COMMIT");
    for host in hosts.iter().filter(|host| host.commit != own) {
        let (clients, commit) = (host.clients.len(), guard::text::line(&host.commit, 60));
        note(&format!("note: the worker of {clients} clients was built from commit {commit}, this program from {own}"));
    }
}

/// What this process says of itself to others of the same run: with no clients, the server.
pub fn introduction(study: &Study, name: &str, clients: Vec<usize>) -> Result<Introduction> {
    Ok(Introduction {
        run: name.into(),
        backbone_sha256: study.backbone().weights_sha256().into(),
        partition_sha256: schema::sha256_hex(&serde_json::to_vec(study.partition())?),
        host: host_facts(clients, study.backbone()),
    })
}

/// The run that is complete there; says why one that looks so is not.
fn complete(folder: &Path, options: Options) -> Option<Ran> {
    match standing(folder, options) {
        Standing::Complete => Some(Ran::Before(folder.into())),
        Standing::Again(why) => {
            note(&format!("{}: run again, because {why}", folder.file_name().unwrap_or_default().display()));
            None
        }
        Standing::Unfinished => None,
    }
}

/// Whether rows were left out that may have named a picture which was not there, and is there now: the rows must say.
fn may_have_lacked_pictures(folder: &Path, resolved: &Resolved) -> bool {
    let card = |card: &Card| card.on_bad_row == BadRow::Skip && !card.columns.images.is_empty();
    let skipped = || guard::files::read_here(&folder.join(run_dir::SKIPPED), MOST_SKIPPED).ok();
    let is_empty = |text: Vec<u8>| serde_json::from_slice::<Vec<Skipped>>(&text).is_ok_and(|skipped| skipped.is_empty());
    resolved.located.iter().any(|located| card(&located.card)) && !skipped().is_some_and(is_empty)
}

/// What lies where a run would go.
enum Standing {
    /// A run that is as it was written.
    Complete,
    /// Nothing, or an interrupted run.
    Unfinished,
    /// A finished run that is not to be believed.
    Again(String),
}

fn standing(folder: &Path, options: Options) -> Standing {
    if options.unverified {
        return if folder.join(run_dir::SUMMARY).is_file() { Standing::Complete } else { Standing::Unfinished };
    }
    match manifest::check(folder) {
        Ok(manifest::Standing::Whole) => match contradiction(folder) {
            None => Standing::Complete,
            Some(why) => Standing::Again(why),
        },
        Ok(manifest::Standing::Unfinished) => Standing::Unfinished,
        Ok(manifest::Standing::Unverified) => Standing::Again(format!(
            "it was written before run folders had a {}, so nothing says that it is whole (--no-verify takes it as it is)",
            run_dir::MANIFEST
        )),
        Err(mismatch) => Standing::Again(mismatch.to_string()),
    }
}

/// Why a folder that is as its manifest says holds no run of its name, or one whose files contradict its summary.
fn contradiction(folder: &Path) -> Option<String> {
    if let Err(mismatch) = manifest::check_name(folder) {
        return Some(mismatch.to_string());
    }
    // The manifest has been compared.
    match Run::read(Source::Folder(folder.into()), Trust::AsTheyAre) {
        Ok(run) => run.disagreement,
        Err(error) => Some(error.to_string()),
    }
}

/// The flat summary of a finished run.
pub fn summary(name: &str, study: &Study, row: &MethodRow, outcome: &Outcome) -> Summary {
    let (experiment, spec) = (study.experiment(), study.backbone().spec());
    let trains = row.scope != Scope::Nothing;
    let trainable = if trains { study.adapter().parameters() } else { 0 };
    let placement = row.placement(study.adapter().is_split());
    let stored = client_parameters(spec, study.adapter(), placement);
    let [client_flops, server_flops] = train_flops(study, row, outcome).by_side(placement);
    let guesses = guesses(study, outcome);
    let has_mean = !study.judge().is_mixed && matches!(study.judge().metric.aggregate, Aggregate::Mean);
    let ranked = ranked(study.judge(), &outcome.predictions);
    let seconds = |of: fn(&schema::record::RoundTiming) -> f64| outcome.measured.timings.iter().map(of).sum::<f64>();
    let train_seconds = seconds(|round| round.train_seconds);
    let beside = Beside {
        run: name.into(),
        experiment: experiment.name.clone(),
        method: row.name.into(),
        adapter: if trains { study.adapter().kind.name.into() } else { Summary::NO_ADAPTER.into() },
        backbone: hub::shown(&experiment.backbone.name, &spec.name).into(),
        dataset: study.card().name.clone(),
        seed: experiment.seed,
        rounds: if trains { experiment.federation.rounds as u32 } else { 0 },
        clients: study.shards().len() as u32,
        train_examples: study.train().len() as u64,
        test_examples: study.judge().examples.len() as u64,
        scoring: if spec.encoder.is_some() { Scoring::Class } else { study.card().scoring },
        metric: guesses.alone.metric,
        parts: guesses.parts,
        chance_accuracy: guesses.alone.chance_accuracy,
        majority_accuracy: guesses.alone.majority_accuracy,
        lookup_accuracy: Some(guesses.alone.lookup_accuracy).filter(|_| !study.judge().is_mixed),
        others_accuracy_mean: None,
        client_accuracy_over_rows: over_rows(&outcome.predictions).filter(|_| has_mean),
        accuracy_per_byte: ranked.map(|ranked| ranked.per_byte),
        shortest_option_chosen: ranked.and_then(|ranked| Some(ranked.shortest?[0])),
        shortest_option_right: ranked.and_then(|ranked| Some(ranked.shortest?[1])),
        unparsed_rate: outcome.judgement.unparsed_rate,
        client_parameters_paper: stored.paper,
        client_parameters_deployed: stored.deployed,
        model_parameters: spec.parameters.total() + trainable,
        trainable_parameters: trainable,
        uploaded_parameters_per_round: if row.scope == Scope::Shard { outcome.measured.uploaded_parameters } else { 0 },
        client_train_flops: Some(client_flops),
        server_train_flops: Some(server_flops),
        wall_seconds: seconds(|round| round.train_seconds + round.aggregate_seconds + round.evaluate_seconds),
        peak_memory_bytes: memory::peak_bytes(),
        train_examples_per_second: if train_seconds > 0.0 { outcome.measured.examples_seen as f64 / train_seconds } else { 0.0 },
    };
    Summary::new(beside, &outcome.measured.records)
}

/// What is known of a run's metric, or of each where there are several.
struct Guesses {
    alone: OfDataset,
    parts: BTreeMap<String, OfDataset>,
}

fn guesses(study: &Study, outcome: &Outcome) -> Guesses {
    let of_part = |(part, lookup): (&Judged, &f64)| {
        let (chance_accuracy, majority_accuracy) = trivial_accuracies(part);
        let kind = Metric::AccuracyOf(format!("{}={}", Card::DATASET, part.name));
        let score = Score::parse(part.metric.row.name).filter(|score| score.title().is_some());
        OfDataset {
            metric: score.map(|score| score.name().into()),
            test_examples: part.examples.len() as u64,
            accuracy: outcome.recorded(kind).last().unwrap_or_default(),
            chance_accuracy,
            majority_accuracy,
            lookup_accuracy: *lookup,
        }
    };
    let parts = study.judge().parts();
    let of_parts: Vec<OfDataset> = parts.iter().zip(study.lookups()).map(of_part).collect();
    let alone = OfDataset { metric: of_parts[0].metric.clone().filter(|_| !study.judge().is_mixed), ..of_parts[0].clone() };
    let named = parts.iter().map(|part| part.name.to_owned()).zip(of_parts);
    Guesses { alone, parts: named.filter(|_| study.judge().is_mixed).collect() }
}

/// The mean worth of all answers by whoever holds the row, in his own test shard; none of none.
fn over_rows(predictions: &[Prediction]) -> Option<f64> {
    let own = predictions.iter().filter(|p| p.shard.is_some() && p.client.is_none_or(|client| p.shard == Some(client)));
    let (sum, rows) = own.fold((0.0, 0usize), |(sum, rows), answer| (sum + answer.value(), rows + 1));
    (rows > 0).then(|| sum / rows as f64)
}

/// What training computed: every pass, and each image of the clients that trained once through the frozen tower.
fn train_flops(study: &Study, row: &MethodRow, outcome: &Outcome) -> Flops {
    let steps = outcome.measured.records.iter().filter(|record| record.metric == Metric::OptimizerSteps);
    let trained: BTreeSet<u32> = steps.filter_map(|record| record.client).collect();
    let seen = |example: &usize| study.train()[*example].sequence.images.len();
    let images: usize = match row.scope {
        Scope::Nothing => 0,
        Scope::Pooled => (0..study.train().len()).map(|example| seen(&example)).sum(),
        Scope::Shard => trained.iter().flat_map(|&client| &study.shards()[client as usize].train).map(seen).sum(),
    };
    let mut flops = outcome.measured.flops;
    flops += Flops { before_decoder: images as f64 * study.backbone().spec().image_flops, decoder: 0.0 };
    flops
}
