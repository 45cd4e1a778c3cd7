//! Which example belongs to which client: drawn, saved, read back, tabulated.

mod draw;
mod shard;
mod table;

use std::collections::BTreeMap;
use std::path::Path;

use schema::experiment::{PartitionConfig, PartitionScheme};
use schema::partition::Partition;

use super::error::{brief, listed};
use super::{DataError, Example};

pub use draw::draw;
pub use shard::ShardIndices;
pub use table::{LabelTable, label_table};

/// Bytes of a saved partition, at most: ten million ids.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// Clients of one, at most: as many as examples is the most that makes sense.
const MAX_CLIENTS: usize = 1_000_000;

/// Reads a saved partition (JSON) and checks its hash.
pub fn load(path: &Path) -> Result<Partition, DataError> {
    let bad = |message: String| DataError::PartitionFile { path: path.into(), message };
    let text = guard::files::read(path, MAX_FILE_BYTES).map_err(DataError::file(path))?;
    let not_one =
        |error: serde_json::Error| bad(format!("not a saved partition: {}", guard::text::line(&error.to_string(), 300)));
    let partition: Partition = serde_json::from_slice(&text).map_err(not_one)?;
    match partition.shards.len() {
        0 => return Err(bad("it has no client; draw it again".into())),
        count if count > MAX_CLIENTS => return Err(bad(format!("it has {count} clients; the limit is {MAX_CLIENTS}"))),
        _ => {}
    }
    if let Some(client) = partition.shards.iter().position(|shard| shard.train.is_empty()) {
        return Err(bad(format!("client {client} has no training example; draw it again")));
    }
    let found = Partition::hash_of(&partition.shards);
    if found != partition.hash {
        return Err(bad(format!(
            "the shards' hash is {found}, but the file says {}: it was changed by hand; draw it again",
            brief(&partition.hash)
        )));
    }
    Ok(partition)
}

/// An error where a saved partition is another than an experiment says: of other data, or drawn otherwise. What an experiment leaves
/// at its default is not known to be meant.
pub fn check(partition: &Partition, path: &Path, config: &PartitionConfig, dataset: &str) -> Result<(), DataError> {
    let bad = |message: String| Err(DataError::PartitionFile { path: path.into(), message });
    if partition.dataset != dataset {
        return bad(format!(
            "it was drawn for dataset `{}`, not for `{}`; draw one for this dataset",
            brief(&partition.dataset),
            brief(dataset)
        ));
    }
    let (drawn, default) = (&partition.config, PartitionConfig::default());
    let key = |config: &PartitionConfig| config.key.clone().unwrap_or_default();
    let clients = partition.shards.len();
    let name = |scheme: PartitionScheme| format!("{scheme:?}").to_lowercase();
    let said = [
        ("clients", config.clients != default.clients, config.clients.to_string(), clients.to_string()),
        ("scheme", config.scheme != default.scheme, name(config.scheme), name(drawn.scheme)),
        ("key", config.key.is_some() && drawn.key.is_some(), key(config), key(drawn)),
        (
            "min_examples",
            config.min_examples != default.min_examples,
            config.min_examples.to_string(),
            drawn.min_examples.to_string(),
        ),
    ];
    match said.into_iter().find(|(_, given, wanted, found)| *given && wanted != found) {
        Some((key, _, wanted, found)) => bad(format!(
            "`partition.{key}` of the experiment is `{}`, but that of this partition is `{}`; leave it out, or draw another",
            brief(&wanted),
            brief(&found)
        )),
        None => Ok(()),
    }
}

/// Writes a partition (JSON): aside first, then renamed, so that no half-written file is ever seen.
pub fn save(partition: &Partition, path: &Path) -> Result<(), DataError> {
    let json = serde_json::to_vec_pretty(partition).expect("a partition is plain data");
    guard::files::write_unlocked(path, &json).map_err(DataError::file(path))
}

/// Finds a partition's ids among the examples; an error unless it is a disjoint cover of both splits.
pub fn resolve(partition: &Partition, train: &[Example], test: &[Example]) -> Result<Vec<ShardIndices>, DataError> {
    let train_ids: Vec<&[String]> = partition.shards.iter().map(|shard| shard.train.as_slice()).collect();
    let test_ids: Vec<&[String]> = partition.shards.iter().map(|shard| shard.test.as_slice()).collect();
    let train = indices("train", &train_ids, train)?;
    let test = indices("test", &test_ids, test)?;
    Ok(train.into_iter().zip(test).map(|(train, test)| ShardIndices { train, test }).collect())
}

fn indices(split: &str, shards: &[&[String]], examples: &[Example]) -> Result<Vec<Vec<usize>>, DataError> {
    let known: BTreeMap<&str, usize> = examples.iter().enumerate().map(|(index, example)| (example.id.as_str(), index)).collect();
    let mut owner: Vec<Option<usize>> = vec![None; examples.len()];
    let mut found = Vec::with_capacity(shards.len());
    for (client, ids) in shards.iter().enumerate() {
        let mut shard = Vec::with_capacity(ids.len());
        for id in *ids {
            let index = *known.get(id.as_str()).ok_or_else(|| unknown(split, client, id, examples))?;
            if let Some(other) = owner[index].replace(client) {
                let message = format!("{split} example `{}` belongs to client {other} and again to client {client}", brief(id));
                return Err(DataError::partition(message));
            }
            shard.push(index);
        }
        found.push(shard);
    }
    let uncovered: Vec<&Example> =
        examples.iter().zip(&owner).filter(|(_, owner)| owner.is_none()).map(|(example, _)| example).collect();
    match uncovered.first() {
        None => Ok(found),
        Some(first) => Err(DataError::partition(format!(
            "{} of {} {split} examples belong to no client, the first is `{}`; \
             use the dataset, limits and seed that the partition was drawn with",
            uncovered.len(),
            examples.len(),
            brief(&first.id)
        ))),
    }
}

fn unknown(split: &str, client: usize, id: &str, examples: &[Example]) -> DataError {
    let nearest = schema::nearest(id, examples.iter().map(|example| example.id.as_str()));
    let nearest = listed(id, nearest.into_iter().take(3));
    DataError::partition(format!(
        "{split} example `{}` of client {client} is not in the data (nearest: {nearest}); \
         use the dataset, limits and seed that the partition was drawn with",
        brief(id)
    ))
}

#[cfg(test)]
mod tests;
