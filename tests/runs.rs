//! The laws of whole runs: what comes when, what is counted, and what changes no byte.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use baselines::METHODS;
use candle_core::Device;
use federation::registry::MethodRow;
use federation::{self, Client, InProcess, Method, Plain, Round, Scope, Sets, Unwatched, Update};
use machine::threads;
use models::adapter::{AdapterSpec, Adapters, Untouched};
use schema::card::Scoring;
use schema::experiment::PartitionScheme;
use schema::metrics::Metric;
use schema::run_dir;
use study::record::RunDir;
use tasks::judgement::judge_global;
use tasks::predict::predict;

use crate::support::{Test, distance, flat, within};
use crate::tiny::{self, bytes, difference, effect, experiment, run, study};

/// Remembers in which order updates come.
struct Watched(Arc<Mutex<Vec<Vec<usize>>>>);

impl Method for Watched {
    fn train(&self, client: &mut Client, received: &Sets) -> federation::Result<Update> {
        let fit = client.fit(received.get("adapters")?, &mut Plain)?;
        Ok(client.update(fit.work).with("adapters", fit.adapters))
    }

    fn receive(&mut self, update: Update, _global: &Adapters, round: Round) -> federation::Result<()> {
        let mut rounds = self.0.lock().expect("no thread panicked");
        rounds.resize(round.index, Vec::new());
        rounds[round.index - 1].push(update.client);
        Ok(())
    }
}

/// A run passes the cohort's updates in client-id order, and cohorts of the asked size.
#[test]
fn updates_come_in_client_order() -> Test {
    let mut experiment = experiment("fedavg-nano");
    experiment.partition.clients = 5;
    experiment.federation.cohort = 0.6;
    experiment.federation.rounds = 6;
    experiment.federation.local_steps = Some(1);
    let (_, study) = study(&experiment)?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    tiny::run_with(&study, || Watched(seen.clone()))?;
    let seen = seen.lock().expect("no thread panicked").clone();
    assert_eq!(seen.len(), 6);
    for cohort in &seen {
        assert!(cohort.len() == 3 && cohort.is_sorted(), "{cohort:?}");
    }
    assert!(seen.iter().any(|cohort| *cohort != seen[0]), "every round sampled the same clients");
    Ok(())
}

/// Notes how many updates have been made and not been taken in.
#[derive(Clone, Default)]
struct Counted {
    waiting: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Method for Counted {
    fn train(&self, client: &mut Client, received: &Sets) -> federation::Result<Update> {
        self.most.fetch_max(1 + self.waiting.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        Ok(client.update(Default::default()).with("adapters", received.get("adapters")?.clone()))
    }

    fn receive(&mut self, _update: Update, _global: &Adapters, _round: Round) -> federation::Result<()> {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

/// The server takes updates in while clients of the cohort have still to train: what a round holds does not grow with its cohort.
#[test]
fn updates_are_taken_in_as_they_come() -> Test {
    let most = |clients: usize| -> Result<usize> {
        let mut experiment = experiment("fedavg-nano");
        experiment.partition.clients = clients;
        let method = Counted::default();
        let (_, study) = study(&experiment)?;
        threads::pool(1)?.install(|| tiny::run_with(&study, || method.clone()))?;
        Ok(method.most.load(Ordering::SeqCst))
    };
    assert_eq!((most(3)?, most(6)?, most(12)?), (3, 4, 4));
    Ok(())
}

/// Numbers that cross the link in a run of two rounds, up and down, from the table's line for a whole round.
fn numbers(row: &MethodRow, spec: &AdapterSpec, cohort: u64) -> [u64; 2] {
    let ([up, down], both) = ((row.traffic)(spec, 3), 2 * cohort);
    match row.name {
        // The last round is local.
        "feddpa-f" => [up * cohort, down * both],
        // There is nothing to merge before the second round.
        "flora" => [up * both, down * cohort],
        "fedex-lora" => [up * both, spec.parameters() * both + (down - spec.parameters()) * cohort],
        // B in the first round, A in the second.
        "rolora" => [spec.parameters() * cohort, down * both],
        _ => [up * both, down * both],
    }
}

/// Bytes on the adapter channel are four for each number of the table, and the encoding's headers; records add up to the totals.
#[test]
fn bytes_are_the_payloads() -> Test {
    for row in METHODS {
        let mut experiment = experiment(row.name);
        experiment.federation.cohort = if row.needs_all_clients { 1.0 } else { 0.67 };
        let (_, study, outcome) = run(&experiment)?;
        let cohort = study.schedule().cohort(1, 3).len() as u64;
        let [up, down] = numbers(row, study.adapter(), cohort);
        let header = 12 * cohort * (8 + 160 * study.initial().iter().count() as u64);
        for (what, numbers, bytes) in
            [("up", up, outcome.measured.adapters.uplink), ("down", down, outcome.measured.adapters.downlink)]
        {
            let fits = if numbers == 0 { bytes == 0 } else { (4 * numbers + 1..4 * numbers + header).contains(&bytes) };
            assert!(fits, "{}: {bytes} bytes {what} for {numbers} numbers", row.name);
        }
        let whole_round =
            if row.scope == Scope::Shard { (row.traffic)(study.adapter(), 3)[0] } else { outcome.measured.uploaded_parameters };
        assert_eq!(outcome.measured.uploaded_parameters, whole_round, "{}", row.name);
        let recorded = |metric: Metric| {
            outcome
                .measured
                .records
                .iter()
                .filter(|record| record.metric == metric)
                .map(|record| record.value as u64)
                .sum::<u64>()
        };
        assert_eq!(recorded(Metric::UplinkBytes), outcome.measured.adapters.uplink, "{}", row.name);
        assert_eq!(recorded(Metric::DownlinkBytes), outcome.measured.adapters.downlink, "{}", row.name);
        assert_eq!(recorded(Metric::ActivationUplinkBytes), outcome.measured.activations.uplink, "{}", row.name);
        assert_eq!(recorded(Metric::ActivationDownlinkBytes), outcome.measured.activations.downlink, "{}", row.name);
        match row.scope {
            Scope::Nothing => assert_eq!(outcome.measured.activations, Default::default()),
            Scope::Pooled => {
                let raw: u64 = study.train().iter().map(|example| example.raw_bytes).sum();
                assert_eq!(
                    (outcome.measured.activations.uplink, outcome.measured.activations.downlink),
                    (raw, 0),
                    "{}",
                    row.name
                );
            }
            Scope::Shard => {
                let split = study.adapter().is_split();
                assert_eq!(
                    (outcome.measured.activations.uplink > 0, outcome.measured.activations.downlink > 0),
                    (split, split),
                    "{}",
                    row.name
                );
            }
        }
    }
    Ok(())
}

/// Zero-shot trains nothing, sends nothing, and is the untouched backbone.
#[test]
fn zero_shot_is_the_backbone() -> Test {
    let (_, study, outcome) = run(&experiment("zero-shot"))?;
    assert_eq!(
        (outcome.measured.steps, outcome.measured.adapters, outcome.measured.activations),
        (0, Default::default(), Default::default())
    );
    let all: Vec<usize> = (0..study.judge().examples.len()).collect();
    assert_eq!(outcome.predictions, predict(study.judge(), &Untouched, &all, None)?);
    Ok(())
}

/// Methods that train move every adapter tensor, of every client that has its own; what a method freezes stays, bit for bit.
#[test]
fn training_moves_every_tensor() -> Test {
    for row in METHODS.iter().filter(|row| row.scope != Scope::Nothing) {
        let (_, study, outcome) = run(&experiment(row.name))?;
        let trained: Vec<&Adapters> = match outcome.personal.is_empty() {
            true => vec![&outcome.global],
            false => outcome.personal.iter().map(|(_, adapters)| adapters).collect(),
        };
        for adapters in trained {
            for (name, end) in adapters.iter() {
                assert!(flat(end)?.iter().all(|x| x.is_finite()), "{}: `{name}` is not finite", row.name);
            }
            for site in &study.adapter().sites {
                let moved =
                    distance(&effect(study.adapter(), site, adapters)?, &effect(study.adapter(), site, study.initial())?)?;
                assert!(moved > 1e-4, "{}: `{}` does nothing", row.name, site.name);
            }
            for (name, start) in study.initial().iter() {
                // Mixtures, stacks and splits by singular values have other shapes.
                let Some(end) = adapters.get(name).filter(|end| end.dims() == start.dims()) else { continue };
                let (frozen, moved) = (row.name == "ffa-lora" && name.ends_with("lora_A"), distance(end, start)?);
                assert!(if frozen { moved == 0.0 } else { moved > 1e-4 }, "{}: `{name}` moved by {moved}", row.name);
            }
        }
    }
    Ok(())
}

/// All methods that train take the same number of optimizer steps: what the clients' shards, epochs and rounds give.
#[test]
fn all_methods_take_the_same_steps() -> Test {
    for row in METHODS.iter().filter(|row| row.scope != Scope::Nothing) {
        let mut experiment = experiment(row.name);
        experiment.partition.scheme = PartitionScheme::Quantity;
        experiment.federation.local_epochs = 2;
        let (_, study, outcome) = run(&experiment)?;
        let federation = &experiment.federation;
        let per_round: usize = study.shards().iter().map(|shard| 2 * shard.train.len().div_ceil(federation.batch_size)).sum();
        assert_eq!(outcome.measured.steps, per_round * federation.rounds, "{}", row.name);
    }
    Ok(())
}

/// Saving adapters in a run folder and loading them is identity.
#[test]
fn saved_adapters_are_the_same() -> Test {
    let folder = tempfile::tempdir()?;
    for row in METHODS.iter().filter(|row| row.scope == Scope::Shard) {
        let (_, _, outcome) = run(&experiment(row.name))?;
        let adapters = outcome.personal.first().map_or(&outcome.global, |(_, own)| own);
        let folder = RunDir::create(folder.path(), row.name)?;
        folder.write(run_dir::ADAPTERS, &adapters.to_bytes()?)?;
        let loaded = Adapters::read(&folder.path().join(run_dir::ADAPTERS), &Device::Cpu)?;
        assert_eq!(difference(&loaded, adapters)?, 0.0, "{}", row.name);
        assert_eq!(loaded.to_bytes()?, adapters.to_bytes()?, "{}", row.name);
    }
    Ok(())
}

/// Evaluation with batches of 1, 7 and 32 gives identical predictions, ranked and generated, before and after training.
#[test]
fn batch_size_changes_no_prediction() -> Test {
    for dataset in tiny::DATASETS {
        let mut experiment = experiment("fednano");
        experiment.data.dataset = dataset.into();
        let trained = run(&experiment)?.2.global;
        let mut first = Vec::new();
        for size in [1, 7, 32] {
            experiment.evaluation.batch_size = size;
            let (_, study) = study(&experiment)?;
            let mut answers = judge_global(study.judge(), &trained)?.1;
            answers.extend(judge_global(study.judge(), study.initial())?.1);
            if first.is_empty() {
                first = answers;
                continue;
            }
            let mut worst = 0f64;
            assert_eq!(answers.len(), first.len());
            for (found, wanted) in answers.iter_mut().zip(&first) {
                found.option_scores.iter().zip(&wanted.option_scores).for_each(|(a, b)| worst = worst.max((a - b).abs()));
                found.option_scores.clone_from(&wanted.option_scores);
                assert_eq!(found, wanted, "{dataset}, batches of {size}");
            }
            within(&format!("{dataset}: option scores in batches of {size} against 1"), worst, 1e-4);
        }
        let generated = first.iter().filter(|answer| answer.scoring == Scoring::Generation).count();
        assert_eq!(generated > 0, dataset == "icongen", "{dataset}: {generated} generated answers");
    }
    Ok(())
}

/// The same seed gives the same bytes: twice, with one thread and with two, whose waves of clients are larger. Another seed gives
/// others.
#[test]
fn same_seed_same_bytes() -> Test {
    for row in METHODS {
        let mut experiment = experiment(row.name);
        experiment.partition.clients = 5;
        experiment.evaluation.every = 1;
        let with = |threads: usize, seed: u64| -> Result<Vec<Vec<u8>>> {
            let experiment = schema::Experiment { seed, ..experiment.clone() };
            bytes(&threads::pool(threads)?.install(|| run(&experiment))?.2)
        };
        let first = with(1, 1)?;
        assert!(first == with(1, 1)?, "{}: twice with one thread", row.name);
        assert!(first == with(2, 1)?, "{}: one thread and two", row.name);
        assert!(row.scope == Scope::Nothing || first != with(1, 2)?, "{}: another seed gives the same", row.name);
    }
    Ok(())
}

/// A run does not depend on the runs before it in the process, nor on which of them used the same study.
#[test]
fn runs_do_not_touch_each_other() -> Test {
    let mut before = BTreeMap::new();
    for row in METHODS {
        before.insert(row.name, bytes(&run(&experiment(row.name))?.2)?);
    }
    for row in METHODS.iter().rev() {
        let (_, study) = study(&experiment(row.name))?;
        for _ in 0..2 {
            let mut method = (row.build)(&BTreeMap::new())?;
            let outcome = study.run(&mut *method, &mut InProcess::new(study.host()?), &Unwatched)?;
            assert!(before[row.name] == bytes(&outcome)?, "{}", row.name);
        }
    }
    Ok(())
}
