//! A method and its adapters are two choices: any of the one goes with any of the other, or says why not.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use baselines::METHODS;
use candle_core::{DType, Device};
use data::Dataset;
use data_scripts::generators;
use federation::registry::{MethodRow, Registry};
use federation::{InProcess, Scope, Unwatched};
use models::adapter::{KINDS, Kinds, lora};
use models::{Backbone, nano};
use schema::Experiment;
use schema::metrics::Metric;
use study::Study;
use tasks::Split;

use crate::cli::Desk;
use crate::support::{Test, setup};

fn experiment(method: &str, kind: Option<&str>) -> Result<Experiment> {
    let kind = kind.map_or_else(String::new, |kind| format!("[adapter]\nkind = \"{kind}\"\n"));
    let text = format!(
        "[data]\ndataset = \"icongen\"\n[partition]\nclients = 2\n[federation]\nrounds = 1\nlocal_steps = 1\nbatch_size = 2\n{kind}\
         [evaluation]\nevery = 0\nmax_new_tokens = 1\n[method]\nname = \"{method}\"\n"
    );
    Ok(toml::from_str(&text)?)
}

fn registry() -> Registry {
    Registry::new(METHODS)
}

/// The embedded backbone, and a few rows to train on and to be judged on.
struct World {
    backbone: Arc<dyn Backbone>,
    train: Arc<Split>,
    test: Arc<Split>,
}

fn world() -> Result<World> {
    setup();
    let backbone: Arc<dyn Backbone> = Arc::new(nano::load(DType::F32, &Device::Cpu)?);
    let folder = tempfile::tempdir()?;
    let card = generators::write(generators::find("icongen").context("no such generator")?, folder.path(), Some((8, 4)), 5)?;
    let load = |split: &str| -> Result<Arc<Split>> {
        Ok(Arc::new(Split::new(Dataset::load(folder.path(), &card, split, None)?, &*backbone)?))
    };
    Ok(World { train: load("train")?, test: load("test")?, backbone })
}

/// Methods that take LoRA's matrices apart, and those that merge their products into frozen weights; of both, what they cannot tune.
const OF_PAIRS: [&str; 8] = ["ffa-lora", "rolora", "fedsvd", "lora-fair", "fedsa-lora", "fedalt", "hetlora", "flexlora"];
const MERGING: [&str; 2] = ["flora", "fedex-lora"];

fn is_refused(method: &str, kind: &str) -> bool {
    match kind {
        "lora" => false,
        "nano" => MERGING.contains(&method),
        _ => OF_PAIRS.contains(&method) || MERGING.contains(&method),
    }
}

#[test]
fn every_method_runs_on_every_kind_or_says_why_not() -> Test {
    let World { backbone, train, test } = world()?;
    for row in METHODS {
        for kind in KINDS {
            let what = format!("{} on {}", row.name, kind.name);
            let mut experiment = experiment(row.name, Some(kind.name))?;
            let settled = registry().settle(&mut experiment);
            if is_refused(row.name, kind.name) {
                let error = settled.err().with_context(|| what.clone())?.to_string();
                let named = format!("adapter.kind = \"{}\": method `{}` cannot tune these adapters: it ", kind.name, row.name);
                assert!(error.starts_with(&named) && error.ends_with(right(row.name)), "{error}");
                continue;
            }
            let settled = settled.with_context(|| what.clone())?;
            let study = Study::new(experiment, &settled, backbone.clone(), train.clone(), test.clone())?;
            assert_eq!(study.adapter().kind.name, kind.name);
            let mut method = (settled.build)(&BTreeMap::new())?;
            let outcome =
                study.run(&mut *method, &mut InProcess::new(study.host()?), &Unwatched).with_context(|| what.clone())?;
            assert_eq!(outcome.recorded(Metric::LeftOut).count(), 0, "{what}");
            let numbers = (settled.traffic)(study.adapter(), 2)[0];
            let sent = if row.scope == Scope::Shard { outcome.measured.uploaded_parameters } else { 0 };
            assert_eq!(sent, numbers, "{what}: numbers that its row says a client sends");
        }
    }
    Ok(())
}

fn right(method: &str) -> &'static str {
    if MERGING.contains(&method) { "; expected \"lora\"" } else { "; expected \"lora\" or \"nano\"" }
}

/// An old name is a method on one kind of adapters; both spellings are one experiment, under the old name.
#[test]
fn a_name_and_a_choice_are_one_experiment() -> Test {
    let mut names = Vec::new();
    for row in METHODS {
        for alias in row.aliases {
            let settle = |method: &str, kind: Option<&str>| -> Result<(Experiment, MethodRow)> {
                let mut experiment = experiment(method, kind)?;
                let row = registry().settle(&mut experiment)?;
                experiment.adapter.kind = None;
                Ok((experiment, row))
            };
            let (old, of_old) = settle(alias.name, None)?;
            for (method, kind) in [(row.name, Some(alias.adapter)), (alias.name, Some(alias.adapter))] {
                let (new, of_new) = settle(method, kind)?;
                assert_eq!((&new, of_new.name, of_new.adapter.name), (&old, alias.name, alias.adapter), "{method}, {kind:?}");
            }
            assert_eq!((&*old.method.name, of_old.adapter.name), (alias.name, alias.adapter));
            let other = KINDS.iter().find(|kind| kind.name != alias.adapter).context("one kind")?.name;
            let error = settle(alias.name, Some(other)).err().context("refused")?.to_string();
            for text in [alias.name, other, &format!("is `{}` on", row.name), &format!("choose `{}`", row.name)] {
                assert!(error.contains(text), "{error}");
            }
            names.push(alias.name);
        }
    }
    assert_eq!(names, ["fedavg-lora", "fedavg-nano", "centralized-nano", "centralized-lora"]);
    Ok(())
}

/// Without a kind a method has its own, and every name is of one family.
#[test]
fn a_method_has_a_kind_of_its_own() -> Test {
    for row in METHODS {
        let settled = registry().settle(&mut experiment(row.name, None)?)?;
        assert_eq!(settled.adapter.name, row.adapter.name, "{}", row.name);
        assert_eq!(row.adapters(&Kinds::default()).next().map(|kind| kind.name), Some(row.adapter.name), "{}", row.name);
    }
    let families = registry().families();
    assert_eq!(families["fedavg-nano"], families["fedavg"]);
    assert_eq!(families.len(), METHODS.len() + METHODS.iter().map(|row| row.aliases.len()).sum::<usize>());
    let error = registry().choose("fedavg", Some("loro")).err().context("refused")?.to_string();
    assert!(error.contains("adapter.kind `loro`") && error.contains(&format!("there are: `{}`", lora::KIND.name)), "{error}");
    Ok(())
}

/// The program finds a run of one spelling by the other.
#[test]
fn one_run_has_two_spellings() {
    let desk = Desk::new();
    let rest = "[data]\ndataset = \"icongen\"\ntrain_limit = 20\ntest_limit = 6\n[federation]\nrounds = 1\nlocal_steps = 1\n";
    desk.write("old.toml", &format!("{rest}[method]\nname = \"fedavg-nano\"\n"));
    desk.write("new.toml", &format!("{rest}[adapter]\nkind = \"nano\"\n[method]\nname = \"fedavg\"\n"));
    desk.write("other.toml", &format!("{rest}[adapter]\nkind = \"bias\"\n[method]\nname = \"fedavg\"\n"));
    for config in ["new.toml", "old.toml", "other.toml"] {
        desk.expect(&["run", config, "--out", "runs", "--quiet"], 0, &[]);
    }
    let folders = std::fs::read_dir(desk.path().join("runs")).expect("runs").map(|entry| entry.expect("a run").file_name());
    let mut names: Vec<String> =
        folders.filter_map(|name| name.into_string().ok()).filter(|name| !name.starts_with('.')).collect();
    names.sort();
    let begin: Vec<&str> = names.iter().filter_map(|name| name.rsplit_once('-')).map(|(begin, _)| begin).collect();
    assert_eq!(begin, ["icongen-fedavg-nano-s1", "icongen-fedavg-s1"]);
    desk.expect(&["report", "runs"], 0, &["fedavg-nano", "fedavg "]);
    let cost = ["cost", "--backbone", "nano", "--method", "fedavg", "--adapter"];
    desk.expect(&[&cost[..], &["nano"]].concat(), 0, &["fedavg-nano"]);
    desk.expect(&[&cost[..], &["nanoo"]].concat(), 2, &["unknown adapter.kind `nanoo`", "`nano`"]);
    desk.write("flora.toml", &format!("{rest}[adapter]\nkind = \"nano\"\n[method]\nname = \"flora\"\n"));
    desk.expect(&["validate", "flora.toml"], 2, &["adapter.kind = \"nano\"", "`flora`", "frozen weights", "expected \"lora\""]);
}
