//! What exists, beside a name that does not; names that are there twice.

use std::collections::BTreeSet;

/// Names whose distance is measured; of more, the others stay last.
const MEASURED_NAMES: usize = 5_000;
/// Characters of a name by which it is measured: a mistyped name differs before.
const MEASURED_CHARACTERS: usize = 64;

/// The names nearest to `wanted` first (edit distance, then alphabet): how every message of the suite lists alternatives.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let head = |name: &'a str| name.char_indices().nth(MEASURED_CHARACTERS).map_or(name, |(end, _)| &name[..end]);
    let wanted: String = wanted.chars().take(MEASURED_CHARACTERS).collect();
    let measured = |(place, name): (usize, &'a str)| match place < MEASURED_NAMES {
        true => (strsim::damerau_levenshtein(&wanted, head(name)), name),
        false => (usize::MAX, name),
    };
    let mut names: Vec<(usize, &str)> = names.into_iter().enumerate().map(measured).collect();
    names.sort_unstable();
    names.into_iter().map(|(_, name)| name).collect()
}

/// "unknown method `x`; nearest first, there are: ..."
pub fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let listed: Vec<String> = nearest(name, known).into_iter().map(|name| format!("`{name}`")).collect();
    format!("unknown {kind} `{name}`; nearest first, there are: {}", listed.join(", "))
}

/// The first name that is there a second time.
pub fn twice<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_first() {
        assert_eq!(nearest("fedano", ["local", "fedavg-nano", "fednano"])[0], "fednano");
    }

    #[test]
    fn long_names_and_many_are_listed_in_no_time() {
        let long: Vec<String> = (0..20_000).map(|name| format!("{name}{}", "x".repeat(2_000))).collect();
        let found = nearest(&"y".repeat(1_000_000), long.iter().map(String::as_str));
        assert_eq!(found.len(), long.len());
    }
}
