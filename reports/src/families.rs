//! What kind of method each run has: as those say who know the method, or else as its runs show.

use std::collections::BTreeMap;

use schema::{Family, Summary};

/// Families by methods' names.
pub type Families = BTreeMap<String, Family>;

/// What a method is that nobody here knows, by what its clients hold and send.
pub(crate) fn shown_by(summary: &Summary) -> Family {
    match summary {
        _ if !summary.trains() => Family::ZeroShot,
        Summary { client_parameters_deployed: 0, .. } => Family::Centralized,
        Summary { uploaded_parameters_per_round: 0, .. } => Family::Local,
        _ => Family::Federated,
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::Report;
    use crate::fixture::Fixture;

    /// A method of one's own, or of a later version, stands where what it did puts it; a known one where its row does.
    #[test]
    fn unknown_methods_show_what_they_are() {
        let root = TempDir::new().expect("a folder");
        for (method, changes) in [
            ("asked", vec![("adapter", "none".into())]),
            ("alone", vec![("uploaded_parameters_per_round", 0.into())]),
            ("mine", vec![]),
            ("pooled", vec![("uploaded_parameters_per_round", 0.into()), ("client_parameters_deployed", 0.into())]),
            ("fedavg-lora", vec![]),
        ] {
            let run = Fixture::new("icongen", method, 1, 0.5).write(root.path());
            let path = run.join("summary.json");
            let mut summary: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).expect("a summary")).expect("JSON");
            changes.into_iter().for_each(|(key, value)| summary[key] = value);
            std::fs::write(path, summary.to_string()).expect("written");
        }
        let known = Families::from([("fedavg-lora".into(), Family::FedAvg)]);
        let report = Report::read_known(&[root.path().into()], crate::Trust::Verified, &known).expect("readable runs");
        let found: Vec<(&str, Family)> = report.groups.iter().map(|group| (&*group.method, group.family)).collect();
        let expected = [
            ("asked", Family::ZeroShot),
            ("alone", Family::Local),
            ("fedavg-lora", Family::FedAvg),
            ("mine", Family::Federated),
            ("pooled", Family::Centralized),
        ];
        assert_eq!(found, expected);
    }
}
