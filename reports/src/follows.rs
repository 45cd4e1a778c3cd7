//! The recorded values that a summary's numbers follow from, condensed while records are read: what a sum needs is a sum.

use std::collections::BTreeMap;

use schema::Summary;
use schema::metrics::{Metric, Rule, Value};

/// Of each metric that a rule names, what the rule needs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Follows(BTreeMap<Metric, Vec<Value>>);

impl Follows {
    /// Takes one record.
    pub fn take(&mut self, metric: &Metric, value: Value) {
        let Some((_, rule, _)) = Summary::RULES.iter().find(|(_, _, of)| of == metric) else { return };
        let known = self.0.entry(metric.clone()).or_default();
        match (rule, known.first_mut()) {
            (Rule::Sum, Some((.., sum))) => *sum += value.2,
            (Rule::Last, Some(last)) if value.1.is_none() => *last = value,
            (Rule::Last, _) if value.1.is_some() => {}
            // Of clients, those of the last round.
            (Rule::ClientMean | Rule::ClientMin | Rule::ClientStd | Rule::SomeClients, Some((round, ..))) if value.0 > *round => {
                *known = vec![value];
            }
            (Rule::ClientMean | Rule::ClientMin | Rule::ClientStd | Rule::SomeClients, Some((round, ..))) if value.0 < *round => {
            }
            _ => known.push(value),
        }
    }

    /// The first number of a summary that does not follow: its name, what the summary says, and what follows.
    pub fn differs(&self, summary: &Summary) -> Option<(&'static str, String, String)> {
        let found = Summary::of(summary.beside(), |metric| self.0.get(metric).cloned().unwrap_or_default()).with_parts_alone();
        let [said, found] = [summary, &found].map(|summary| serde_json::to_value(summary).unwrap_or_default());
        let number = |summary: &serde_json::Value, field: &str| summary.get(field).and_then(serde_json::Value::as_f64);
        let word = |number: Option<f64>| number.map_or_else(|| "none".into(), |number| number.to_string());
        Summary::RULES.iter().find_map(|(field, ..)| {
            let (said, found) = (number(&said, field), number(&found, field));
            let same = match (said, found) {
                (Some(said), Some(found)) => (said - found).abs() <= 1e-9 * found.abs().max(1.0),
                (said, found) => said == found,
            };
            (!same).then(|| (*field, word(said), word(found)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_gives_what_all_records_give() {
        let mut values: Vec<(Metric, Value)> = Vec::new();
        for round in 1..4 {
            for client in 0..3 {
                let value = f64::from(10 * round + client);
                values.push((Metric::UplinkBytes, (round, Some(client), value)));
                values.push((Metric::ClientAccuracy, (round, Some(client), value / 100.0)));
            }
            values.push((Metric::Accuracy, (round, None, f64::from(round) / 4.0)));
        }
        let mut kept = Follows::default();
        values.iter().for_each(|(metric, value)| kept.take(metric, *value));
        assert_eq!(kept.0[&Metric::UplinkBytes].len(), 1);
        for (field, rule, metric) in Summary::RULES {
            let all: Vec<Value> = values.iter().filter(|(of, _)| of == metric).map(|(_, value)| *value).collect();
            let few = kept.0.get(metric).cloned().unwrap_or_default();
            assert_eq!(rule.apply(&few, 4), rule.apply(&all, 4), "{field}");
        }
    }
}
