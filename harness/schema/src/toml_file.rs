//! Reading TOML into plain data, with errors a person can act on.
//!
//! An unknown key or name says where it stands and lists what exists, nearest first.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::toml_text;

/// Whoever writes a longer experiment, card or suite has named the wrong file.
pub const MOST_BYTES: u64 = 4 << 20;

/// Why a TOML file could not become what it should be.
#[derive(Debug, thiserror::Error)]
pub enum TomlError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file that was to be read.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The text is not TOML, or not what it should be.
    #[error("{origin}: {message}")]
    Parse {
        /// The file, or `--set`.
        origin: String,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// Reads a TOML file's text.
pub fn read_text(path: &Path) -> Result<String, TomlError> {
    text(path, guard::files::read(path, MOST_BYTES))
}

/// Reads a TOML file as a table.
pub fn read_table(path: &Path) -> Result<toml::Table, TomlError> {
    text(path, guard::files::read(path, MOST_BYTES)).and_then(|text| parse_table(&path.display().to_string(), &text))
}

/// The same of a file that must lie there itself, not behind a link: one of a run folder.
pub fn read_here<T: DeserializeOwned>(path: &Path) -> Result<T, TomlError> {
    parsed(path, guard::files::read_here(path, MOST_BYTES))
}

/// The same of a file's content, read or not; `path` names it in errors.
pub fn parsed<T: DeserializeOwned>(path: &Path, content: std::io::Result<Vec<u8>>) -> Result<T, TomlError> {
    let text = text(path, content)?;
    let origin = path.display().to_string();
    from_table(&origin, parse_table(&origin, &text)?)
}

fn text(path: &Path, bytes: std::io::Result<Vec<u8>>) -> Result<String, TomlError> {
    let bytes = bytes.map_err(|source| TomlError::Read { path: path.into(), source })?;
    let text = toml_text::decoded(&bytes).map(str::to_owned);
    text.map_err(|message| TomlError::Parse { origin: path.display().to_string(), message })
}

/// Parses TOML text; `origin` names it in errors. A text's line ends are line breaks (`\n`), whichever system wrote it: what a file
/// says does not depend on that.
pub fn parse_table(origin: &str, text: &str) -> Result<toml::Table, TomlError> {
    let bad = |message: String| TomlError::Parse { origin: origin.into(), message };
    let text = text.replace("\r\n", "\n");
    toml_text::check_depth(&text).map_err(bad)?;
    text.parse().map_err(|error: toml::de::Error| bad(toml_text::shortened(&error.to_string())))
}

/// Reads a TOML file as `T`.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, TomlError> {
    from_table(&path.display().to_string(), read_table(path)?)
}

/// Turns a table into `T`; `origin` names it in errors. No key of anything read so may be NaN or infinite, whatever its type: JSON,
/// through which an experiment's identity goes, has neither, and would make nothing of them.
pub fn from_table<T: DeserializeOwned>(origin: &str, table: toml::Table) -> Result<T, TomlError> {
    let bad = |message: String| TomlError::Parse { origin: origin.into(), message };
    if let Some((key, number)) = not_finite_in(&table) {
        return Err(bad(format!("{} = {number}: expected a finite number", guard::text::line(&key, 200))));
    }
    T::deserialize(toml::Value::Table(table.clone())).map_err(|error| {
        let said = error.to_string();
        bad(match said.starts_with("missing field `") {
            true => missing::<T>(table),
            false => explain(&said),
        })
    })
}

/// Keys that are missing from a table, at most so many.
const MOST_MISSING: usize = 40;

/// All keys that must be there and are not, each with what it holds. They are found one by one: each is filled in with something of its
/// type, which the next error names.
fn missing<T: DeserializeOwned>(mut table: toml::Table) -> String {
    let mut found: Vec<(Vec<String>, String)> = Vec::new();
    for _ in 0..4 * MOST_MISSING {
        let Err(error) = T::deserialize(toml::Value::Table(table.clone())) else { break };
        let said = error.to_string();
        let (first, rest) = said.split_once('\n').unwrap_or((&said, ""));
        let mut place: Vec<String> =
            rest.trim().strip_prefix("in `").and_then(|rest| rest.strip_suffix('`')).map_or_else(Vec::new, path);
        if let Some(key) = first.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
            place.push(key.into());
            if found.len() == MOST_MISSING || !fill(&mut table, &place, toml::Value::String(String::new())) {
                break;
            }
            found.push((place, String::new()));
            continue;
        }
        // What was filled in last is of another type: the error says of which.
        let Some((last, holds)) = found.last_mut().filter(|(last, holds)| *last == place && holds.is_empty()) else { break };
        let Some((value, what)) = of_type(first) else { break };
        *holds = what;
        if !fill(&mut table, last, value) {
            break;
        }
    }
    let listed = found.iter().map(|(place, holds)| {
        let what = if holds.is_empty() { "a text" } else { holds };
        format!("`{}` ({what})", guard::text::line(&place.join("."), 100))
    });
    let keys: Vec<String> = listed.collect();
    format!("{} {} missing: {}", keys.len(), if keys.len() == 1 { "key is" } else { "keys are" }, keys.join(", "))
}

fn path(dotted: &str) -> Vec<String> {
    dotted.split('.').map(|part| part.trim_matches(['"', '\'']).to_owned()).collect()
}

/// Puts a value at a place; not where something on the way is no table.
fn fill(table: &mut toml::Table, place: &[String], value: toml::Value) -> bool {
    let Some((last, way)) = place.split_last() else { return false };
    let mut here = table;
    for part in way {
        let Some(next) = here.get_mut(part).and_then(toml::Value::as_table_mut) else { return false };
        here = next;
    }
    here.insert(last.clone(), value);
    true
}

/// A value of the type that an error asks for instead of an empty text, and what it is in words.
fn of_type(error: &str) -> Option<(toml::Value, String)> {
    let (_, expected) = error.split_once("expected ")?;
    if error.starts_with("unknown variant") {
        let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        return Some((toml::Value::String((*names.first()?).into()), listed.join(" or ")));
    }
    Some(match expected {
        "a boolean" => (toml::Value::Boolean(true), "true or false".into()),
        "a sequence" => (toml::Value::Array(vec![]), "a list".into()),
        "f64" | "f32" => (toml::Value::Float(1.0), "a number".into()),
        "usize" | "u64" | "u32" | "i64" | "u16" | "u8" => (toml::Value::Integer(1), "a whole number".into()),
        what if what == "a map" || what.starts_with("struct ") => (toml::Value::Table(toml::Table::new()), "a section".into()),
        _ => return None,
    })
}

/// The first number that is none, and its dotted key.
fn not_finite_in(table: &toml::Table) -> Option<(String, f64)> {
    table.iter().find_map(|(key, value)| not_finite(key.clone(), value))
}

fn not_finite(key: String, value: &toml::Value) -> Option<(String, f64)> {
    match value {
        toml::Value::Float(number) => (!number.is_finite()).then_some((key, *number)),
        toml::Value::Table(table) => not_finite_in(table).map(|(below, number)| (format!("{key}.{below}"), number)),
        toml::Value::Array(values) => values.iter().enumerate().find_map(|(at, value)| not_finite(format!("{key}[{at}]"), value)),
        _ => None,
    }
}

/// Sets `dotted.key` in a table to a value written as on a command line: TOML where it parses as TOML, text otherwise.
pub fn set(table: &mut toml::Table, assignment: &str) -> Result<(), TomlError> {
    let bad = |message: String| TomlError::Parse { origin: format!("--set {}", guard::text::line(assignment, 200)), message };
    let (key, text) = assignment.split_once('=').ok_or_else(|| bad("expected KEY=VALUE".into()))?;
    let written = format!("value = {text}");
    toml_text::check_depth(&written).map_err(bad)?;
    let value = match written.parse::<toml::Table>() {
        Ok(parsed) if parsed.len() > 1 => {
            return Err(bad("a second key follows in another line; expected one KEY=VALUE in each --set".into()));
        }
        Ok(mut parsed) => parsed.remove("value").unwrap_or_else(|| toml::Value::String(text.into())),
        Err(_) => toml::Value::String(text.into()),
    };
    let mut parts: Vec<&str> = key.split('.').map(str::trim).collect();
    if parts.len() > toml_text::MAX_DEPTH {
        return Err(bad(format!("a key of {} parts; at most {} are read", parts.len(), toml_text::MAX_DEPTH)));
    }
    let last = parts.pop().filter(|part| !part.is_empty()).ok_or_else(|| bad("the key is empty".into()))?;
    let mut here = table;
    for part in parts {
        here = here
            .entry(part)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()))
            .as_table_mut()
            .ok_or_else(|| bad(format!("`{part}` is a value, not a table")))?;
    }
    here.insert(last.into(), value);
    Ok(())
}

/// Lays `over` onto `base`: tables merge, anything else replaces.
pub fn overlay(base: &mut toml::Table, over: &toml::Table) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => overlay(below, above),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Rewrites serde's "unknown field `x`, expected one of ..." with the nearest alternative first.
pub fn explain(message: &str) -> String {
    let message = message.trim_end();
    let Some((head, expected)) = message.split_once(", expected ") else { return toml_text::shortened(message) };
    let unknown = head.rsplit('`').nth(1).unwrap_or_default();
    if !head.contains("unknown field") && !head.contains("unknown variant") {
        return toml_text::shortened(message);
    }
    // The list ends where the line does; what follows is the position (`in `section``).
    let (expected, rest) = expected.split_once('\n').unwrap_or((expected, ""));
    let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let what = if head.contains("unknown field") { "key" } else { "value" };
    let listed: Vec<String> = crate::nearest(unknown, names).into_iter().map(|name| format!("`{name}`")).collect();
    let (unknown, rest) = (guard::text::line(unknown, 80), guard::text::line(rest.trim(), 200));
    let place = rest;
    let place = if place.is_empty() { String::new() } else { format!(" ({place})") };
    format!("unknown {what} `{unknown}`{place}; nearest first, there are: {}", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Experiment;

    fn experiment(text: &str) -> Result<Experiment, TomlError> {
        from_table("x.toml", parse_table("x.toml", text)?)
    }

    const MINIMAL: &str = "[data]\ndataset = \"icongen\"\n[method]\nname = \"fednano\"\n";

    #[test]
    fn defaults_fill_in() {
        let parsed = experiment(MINIMAL).expect("minimal experiment");
        assert_eq!(parsed.partition.clients, 5);
        assert_eq!(parsed.backbone.name, "nano");
    }

    #[test]
    fn unknown_keys_list_the_nearest_first() {
        let error = experiment(&format!("{MINIMAL}[federation]\nround = 3\n")).expect_err("unknown key").to_string();
        assert!(error.starts_with("x.toml: unknown key `round`"), "{error}");
        assert!(error.contains("there are: `rounds`,"), "{error}");
    }

    #[test]
    fn unknown_values_list_the_nearest_first() {
        let error = experiment(&format!("{MINIMAL}[partition]\nscheme = \"dirichlett\"\n")).expect_err("unknown").to_string();
        assert!(error.contains("unknown value `dirichlett`") && error.contains("`dirichlet`, "), "{error}");
    }

    #[test]
    fn no_key_of_anything_is_nan_or_infinite() {
        for number in ["nan", "-nan", "inf", "-inf", "+inf"] {
            for key in ["adapter.alpha", "optimizer.learning_rate", "method.mu", "federation.rounds", "name", "privacy.delta"] {
                let mut table = parse_table("x", MINIMAL).expect("toml");
                set(&mut table, &format!("{key}={number}")).expect(key);
                let error = from_table::<Experiment>("x.toml", table).expect_err(key).to_string();
                assert!(
                    error.starts_with(&format!("x.toml: {key} = ")) && error.ends_with("expected a finite number"),
                    "{error}"
                );
            }
            let suite = format!("name = \"s\"\nseeds = [1]\n[[axes.rank]]\nadapter = {{ alpha = {number} }}\n");
            let error = from_table::<crate::Suite>("s.toml", parse_table("s.toml", &suite).expect("toml")).expect_err("refused");
            assert!(error.to_string().contains("axes.rank[0].adapter.alpha = "), "{error}");
        }
        assert_eq!(experiment(&format!("{MINIMAL}[adapter]\nalpha = 4\n")).expect("a number").adapter.alpha, Some(4.0));
    }

    #[test]
    fn set_parses_toml_and_falls_back_to_text() {
        let mut table = parse_table("x", MINIMAL).expect("toml");
        for assignment in ["federation.rounds=3", "method.name=local", "adapter.sites=[\"image\"]", "partition.alpha=0.1"] {
            set(&mut table, assignment).expect(assignment);
        }
        let parsed: Experiment = from_table("x", table).expect("still an experiment");
        assert_eq!((parsed.federation.rounds, parsed.method.name.as_str()), (3, "local"));
        assert!(set(&mut toml::Table::new(), "no-equals").is_err());
        for two in ["federation.rounds=2\nseed=5", "federation.rounds=2\n[x]\ny = 1"] {
            let error = set(&mut toml::Table::new(), two).expect_err("two keys").to_string();
            assert!(error.contains("a second key"), "{error}");
        }
    }

    #[test]
    fn all_missing_keys_are_said_at_once() {
        let read = |text: &str| from_table::<crate::Card>("c.toml", parse_table("c.toml", text).expect("toml"));
        let error = read("[columns]\nquestion = \"q\"\n").expect_err("keys are missing").to_string();
        for said in [
            "9 keys are missing",
            "`name` (a text)",
            "`scoring` (`option-likelihood` or `generation`",
            "`columns.answer` (a text)",
            "`prompts` (a section)",
            "`choices` (a section)",
            "`choices.form` (`list` or ",
        ] {
            assert!(error.contains(said), "{error}");
        }
        assert!(!error.contains("title") && !error.contains("license"), "they have defaults: {error}");
        let error = experiment("[data]\ndataset = \"d\"\n[privacy]\nclip = 1.0\n").expect_err("keys are missing").to_string();
        for said in [
            "`method` (a section)",
            "`method.name` (a text)",
            "`privacy.mode` (`local` or `central`)",
            "`privacy.noise_multiplier` (a number)",
        ] {
            assert!(error.contains(said), "{error}");
        }
        let error = experiment("[data]\ndataset = \"d\"\n[method]\nnam = \"x\"\n").expect_err("a key is missing").to_string();
        assert!(error.ends_with("1 key is missing: `method.name` (a text)"), "{error}");
    }

    #[test]
    fn the_run_name_ignores_the_name_for_people_only() {
        let a = experiment(MINIMAL).expect("ok");
        let b = Experiment { name: "other".into(), ..a.clone() };
        let c = Experiment { seed: 2, ..a.clone() };
        assert_eq!(a.run_name("d", "m"), b.run_name("d", "m"));
        assert_ne!(a.run_name("d", "m"), a.run_name("d", "other weights"));
        assert_ne!(a.run_name("d", "m"), c.run_name("d", "m"));
    }
}
