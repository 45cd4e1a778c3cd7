//! What a backbone that answers by class needs of the training rows: what its classes stand for, and which rows it can learn from.

use data::{Example, ShardIndices};
use federation::registry::MethodRow;
use models::Spec;
use models::adapter::AdapterSpec;
use schema::Scope;
use schema::partition::Partition;
use tasks::Tasks;
use tasks::classes::{Heads, Right};

use crate::{Error, Result};

/// Training rows, whose they are, and how that is saved.
pub(crate) struct Rows<'a> {
    pub(crate) train: &'a mut Vec<Example>,
    pub(crate) shards: &'a mut [ShardIndices],
    pub(crate) partition: &'a mut Partition,
    pub(crate) test: &'a [Example],
}

/// What classes stand for, and the right class of every training row.
pub(crate) struct ByClass {
    pub(crate) heads: Heads,
    pub(crate) rights: Vec<Right>,
    /// What is left out, in words.
    pub(crate) doubts: Vec<String>,
}

impl ByClass {
    /// Of a backbone that answers by class; nothing of another. Training rows that no class is right of are taken out.
    pub(crate) fn of(spec: &Spec, adapter: &AdapterSpec, tasks: &Tasks, mut rows: Rows) -> Result<Option<Self>> {
        if spec.encoder.is_none() {
            return Ok(None);
        }
        let trained: Vec<Vec<usize>> = rows.shards.iter().map(|shard| shard.train.clone()).collect();
        let heads = Heads::new(adapter, rows.train, &trained)?;
        let width = adapter.head.as_ref().and_then(models::adapter::Head::classes).unwrap_or_default();
        let rights = rights(&heads, rows.train, &trained, tasks, width)?;
        let doubts = doubts(&heads, &rights, &rows, tasks, width)?;
        let rights = rows.keep(rights);
        Ok(Some(Self { heads, rights, doubts }))
    }
}

/// Refuses a method that trains nothing on a backbone whose answers are a trained head's.
pub(crate) fn check(spec: &Spec, row: &MethodRow) -> Result<()> {
    match spec.encoder.is_some() && row.scope == Scope::Nothing {
        true => Err(Error::Usage(format!(
            "method `{}` trains nothing, and backbone `{}` answers by class with a head that nobody has trained then: take another method",
            row.name, spec.name
        ))),
        false => Ok(()),
    }
}

/// The right class of every training row, by whoever has it; none of what nobody has, or no class is right of.
fn rights(heads: &Heads, train: &[Example], shards: &[Vec<usize>], tasks: &Tasks, width: usize) -> Result<Vec<Option<Right>>> {
    let mut rights = vec![None; train.len()];
    for (client, shard) in shards.iter().enumerate() {
        let classes = heads.by(Some(client))?;
        for &place in shard {
            rights[place] = classes.right(&train[place], tasks, width)?;
        }
    }
    Ok(rights)
}

/// Of each client, how many rows have answers that are none of its classes.
fn doubts(heads: &Heads, rights: &[Option<Right>], rows: &Rows, tasks: &Tasks, width: usize) -> Result<Vec<String>> {
    let mut doubts = Vec::new();
    for (client, shard) in rows.shards.iter().enumerate() {
        let classes = heads.by(Some(client))?;
        let left_out = shard.train.iter().filter(|&&place| rights[place].is_none()).count();
        let mut beyond = 0;
        for &place in &shard.test {
            beyond += usize::from(classes.right(&rows.test[place], tasks, width)?.is_none());
        }
        if left_out + beyond > 0 {
            doubts.push(format!(
                "client {client}: {left_out} of {} training rows are not trained on, and {beyond} of {} test rows cannot be answered right: \
                 their answers are not among the {} most frequent, which are the head's classes (`adapter.classes`)",
                shard.train.len(),
                shard.test.len(),
                classes.answers().len()
            ));
        }
    }
    Ok(doubts)
}

impl Rows<'_> {
    /// Takes out the training rows without a right class, and says those of the others.
    fn keep(&mut self, rights: Vec<Option<Right>>) -> Vec<Right> {
        let mut new = Vec::with_capacity(rights.len());
        let mut kept = 0;
        for right in &rights {
            new.push(right.is_some().then_some(kept));
            kept += usize::from(right.is_some());
        }
        let mut place = 0;
        let mut left_out = std::collections::BTreeSet::new();
        self.train.retain(|example| {
            let is_kept = rights[place].is_some();
            if !is_kept {
                left_out.insert(example.id.clone());
            }
            place += 1;
            is_kept
        });
        for shard in self.shards.iter_mut() {
            shard.train = shard.train.iter().filter_map(|&place| new[place]).collect();
        }
        self.partition.shards.iter_mut().for_each(|shard| shard.train.retain(|id| !left_out.contains(id)));
        rights.into_iter().flatten().collect()
    }
}
