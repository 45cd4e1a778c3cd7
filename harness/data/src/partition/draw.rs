//! Drawing a partition, by schemes named as in Flower.
//!
//! Training examples are dealt by the scheme; test examples follow, label by label, in the proportions of the training examples,
//! so that a client is judged on what it trains for. All randomness comes from the streams `partition` (one per attempt) and
//! `partition-test`, and labels are walked in alphabetical order: the result depends on the data and the seed only.

use std::collections::BTreeMap;

use schema::experiment::{PartitionConfig, PartitionScheme};
use schema::partition::{Partition, Shard};
use seed::{Seed, Stream};

use super::super::error::{brief, listed};
use super::super::list_text;
use super::{DataError, Example};

/// How often a draw that leaves a client with too few examples is repeated.
const MAX_ATTEMPTS: usize = 200;

/// Which client has which examples, by index.
type Shards = Vec<Vec<usize>>;

/// Indices of examples by label.
type ByLabel = BTreeMap<String, Vec<usize>>;

/// Draws a partition of a train and a test split. `seed` is the experiment's.
///
/// Every client gets at least `min_examples` training examples (and never none): a draw that gives fewer is repeated, and where
/// no attempt succeeds the error says what to change.
pub fn draw(
    config: &PartitionConfig,
    seed: u64,
    dataset: &str,
    train: &[Example],
    test: &[Example],
) -> Result<Partition, DataError> {
    let streams = Seed::new(seed);
    let labels = by_label(config, train)?;
    let clients = clients(config, &labels);
    check(config, clients, &labels, train.len())?;
    let test_labels = if test.is_empty() { ByLabel::new() } else { by_label(config, test)? };
    if config.scheme == PartitionScheme::Natural {
        check_sites(config, [("training", &labels, train), ("test", &test_labels, test)])?;
    }
    let train_shards = draw_train(config, streams, clients, &labels)?;
    let test_shards = follow(&labels, &train_shards, &test_labels, streams);
    let names: Vec<Option<String>> = match config.scheme {
        PartitionScheme::Natural => labels.keys().cloned().map(Some).collect(),
        _ => vec![None; clients],
    };
    let ids = |shard: Vec<usize>, examples: &[Example]| shard.into_iter().map(|index| examples[index].id.clone()).collect();
    let shards: Vec<Shard> = train_shards
        .into_iter()
        .zip(test_shards)
        .zip(names)
        .map(|((of_train, of_test), label)| Shard { label, train: ids(of_train, train), test: ids(of_test, test) })
        .collect();
    let hash = Partition::hash_of(&shards);
    Ok(Partition { dataset: dataset.into(), seed, config: config.clone(), shards, hash })
}

/// Examples by the value of the key; without a key they all have one label.
fn by_label(config: &PartitionConfig, examples: &[Example]) -> Result<ByLabel, DataError> {
    let mut labels = ByLabel::new();
    for (index, example) in examples.iter().enumerate() {
        let label = match &config.key {
            Some(key) => example.label(key).ok_or_else(|| unknown_key(key, example))?,
            None => String::new(),
        };
        let label = if config.scheme == PartitionScheme::Natural { site(config, &label) } else { label };
        labels.entry(label).or_default().push(index);
    }
    Ok(labels)
}

/// A site's name, as break-downs name it; empty where the text says that there is none.
fn site(config: &PartitionConfig, label: &str) -> String {
    const NOTHING: [&str; 6] = ["nan", "null", "none", "nat", "<na>", "n/a"];
    let label = label.trim();
    let empty = list_text::list(label).is_some_and(|sites| sites.iter().all(|site| site.trim().is_empty()));
    // What a table writes where there is nothing; an answer may be `none`.
    let nothing = config.key.as_deref() != Some("answer") && NOTHING.iter().any(|word| label.eq_ignore_ascii_case(word));
    if empty || nothing { String::new() } else { label.into() }
}

/// Where a client is a value of the key, every example has one, and every test example that of some client: dealing the others to
/// anyone would judge a client on what is not its own.
fn check_sites(config: &PartitionConfig, splits: [(&str, &ByLabel, &[Example]); 2]) -> Result<(), DataError> {
    let key = config.key.as_deref().unwrap_or_default();
    for (split, labels, examples) in splits {
        let without: Vec<usize> =
            labels.iter().filter(|(label, _)| label.trim().is_empty()).flat_map(|(_, of)| of).copied().collect();
        if let Some(first) = without.iter().min() {
            return Err(DataError::partition(format!(
                "{} of {} {split} examples have no `{key}`, the first is `{}`; with `scheme = \"natural\"` every example belongs to the client \
                 of its `{key}` (`nan`, `null` and `none` are none): give them one, or leave such rows out (`columns.skip` in the card)",
                without.len(),
                examples.len(),
                brief(&examples[*first].id)
            )));
        }
    }
    let [(_, trained, _), (_, tested, examples)] = splits;
    let strange: Vec<(&String, &Vec<usize>)> = tested.iter().filter(|(label, _)| !trained.contains_key(*label)).collect();
    match strange.first() {
        None => Ok(()),
        Some((label, _)) => Err(DataError::partition(format!(
            "{} of {} test examples have a `{key}` that no training example has, the first is `{}`; with `scheme = \"natural\"` a test \
             example is judged by the client of its `{key}`: add training examples, or leave those rows out (`columns.skip` in the card)",
            strange.iter().map(|(_, of)| of.len()).sum::<usize>(),
            examples.len(),
            brief(label)
        ))),
    }
}

fn unknown_key(key: &str, example: &Example) -> DataError {
    let keys = example.tags.keys().map(String::as_str).chain(["answer"]);
    DataError::partition(format!("unknown key `{key}`; nearest first, there are: {}", listed(key, keys)))
}

fn clients(config: &PartitionConfig, labels: &ByLabel) -> usize {
    if config.scheme == PartitionScheme::Natural { labels.len() } else { config.clients }
}

/// What no draw can mend.
fn check(config: &PartitionConfig, clients: usize, labels: &ByLabel, examples: usize) -> Result<(), DataError> {
    use PartitionScheme::{Dirichlet, Natural, Pathological, Quantity};
    let (scheme, per_client) = (config.scheme, config.classes_per_client);
    let bad = |message: String| Err(DataError::partition(message));
    let least = config.min_examples.max(1);
    if clients == 0 {
        return bad("there are no clients; `clients` must be at least 1".into());
    }
    if matches!(scheme, Dirichlet | Pathological | Natural) && config.key.is_none() {
        return bad("the scheme splits by a label; set `key` to `answer` or a tag of the card".into());
    }
    if matches!(scheme, Dirichlet | Quantity) && !(config.alpha.is_finite() && config.alpha > 0.0) {
        return bad(format!("`alpha` is {}; it must be a positive number", config.alpha));
    }
    if scheme != Natural && clients.saturating_mul(least) > examples {
        return bad(format!(
            "{clients} clients x {least} examples (`min_examples`) are more than the {examples} training examples; lower one of them"
        ));
    }
    if scheme == Pathological && (per_client == 0 || per_client > labels.len()) {
        return bad(format!("`classes_per_client` is {per_client}; it must be 1 to {}, the number of labels", labels.len()));
    }
    if scheme == Pathological && clients.saturating_mul(per_client) < labels.len() {
        return bad(format!(
            "{clients} clients x {per_client} labels cover fewer than the {} labels; \
             raise `classes_per_client` to {} or `clients` to {}",
            labels.len(),
            labels.len().div_ceil(clients),
            labels.len().div_ceil(per_client)
        ));
    }
    Ok(())
}

/// Repeats the draw until every client has enough.
fn draw_train(config: &PartitionConfig, seed: Seed, clients: usize, labels: &ByLabel) -> Result<Shards, DataError> {
    let least = config.min_examples.max(1);
    let random = !matches!(config.scheme, PartitionScheme::Natural | PartitionScheme::Iid);
    let attempts = if random { MAX_ATTEMPTS } else { 1 };
    let mut shards = Shards::new();
    for attempt in 0..attempts {
        shards = deal(config, &mut seed.index("partition", attempt), clients, labels);
        if shards.iter().all(|shard| shard.len() >= least) {
            return Ok(shards);
        }
    }
    let (client, shard) =
        shards.iter().enumerate().find(|(_, shard)| shard.len() < least).expect("the last attempt had a client with too few");
    Err(too_few(config, labels, client, shard.len(), attempts))
}

fn too_few(config: &PartitionConfig, labels: &ByLabel, client: usize, size: usize, attempts: usize) -> DataError {
    let least = config.min_examples.max(1);
    let (who, remedy) = match config.scheme {
        PartitionScheme::Natural => {
            let label = labels.keys().nth(client).map_or("", String::as_str);
            (format!("client {client} (`{}`)", brief(label)), "lower `min_examples` or choose another `key`")
        }
        PartitionScheme::Pathological => {
            (format!("client {client}"), "raise `classes_per_client`, or lower `clients` or `min_examples`")
        }
        _ => (format!("client {client}"), "raise `alpha`, or lower `clients` or `min_examples`"),
    };
    DataError::partition(format!(
        "{who} has {size} training examples, fewer than {least} (`min_examples`, at least 1), after {attempts} draws; {remedy}"
    ))
}

fn deal(config: &PartitionConfig, stream: &mut Stream, clients: usize, labels: &ByLabel) -> Shards {
    let mut shards = match config.scheme {
        PartitionScheme::Iid => by_shares(pooled(labels), &vec![1.0; clients], stream),
        PartitionScheme::Quantity => {
            let shares = stream.dirichlet(config.alpha, clients);
            by_shares(pooled(labels), &shares, stream)
        }
        PartitionScheme::Dirichlet => {
            by_label_shares(labels, clients, stream, |stream, _| stream.dirichlet(config.alpha, clients))
        }
        PartitionScheme::Pathological => {
            let holders = holders(config.classes_per_client, clients, labels.len(), stream);
            by_label_shares(labels, clients, stream, |_, label| holders[label].clone())
        }
        PartitionScheme::Natural => labels.values().cloned().collect(),
    };
    shards.iter_mut().for_each(|shard| shard.sort_unstable());
    shards
}

fn pooled(labels: &ByLabel) -> Vec<usize> {
    let mut all: Vec<usize> = labels.values().flatten().copied().collect();
    all.sort_unstable();
    all
}

/// Deals each label's examples by shares of its own (`shares(stream, label's position)`, one share per client).
fn by_label_shares(
    labels: &ByLabel,
    clients: usize,
    stream: &mut Stream,
    shares: impl Fn(&mut Stream, usize) -> Vec<f64>,
) -> Shards {
    let mut shards = vec![Vec::new(); clients];
    for (position, examples) in labels.values().enumerate() {
        let shares = shares(stream, position);
        let parts = by_shares(examples.clone(), &shares, stream);
        shards.iter_mut().zip(parts).for_each(|(shard, part)| shard.extend(part));
    }
    shards
}

/// For every label, share 1 for each client that holds it: a shuffled deck of labels is dealt round and round.
fn holders(per_client: usize, clients: usize, labels: usize, stream: &mut Stream) -> Vec<Vec<f64>> {
    let mut deck: Vec<usize> = (0..labels).collect();
    stream.shuffle(&mut deck);
    let mut order: Vec<usize> = (0..clients).collect();
    stream.shuffle(&mut order);
    let mut holders = vec![vec![0.0; clients]; labels];
    for slot in 0..clients * per_client {
        holders[deck[slot % labels]][order[slot / per_client]] = 1.0;
    }
    holders
}

/// Shuffles examples and cuts them into parts in proportion to the shares.
fn by_shares(mut examples: Vec<usize>, shares: &[f64], stream: &mut Stream) -> Shards {
    stream.shuffle(&mut examples);
    let mut rest = examples.into_iter();
    apportion(rest.len(), shares, stream).into_iter().map(|count| rest.by_ref().take(count).collect()).collect()
}

/// Whole numbers that add up to `total`, in proportion to the shares, by largest remainder; equal remainders in random order.
fn apportion(total: usize, shares: &[f64], stream: &mut Stream) -> Vec<usize> {
    let sum: f64 = shares.iter().sum();
    let exact: Vec<f64> = shares.iter().map(|share| share / sum * total as f64).collect();
    let mut counts: Vec<usize> = exact.iter().map(|part| part.floor() as usize).collect();
    let mut order: Vec<usize> = (0..shares.len()).filter(|&client| shares[client] > 0.0).collect();
    stream.shuffle(&mut order);
    order.sort_by(|&a, &b| (exact[b] - exact[b].floor()).total_cmp(&(exact[a] - exact[a].floor())));
    let left = total.saturating_sub(counts.iter().sum());
    order.iter().cycle().take(left).for_each(|&client| counts[client] += 1);
    counts
}

/// Deals test examples: per label in the proportions of the training examples; labels that no client trains on, round-robin.
fn follow(labels: &ByLabel, train_shards: &Shards, test_labels: &ByLabel, seed: Seed) -> Shards {
    let stream = &mut seed.stream("partition-test");
    let mut shards: Shards = vec![Vec::new(); train_shards.len()];
    let mut unseen = Vec::new();
    for (label, examples) in test_labels {
        let Some(trained) = labels.get(label) else {
            unseen.extend(examples);
            continue;
        };
        let parts = by_shares(examples.clone(), &counts(trained, train_shards), stream);
        shards.iter_mut().zip(parts).for_each(|(shard, part)| shard.extend(part));
    }
    stream.shuffle(&mut unseen);
    let clients = shards.len();
    unseen.into_iter().enumerate().for_each(|(turn, example)| shards[turn % clients].push(example));
    shards.iter_mut().for_each(|shard| shard.sort_unstable());
    shards
}

/// How many of these examples each client has (shards are sorted).
fn counts(examples: &[usize], shards: &Shards) -> Vec<f64> {
    let of = |shard: &Vec<usize>| examples.iter().filter(|example| shard.binary_search(example).is_ok()).count();
    shards.iter().map(|shard| of(shard) as f64).collect()
}
