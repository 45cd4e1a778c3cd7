//! Everything that is reported about some runs, read.

use std::path::PathBuf;

use schema::manifest::Standing;

use crate::families::Families;
use crate::library::{self, Library, Material};
use crate::warnings::{self, Warning};
use crate::{Comparison, Group, ReportError, Run, Trust, aggregate, differences, mixed, paired, read};

/// Runs, what they come to together, and what casts doubt on it.
#[derive(Debug)]
pub struct Report {
    /// The runs, by dataset, method, setting and seed.
    pub runs: Vec<Run>,
    /// Runs that differ in nothing but the seed, in the order of the tables.
    pub groups: Vec<Group>,
    /// Each method against the reference of its dataset.
    pub comparisons: Vec<Comparison>,
    /// The accuracies of which it is said what it took to reach them, fractions; none where [`crate::targets`] chooses.
    pub targets: Vec<f64>,
    /// What casts doubt on the numbers.
    pub warnings: Vec<Warning>,
    /// How many run folders were written before there were manifests, so that nothing says whether they are as they were written.
    pub unverified: usize,
    /// What pictures and examples need beside the runs; nothing until [`Report::illustrate`].
    pub material: Material,
}

impl Report {
    /// Reads run folders and packs, or folders searched recursively for them; an error where one is not as it was written.
    pub fn read(dirs: &[PathBuf]) -> Result<Self, ReportError> {
        Self::read_with(dirs, Trust::Verified)
    }

    /// The same, with or without asking whether they are as they were written.
    pub fn read_with(dirs: &[PathBuf], trust: Trust) -> Result<Self, ReportError> {
        Self::read_known(dirs, trust, &Families::new())
    }

    /// The same by somebody who knows methods: theirs are the families that are told here.
    pub fn read_known(dirs: &[PathBuf], trust: Trust, known: &Families) -> Result<Self, ReportError> {
        let found = read::find(dirs)?;
        let mut runs = found.read(trust)?;
        assign_families(&mut runs, known);
        let unverified = runs.iter().filter(|run| run.standing == Some(Standing::Unverified)).count();
        let told_apart = differences::tell_apart(&mut runs);
        let mut runs = mixed::apart(runs, trust)?;
        differences::name_metrics(&mut runs);
        let (runs, repeats) = aggregate::sort_and_deduplicate(runs);
        let groups = aggregate::groups(&runs)?;
        let comparisons = paired::compare(&runs, &groups);
        let warnings = warnings::collect((&runs, &groups), &comparisons, &found.incomplete, &repeats, &told_apart);
        let (targets, material) = (Vec::new(), Material::default());
        Ok(Self { runs, groups, comparisons, targets, warnings, unverified, material })
    }

    /// Reads what pictures and examples need beside the runs: partitions, predictions, and what the library has of the data.
    pub fn illustrate(&mut self, library: &mut dyn Library) -> Result<(), ReportError> {
        self.material = library::collect(&self.runs, &self.groups, library)?;
        Ok(())
    }
}

/// Gives the runs of a method its family: the one that is known, or else one for all that its runs show.
fn assign_families(runs: &mut [Run], known: &Families) {
    let mut shown = Families::new();
    for run in runs.iter() {
        shown.entry(run.summary.method.clone()).and_modify(|family| *family = run.family.min(*family)).or_insert(run.family);
    }
    shown.extend(known.clone());
    for run in runs {
        run.family = shown.get(&run.summary.method).copied().unwrap_or(run.family);
    }
}
