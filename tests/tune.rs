//! Is a search blind to the test split, of one size for all, no dearer than it says, and what it was after it was killed?

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cli::Desk;
use crate::support::Test;

const SUITE: &str = "name = \"s\"\nseeds = [1, 2, 3]\n[base]\ndata = { dataset = \"./icons\", train_limit = 24 }\n\
    partition = { clients = 2 }\nfederation = { rounds = 2, batch_size = 8 }\nevaluation = { every = 0 }\n\
    [[experiments]]\nmethod = { name = \"fedprox\" }\nadapter = { rank = 2 }\n\
    [[experiments]]\nmethod = { name = \"local\" }\n[[experiments]]\nmethod = { name = \"zero-shot\" }\n";

fn tune<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["suite", "s.toml", "--quiet", "--out", out, "tune", "--rates", "0.002,0.01,0.05"], more].concat()
}

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("s.toml", SUITE);
    desk.expect(&["data", "prepare", "icongen", "--out", "icons", "--rows", "40", "24"], 0, &[]);
    desk
}

fn read(path: impl AsRef<Path>) -> Result<String> {
    std::fs::read_to_string(path.as_ref()).with_context(|| path.as_ref().display().to_string())
}

/// Files of a folder whose names begin so.
fn files(folder: &Path, begins: &str) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let fits = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begins));
        if fits {
            found.push(path);
        }
    }
    Ok(found)
}

/// The law: with noise for a test split, on which nothing could be judged, the search chooses the same.
#[test]
fn the_test_split_decides_nothing() -> Test {
    let desk = desk();
    desk.expect(&tune("a", &[]), 0, &["the search took", "now: fedbench suite a/tuned.toml"]);
    let chosen = read(desk.path().join("a/tuned.toml"))?;
    let tests = files(&desk.path().join("icons"), "test")?;
    assert!(!tests.is_empty());
    for file in tests {
        let noise: Vec<u8> = (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        std::fs::write(file, noise)?;
    }
    desk.expect(&["suite", "s.toml", "--quiet", "--out", "c"], 1, &["test"]);
    desk.expect(&tune("b", &[]), 0, &[]);
    assert_eq!(read(desk.path().join("b/tuned.toml"))?, chosen);

    let tuned: toml::Table = toml::from_str(&chosen)?;
    let experiments = tuned["experiments"].as_array().context("experiments")?;
    let of = |place: usize, key: &str| experiments[place].get("tuned").and_then(|tuned| tuned.get(key)).cloned();
    assert_eq!(of(0, "score").as_ref().and_then(toml::Value::as_str), Some("accuracy"));
    assert_eq!(of(1, "score").as_ref().and_then(toml::Value::as_str), Some("client_accuracy_mean"));
    assert_eq!((of(2, "score"), of(0, "protocol")), (None, of(1, "protocol")));
    Ok(())
}

/// All are searched alike and within the bound; what was kept says so, and a second call finds every run there.
#[test]
fn a_search_is_alike_for_all_and_goes_on_where_it_was() -> Test {
    let desk = desk();
    let arguments = tune("a", &["--grid", "method.mu=0.01,1.0"]);
    let plan = ["suite", "s.toml", "--plan", "--out", "a", "tune", "--rates", "0.002,0.01,0.05", "--grid", "method.mu=0.01,1.0"];
    desk.expect(&plan, 0, &["plan: 9 runs", "search: 2 experiments, each 6 settings", "times the study's 3 seeds"]);
    assert!(!desk.path().join("a").exists(), "a plan runs nothing");
    desk.expect(&arguments, 0, &[]);
    let kept: Value = serde_json::from_str(&read(desk.path().join("a/tuning.json"))?)?;
    let searches = kept["searches"].as_array().context("searches")?;
    for search in &searches[..2] {
        let settings = search["stages"][0]["tried"].as_array().context("tried")?;
        assert_eq!(settings.len(), 6, "{search}");
        let halved: Vec<usize> = search["stages"]
            .as_array()
            .context("stages")?
            .iter()
            .filter(|stage| stage["beyond"] == false)
            .map(|stage| stage["tried"].as_array().map_or(0, Vec::len))
            .collect();
        assert_eq!(halved, [6, 3, 2]);
        let rounds = search["cost"]["rounds"].as_u64().context("rounds")?;
        assert!(rounds <= 3 * 3 * 2, "{rounds} rounds, more than three times the study's");
    }
    assert!(searches[0]["chosen"]["method.mu"].is_number() && searches[1]["chosen"]["method.mu"].is_null());
    let (tuned, before) = (read(desk.path().join("a/tuned.toml"))?, files(&desk.path().join("a/tune"), "icongen")?);
    // As if it had been killed before the end.
    std::fs::remove_file(desk.path().join("a/tuned.toml"))?;
    std::fs::remove_file(before[0].join("manifest.json"))?;
    desk.expect(&arguments, 0, &[]);
    assert_eq!(read(desk.path().join("a/tuned.toml"))?, tuned);
    assert_eq!(files(&desk.path().join("a/tune"), "icongen")?.len(), before.len());
    desk.expect(&["suite", "a/tuned.toml", "--quiet", "--out", "study", "--set", "federation.rounds=1"], 0, &[]);
    let run = files(&desk.path().join("study"), "icongen-fedprox-s1")?;
    let config: toml::Table = toml::from_str(&read(run.first().context("a run")?.join("experiment.toml"))?)?;
    assert!(config["tuned"]["chosen"].get("method.mu").is_some(), "{config:?}");
    desk.expect(
        &["suite", "a/tuned.toml", "--quiet", "--out", "x", "--set", "optimizer.learning_rate=0.3"],
        2,
        &["tuned.chosen: optimizer.learning_rate", "is what the search chose"],
    );
    Ok(())
}

#[test]
fn searches_that_would_be_unfair_are_refused() {
    let desk = desk();
    let fails = |more: &[&str], code, why: &str| drop(desk.expect(&tune("a", more), code, &[why]));
    let refused = |more: &[&str], why: &str| fails(more, 2, why);
    refused(&["--split", "test"], "that is the split the suite is judged on");
    fails(&["--split", "holdout"], 1, "no split `holdout`");
    refused(&["--seeds", "5,5"], "--seeds holds 5 twice");
    refused(&["--seeds", "5,6,7,8,9,10,11,12,13,14"], "expected fewer --rates");
    refused(&["--grid", "optimizer.beta1=0.5,0.9"], "no method's own key");
    refused(&["--grid", "method.gamma=0.5,0.9"], "no method of the suite takes these values");
    refused(&["--grid", "method.mu=-1,0.1"], "mu = -1");
    desk.expect(&["suite", "s.toml", "--out", "a", "tune", "--rates", "nan"], 2, &["--rates holds NaN"]);
    assert!(!desk.path().join("a").exists());
}
