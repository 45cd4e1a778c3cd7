//! The laws of ARCHITECTURE.md, each a line of mathematics, over a tiny backbone and generated rows.
//!
//! Tables run over `baselines::METHODS` and `adapter::KINDS`: a new row is tested without anyone writing a test.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use baselines::METHODS;
use candle_core::{DType, Device};
use federation::aggregate::Mean;
use federation::merge;
use federation::registry::MethodRow;
use federation::{self, Client, InProcess, Method, Outcome, Plain, Round, Scope, Sets, Unwatched, Update};
use machine::threads;
use models::adapter::{AdapterSpec, Adapters, KINDS, Untouched};
use models::{Backbone, Batch, Branch, Sequence};
use schema::card::Scoring;
use schema::experiment::PartitionScheme;
use schema::metrics::Metric;
use schema::partition::Partition;
use schema::run_dir;
use study::Study;
use study::record::RunDir;
use tasks::judgement::judge_global;
use tasks::predict::predict;

use crate::support::{Test, distance, flat, normal, within};
use crate::tiny::{self, bytes, difference, difference_in_effect, effect, experiment, run, study, uploading};

fn drawn(name: &str, positive: bool) -> Result<Adapters> {
    let draw = |(tensor, shape): (&str, (usize, usize))| {
        let values = normal(&format!("{name}/{tensor}"), shape, DType::F32)?;
        Ok((tensor.to_owned(), if positive { (values.sqr()? + 1e-3)? } else { values }))
    };
    [("image.down", (2, 16)), ("image.up", (16, 2)), ("text.down", (2, 16)), ("text.up", (16, 2))].into_iter().map(draw).collect()
}

/// An update of NanoAdapters with a Fisher.
fn update(client: usize, num_examples: usize, adapters: Adapters, fisher: Adapters) -> Update {
    Update { client, num_examples, ..Update::default() }.with("adapters", adapters).with("fisher", fisher)
}

const FIRST: Round = Round { index: 1, total: 2, clients: 3 };

fn aggregate(row: &MethodRow, updates: &[Update]) -> Result<Adapters> {
    Ok(merge(&mut *(row.build)(&BTreeMap::new())?, &drawn("global", false)?, updates.to_vec(), FIRST)?)
}

/// What three clients sent in the first round, and the method with its global adapters, about to aggregate.
type BeforeAggregation = (Vec<Update>, Box<dyn Method>, Adapters, Study);

fn after_one_round(row: &MethodRow) -> Result<BeforeAggregation> {
    let (_, study) = study(&experiment(row.name))?;
    let mut method = (row.build)(&BTreeMap::new())?;
    let global = method.start(study.initial().clone(), study.adapter());
    let train = |mut client: Client| {
        client.begin_round(FIRST);
        let received = method.send(client.id(), &global, FIRST)?;
        Ok(method.train(&mut client, &received)?)
    };
    let updates = study.federation().clients(row.scope).into_iter().map(train).collect::<Result<_>>()?;
    Ok((updates, method, global, study))
}

/// A zero-initialised adapter is the backbone exactly, for every kind, attached wherever it may be. A prompt is no such thing:
/// whatever stands in front is seen.
#[test]
fn fresh_adapters_change_nothing() -> Test {
    for kind in KINDS.iter().filter(|kind| kind.name != "prompt") {
        let mut experiment = experiment("zero-shot");
        experiment.adapter.rank = kind.has_rank().then_some(2);
        experiment.adapter.kind = Some(kind.name.into());
        experiment.adapter.sites = Some(kind.allowed.iter().map(|&site| site.into()).collect());
        let (_, study) = study(&experiment)?;
        let all: Vec<usize> = (0..study.judge().examples.len()).collect();
        let fresh = predict(study.judge(), &study.adapter().attach(study.initial())?, &all, None)?;
        assert_eq!(fresh, predict(study.judge(), &Untouched, &all, None)?, "{}", kind.name);
    }
    Ok(())
}

/// Every method starts from the same adapters and batches: those of the seed.
#[test]
fn the_seed_decides_where_a_run_starts() -> Test {
    for kind in KINDS {
        let bytes = |method: &str, seed: u64| -> Result<Vec<u8>> {
            let mut experiment = experiment(method);
            experiment.seed = seed;
            experiment.adapter.kind = Some(kind.name.into());
            experiment.adapter.rank = kind.has_rank().then_some(2);
            Ok(study(&experiment)?.1.initial().to_bytes()?)
        };
        for row in METHODS.iter().filter(|row| (row.refuses)(kind).is_none()) {
            assert_eq!(bytes(row.name, 1)?, bytes("zero-shot", 1)?, "{}", row.name);
        }
        // What is not drawn starts at zero whatever the seed.
        assert_eq!(bytes("local", 1)? != bytes("local", 2)?, kind.has_rank(), "{}", kind.name);
    }
    Ok(())
}

/// Methods that train otherwise than by descending the plain loss from the common start, or whose server goes beyond the mean.
const NOT_LOCAL_TUNING: [&str; 9] =
    ["fedprox", "feddyn", "fedadagrad", "fedyogi", "fedadam", "feddat", "ffa-lora", "hetlora", "flora"];

/// With one client there is nothing to federate: one round of any other method is local tuning, and FedAvg is in every round.
#[test]
fn one_client_is_local_tuning() -> Test {
    for row in uploading().filter(|row| !NOT_LOCAL_TUNING.contains(&row.name)) {
        let exact = row.name == "fedavg";
        let after = |method: &str| -> Result<(Study, Outcome)> {
            let mut experiment = experiment(method);
            experiment.adapter.kind = Some(row.adapter.into());
            experiment.partition.clients = 1;
            experiment.federation.rounds = if exact { 2 } else { 1 };
            let (_, study, outcome) = run(&experiment)?;
            Ok((study, outcome))
        };
        let ((study, federated), local) = (after(row.name)?, after("local")?.1.personal.remove(0).1);
        // FedSA-LoRA has no global B.
        let shared = match federated.personal.first() {
            Some((_, own)) if row.name == "fedsa-lora" => own,
            _ => &federated.global,
        };
        if exact {
            assert_eq!(difference(shared, &local)?, 0.0, "{} of one client against local", row.name);
        }
        let error = difference_in_effect(study.adapter(), shared, &local)?;
        within(&format!("{} of one client against local", row.name), error, 1e-5);
    }
    Ok(())
}

/// FedNano with equal Fishers and equal shards is FedAvg.
#[test]
fn equal_fishers_are_fedavg() -> Test {
    let updates = (0..4).map(|k| Ok(update(k, 10, drawn(&format!("theta {k}"), false)?, drawn("fisher", true)?)));
    let updates: Vec<Update> = updates.collect::<Result<_>>()?;
    let fedavg = METHODS.iter().find(|row| row.name == "fedavg").context("no FedAvg")?;
    for row in METHODS.iter().filter(|row| row.name.starts_with("fednano")) {
        let merged = aggregate(row, &updates)?;
        within(
            &format!("{} of equal Fishers against FedAvg", row.name),
            difference(&merged, &aggregate(fedavg, &updates)?)?,
            1e-6,
        );
    }
    Ok(())
}

/// Unequal Fishers matter: the merge leans to the client whose Fisher is larger.
#[test]
fn a_dominant_fisher_wins() -> Test {
    let fisher = drawn("fisher", true)?;
    let theta = [drawn("theta 0", false)?, drawn("theta 1", false)?];
    let updates = [update(0, 10, theta[0].clone(), fisher.clone()), update(1, 10, theta[1].clone(), fisher.scale(1e7)?)];
    for row in METHODS.iter().filter(|row| row.name.starts_with("fednano")) {
        within(&format!("{} with a dominant Fisher", row.name), difference(&aggregate(row, &updates)?, &theta[1])?, 1e-5);
    }
    Ok(())
}

/// Methods whose server goes beyond the mean of what it received.
const BEYOND_THE_MEAN: [&str; 4] = ["feddyn", "fedadagrad", "fedyogi", "fedadam"];

/// Aggregating identical updates gives that update, whatever the clients' sizes.
#[test]
fn identical_updates_stay() -> Test {
    for row in uploading().filter(|row| !BEYOND_THE_MEAN.contains(&row.name)) {
        let (mut updates, mut method, global, study) = after_one_round(row)?;
        let first = updates.remove(0);
        let same = (0..3).map(|client| Update { client, num_examples: 3 + 7 * client, ..first.clone() });
        let merged = merge(&mut *method, &global, same, FIRST)?;
        let (merged, sent) = (study.initial().with(&merged), study.initial().with(first.set("adapters")?));
        // FLoRA's global adapters are what was merged into the frozen weights.
        let error = difference_in_effect(study.adapter(), &merged, &sent)?;
        within(&format!("{} of identical updates", row.name), error, 1e-5);
    }
    Ok(())
}

/// Aggregation ignores the order of updates, up to rounding.
#[test]
fn order_of_updates_does_not_matter() -> Test {
    for row in uploading() {
        let merged = |backwards: bool| -> Result<(Adapters, AdapterSpec)> {
            let (mut updates, mut method, global, study) = after_one_round(row)?;
            if backwards {
                updates.reverse();
            }
            Ok((study.initial().with(&merge(&mut *method, &global, updates, FIRST)?), study.adapter().clone()))
        };
        let ((forwards, spec), (backwards, _)) = (merged(false)?, merged(true)?);
        within(&format!("{} in another order", row.name), difference_in_effect(&spec, &forwards, &backwards)?, 1e-5);
    }
    Ok(())
}

/// A server optimizer without momentum at learning rate 1 is FedAvg.
#[test]
fn a_server_step_of_one_is_fedavg() -> Test {
    let row = METHODS.iter().find(|row| row.name == "fedavgm").context("no FedAvgM")?;
    let (updates, _, global, _) = after_one_round(row)?;
    let plain: BTreeMap<String, serde_json::Value> = serde_json::from_value(serde_json::json!({ "beta1": 0.0 }))?;
    let stepped = merge(&mut *(row.build)(&plain)?, &global, updates.clone(), FIRST)?;
    let mut mean = Mean::default();
    updates.iter().try_for_each(|update| mean.add(update.set("adapters")?, update.num_examples as f64))?;
    let mean = mean.take()?;
    within("FedAvgM without momentum against FedAvg", difference(&stepped, &mean)?, 1e-6);
    Ok(())
}

/// One wild client moves the mean as far as it likes, the median and the trimmed mean not at all.
#[test]
fn robust_means_do_not_follow_one_client() -> Test {
    for (name, follows) in [("fedavg", true), ("fedmedian", false), ("fedtrimmedmean", false)] {
        let row = METHODS.iter().find(|row| row.name == name).context("no such method")?;
        let (mut updates, mut method, global, _) = after_one_round(row)?;
        updates.extend([updates[0].clone(), updates[1].clone()]);
        let calm = merge(&mut *method, &global, updates.clone(), FIRST)?;
        updates[2] =
            Update { sets: Sets::default(), ..updates[2].clone() }.with("adapters", updates[2].set("adapters")?.scale(1e6)?);
        let moved = difference(&merge(&mut *method, &global, updates, FIRST)?, &calm)?;
        assert_eq!(moved > 100.0, follows, "{name} moved by {moved}");
    }
    Ok(())
}

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
        for (what, numbers, bytes) in [("up", up, outcome.adapters.uplink), ("down", down, outcome.adapters.downlink)] {
            let fits = if numbers == 0 { bytes == 0 } else { (4 * numbers + 1..4 * numbers + header).contains(&bytes) };
            assert!(fits, "{}: {bytes} bytes {what} for {numbers} numbers", row.name);
        }
        let whole_round =
            if row.scope == Scope::Shard { (row.traffic)(study.adapter(), 3)[0] } else { outcome.uploaded_parameters };
        assert_eq!(outcome.uploaded_parameters, whole_round, "{}", row.name);
        let recorded = |metric: Metric| {
            outcome.records.iter().filter(|record| record.metric == metric).map(|record| record.value as u64).sum::<u64>()
        };
        assert_eq!(recorded(Metric::UplinkBytes), outcome.adapters.uplink, "{}", row.name);
        assert_eq!(recorded(Metric::DownlinkBytes), outcome.adapters.downlink, "{}", row.name);
        assert_eq!(recorded(Metric::ActivationUplinkBytes), outcome.activations.uplink, "{}", row.name);
        assert_eq!(recorded(Metric::ActivationDownlinkBytes), outcome.activations.downlink, "{}", row.name);
        match row.scope {
            Scope::Nothing => assert_eq!(outcome.activations, Default::default()),
            Scope::Pooled => {
                let raw: u64 = study.train().iter().map(|example| example.raw_bytes).sum();
                assert_eq!((outcome.activations.uplink, outcome.activations.downlink), (raw, 0), "{}", row.name);
            }
            Scope::Shard => {
                let split = study.adapter().is_split();
                assert_eq!((outcome.activations.uplink > 0, outcome.activations.downlink > 0), (split, split), "{}", row.name);
            }
        }
    }
    Ok(())
}

/// Zero-shot trains nothing, sends nothing, and is the untouched backbone.
#[test]
fn zero_shot_is_the_backbone() -> Test {
    let (_, study, outcome) = run(&experiment("zero-shot"))?;
    assert_eq!((outcome.steps, outcome.adapters, outcome.activations), (0, Default::default(), Default::default()));
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
        assert_eq!(outcome.steps, per_round * federation.rounds, "{}", row.name);
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

/// A partition is a disjoint cover of both splits, and depends only on data, configuration and seed.
#[test]
fn partitions_cover() -> Test {
    for scheme in [
        PartitionScheme::Iid,
        PartitionScheme::Dirichlet,
        PartitionScheme::Pathological,
        PartitionScheme::Quantity,
        PartitionScheme::Natural,
    ] {
        let of = |method: &str, seed: u64| {
            let mut experiment = experiment(method);
            experiment.seed = seed;
            experiment.partition.scheme = scheme;
            experiment.partition.key = Some("ques_type".into());
            Ok::<_, anyhow::Error>(study(&experiment)?.1)
        };
        let study = of("local", 1)?;
        let mut train: Vec<usize> = study.shards().iter().flat_map(|shard| shard.train.clone()).collect();
        let mut test: Vec<usize> = study.shards().iter().flat_map(|shard| shard.test.clone()).collect();
        train.sort_unstable();
        test.sort_unstable();
        assert_eq!(train, (0..study.train().len()).collect::<Vec<_>>(), "{scheme:?}");
        assert_eq!(test, (0..study.judge().examples.len()).collect::<Vec<_>>(), "{scheme:?}");
        assert_eq!(study.shards().len(), 3, "{scheme:?}");
        assert_eq!(Partition::hash_of(&study.partition().shards), study.partition().hash);
        for row in METHODS {
            assert_eq!(of(row.name, 1)?.partition().hash, study.partition().hash, "{scheme:?}, {}", row.name);
        }
        if scheme != PartitionScheme::Natural {
            assert_ne!(of("local", 2)?.partition().hash, study.partition().hash, "{scheme:?}");
        }
    }
    Ok(())
}

/// Branches scored together are scored as if each stood alone, padded or not.
#[test]
fn branches_are_blind_to_each_other() -> Test {
    let model = tiny::llava(&tiny::config(), DType::F32, None)?;
    let size = model.preprocess().size;
    let features = model.encode(&normal("pixels", (2, 3, size, size), DType::F32)?)?;
    let prefix: Vec<u32> = model.text().picture()?.into_iter().chain([40, 50, 60]).collect();
    let branches = [
        Branch::answer(vec![70, 80, 2]),
        Branch { tokens: vec![71, 81, 91, 101, 111, 2], read_from: 3 },
        Branch::answer(vec![2]),
    ];
    let sequence = |branches: Vec<Branch>| Sequence { prefix: prefix.clone(), images: vec![1], branches };
    let longer = Sequence {
        prefix: [prefix.clone(), vec![44; 30]].concat(),
        images: vec![0],
        branches: vec![Branch::answer(vec![45, 2])],
    };
    let logits = |sequences: &[&Sequence]| -> Result<_> {
        let batch = Batch::new(sequences, model.text().image_token(), DType::F32, &Device::Cpu)?;
        Ok(model.decode(&model.embed(&batch, &features)?, &Untouched)?)
    };
    let together = sequence(branches.to_vec());
    let alone: Vec<Sequence> = branches.iter().map(|branch| sequence(vec![branch.clone()])).collect();
    let wanted = logits(&alone.iter().collect::<Vec<_>>())?;
    assert_eq!(wanted.dim(0)?, 3 + 3 + 1);
    within("branches together against alone", distance(&logits(&[&together])?, &wanted)?, 1e-5);
    let padded = logits(&[&together, &longer])?.narrow(0, 0, 7)?;
    within("branches beside a longer sequence", distance(&padded, &wanted)?, 1e-5);
    Ok(())
}
