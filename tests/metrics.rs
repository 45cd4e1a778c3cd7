//! Do the files of runs say what the table of metrics (`schema::metrics`) says?

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schema::metrics::{Metric, Per, Rule};
use schema::{Record, Summary, run_dir};

use crate::support::Test;

/// The runs that are kept for the gate's own test.
fn kept() -> Result<Vec<PathBuf>> {
    fs::read_dir(crate::kept::folders())?.map(|entry| Ok(entry?.path())).collect()
}

/// `records.parquet`, row by row.
pub fn records(run: &Path) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(run.join(run_dir::RECORDS))?)?.build()? {
        records.extend(rows(&batch?)?);
    }
    Ok(records)
}

fn rows(batch: &RecordBatch) -> Result<Vec<Record>> {
    let column = |name: &str| batch.column_by_name(name).with_context(|| format!("no column {name}"));
    let [round, client] = [column("round")?.as_primitive::<UInt32Type>(), column("client")?.as_primitive::<UInt32Type>()];
    let (metric, value) = (column("metric")?.as_string::<i32>(), column("value")?.as_primitive::<Float64Type>());
    let row = |row: usize| Record {
        round: round.value(row),
        client: client.is_valid(row).then(|| client.value(row)),
        metric: Metric::parse(metric.value(row)),
        value: value.value(row),
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

/// Line by line: the fields and their order, and to the last digit what each one's rule makes of the records.
#[test]
fn a_summary_follows_from_its_records() -> Test {
    let key = |line: &str| line.split(':').next().unwrap_or_default().trim().trim_matches('"').to_owned();
    for run in kept()? {
        let said = fs::read_to_string(run.join(run_dir::SUMMARY))?;
        let summary: Summary = serde_json::from_str(&said)?;
        let found = serde_json::to_string_pretty(&Summary::new(summary.beside(), &records(&run)?))?;
        assert!(said.lines().map(key).eq(found.lines().map(key)), "{}: {said}{found}", run.display());
        // What does not follow was read here, which may cost a number its last digit.
        let follows = |line: &&str| Summary::RULES.iter().any(|(field, ..)| *field == key(line));
        let [said, found] = [&said, &found].map(|text| text.lines().filter(follows).collect::<Vec<_>>());
        assert!(said == found && said.len() > 10, "{}: {said:?} {found:?}", run.display());
    }
    Ok(())
}

/// Every rule looks at its metric: where the last value of that is another one, the field is.
#[test]
fn what_follows_follows() -> Test {
    let run = kept()?.into_iter().next().context("no run is kept")?;
    let (summary, all): (Summary, _) = (serde_json::from_slice(&fs::read(run.join(run_dir::SUMMARY))?)?, records(&run)?);
    for (field, rule, metric) in Summary::RULES {
        let mut changed = all.clone();
        match changed.iter_mut().rfind(|record| record.metric == *metric) {
            Some(record) if *rule == Rule::Sum => record.value += 2.0,
            Some(record) => record.value -= 2.0,
            None => changed.push(Record { round: 1, client: None, metric: metric.clone(), value: 1.0 }),
        }
        if *field == "clients_judged" {
            changed.retain(|record| record.metric != *metric || record.client == Some(0));
        }
        let found = serde_json::to_value(Summary::new(summary.beside(), &changed))?;
        let before = serde_json::to_value(&summary)?;
        assert_ne!(found.get(*field), before.get(*field), "{field} is {rule:?} of {metric:?}");
    }
    Ok(())
}

#[test]
fn records_are_of_whom_the_table_says() -> Test {
    for run in kept()? {
        for record in records(&run)? {
            let row = record.metric.row().with_context(|| format!("{:?} has no row", record.metric))?;
            let per = if record.client.is_some() { Per::Client } else { Per::Federation };
            assert_eq!(row.per, Some(per), "{}: {}", run.display(), row.name);
        }
    }
    Ok(())
}
