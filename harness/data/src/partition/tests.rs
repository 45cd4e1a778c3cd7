//! Laws of partitions, on made-up labels.

use std::collections::BTreeSet;
use std::sync::Arc;

use schema::experiment::{PartitionConfig, PartitionScheme};

use super::*;
use crate::Answer;

const SCHEMES: [PartitionScheme; 5] = [
    PartitionScheme::Iid,
    PartitionScheme::Dirichlet,
    PartitionScheme::Pathological,
    PartitionScheme::Quantity,
    PartitionScheme::Natural,
];

fn examples(prefix: &str, count: usize, labels: usize) -> Vec<Example> {
    let example = |index: usize| Example {
        id: format!("{prefix}-{index}"),
        question: "q".into(),
        hint: String::new(),
        choices: vec![],
        answer: Answer::Text((index % 2).to_string()),
        images: vec![],
        card: Arc::new(crate::testing::card()),
        tags: BTreeMap::from([("topic".into(), format!("topic {}", index % labels))]),
        row: 0,
        raw_bytes: 0,
    };
    (0..count).map(example).collect()
}

fn config(scheme: PartitionScheme) -> PartitionConfig {
    PartitionConfig { scheme, key: Some("topic".into()), ..PartitionConfig::default() }
}

/// Draws and resolves, which checks the disjoint cover.
fn shards(config: &PartitionConfig, seed: u64, train: &[Example], test: &[Example]) -> Vec<ShardIndices> {
    resolve(&draw(config, seed, "mini", train, test).expect("drawn"), train, test).expect("a disjoint cover")
}

fn error_of(config: &PartitionConfig, train: &[Example]) -> String {
    draw(config, 1, "mini", train, &[]).expect_err("cannot be drawn").to_string()
}

#[test]
fn every_scheme_is_a_disjoint_cover_with_enough_for_everyone() {
    let (train, test) = (examples("train", 203, 7), examples("test", 50, 7));
    for scheme in SCHEMES {
        for seed in 0..20 {
            let shards = shards(&config(scheme), seed, &train, &test);
            assert_eq!(shards.len(), if scheme == PartitionScheme::Natural { 7 } else { 5 });
            assert!(shards.iter().all(|shard| shard.train.len() >= 2), "{scheme:?}");
        }
    }
}

#[test]
fn a_partition_depends_on_data_and_seed_only() {
    let (train, test) = (examples("train", 203, 7), examples("test", 50, 7));
    for scheme in SCHEMES {
        let drawn = |seed| draw(&config(scheme), seed, "mini", &train, &test).expect("drawn");
        assert_eq!(drawn(3), drawn(3));
        assert_eq!(drawn(3).hash == drawn(4).hash, scheme == PartitionScheme::Natural, "{scheme:?}");
        let without_test = draw(&config(scheme), 3, "mini", &train, &[]).expect("drawn");
        let of_train = |partition: Partition| partition.shards.into_iter().map(|shard| shard.train).collect::<Vec<_>>();
        assert_eq!(of_train(without_test), of_train(drawn(3)), "test examples do not move training examples");
    }
}

/// Pinned: a change here changes every result ever published with this suite.
#[test]
fn drawn_partitions_are_pinned() {
    let (train, test) = (examples("train", 40, 4), examples("test", 12, 4));
    let hashes = SCHEMES.map(|scheme| draw(&config(scheme), 1, "mini", &train, &test).expect("drawn").hash[..12].to_string());
    assert_eq!(hashes, ["70299de30ce8", "55c9b4700e00", "07e3fa4a0335", "d354104649c8", "1b4c62896ec4"]);
}

#[test]
fn iid_is_shuffled_and_even() {
    let train = examples("train", 102, 7);
    let shards = shards(&config(PartitionScheme::Iid), 1, &train, &[]);
    assert!(shards.iter().all(|shard| (20..=21).contains(&shard.train.len())));
    assert_ne!(shards[0].train, (0..shards[0].train.len()).collect::<Vec<_>>());
}

/// The largest difference of a client's share of a label from an even one.
fn unevenness(alpha: f64) -> f64 {
    let train = examples("train", 2000, 4);
    let config = PartitionConfig { alpha, ..config(PartitionScheme::Dirichlet) };
    let table = label_table(&shards(&config, 1, &train, &[]), &train, "topic");
    let off = |count: &usize| (*count as f64 / 500.0 - 0.2).abs();
    table.clients.iter().flat_map(|client| client.counts.iter().map(off)).fold(0.0, f64::max)
}

#[test]
fn dirichlet_with_large_alpha_tends_to_iid() {
    assert!(unevenness(1e6) < 0.003, "{}", unevenness(1e6));
    assert!(unevenness(100.0) < 0.1);
    assert!(unevenness(0.1) > 0.4);
}

#[test]
fn pathological_clients_have_few_labels() {
    let train = examples("train", 300, 7);
    for seed in 0..20 {
        for shard in shards(&config(PartitionScheme::Pathological), seed, &train, &[]) {
            let labels: BTreeSet<String> = shard.train.iter().filter_map(|index| train[*index].label("topic")).collect();
            assert!(labels.len() <= 2, "{labels:?}");
        }
    }
}

#[test]
fn natural_clients_are_the_values_of_the_key() {
    let train = examples("train", 30, 3);
    for (client, shard) in shards(&config(PartitionScheme::Natural), 1, &train, &[]).iter().enumerate() {
        assert!(shard.train.iter().all(|index| train[*index].tags["topic"] == format!("topic {client}")));
    }
}

fn at_sites(prefix: &str, sites: &[&str]) -> Vec<Example> {
    let mut examples = examples(prefix, sites.len(), 1);
    examples.iter_mut().zip(sites).for_each(|(example, site)| drop(example.tags.insert("topic".into(), (*site).into())));
    examples
}

#[test]
fn natural_clients_are_judged_on_their_own_sites() {
    let train = at_sites("train", &["b", "a", "b", "a", "c", "c"]);
    let natural = config(PartitionScheme::Natural);
    let found = shards(&natural, 1, &train, &at_sites("test", &["a", "b", "a", "a"]));
    assert_eq!(found.iter().map(|shard| shard.test.clone()).collect::<Vec<_>>(), [vec![0, 2, 3], vec![1], vec![]]);
    let error = |train: &[Example], test: &[Example]| draw(&natural, 1, "mini", train, test).expect_err("refused").to_string();
    let strange = error(&train, &at_sites("test", &["a", "d", "e", "d"]));
    assert!(strange.contains("3 of 4 test examples have a `topic` that no training example has, the first is `d`"), "{strange}");
    let nowhere = error(&train, &at_sites("test", &["a", "", " "]));
    assert!(nowhere.contains("2 of 3 test examples have no `topic`, the first is `test-1`"), "{nowhere}");
    let nowhere = error(&at_sites("train", &["a", "a", "", ""]), &[]);
    assert!(nowhere.contains("2 of 4 training examples have no `topic`, the first is `train-2`"), "{nowhere}");
}

#[test]
fn test_examples_follow_the_training_examples() {
    let (train, test) = (examples("train", 400, 4), examples("test", 200, 4));
    let shards = shards(&config(PartitionScheme::Dirichlet), 1, &train, &test);
    let count = |indices: &[usize], examples: &[Example], topic: &str| {
        indices.iter().filter(|index| examples[**index].tags["topic"] == topic).count() as f64
    };
    for shard in &shards {
        for topic in ["topic 0", "topic 1", "topic 2", "topic 3"] {
            // 100 training and 50 test examples of each topic.
            let (trained, tested) = (count(&shard.train, &train, topic), count(&shard.test, &test, topic));
            assert!((trained / 2.0 - tested).abs() < 1.0, "{topic}: {trained} and {tested}");
        }
    }
}

#[test]
fn labels_that_nobody_trains_on_go_round() {
    let (train, test) = (examples("train", 100, 2), examples("test", 90, 9));
    let shards = shards(&config(PartitionScheme::Iid), 1, &train, &test);
    assert!(shards.iter().all(|shard| (17..=19).contains(&shard.test.len())), "{shards:?}");
}

#[test]
fn errors_say_what_to_change() {
    let train = examples("train", 30, 6);
    let check = |config: PartitionConfig, part: &str| {
        let error = error_of(&config, &train);
        assert!(error.contains(part), "`{part}` is not in: {error}");
    };
    let base = || config(PartitionScheme::Dirichlet);
    check(PartitionConfig { clients: 0, ..base() }, "`clients` must be at least 1");
    check(PartitionConfig { clients: 16, ..base() }, "16 clients x 2 examples (`min_examples`) are more than the 30");
    check(PartitionConfig { alpha: 0.0, ..base() }, "`alpha` is 0; it must be a positive number");
    check(PartitionConfig { alpha: f64::NAN, ..base() }, "`alpha` is NaN");
    check(PartitionConfig { key: None, ..base() }, "set `key` to `answer` or a tag");
    check(
        PartitionConfig { key: Some("topics".into()), ..base() },
        "unknown key `topics`; nearest first, there are: `topic`, `answer`",
    );
    check(
        PartitionConfig { alpha: 1e-4, clients: 15, ..base() },
        "training examples, fewer than 2 (`min_examples`, at least 1), after 200",
    );
    check(PartitionConfig { alpha: 1e-4, clients: 15, min_examples: 0, ..base() }, "has 0 training examples, fewer than 1");
    check(
        PartitionConfig { min_examples: 6, ..config(PartitionScheme::Natural) },
        "client 0 (`topic 0`) has 5 training examples",
    );
    let pathological = || config(PartitionScheme::Pathological);
    check(PartitionConfig { classes_per_client: 7, ..pathological() }, "must be 1 to 6");
    check(PartitionConfig { clients: 2, ..pathological() }, "raise `classes_per_client` to 3 or `clients` to 3");
}

#[test]
fn saved_and_loaded_is_the_same() {
    let (train, test) = (examples("train", 30, 3), examples("test", 9, 3));
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("partition.json");
    let drawn = draw(&config(PartitionScheme::Iid), 1, "mini", &train, &test).expect("drawn");
    save(&drawn, &path).expect("saved");
    assert_eq!(load(&path).expect("loaded"), drawn);
    let edited = std::fs::read_to_string(&path).expect("text").replace("train-0", "train-00");
    std::fs::write(&path, edited).expect("written");
    let error = load(&path).expect_err("edited").to_string();
    assert!(error.contains("partition.json: the shards' hash is") && error.contains(&drawn.hash), "{error}");
}

#[test]
fn a_file_that_is_no_partition_is_refused() {
    let train = examples("train", 30, 3);
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("partition.json");
    let drawn = draw(&config(PartitionScheme::Iid), 1, "mini", &train, &[]).expect("drawn");
    let error = |partition: &Partition| {
        let hashed = Partition { hash: Partition::hash_of(&partition.shards), ..partition.clone() };
        save(&hashed, &path).expect("saved");
        load(&path).expect_err("refused").to_string()
    };
    assert!(error(&Partition { shards: vec![], ..drawn.clone() }).contains("it has no client"));
    let mut idle = drawn.clone();
    idle.shards[1].train.clear();
    assert!(error(&idle).contains("client 1 has no training example"));
    std::fs::write(&path, "[".repeat(100_000)).expect("written");
    let deep = load(&path).expect_err("no partition").to_string();
    assert!(deep.contains("not a saved partition") && deep.len() < 1_000, "{deep}");
}

#[test]
fn a_partition_of_other_data_is_refused() {
    let train = examples("train", 30, 3);
    let drawn = draw(&config(PartitionScheme::Iid), 1, "mini", &train, &[]).expect("drawn");
    let error = |partition: &Partition, train: &[Example]| resolve(partition, train, &[]).expect_err("refused").to_string();
    assert!(error(&drawn, &train[..29]).contains("train example `train-29` of client"));
    let more = error(&drawn, &examples("train", 32, 3));
    assert!(more.contains("2 of 32 train examples belong to no client, the first is `train-30`"), "{more}");
    let mut twice = drawn.clone();
    let id = twice.shards[0].train[0].clone();
    twice.shards[1].train.push(id.clone());
    assert!(error(&twice, &train).contains(&format!("train example `{id}` belongs to client 0 and again to client 1")));
}

#[test]
fn the_label_table_prints_at_most_twelve_labels() {
    let train = examples("train", 140, 14);
    let table = label_table(&shards(&config(PartitionScheme::Iid), 1, &train, &[]), &train, "topic");
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 1 + 5 + 1);
    assert!(lines[1].ends_with("other (2)") && !lines[1].contains("topic 9"), "{text}");
    assert!(lines[7].trim_start().starts_with("all    140     0"), "{text}");
    assert_eq!(serde_json::to_value(&table).expect("json")["clients"][0]["train"], 28);
}

#[test]
fn sites_are_trimmed_and_nothing_is_no_site() {
    let natural = config(PartitionScheme::Natural);
    let drawn = draw(&natural, 1, "mini", &at_sites("train", &["a", " a ", "b", "b"]), &[]).expect("two sites");
    let labels: Vec<_> = drawn.shards.iter().filter_map(|shard| shard.label.as_deref()).collect();
    assert_eq!(labels, ["a", "b"]);
    for nothing in ["nan", "NULL", "None", "[\"\"]", "[]", " "] {
        let message = error_of(&natural, &at_sites("train", &["a", "a", nothing, "b"]));
        assert!(message.contains("1 of 4 training examples have no `topic`, the first is `train-2`"), "{nothing}: {message}");
    }
}

#[test]
fn a_partition_drawn_for_something_else_is_refused() {
    let train = examples("train", 20, 2);
    let natural = config(PartitionScheme::Natural);
    let drawn = draw(&natural, 1, "mini", &train, &[]).expect("drawn");
    let check = |config: &PartitionConfig, dataset: &str| check(&drawn, Path::new("p.json"), config, dataset);
    assert!(check(&natural, "mini").is_ok() && check(&PartitionConfig::default(), "mini").is_ok());
    let said = |part: PartitionConfig| check(&part, "mini").expect_err("otherwise").to_string();
    let default = PartitionConfig::default;
    for (config, part) in [
        (
            PartitionConfig { clients: 9, ..default() },
            "`partition.clients` of the experiment is `9`, but that of this partition is `2`",
        ),
        (PartitionConfig { key: Some("site".into()), ..default() }, "`partition.key` of the experiment is `site`"),
        (
            PartitionConfig { scheme: PartitionScheme::Quantity, ..default() },
            "`partition.scheme` of the experiment is `quantity`",
        ),
    ] {
        let message = said(config);
        assert!(message.contains(part), "{message}");
    }
    let other = check(&natural, "maxi").expect_err("other data").to_string();
    assert!(other.contains("it was drawn for dataset `mini`, not for `maxi`"), "{other}");
}
