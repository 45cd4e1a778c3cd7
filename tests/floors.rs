//! The floors of ARCHITECTURE.md: what each crate of the workspace may see, by cargo's own resolution.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::support::Test;

/// Each crate, the crates of ours that it may see (through any path), and the libraries that it may not.
const FLOORS: &[(&str, &[&str], &[&str])] = &[
    ("seed", &[], &["candle", "arrow", "parquet", "polars"]),
    ("guard", &[], &["candle", "arrow", "parquet", "polars"]),
    ("schema", &["guard"], &["candle", "arrow", "parquet", "polars"]),
    ("data-scripts", &["guard", "schema", "seed"], &["candle", "polars"]),
    ("reports", &["guard", "schema", "seed"], &["candle"]),
    ("harness", &["guard", "schema", "seed"], &["polars"]),
    ("baselines", &["guard", "harness", "schema", "seed"], &["polars"]),
    ("bench", &["baselines", "data-scripts", "guard", "harness", "schema", "seed"], &["polars"]),
];

fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Every package's name, and its dependencies' (tests' and benches' left out), by package id.
struct Packages {
    names: BTreeMap<String, String>,
    dependencies: BTreeMap<String, Vec<String>>,
    ours: BTreeMap<String, String>,
}

impl Packages {
    fn read() -> Result<Self> {
        let rustc = output(Command::new("rustc").arg("-vV"))?;
        let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
        // The host's dependencies only: others were perhaps never downloaded.
        let arguments = ["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", host];
        let text = output(Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")))?;
        let metadata: Value = serde_json::from_str(&text)?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let names: BTreeMap<String, String> =
            list(&metadata["packages"]).iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
        let used = |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev");
        let nodes = list(&metadata["resolve"]["nodes"]);
        let dependencies = nodes.iter().map(|node| {
            let used = list(&node["deps"])
                .iter()
                .filter(|dependency| used(dependency))
                .map(|dependency| text(&dependency["pkg"]))
                .collect();
            (text(&node["id"]), used)
        });
        let ours = list(&metadata["workspace_members"]).iter().map(|id| (names[&text(id)].clone(), text(id))).collect();
        Ok(Self { dependencies: dependencies.collect(), ours, names })
    }

    /// The names of everything that a crate of ours depends on, directly or not.
    fn below(&self, name: &str) -> Result<BTreeSet<&str>> {
        let mut seen = BTreeSet::new();
        let mut open = vec![self.ours.get(name).with_context(|| format!("the workspace has no crate `{name}`"))?];
        while let Some(id) = open.pop() {
            open.extend(self.dependencies[id].iter().filter(|id| seen.insert(id.as_str())));
        }
        Ok(seen.into_iter().map(|id| self.names[id].as_str()).collect())
    }
}

/// Nobody sees up or sideways, and neither candle nor polars crosses its floor.
#[test]
fn nobody_sees_up_or_sideways() -> Test {
    let packages = Packages::read()?;
    for (name, allowed, banned) in FLOORS {
        let below = packages.below(name)?;
        for seen in below.iter().filter(|seen| packages.ours.contains_key(**seen)) {
            assert!(allowed.contains(seen), "`{name}` depends on `{seen}`; it may see {allowed:?} of ours");
        }
        for library in *banned {
            let found = below.iter().find(|seen| **seen == *library || seen.starts_with(&format!("{library}-")));
            assert_eq!(found, None, "`{name}` depends on {library}");
        }
    }
    let unnamed: Vec<_> =
        packages.ours.keys().filter(|name| *name != "fedbench" && !FLOORS.iter().any(|floor| floor.0 == **name)).collect();
    assert!(unnamed.is_empty(), "say on which floor {unnamed:?} are");
    Ok(())
}

/// The test sees dependencies at all: the harness computes with candle, reports with polars.
#[test]
fn floors_are_seen() -> Test {
    let packages = Packages::read()?;
    for (name, library) in
        [("harness", "candle-core"), ("baselines", "candle-core"), ("reports", "polars"), ("data-scripts", "arrow-array")]
    {
        assert!(packages.below(name)?.contains(library), "`{name}` no longer depends on {library}: is this test still right?");
    }
    Ok(())
}
