//! The workspace's crates and what each depends on, by cargo's own resolution.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A crate, the crates of ours that it may see (through any path), and the libraries that it may not.
pub type Floor = (&'static str, &'static [&'static str], &'static [&'static str]);

/// Every package's name, and its dependencies' (tests' and benches' left out), by package id.
pub struct Packages {
    names: BTreeMap<String, String>,
    dependencies: BTreeMap<String, Vec<String>>,
    ours: BTreeMap<String, String>,
    /// The root files of our libraries and binaries, each with its crate's name.
    pub roots: Vec<(String, PathBuf)>,
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Packages {
    /// Those of the workspace in a folder. Asks for the host's dependencies only: others were perhaps never downloaded.
    pub fn read(folder: &Path) -> Result<Self> {
        let rustc = output(Command::new("rustc").arg("-vV"))?;
        let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
        let arguments = ["metadata", "--offline", "--format-version", "1", "--filter-platform", host];
        let told = output(Command::new(env!("CARGO")).args(arguments).current_dir(folder))?;
        Ok(Self::of(&serde_json::from_str(&told)?))
    }

    fn of(metadata: &Value) -> Self {
        let packages = list(&metadata["packages"]);
        let names: BTreeMap<String, String> =
            packages.iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
        let used = |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev");
        let dependencies = list(&metadata["resolve"]["nodes"]).into_iter().map(|node| {
            let used = list(&node["deps"]).into_iter().filter(used).map(|dependency| text(&dependency["pkg"])).collect();
            (text(&node["id"]), used)
        });
        let ours: BTreeMap<String, String> =
            list(&metadata["workspace_members"]).iter().map(|id| (names[&text(id)].clone(), text(id))).collect();
        let is_root = |target: &Value| list(&target["kind"]).iter().any(|kind| kind == "lib" || kind == "bin");
        let roots = packages.iter().filter(|package| ours.contains_key(&text(&package["name"]))).flat_map(|package| {
            let roots = list(&package["targets"]).into_iter().filter(is_root);
            roots.map(|target| (text(&package["name"]), text(&target["src_path"]).into())).collect::<Vec<_>>()
        });
        Self { dependencies: dependencies.collect(), roots: roots.collect(), ours, names }
    }

    /// The names of everything that a crate of ours depends on, directly or not.
    pub fn below(&self, name: &str) -> Result<BTreeSet<&str>> {
        let mut seen = BTreeSet::new();
        let mut open = vec![self.ours.get(name).with_context(|| format!("the workspace has no crate `{name}`"))?];
        while let Some(id) = open.pop() {
            open.extend(self.dependencies[id].iter().filter(|id| seen.insert(id.as_str())));
        }
        Ok(seen.into_iter().map(|id| self.names[id].as_str()).collect())
    }

    /// What these floors forbid and the workspace has all the same; `top` may see everything.
    pub fn faults(&self, floors: &[Floor], top: &str) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        for (name, allowed, banned) in floors {
            let below = self.below(name)?;
            let ours = below.iter().filter(|seen| self.ours.contains_key(**seen) && !allowed.contains(seen));
            faults.extend(ours.map(|seen| format!("`{name}` depends on `{seen}`; it may see {allowed:?} of ours")));
            let is = |seen: &str, library: &str| {
                seen.strip_prefix(library).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            };
            let found = below.iter().filter(|seen| banned.iter().any(|library| is(seen, library)));
            faults.extend(found.map(|library| format!("`{name}` depends on {library}, which it may not see")));
        }
        let unnamed = self.ours.keys().filter(|name| *name != top && !floors.iter().any(|floor| floor.0 == **name));
        faults.extend(unnamed.map(|name| format!("on which floor is `{name}`? The table of floors does not say")));
        Ok(faults)
    }
}
