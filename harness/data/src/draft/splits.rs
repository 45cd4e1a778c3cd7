//! Which files are trained on and which are judged on.

use std::collections::BTreeMap;

use schema::card::{Fold, Split};

/// Of rows that come in one piece, every so many-th is judged on.
const FOLDS: usize = 5;

/// Splits as an experiment takes them without being told (`train`, `test`), and what was done for that.
pub(super) fn splits(
    files: &BTreeMap<String, Vec<String>>,
    rows: &BTreeMap<String, usize>,
) -> (BTreeMap<String, Split>, Vec<String>) {
    let split = |name: &str, fold| Split { files: files[name].clone(), pictures: vec![], rows: None, sha256: None, fold };
    let mut named: BTreeMap<String, Split> = files.keys().map(|name| (name.clone(), split(name, None))).collect();
    let mut notes = Vec::new();
    if let [only] = &files.keys().collect::<Vec<_>>()[..] {
        let fold = |keep: Vec<usize>| Some(Fold { of: FOLDS, keep });
        named = BTreeMap::from([
            ("train".into(), split(only, fold((0..FOLDS - 1).collect()))),
            ("test".into(), split(only, fold(vec![FOLDS - 1]))),
        ]);
        let text = format!(
            "there is one piece, `{only}`: every {FOLDS}th row is judged on (`fold`), the others are trained on; rows that belong together, \
             such as questions about one picture, should not be parted so"
        );
        return (named, vec![text]);
    }
    if !named.contains_key("train") {
        let most = files.keys().filter(|name| *name != "test").max_by_key(|name| rows.get(*name).copied().unwrap_or(0));
        if let Some(largest) = most.cloned()
            && let Some(files) = named.remove(&largest)
        {
            notes.push(format!("there is no `train`: `{largest}` is trained on"));
            named.insert("train".into(), files);
        }
    }
    if !named.contains_key("test") {
        let others = || named.keys().filter(|name| *name != "train");
        let other = others().find(|name| *name == "validation").or_else(|| others().next()).cloned();
        if let Some(other) = other
            && let Some(files) = named.remove(&other)
        {
            notes.push(format!("there is no `test`: `{other}` is judged on"));
            named.insert("test".into(), files);
        }
    }
    (named, notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> (Vec<String>, usize) {
        let files = names.iter().map(|name| ((*name).to_owned(), vec![format!("{name}.parquet")])).collect();
        let rows = names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), at)).collect();
        let (named, notes) = splits(&files, &rows);
        (named.iter().map(|(name, split)| format!("{name}:{}", split.files[0])).collect(), notes.len())
    }

    #[test]
    fn an_experiment_finds_what_it_trains_and_judges_on() {
        assert_eq!(of(&["train", "test"]), (vec!["test:test.parquet".into(), "train:train.parquet".into()], 0));
        assert_eq!(of(&["train", "validation"]), (vec!["test:validation.parquet".into(), "train:train.parquet".into()], 1));
        assert_eq!(of(&["test", "validation"]), (vec!["test:test.parquet".into(), "train:validation.parquet".into()], 1));
        assert_eq!(of(&["all"]), (vec!["test:all.parquet".into(), "train:all.parquet".into()], 1));
        assert_eq!(of(&["a", "b"]), (vec!["test:a.parquet".into(), "train:b.parquet".into()], 2));
    }
}
