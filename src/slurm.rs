//! A suite on Slurm: a job for each run, in an array, and one more for the report.
//!
//! `fedbench suite X --engine slurm --out OUT` writes into `OUT/slurm`:
//!
//! | file | holds |
//! |---|---|
//! | `members.json` | the suite's runs in order, each with its name and its resolved experiment: frozen until the next submission |
//! | `array.sbatch` | an array over those that are not complete; `array-2.sbatch`, ... where they are more than one array may have |
//! | `report.sbatch` | the report over what is complete, and the names of what is missing; it fails (exit 1) if anything is |
//! | `logs/` | what the jobs said, a file each |
//!
//! and says, or with `--submit` does, what puts them into the queue. A task of the array is `fedbench suite X --member N`, which runs one
//! run as `fedbench run` would, to the same bytes, or refuses where X has another run at that place by now. Arrays follow one another, and
//! the report follows the last, whatever became of it (`afterany`). To resume is to submit again: complete runs are left out. A task that
//! Slurm puts back into the queue (`--requeue`) begins its run anew.
//!
//! Nodes need one file system with the system's locks (NFS from version 4), since a run's folder is locked by whoever writes it, and `X`,
//! data and weights where the submitting machine has them. Bits repeat on one kind of processor: where nodes differ, choose some, as
//! in `--sbatch "--constraint=genoa --time=2:00:00 --mem=8G"`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use schema::Experiment;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use study::record::RunDir;

use crate::session::Resolved;

/// The folder below that of the runs.
const FOLDER: &str = "slurm";
const MEMBERS: &str = "members.json";
const ARRAY: &str = "array";
const SCRIPT: &str = ".sbatch";
const REPORT: &str = "report.sbatch";
const LOGS: &str = "logs";

/// A longer list of members was written by somebody else: a suite has at most 10,000 runs and 64 MiB of text.
const LONGEST: u64 = 256 << 20;

/// A suite's runs, as they were submitted.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// The suite, as it was typed.
    pub suite: String,
    /// Its runs, in its order.
    pub members: Vec<Member>,
}

/// One run of a suite.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its place.
    pub member: usize,
    /// Its folder's name.
    pub run: String,
    /// Its experiment, every key given.
    pub experiment: Experiment,
}

/// How a suite is brought to Slurm.
pub struct Plan<'a> {
    /// The suite's own name.
    pub name: &'a str,
    /// Where run folders go.
    pub out: &'a Path,
    /// The command that runs the suite, from the program on, without what says where and which.
    pub command: Vec<String>,
    /// More options for sbatch, as typed.
    pub sbatch: Option<&'a str>,
    /// Tasks of an array at a time.
    pub parallel: usize,
    /// How many an array may have: `MaxArraySize` of the site.
    pub array_size: usize,
}

impl Members {
    /// Those that were submitted last to runs below `out`.
    pub fn read(out: &Path) -> Result<Self> {
        let path = out.join(FOLDER).join(MEMBERS);
        let text = guard::files::read_here(&path, LONGEST).with_context(|| {
            format!("{}: cannot be read; `fedbench suite ... --engine slurm` with this --out writes it", path.display())
        })?;
        serde_json::from_slice(&text).with_context(|| format!("{}: expected the members of a suite", path.display()))
    }

    /// The member at a place.
    pub fn at(&self, place: usize) -> Result<&Member, study::Error> {
        self.members.get(place).ok_or_else(|| {
            let (most, suite) = (self.members.len(), &self.suite);
            study::Error::Usage(format!(
                "--member {place}: suite {suite} was submitted with members 0 to {}",
                most.saturating_sub(1)
            ))
        })
    }
}

impl Member {
    /// Fails unless the suite still has this run here.
    pub fn check(&self, suite: &str, now: &Resolved) -> Result<(), study::Error> {
        if now.name == self.run {
            return Ok(());
        }
        let json = |experiment: &Experiment| serde_json::to_value(experiment).unwrap_or_default();
        let what = match difference("", &json(&self.experiment), &json(&now.experiment)) {
            Some(what) => what,
            None => "its data, backbone or partition hold something else".into(),
        };
        Err(study::Error::Usage(format!(
            "--member {}: suite {suite} was submitted with {} here and has {} now ({what}); submit it again",
            self.member, self.run, now.name
        )))
    }
}

/// The first key that has another value now.
fn difference(key: &str, before: &Value, now: &Value) -> Option<String> {
    if let (Value::Object(before), Value::Object(now)) = (before, now) {
        let all = before.keys().chain(now.keys().filter(|key| !before.contains_key(*key)));
        let inner = |name: &String| if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        let value = |table: &serde_json::Map<String, Value>, name: &String| table.get(name).cloned().unwrap_or_default();
        // What a run is called by people is no part of it.
        let counts = |name: &&String| !key.is_empty() || *name != "name";
        return all.filter(counts).find_map(|name| difference(&inner(name), &value(before, name), &value(now, name)));
    }
    let shown = |value: &Value| guard::text::line(&value.to_string(), 80);
    (before != now).then(|| format!("{key} was {}, is {}", shown(before), shown(now)))
}

impl Plan<'_> {
    /// Writes members and scripts; the scripts in the order in which they are submitted. `left` are the members that are not complete.
    pub fn write(&self, members: &Members, left: &[usize]) -> Result<Vec<PathBuf>> {
        let out = std::path::absolute(self.out)?;
        let place = out.join(FOLDER);
        let folder = RunDir::beside_runs(&place)?;
        std::fs::create_dir_all(place.join(LOGS)).with_context(|| format!("cannot write {}", place.join(LOGS).display()))?;
        folder.write_json(MEMBERS, members)?;
        for old in std::fs::read_dir(&place)?.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            if old.starts_with(ARRAY) && old.ends_with(SCRIPT) {
                folder.remove(&old)?;
            }
        }
        let mut scripts = Vec::new();
        for (array, first) in (0..members.members.len()).step_by(self.array_size).enumerate() {
            let tasks = left.iter().filter_map(|member| member.checked_sub(first)).filter(|task| *task < self.array_size);
            let tasks: Vec<usize> = tasks.collect();
            if !tasks.is_empty() {
                let name = if array == 0 { format!("{ARRAY}{SCRIPT}") } else { format!("{ARRAY}-{}{SCRIPT}", array + 1) };
                folder.write(&name, self.array(&out, first, &tasks)?.as_bytes())?;
                scripts.push(place.join(name));
            }
        }
        folder.write(REPORT, self.report(&out)?.as_bytes())?;
        scripts.push(place.join(REPORT));
        Ok(scripts)
    }

    /// Of the members from `first` on, these.
    fn array(&self, out: &Path, first: usize, tasks: &[usize]) -> Result<String> {
        let options = [
            format!("--array={}%{}", ranges(tasks), self.parallel),
            "--requeue".into(),
            "--open-mode=append".into(),
            output(out, "%A_%a")?,
        ];
        let member = if first == 0 { "$SLURM_ARRAY_TASK_ID".into() } else { format!("$((SLURM_ARRAY_TASK_ID + {first}))") };
        self.script(out, "", &options, &format!("--member \"{member}\" --threads \"${{SLURM_CPUS_PER_TASK:-1}}\" --quiet"))
    }

    fn report(&self, out: &Path) -> Result<String> {
        self.script(out, "-report", &[output(out, "report-%j")?], "--collect")
    }

    fn script(&self, out: &Path, kind: &str, options: &[String], what: &str) -> Result<String> {
        let mut text = String::from("#!/bin/bash\n");
        let name: String =
            self.name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
        let here = std::env::current_dir().context("cannot tell which folder this is")?;
        let all = [format!("--job-name=fedbench-{name}{kind}"), format!("--chdir={}", told(&here)?)];
        for option in all.iter().chain(options).map(String::as_str).chain(self.sbatch) {
            writeln!(text, "#SBATCH {option}")?;
        }
        let command: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        writeln!(text, "exec {} --out {} {what}", command.join(" "), quoted(told(out)?))?;
        Ok(text)
    }
}

/// Where a job's words go.
fn output(out: &Path, name: &str) -> Result<String> {
    // Slurm fills in what follows a percent sign.
    let folder = told(&out.join(FOLDER).join(LOGS))?.replace('%', "%%");
    Ok(format!("--output={folder}/{name}.log"))
}

/// A path as a script can hold it.
fn told(path: &Path) -> Result<&str, study::Error> {
    let is_plain = |text: &&str| !text.chars().any(|c| c.is_whitespace() || c.is_control() || "\"'\\".contains(c));
    path.to_str().filter(is_plain).ok_or_else(|| {
        let path = path.display();
        study::Error::Usage(format!("{path}: expected a path without spaces and quotes, for the lines that sbatch reads"))
    })
}

/// A word as the shell takes it for one.
fn quoted(word: &str) -> String {
    match !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-=+:,@%".contains(c)) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Numbers in order, those that follow one another as a range: `0-3,7`.
fn ranges(numbers: &[usize]) -> String {
    let of_one = |run: &[usize]| match run {
        [first, .., last] => format!("{first}-{last}"),
        other => other.iter().map(usize::to_string).collect(),
    };
    numbers.chunk_by(|a, b| a + 1 == *b).map(of_one).collect::<Vec<_>>().join(",")
}

/// The commands that submit scripts, one after the other.
pub fn commands(scripts: &[PathBuf]) -> Vec<String> {
    let command = |(place, script): (usize, &PathBuf)| {
        let after = if place == 0 { "" } else { "--dependency=afterany:$JOB " };
        let sbatch = format!("sbatch --parsable {after}{}", quoted(&script.display().to_string()));
        if place + 1 == scripts.len() { sbatch } else { format!("JOB=$({sbatch})") }
    };
    scripts.iter().enumerate().map(command).collect()
}

/// Submits scripts, each to follow the one before it; their job ids.
pub fn submit(scripts: &[PathBuf]) -> Result<Vec<String>> {
    let mut ids: Vec<String> = Vec::new();
    for script in scripts {
        let after = ids.last().map(|id| format!("--dependency=afterany:{id}"));
        let output = Command::new("sbatch").arg("--parsable").args(after).arg(script).output();
        let output = output.context("cannot run sbatch; without --submit its commands are printed")?;
        let said = |bytes: &[u8]| guard::text::line(String::from_utf8_lossy(bytes).trim(), 300);
        ensure!(output.status.success(), "sbatch {}: {}", script.display(), said(&output.stderr));
        // Of several clusters, the cluster's name follows.
        let said = said(&output.stdout);
        let id = said.split(';').next().filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
        ids.push(id.with_context(|| format!("sbatch {} said `{said}`: expected a job's number", script.display()))?.into());
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_are_ranges() {
        for (numbers, text) in [(&[4][..], "4"), (&[0, 1], "0-1"), (&[0, 1, 2, 5, 7, 8], "0-2,5,7-8")] {
            assert_eq!(ranges(numbers), text);
        }
    }

    #[test]
    fn words_stay_words() {
        assert_eq!(quoted("federation.rounds=3"), "federation.rounds=3");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_key_that_changed_is_named() {
        let before = serde_json::json!({"name": "a", "optimizer": {"learning_rate": 0.1, "beta1": 0.9}, "seed": 1});
        let mut now = before.clone();
        now["name"] = "b".into();
        assert_eq!(difference("", &before, &now), None);
        now["optimizer"]["learning_rate"] = 0.2.into();
        assert_eq!(difference("", &before, &now).as_deref(), Some("optimizer.learning_rate was 0.1, is 0.2"));
        now = before.clone();
        now["privacy"] = serde_json::json!({"clip": 1});
        assert_eq!(difference("", &before, &now).as_deref(), Some("privacy was null, is {\"clip\":1}"));
    }

    #[test]
    fn scripts_follow_one_another() {
        let scripts = ["a.sbatch", "b.sbatch", "r.sbatch"].map(PathBuf::from);
        let wanted = [
            "JOB=$(sbatch --parsable a.sbatch)",
            "JOB=$(sbatch --parsable --dependency=afterany:$JOB b.sbatch)",
            "sbatch --parsable --dependency=afterany:$JOB r.sbatch",
        ];
        assert_eq!(commands(&scripts), wanted);
        assert_eq!(commands(&scripts[2..]), ["sbatch --parsable r.sbatch"]);
    }
}
