//! Accuracy by kind of example: by subject, sub-task, skill, or whatever else a dataset's card breaks down by.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Report, Stat};

/// A dataset's kinds of example, told apart by one tag of its card.
#[derive(Debug)]
pub struct Tag<'a> {
    /// The dataset's name.
    pub dataset: &'a str,
    /// What tells its kinds apart: `subject`, `skill`.
    pub tag: &'a str,
    /// The kinds, by name.
    pub kinds: Vec<Kind<'a>>,
    /// Whose accuracies are known: places in [`Report::groups`].
    pub groups: Vec<usize>,
}

/// Examples of a kind.
#[derive(Debug)]
pub struct Kind<'a> {
    /// The tag's value: `counting`.
    pub value: &'a str,
    /// How many test examples are of it; none where no run says, or runs do not agree.
    pub examples: Option<usize>,
    /// Accuracy over seeds, by group.
    pub by_group: ByGroup,
}

/// Statistics of groups: places in [`Report::groups`].
type ByGroup = BTreeMap<usize, Stat>;

/// Every dataset's tags.
pub fn tags(report: &Report) -> Vec<Tag<'_>> {
    let mut found: BTreeMap<(&str, &str), BTreeMap<&str, ByGroup>> = BTreeMap::new();
    for (index, group) in report.groups.iter().enumerate() {
        for (kind, stat) in &group.accuracy_by_kind {
            let Some((tag, value)) = kind.split_once('=') else { continue };
            found.entry((&group.dataset, tag)).or_default().entry(value).or_default().insert(index, *stat);
        }
    }
    let of_tag = |((dataset, tag), values): ((_, _), BTreeMap<_, ByGroup>)| {
        let groups: BTreeSet<usize> = values.values().flat_map(|by_group| by_group.keys().copied()).collect();
        let kind = |(value, by_group)| Kind { value, examples: examples(report, dataset, &format!("{tag}={value}")), by_group };
        Tag { dataset, tag, kinds: values.into_iter().map(kind).collect(), groups: groups.into_iter().collect() }
    };
    found.into_iter().map(of_tag).collect()
}

/// How many of a dataset's test examples are of a kind; none where no run says, or runs do not agree.
fn examples(report: &Report, dataset: &str, kind: &str) -> Option<usize> {
    let runs = report.runs.iter().filter(|run| run.summary.dataset == dataset);
    let counts: BTreeSet<usize> = runs.filter_map(|run| run.recorded.examples_of_kind.get(kind)).map(|n| *n as usize).collect();
    counts.first().copied().filter(|_| counts.len() == 1)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn kinds_are_methods_by_values() {
        let root = TempDir::new().expect("a folder");
        for (seed, accuracy) in [(1, 0.4), (2, 0.6)] {
            let records = vec![
                (2, None, "accuracy/skill=counting", accuracy),
                (2, None, "examples/skill=counting", 7.0),
                (2, None, "accuracy/skill=time", 1.0),
            ];
            let fixture = Fixture::new("icongen", "fednano", seed, 0.5);
            Fixture { records, ..fixture }.write(root.path());
            Fixture::new("icongen", "local", seed, 0.5).write(root.path());
        }
        let report = Report::read(&[root.path().into()]).expect("readable runs");
        let markdown = report.markdown();
        let header = "| method  | counting (% ↑, n = 7) |";
        assert!(markdown.contains("### icongen by skill\n") && markdown.contains(header), "{markdown}");
        assert!(markdown.contains("| fednano |           50.0 ± 14.1 |"), "{markdown}");
        let csv = report.breakdowns_csv();
        assert_eq!(csv.lines().count(), 3, "{csv}");
        assert!(csv.contains(",skill,counting,7,0.5,0.1414213562373"), "{csv}");
        assert!(csv.contains(",skill,time,,1,0,2\n"), "{csv}");
    }
}
