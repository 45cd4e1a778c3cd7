//! How high scores that depend on the data can get.

use crate::example::TestExample;
use crate::task::Measure;
use crate::{Error, Result};

/// What the best possible answers to some examples are worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reach {
    /// The mean of their scores.
    pub most: f64,
    /// Rows with fewer people than the metric needs for a whole point.
    pub few: usize,
    /// How many that are.
    pub needed: usize,
    /// Rows.
    pub rows: usize,
}

impl Reach {
    /// By a metric; none where that can always be whole, or there are no examples.
    pub fn of(metric: &Measure, examples: &[&TestExample]) -> Option<Self> {
        let (best, rows) = (metric.reach?, examples.len());
        let sum: f64 = examples.iter().map(|example| (best.of)(&example.gold())).sum();
        let few = examples.iter().filter(|example| example.rendered.people.len() < best.people).count();
        (rows > 0).then(|| Self { most: sum / rows as f64, few, needed: best.people, rows })
    }
}

/// Refuses rows of too few people to agree, and a metric by which every answer to every row would be worth nothing.
pub(crate) fn check_reach(metric: &Measure, examples: &[&TestExample]) -> Result<()> {
    let fewest = metric.reach.map_or(0, |best| best.fewest);
    let few = || examples.iter().filter(|example| example.rendered.people.len() < fewest);
    if let Some(first) = few().next() {
        let (name, id) = (metric.row.name, guard::text::line(&first.id, 80));
        return Err(Error::Usage(format!(
            "metric `{name}` asks how many people agree, at least {fewest} for each row: example `{id}` has {} ({} of {} test rows have too \
             few); where every answer of the list is right, `answer = \"any-of\"` and `metric = \"accuracy\"` in the card",
            first.rendered.people.len(),
            few().count(),
            examples.len()
        )));
    }
    match (Reach::of(metric, examples), metric.reach) {
        (Some(reach), Some(best)) if reach.most == 0.0 => {
            let why = best.if_nothing.replace("{rows}", &reach.rows.to_string());
            Err(Error::Usage(format!("metric `{}` gives 0 to any answer here: {why}", metric.row.name)))
        }
        _ => Ok(()),
    }
}
