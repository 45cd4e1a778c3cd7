//! `fedbench reference`: every key of the files that a person writes or reads, from the types that read and write them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Command, ValueEnum};
use schema::manifest::Manifest;
use schema::partition::Partition;
use schema::record::{Environment, Prediction, Record, Skipped, Timings};
use schema::{Card, Experiment, Suite, Summary, metrics, run_dir};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::keys::Keys;
use super::{say, say_json};

/// Every key of the card, the experiment, the suite and of what runs and reports write: its type, its default and what it means.
#[derive(Args)]
pub(crate) struct Reference {
    /// Of one kind of file alone.
    #[arg(value_enum)]
    what: Option<What>,
    /// As JSON Schema, by which editors complete TOML.
    #[arg(long, requires = "what")]
    json_schema: bool,
    /// Write the page and the JSON Schemas of the three kinds of TOML files into a folder.
    #[arg(long, conflicts_with_all = ["what", "json_schema"])]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Card,
    Experiment,
    Suite,
    Outputs,
}

const HEAD: &str = "# Every key\n\n\
<!-- Written by `fedbench reference --out docs` from the types that read and write these files; a test says when it is stale. -->\n\n\
The files that a person writes, `card.toml`, an experiment and a suite, are TOML; unknown keys are errors that name the nearest ones. \
`fedbench init card|experiment|suite` writes one to begin with, `fedbench validate FILE` checks it. An editor that knows JSON Schema \
completes them by `docs/schema/*.schema.json` (in Taplo: `#:schema PATH` in the first line).\n";

impl Reference {
    pub(crate) fn run(self, command: &Command) -> Result<()> {
        if let Some(out) = self.out {
            return write(&out, command);
        }
        match (self.what, self.json_schema) {
            (Some(What::Outputs), true) => {
                let message = "--json-schema is for the files that a person writes: card, experiment, suite";
                return Err(study::Error::Usage(message.into()).into());
            }
            (Some(what), true) => say_json(&json(what)?),
            (Some(what), false) => say(section(what).trim_end()),
            (None, _) => say(page(command).trim_end()),
        }
        Ok(())
    }
}

fn write(out: &Path, command: &Command) -> Result<()> {
    let folder = out.join("schema");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut files = vec![(out.join("REFERENCE.md"), page(command))];
    for (name, what) in [("card", What::Card), ("experiment", What::Experiment), ("suite", What::Suite)] {
        files.push((folder.join(format!("{name}.schema.json")), json(what)? + "\n"));
    }
    for (path, text) in files {
        guard::files::write_unlocked(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        say(&path.display().to_string());
    }
    Ok(())
}

/// The whole page.
fn page(command: &Command) -> String {
    let sections = [What::Card, What::Experiment, What::Suite, What::Outputs].map(section);
    format!("{HEAD}\n{}\n{}", sections.join("\n"), commands(command))
}

/// Every command with its sentence.
fn commands(command: &Command) -> String {
    let mut text = String::from("## Commands\n\n`fedbench help COMMAND` has every option.\n\n| command | does |\n|---|---|\n");
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        let about = |command: &Command| super::keys::cell(&command.get_about().map(ToString::to_string).unwrap_or_default());
        text.push_str(&format!("| `{}` | {} |\n", below.get_name(), about(below)));
        for last in below.get_subcommands().filter(|last| last.get_name() != "help") {
            text.push_str(&format!("| `{} {}` | {} |\n", below.get_name(), last.get_name(), about(last)));
        }
    }
    text
}

fn schema_of<T: JsonSchema>() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<T>()
}

fn json(what: What) -> Result<String> {
    let schema = match what {
        What::Card => schema_of::<Card>(),
        What::Experiment => schema_of::<Experiment>(),
        What::Suite | What::Outputs => schema_of::<Suite>(),
    };
    Ok(serde_json::to_string_pretty(&schema)?)
}

fn section(what: What) -> String {
    match what {
        What::Card => Keys::of(&schema_of::<Card>()).chapter("The card", "`card.toml`, beside a dataset's parquet files."),
        What::Experiment => Keys::of(&schema_of::<Experiment>()).chapter(
            "The experiment",
            "One configuration: `fedbench run FILE`. A method's own keys are in its card, baselines/README.md.",
        ),
        What::Suite => Keys::of(&schema_of::<Suite>()).chapter("The suite", "Experiments x seeds: `fedbench suite FILE`."),
        What::Outputs => outputs(),
    }
}

/// What runs and reports write.
fn outputs() -> String {
    let mut text =
        String::from("## What a run writes\n\nA folder for each run, whose name is a hash of all that can change a number.\n");
    for (file, about, schema) in [
        (run_dir::SUMMARY, "One flat table.", schema_of::<Summary>()),
        (run_dir::RECORDS, "A row per measured value; the metrics are below.", schema_of::<Record>()),
        (run_dir::PREDICTIONS, "A row per judged example.", schema_of::<Prediction>()),
        (run_dir::ENVIRONMENT, "What the run was made with and what it read.", schema_of::<Environment>()),
        (run_dir::PARTITION, "Which example belongs to which client.", schema_of::<Partition>()),
        (run_dir::SKIPPED, "A list of rows left out.", schema_of::<Skipped>()),
        (run_dir::TIMINGS, "What the clock said.", schema_of::<Timings>()),
        (run_dir::MANIFEST, "Size and SHA-256 of every file; written last.", schema_of::<Manifest>()),
    ] {
        text.push_str(&Keys::of(&schema).part(file, about));
    }
    let beside = [run_dir::EXPERIMENT, run_dir::CARD].map(|file| format!("`{file}`")).join(" and ");
    text.push_str(&format!(
        "\nBeside these: {beside}, resolved, with every default filled in, and `{}`, the trained tensors.\n",
        run_dir::ADAPTERS
    ));
    text.push_str("\n### Metrics\n\n| metric | unit | better | what it is |\n|---|---|---|---|\n");
    for row in metrics::listed() {
        let better =
            serde_json::to_value(row.direction).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
        text.push_str(&format!("| `{}` | {} | {better} | {} |\n", row.name, row.unit.word(), super::keys::cell(row.sentence)));
    }
    text.push_str("\n## What a report writes\n\n`report.json`; the CSV, parquet and LaTeX files hold parts of it.\n");
    text.push_str("\n| key | type | what it is |\n|---|---|---|\n");
    for [key, kind, sentence] in reports::keys::KEYS {
        text.push_str(&format!("| `{key}` | {kind} | {} |\n", super::keys::cell(sentence)));
    }
    text
}
