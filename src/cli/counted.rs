//! A suite's forecast by counting: operations from shapes, for a machine of so many TFLOP/s, where neither weights nor data need be at hand.
//!
//! Rows are the card's, within the experiments' limits; lengths are assumed (`TEXT`, `ANSWER`), and every row has one picture. What is not
//! counted (`models::flops`), loading weights above all, comes on top.

use anyhow::Result;
use federation::Scope;
use federation::registry::Registry;
use models::flops::{Flops, passes};
use models::{Branch, Sequence, Spec};
use schema::{Card, Experiment};
use tasks::prepare::{TrainExample, step_bytes};

use crate::locate::locate_all;
use crate::located::card_of;
use crate::progress::{bytes, duration};

/// Text tokens of a question, its options with it, and tokens of an answer.
const TEXT: usize = 100;
const ANSWER: usize = 4;

/// A TFLOP.
const TERA: f64 = 1e12;

/// What one experiment with one seed computes.
struct Work {
    method: String,
    steps: f64,
    training: f64,
    pictures: f64,
    judging: f64,
    memory: u64,
}

/// What all runs take at so many TFLOP/s, in lines for a person.
pub(crate) fn forecast(registry: &Registry, experiments: &[Experiment], seeds: usize, tflops: f64) -> Result<Vec<String>> {
    let works = experiments.iter().step_by(seeds).map(|experiment| work(registry, experiment)).collect::<Result<Vec<_>>>()?;
    let seconds = |operations: f64| operations / (tflops * TERA);
    let all = |of: fn(&Work) -> f64| works.iter().map(of).sum::<f64>() * seeds as f64;
    let mut lines = vec![format!(
        "plan: {} runs ({} experiments x {seeds} seeds), counted from shapes: {TEXT} tokens of text, {ANSWER} of an answer, a picture a row",
        experiments.len(),
        works.len()
    )];
    for work in &works {
        lines.push(format!(
            "  {}: {:.0} steps, {:.2} PFLOP of training, {:.2} of pictures, {:.2} of judging: {} at {tflops} TFLOP/s; about {} of memory",
            work.method,
            work.steps,
            work.training / (1000.0 * TERA),
            work.pictures / (1000.0 * TERA),
            work.judging / (1000.0 * TERA),
            duration(seconds(work.training + work.pictures + work.judging)),
            bytes(work.memory)
        ));
    }
    let total = all(|work| work.training + work.pictures + work.judging);
    lines.push(format!(
        "  all: {:.1} PFLOP, {} at {tflops} TFLOP/s, and the loading of weights",
        total / (1000.0 * TERA),
        duration(seconds(total))
    ));
    Ok(lines)
}

fn work(registry: &Registry, experiment: &Experiment) -> Result<Work> {
    let mut experiment = experiment.clone();
    let row = registry.settle(&mut experiment)?;
    let spec = spec(registry, &experiment.backbone.name)?;
    let card = card(&experiment.data.dataset)?;
    let adapter = row.resolve(&experiment.adapter, &spec)?;
    let [train, test] = [
        rows(&card, &experiment.data.train_split, experiment.data.train_limit)?,
        rows(&card, &experiment.data.test_split, experiment.data.test_limit)?,
    ];
    let tokens = spec.image_tokens + TEXT;
    let sequence = Sequence { prefix: vec![0; tokens], images: vec![0], branches: vec![Branch::answer(vec![0; ANSWER])] };
    let [forward, backward] = passes(&[&sequence], &spec, &adapter).map(both);
    let federation = &experiment.federation;
    let trained = if row.scope == Scope::Nothing { 0.0 } else { examples(&experiment, train) };
    let rounds = federation.rounds as f64;
    let evaluations = match experiment.evaluation.every {
        _ if row.scope == Scope::Nothing => 1.0,
        0 => 1.0,
        every => (rounds / every as f64).ceil(),
    };
    let example = TrainExample { id: String::new(), sequence, raw_bytes: 0, soft: None };
    let batch = vec![example; federation.batch_size.min(train.max(1))];
    let number = if experiment.backbone.dtype.as_deref().is_none_or(|dtype| dtype == "f32") { 4 } else { 2 };
    let step = if trained > 0.0 { step_bytes(&batch, federation.batch_size, &spec, experiment.backbone.checkpoint) } else { 0 };
    Ok(Work {
        method: row.name.into(),
        steps: trained / federation.batch_size as f64,
        training: trained * (forward + backward) * row.compute,
        pictures: spec.image_flops * (test as f64 + if trained > 0.0 { train as f64 } else { 0.0 }),
        judging: forward * evaluations * test as f64,
        memory: spec.parameters.total() * number + step,
    })
}

fn both(flops: Flops) -> f64 {
    flops.before_decoder + flops.decoder
}

/// Examples in the batches of all steps.
fn examples(experiment: &Experiment, train: usize) -> f64 {
    let federation = &experiment.federation;
    let of_round = match federation.local_steps {
        Some(steps) => (experiment.partition.clients * steps * federation.batch_size) as f64,
        None => (train * federation.local_epochs) as f64,
    };
    of_round * federation.rounds as f64 * federation.cohort
}

/// A backbone's shapes: of its folder, by its name, or by the Hub's id that its row names as its source.
fn spec(registry: &Registry, name: &str) -> Result<Spec> {
    let backbones = registry.backbones();
    // What is not at hand may be known by its shapes.
    let found = crate::hub::find_backbone(name).ok().flatten();
    let folder = found.map(|found| found.folder().display().to_string());
    let row = backbones.rows().iter().find(|row| name.contains('/') && row.source.ends_with(name));
    let name = folder.as_deref().or(row.map(|row| row.name)).unwrap_or(name);
    Ok(backbones.spec(name)?)
}

/// The card at hand, or else the one that the suite ships.
fn card(dataset: &str) -> Result<Card> {
    match locate_all(dataset) {
        Ok(located) => Ok(card_of(&located)?),
        Err(error) => data_scripts::cards::card(dataset).map_err(|_| error),
    }
}

/// How many rows of a split there are, or a limit leaves.
fn rows(card: &Card, split: &str, limit: Option<usize>) -> Result<usize> {
    let of = |card: &Card| card.splits.get(split).and_then(|split| split.rows);
    let known: Option<usize> = card.each().map(of).sum();
    match (known, limit) {
        (Some(rows), limit) => Ok(rows.min(limit.unwrap_or(rows))),
        (None, Some(limit)) => Ok(limit),
        (None, None) => {
            let name = &card.name;
            let what =
                format!("card `{name}` does not say how many rows split `{split}` has: expected `rows`, or a limit in the suite");
            Err(study::Error::Usage(what).into())
        }
    }
}
