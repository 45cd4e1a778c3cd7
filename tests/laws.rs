//! The laws of ARCHITECTURE.md, each a line of mathematics, over a tiny backbone and generated rows.
//!
//! Tables run over `baselines::METHODS` and `adapter::KINDS`: a new row is tested without anyone writing a test.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use baselines::METHODS;
use candle_core::{DType, Device};
use federation::aggregate::Mean;
use federation::merge;
use federation::registry::MethodRow;
use federation::{Client, Diagnostic, Method, Outcome, Round, Sets, Update};
use models::adapter::{AdapterSpec, Adapters, KINDS, Untouched};
use models::{Backbone, Batch, Branch, Sequence};
use schema::experiment::PartitionScheme;
use schema::metrics::Metric;
use schema::partition::Partition;
use study::Study;
use tasks::predict::predict;

use crate::support::{Test, distance, normal, within};
use crate::tiny::{self, difference, difference_in_effect, effect, experiment, run, study, uploading};

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
    let updates = trained(row, &*method, &global, &study, FIRST)?;
    Ok((updates, method, global, study))
}

/// What clients that remember nothing send in a round.
fn trained(row: &MethodRow, method: &dyn Method, global: &Adapters, study: &Study, round: Round) -> Result<Vec<Update>> {
    let train = |mut client: Client| {
        client.begin_round(round)?;
        let received = method.send(client.id(), global, round)?;
        Ok(method.train(&mut client, &received)?)
    };
    study.federation().clients(row.scope).into_iter().map(train).collect()
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
const NOT_LOCAL_TUNING: [&str; 12] = [
    "fedprox",
    "feddyn",
    "fedadagrad",
    "fedyogi",
    "fedadam",
    "feddat",
    "ffa-lora",
    "rolora",
    "fedsvd",
    "fedalt",
    "hetlora",
    "flora",
];

/// With one client there is nothing to federate: one round of any other method is local tuning, and FedAvg is in every round.
#[test]
fn one_client_is_local_tuning() -> Test {
    for row in uploading().filter(|row| !NOT_LOCAL_TUNING.contains(&row.name)) {
        let exact = row.name == "fedavg";
        let after = |method: &str| -> Result<(Study, Outcome)> {
            let mut experiment = experiment(method);
            experiment.adapter.kind = Some(row.adapter.name.into());
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

/// Each client's share of the weight, over all tensors: what the method says of one merge.
fn shares(row: &MethodRow, keys: serde_json::Value, updates: &[Update]) -> Result<Vec<(Option<String>, f64)>> {
    let mut method = (row.build)(&serde_json::from_value(keys)?)?;
    merge(&mut *method, &drawn("global", false)?, updates.to_vec(), FIRST)?;
    let of = |Diagnostic::WeightShare { tensor, share, .. }: Diagnostic| (tensor, share);
    Ok(method.diagnostics().into_iter().map(of).collect())
}

/// Shares of the weight sum to one in every tensor and over all; equal Fishers give the data's shares, and Fishers of one shape give
/// them, too, once each is divided by its own length.
#[test]
fn shares_of_the_weight() -> Test {
    let of = |k: usize, fisher: Adapters| Ok(update(k, 10 + 20 * k, drawn(&format!("theta {k}"), false)?, fisher));
    let equal: Vec<Update> = (0..3).map(|k| of(k, drawn("fisher", true)?)).collect::<Result<_>>()?;
    let sizes: Vec<Update> = (0..3).map(|k| of(k, drawn("fisher", true)?.scale(10f64.powi(k as i32))?)).collect::<Result<_>>()?;
    let other: Vec<Update> = (0..3).map(|k| of(k, drawn(&format!("fisher {k}"), true)?)).collect::<Result<_>>()?;
    for row in METHODS.iter().filter(|row| row.name.starts_with("fednano")) {
        for normalize in ["none", "l2", "mean"] {
            let keys = serde_json::json!({ "normalize": normalize });
            for updates in [&equal, &sizes, &other] {
                let found = shares(row, keys.clone(), updates)?;
                assert_eq!(found.len(), 3 * 5, "all tensors, and each of four");
                for place in 0..5 {
                    let sum: f64 = found.iter().skip(place).step_by(5).map(|(_, share)| share).sum();
                    within(&format!("{}, {normalize}: shares of {:?}", row.name, found[place].0), (sum - 1.0).abs(), 1e-9);
                }
            }
            for (updates, even) in [(&equal, true), (&sizes, normalize != "none")] {
                let found = shares(row, keys.clone(), updates)?;
                let off = (0..3).map(|k| (found[5 * k].1 - (10.0 + 20.0 * k as f64) / 90.0).abs()).fold(0.0, f64::max);
                assert_eq!(off < 1e-6, even, "{}, {normalize}: off the data's shares by {off}", row.name);
            }
        }
    }
    Ok(())
}

/// Dividing every Fisher by its own length takes away the sizes and nothing else, and one of zeros counts for nothing.
#[test]
fn normalised_fishers_have_no_size() -> Test {
    let row = METHODS.iter().find(|row| row.name == "fednano").context("no FedNano")?;
    let merged = |keys: serde_json::Value, sizes: [f64; 2]| -> Result<Adapters> {
        let of = |k: usize| {
            Ok(update(k, 10, drawn(&format!("theta {k}"), false)?, drawn(&format!("fisher {k}"), true)?.scale(sizes[k])?))
        };
        let updates = (0..2).map(of).collect::<Result<Vec<_>>>()?;
        Ok(merge(&mut *(row.build)(&serde_json::from_value(keys)?)?, &drawn("global", false)?, updates, FIRST)?)
    };
    for normalize in ["l2", "mean"] {
        let keys = serde_json::json!({ "normalize": normalize });
        let plain = merged(keys.clone(), [1.0, 1.0])?;
        within(normalize, difference(&merged(keys.clone(), [1e6, 1e-6])?, &plain)?, 1e-5);
        within("zeros", difference(&merged(keys, [1.0, 0.0])?, &drawn("theta 0", false)?)?, 1e-6);
    }
    assert!(difference(&merged(serde_json::json!({}), [1e6, 1e-6])?, &merged(serde_json::json!({}), [1.0, 1.0])?)? > 0.1);
    Ok(())
}

/// A run records every client's share in every round, over all tensors and by tensor, and only where there is something to say.
#[test]
fn shares_are_recorded() -> Test {
    let (_, study, outcome) = run(&experiment("fednano"))?;
    let tensors = study.initial().iter().count();
    let of = |wanted: fn(&Metric) -> bool| outcome.measured.records.iter().filter(move |record| wanted(&record.metric));
    assert_eq!(of(|metric| *metric == Metric::WeightShare).count(), 2 * 3);
    assert_eq!(of(|metric| matches!(metric, Metric::WeightShareOf(_))).count(), 2 * 3 * tensors);
    let of_second = of(|metric| *metric == Metric::WeightShare).filter(|record| record.round == 2);
    within("shares of a round", (of_second.map(|record| record.value).sum::<f64>() - 1.0).abs(), 1e-9);
    let plain = run(&experiment("fedavg"))?.2;
    assert!(plain.measured.records.iter().all(|record| !record.metric.name().starts_with("weight_share")));
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

/// Where one matrix of a pair is every client's, what comes of averaging the other is the mean of the products, in every round; and a pair
/// that is split anew keeps its product.
#[test]
fn averaging_one_matrix_is_exact() -> Test {
    for name in ["ffa-lora", "rolora", "fedsvd"] {
        let row = METHODS.iter().find(|row| row.name == name).context("no such method")?;
        let (mut updates, mut method, mut global, study) = after_one_round(row)?;
        for index in [1, 2] {
            let round = Round { index, ..FIRST };
            if index == 2 {
                updates = trained(row, &*method, &global, &study, round)?;
            }
            let total: f64 = updates.iter().map(|update| update.num_examples as f64).sum();
            let merged = merge(&mut *method, &global, updates.clone(), round)?;
            for site in &study.adapter().sites {
                let mut mean = effect(study.adapter(), site, &merged)?.zeros_like()?;
                for update in &updates {
                    let at_client = effect(study.adapter(), site, &global.with(update.set("adapters")?))?;
                    mean = (mean + (at_client * (update.num_examples as f64 / total))?)?;
                }
                let off = distance(&effect(study.adapter(), site, &merged)?, &mean)?;
                within(&format!("{name} in round {index} at `{}`", site.name), off, 1e-5);
            }
            global = merged;
        }
    }
    Ok(())
}

/// What a client of FedALT receives has nothing of what it sent itself, and something of everybody else's.
#[test]
fn the_rest_of_the_world_is_the_others() -> Test {
    let row = METHODS.iter().find(|row| row.name == "fedalt").context("no FedALT")?;
    let (updates, _, _, study) = after_one_round(row)?;
    let received = |changed: Option<usize>| -> Result<Vec<Vec<u8>>> {
        let mut method = (row.build)(&BTreeMap::new())?;
        let global = method.start(study.initial().clone(), study.adapter());
        let sent = updates.iter().map(|update| {
            let factor = if changed == Some(update.client) { 3.0 } else { 1.0 };
            Ok(update.clone().with("adapters", update.set("adapters")?.scale(factor)?))
        });
        let global = merge(&mut *method, &global, sent.collect::<Result<Vec<_>>>()?, FIRST)?;
        let to = |client| Ok(method.send(client, &global, Round { index: 2, ..FIRST })?.get("adapters")?.to_bytes()?);
        (0..updates.len()).map(to).collect()
    };
    let before = received(None)?;
    for client in 0..updates.len() {
        let same: Vec<bool> = received(Some(client))?.iter().zip(&before).map(|(after, before)| after == before).collect();
        assert!(same.iter().enumerate().all(|(other, same)| *same == (other == client)), "client {client}: {same:?}");
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
