//! A table from what a comment asks for and the runs it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schema::metrics::{Optional, Reported, Unit};

use super::wanted::{Column, Row, Wanted};
use crate::blocks::Table;
use crate::format::{self, NOTHING};
use crate::paired::{self, Paired};
use crate::stats::Stat;
use crate::{Group, Report, ReportError, Run};

/// Reports that were read already, by what was read.
#[derive(Debug, Default)]
pub struct Read(BTreeMap<Vec<PathBuf>, Report>);

impl Read {
    fn ensure(&mut self, folder: &Path, runs: &[PathBuf]) -> Result<(), ReportError> {
        if !self.0.contains_key(runs) {
            let places: Vec<PathBuf> = runs.iter().map(|run| folder.join(run)).collect();
            self.0.insert(runs.to_vec(), Report::read(&places)?);
        }
        Ok(())
    }

    /// Runs that were written before there were manifests.
    pub fn unverified(&self) -> usize {
        self.0.values().map(|report| report.unverified).sum()
    }
}

/// A cell before it is written: differences are corrected for their number over the whole table first.
enum Cell {
    /// Nobody ran it.
    Missing,
    Text(String),
    Difference(Paired),
}

/// Makes a table whose runs lie below `folder`; on failure, what in the comment is wrong.
pub fn table(wanted: &Wanted, folder: &Path, read: &mut Read) -> Result<Table, String> {
    if wanted.rows.is_empty() || wanted.columns.is_empty() {
        return Err("expected at least one of `rows` and one of `columns`".into());
    }
    // Columns are held against rows by their titles.
    if let Some(title) = schema::twice(wanted.rows.iter().map(Row::title)) {
        return Err(format!("row `{title}` is there twice"));
    }
    let mut cells: Vec<Vec<Cell>> = wanted.rows.iter().map(|_| Vec::new()).collect();
    let mut guesses: [Vec<String>; 2] = Default::default();
    for column in &wanted.columns {
        let runs = column.runs.as_ref().unwrap_or(&wanted.runs);
        if runs.is_empty() {
            return Err(format!("column `{}` has no `runs`, nor has the table", column.title));
        }
        read.ensure(folder, runs).map_err(|error| error.to_string())?;
        let of_column = OfColumn { wanted, column, report: &read.0[runs] };
        of_column.check()?;
        for (row, cells) in wanted.rows.iter().zip(&mut cells) {
            cells.push(of_column.cell(row)?);
        }
        for (guess, number) in guesses.iter_mut().zip([Reported::ChanceAccuracy, Reported::MajorityAccuracy]) {
            let has = wanted.guesses && column.metric == "accuracy" && column.against.is_none();
            guess.push(if has { of_column.guess(number)? } else { NOTHING.into() });
        }
    }
    let differences = cells.iter_mut().flatten().filter_map(|cell| match cell {
        Cell::Difference(paired) => Some(paired),
        Cell::Missing | Cell::Text(_) => None,
    });
    paired::correct(&mut differences.collect::<Vec<_>>());
    check_rows(wanted, &cells)?;
    let titled = |title: &str, cells: Vec<String>| std::iter::once(title.to_owned()).chain(cells).collect();
    let rows = wanted.rows.iter().zip(cells).map(|(row, cells)| titled(row.title(), cells.into_iter().map(written).collect()));
    let guesses = ["chance", "majority"].into_iter().zip(guesses).filter(|_| wanted.guesses);
    Ok(Table {
        text_columns: 1,
        header: titled(&wanted.head, wanted.columns.iter().map(|column| column.title.clone()).collect()),
        rows: rows.chain(guesses.map(|(title, cells)| titled(title, cells))).collect(),
        ..Table::default()
    })
}

/// A row of nothing is a misspelt one.
fn check_rows(wanted: &Wanted, cells: &[Vec<Cell>]) -> Result<(), String> {
    let is_missing = |cell: &Cell| matches!(cell, Cell::Missing);
    let empty = wanted.rows.iter().zip(cells).find(|(_, cells)| cells.iter().all(is_missing));
    empty.map_or(Ok(()), |(row, _)| Err(format!("row `{}`: no run is of method `{}` so", row.title(), row.method())))
}

fn written(cell: Cell) -> String {
    match cell {
        Cell::Missing => NOTHING.into(),
        Cell::Text(text) => text,
        Cell::Difference(paired) => {
            let points = paired.difference.map_or(NOTHING.into(), format::points);
            paired.p_holm.map_or(points.clone(), |p| format!("{points} (p {})", short(p)))
        }
    }
}

/// A p-value with as many digits as a table has room for.
fn short(p: f64) -> String {
    match p {
        p if p < 1e-3 => format::p_value(p),
        p if p < 0.01 => format!("{p:.3}"),
        p => format!("{p:.2}"),
    }
}

/// A column and the report that it is of.
struct OfColumn<'a> {
    wanted: &'a Wanted,
    column: &'a Column,
    report: &'a Report,
}

impl OfColumn<'_> {
    fn cell(&self, row: &Row) -> Result<Cell, String> {
        let Some(group) = self.group(row)? else { return Ok(Cell::Missing) };
        let Some(against) = &self.column.against else { return self.number(group).map(Cell::Text) };
        if against == row.title() {
            return Ok(Cell::Text(NOTHING.into()));
        }
        let rows = &self.wanted.rows;
        let reference = rows.iter().find(|row| row.title() == against);
        let reference = reference.ok_or_else(|| {
            let titles: Vec<&str> = schema::nearest(against, rows.iter().map(Row::title));
            format!("column `{}`: no row `{against}`; nearest first, there are: {}", self.column.title, titles.join(", "))
        })?;
        let Some(reference) = self.group(reference)? else { return Ok(Cell::Missing) };
        let [runs, reference] = [group, reference].map(|group| self.runs(group));
        match self.column.metric.as_str() {
            "accuracy" => Ok(Cell::Difference(Paired::new(&runs, &reference))),
            _ => self.difference(&runs, &reference).map(Cell::Text),
        }
    }

    /// The difference of another fraction than accuracy, seed by seed; nothing tests it.
    fn difference(&self, runs: &[&Run], reference: &[&Run]) -> Result<String, String> {
        let (title, metric) = (&self.column.title, &self.column.metric);
        let is_it = |number: &&Reported| number.row().name == metric && number.row().unit == Unit::Fraction;
        let number = Reported::ALL.iter().find(is_it);
        let number =
            number.ok_or_else(|| format!("column `{title}`: `{metric}` is no fraction, of which a difference is in points"))?;
        let pairs = paired::shared_seeds(runs, reference);
        let by_seed: Vec<f64> = pairs.iter().map(|(a, b)| number.of(&a.summary) - number.of(&b.summary)).collect();
        Ok(Stat::of(&by_seed).map_or(NOTHING.into(), format::points))
    }

    fn runs(&self, group: &Group) -> Vec<&Run> {
        group.runs.iter().map(|&run| &self.report.runs[run]).collect()
    }

    /// The one group of a row; none where nobody ran it.
    fn group(&self, row: &Row) -> Result<Option<&Group>, String> {
        let groups: Vec<&Group> = self.groups().filter(|group| is_of(group, row.method())).collect();
        let groups: Vec<&Group> = groups.into_iter().filter(|group| self.has(group, row.keys())).collect();
        match &*groups {
            [] => Ok(None),
            [group] => Ok(Some(group)),
            several => {
                let labels: Vec<String> = several.iter().map(|group| format!("{} on {}", group.label(), group.dataset)).collect();
                let (row, column) = (row.title(), &self.column.title);
                Err(format!(
                    "row `{row}`, column `{column}`: {} configurations fit, expected one; `dataset` or `where` chooses: {}",
                    several.len(),
                    labels.join("; ")
                ))
            }
        }
    }

    /// All groups of the column.
    fn groups(&self) -> impl Iterator<Item = &Group> {
        let of_dataset = |group: &&Group| self.column.dataset.as_ref().is_none_or(|dataset| *dataset == group.dataset);
        self.report.groups.iter().filter(of_dataset).filter(|group| self.has(group, self.column.r#where.iter()))
    }

    fn has<'k>(&self, group: &Group, mut keys: impl Iterator<Item = (&'k String, &'k String)>) -> bool {
        keys.all(|(key, value)| self.value(group, key).is_some_and(|found| found == *value))
    }

    /// A key's value; none of a key that the runs do not have.
    fn value(&self, group: &Group, key: &str) -> Option<String> {
        match key {
            // What trained, also where the method chose it.
            "adapter" => Some(group.adapter.clone()),
            key => self.report.runs[group.runs[0]].value(key),
        }
    }

    /// A dataset, key or value that no run has is a misspelt one.
    fn check(&self) -> Result<(), String> {
        let (title, groups) = (&self.column.title, &self.report.groups);
        let missing = |what: String, wanted: &str, there: BTreeSet<String>| {
            let nearest: Vec<&str> = schema::nearest(wanted, there.iter().map(String::as_str)).into_iter().take(SHOWN).collect();
            format!("column `{title}`: no run has {what}; nearest first, there are: {}", nearest.join(", "))
        };
        if let Some(dataset) = &self.column.dataset {
            let there: BTreeSet<String> = groups.iter().map(|group| group.dataset.clone()).collect();
            if !there.contains(dataset) {
                return Err(missing(format!("the dataset `{dataset}`"), dataset, there));
            }
        }
        for (key, value) in &self.column.r#where {
            let there: BTreeSet<String> = groups.iter().filter_map(|group| self.value(group, key)).collect();
            if there.is_empty() {
                let keys = self.report.runs.iter().flat_map(|run| run.settings.keys().cloned());
                return Err(missing(format!("a key `{key}`"), key, keys.chain(["adapter".to_owned()]).collect()));
            }
            if !there.contains(value) {
                return Err(missing(format!("`{key} = {value}`"), value, there));
            }
        }
        Ok(())
    }

    fn number(&self, group: &Group) -> Result<String, String> {
        let always = Reported::ALL.iter().find(|number| number.row().name == self.column.metric);
        if let Some(&number) = always {
            return Ok(shown(number.row().unit, group.stat(number)));
        }
        let some = Optional::ALL.iter().find(|number| number.row().name == self.column.metric);
        if let Some(&number) = some {
            return Ok(group.optional(number).map_or(NOTHING.into(), |stat| shown(number.row().unit, stat)));
        }
        let names = Reported::ALL.iter().map(|number| number.row().name);
        let names = names.chain(Optional::ALL.iter().map(|number| number.row().name));
        let nearest = schema::nearest(&self.column.metric, names).join(", ");
        let (title, metric) = (&self.column.title, &self.column.metric);
        Err(format!("column `{title}`: no metric `{metric}`; nearest first, there are: {nearest}"))
    }

    /// What guessing would reach, where all configurations of the column agree on it.
    fn guess(&self, number: Reported) -> Result<String, String> {
        let mut said: Vec<String> = self.groups().map(|group| format!("{:.1}", 100.0 * group.stat(number).mean)).collect();
        said.dedup();
        match &*said {
            [one] => Ok(one.clone()),
            [] => Err(format!("column `{}`: no run fits", self.column.title)),
            several => Err(format!("column `{}`: {} is {} at once", self.column.title, number.row().name, several.join(" and "))),
        }
    }
}

/// Whether a group is of a method: by its name, or as the method on a kind of adapters, where the pair has a name of its own.
fn is_of(group: &Group, method: &str) -> bool {
    let pair = group.method.strip_prefix(method).and_then(|rest| rest.strip_prefix('-'));
    group.method == method || pair == Some(&group.adapter)
}

/// Alternatives that a message names.
const SHOWN: usize = 8;

fn shown(unit: Unit, stat: Stat) -> String {
    match unit {
        Unit::Fraction => format::percent(stat),
        Unit::Bytes => format::exact(stat, format::bytes),
        Unit::Parameters | Unit::Flops => format::exact(stat, format::count),
        _ => format::exact(stat, |value| format!("{value:.1}")),
    }
}
