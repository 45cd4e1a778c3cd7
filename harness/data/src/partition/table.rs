//! Clients x labels: what a person looks at before believing a partition.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Example;
use super::shard::ShardIndices;

/// Label columns that the terminal shows; the rest are summed as "other".
const SHOWN: usize = 12;

/// How many training examples of each label each client has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelTable {
    /// What the labels are values of.
    pub key: String,
    /// The labels, most frequent first.
    pub labels: Vec<String>,
    /// One row per client, in client-id order.
    pub clients: Vec<ClientLabels>,
}

/// One client's row of a [`LabelTable`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientLabels {
    /// Training examples.
    pub train: usize,
    /// Test examples.
    pub test: usize,
    /// Training examples of each label, in the table's order.
    pub counts: Vec<usize>,
}

/// Counts labels per client; an example without the key counts as "".
pub fn label_table(shards: &[ShardIndices], train: &[Example], key: &str) -> LabelTable {
    let label = |index: &usize| train[*index].label(key).unwrap_or_default();
    let mut totals: BTreeMap<String, usize> = BTreeMap::new();
    for index in shards.iter().flat_map(|shard| &shard.train) {
        *totals.entry(label(index)).or_default() += 1;
    }
    let mut labels: Vec<String> = totals.keys().cloned().collect();
    labels.sort_by_key(|label| std::cmp::Reverse(totals[label]));
    let place: BTreeMap<&str, usize> = labels.iter().enumerate().map(|(place, label)| (label.as_str(), place)).collect();
    let row = |shard: &ShardIndices| {
        let mut counts = vec![0; labels.len()];
        shard.train.iter().for_each(|index| counts[place[label(index).as_str()]] += 1);
        ClientLabels { train: shard.train.len(), test: shard.test.len(), counts }
    };
    let clients = shards.iter().map(row).collect();
    LabelTable { key: key.into(), labels, clients }
}

impl LabelTable {
    /// The table's cells: a head, a row per client, totals.
    fn cells(&self) -> Vec<Vec<String>> {
        let mut head = vec!["client".to_string(), "train".into(), "test".into()];
        head.extend(self.labels.iter().take(SHOWN).map(|label| shortened(label)));
        if self.labels.len() > SHOWN {
            head.push(format!("other ({})", self.labels.len() - SHOWN));
        }
        let mut rows = vec![head];
        rows.extend(self.clients.iter().enumerate().map(|(client, labels)| row(client.to_string(), labels)));
        rows.push(row("all".into(), &self.totals()));
        rows
    }

    fn totals(&self) -> ClientLabels {
        let column = |place: usize| self.clients.iter().map(|client| client.counts[place]).sum();
        ClientLabels {
            train: self.clients.iter().map(|client| client.train).sum(),
            test: self.clients.iter().map(|client| client.test).sum(),
            counts: (0..self.labels.len()).map(column).collect(),
        }
    }
}

fn row(name: String, labels: &ClientLabels) -> Vec<String> {
    let mut cells = vec![name, labels.train.to_string(), labels.test.to_string()];
    cells.extend(labels.counts.iter().take(SHOWN).map(usize::to_string));
    if labels.counts.len() > SHOWN {
        cells.push(labels.counts[SHOWN..].iter().sum::<usize>().to_string());
    }
    cells
}

fn shortened(label: &str) -> String {
    const LONGEST: usize = 16;
    match label.char_indices().nth(LONGEST) {
        _ if label.is_empty() => "(empty)".into(),
        Some((end, _)) => format!("{}…", &label[..end]),
        None => label.into(),
    }
}

impl fmt::Display for LabelTable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.cells();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
        writeln!(out, "training examples by {}", guard::text::line(&self.key, 100))?;
        for row in &rows {
            // Padded by hand: a width of `format!` ends at 65,535.
            let room = |cell: &str, width: usize| " ".repeat(width - cell.chars().count());
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{}{cell}", room(cell, *width))).collect();
            writeln!(out, "{}", cells.join("  "))?;
        }
        Ok(())
    }
}
