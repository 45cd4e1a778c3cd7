//! What commands write besides runs: datasets, partitions, weights.

use std::path::Path;

use anyhow::Context;
use guard::lock::Lock;
use machine::clock::Stopwatch;

use crate::cli::Desk;
use crate::support::Test;

fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

const SPLITS: [&str; 3] = ["test-00000-of-00001.parquet", "train-00000-of-00001.parquet", "validation-00000-of-00001.parquet"];

#[test]
fn a_generated_dataset_has_a_folder_of_its_own() -> Test {
    let desk = Desk::new();
    let made = desk.path().join("made");
    let prepare = ["data", "prepare", "icongen", "--rows", "12", "8", "--out", "made"];
    std::fs::create_dir(&made)?;
    let theirs = desk.path().join("theirs");
    std::fs::write(&theirs, "theirs")?;
    // What a killed command left, or somebody put in its way.
    std::os::unix::fs::symlink(&theirs, made.join(".train-00000-of-00001.parquet.part"))?;
    desk.expect(&prepare, 0, &["train: 12 rows"]);
    assert_eq!(std::fs::read_to_string(&theirs)?, "theirs");
    assert_eq!(names(&made)?, [&["card.toml"], &SPLITS[..]].concat());
    desk.expect(&prepare, 0, &["train: 12 rows"]);
    desk.expect(&["data", "prepare", "scigen", "--rows", "12", "8", "--out", "made"], 2, &["no dataset `scigen`", "--out"]);
    let held = Lock::of_folder(&made)?.context("free")?;
    desk.expect(&prepare, 1, &["made: another process is writing this dataset"]);
    drop(held);
    std::fs::create_dir(desk.path().join("other"))?;
    desk.write("other/train-00000-of-00001.parquet", "theirs");
    desk.expect(&["data", "prepare", "icongen", "--rows", "9", "9", "--out", "other"], 2, &["other: not an empty folder"]);
    assert_eq!(std::fs::read_to_string(desk.path().join("other/train-00000-of-00001.parquet"))?, "theirs");
    desk.expect(&["data", "prepare", "icongen", "--rows", "0", "9", "--out", "none"], 2, &["1..=1000000"]);
    desk.expect(&["data", "prepare", "icongen", "--rows", "9999999999", "9", "--out", "none"], 2, &["1..=1000000"]);
    desk.expect(&["data", "prepare", "icongen", "--rows", "9", "9", "--out", "theirs/made"], 1, &["cannot write theirs/made"]);
    assert!(!desk.path().join("none").exists());
    Ok(())
}

/// A partition that runs may have been made on is not replaced.
#[test]
fn a_partition_is_not_overwritten() -> Test {
    let desk = Desk::new();
    desk.expect(&["data", "prepare", "icongen", "--rows", "40", "20", "--out", "made"], 0, &[]);
    let draw = |seed| ["data", "partition", "./made", "--clients", "2", "--seed", seed, "--out", "p.json"];
    desk.expect(&draw("1"), 0, &["saved: p.json"]);
    let kept = std::fs::read(desk.path().join("p.json"))?;
    desk.expect(&draw("1"), 0, &["saved: p.json"]);
    desk.expect(&draw("18446744073709551615"), 2, &["9223372036854775807"]);
    desk.expect(&draw("2"), 2, &["p.json is there already and holds something else", "--out"]);
    assert_eq!(std::fs::read(desk.path().join("p.json"))?, kept);
    Ok(())
}

/// Whether weights can be written is known before the hour that they take.
#[test]
fn weights_are_tried_first_and_whole() -> Test {
    let desk = Desk::new();
    desk.write("file", "in the way");
    let nano = |out| {
        [
            "pretrain",
            "nano",
            "--quiet",
            "--grounding-steps",
            "1",
            "--grounding-batch-size",
            "1",
            "--steps",
            "1",
            "--batch-size",
            "1",
            "--out",
            out,
        ]
    };
    let began = Stopwatch::start();
    desk.expect(&nano("file/weights"), 1, &["cannot write to file/weights: give an --out that can be written to"]);
    let smol = ["pretrain", "smol", "--quiet", "--weights", "nowhere", "--out", "file/weights"];
    desk.expect(&smol, 1, &["cannot write to file/weights"]);
    std::fs::create_dir(desk.path().join("taken"))?;
    let held = Lock::of_folder(&desk.path().join("taken"))?.context("free")?;
    desk.expect(&nano("taken"), 1, &["taken: another process is making weights there"]);
    drop(held);
    assert!(began.seconds() < 5.0, "before any work");
    Ok(())
}

/// What lies in the cache of generated datasets is what was put there, or an error that names the folder; no room is named, too.
#[test]
fn the_cache_of_generated_datasets_is_checked() -> Test {
    let desk = Desk::new();
    desk.write("file", "in the way");
    let inspect = ["data", "inspect", "icongen"];
    let says = ["cannot keep IconGen in file/cache", "FEDBENCH_CACHE names another folder"];
    desk.expect_with(&inspect, &[("FEDBENCH_CACHE", "file/cache")], 1, &says);
    let cache = [("FEDBENCH_CACHE", "cache")];
    desk.expect_with(&["data", "prepare", "icongen"], &cache, 0, &["cache/icongen-v"]);
    let folder = desk
        .path()
        .join("cache")
        .join(names(&desk.path().join("cache"))?.iter().find(|name| name.starts_with("icongen")).context("made")?);
    let test = folder.join(SPLITS[0]);
    let whole = std::fs::read(&test)?;
    std::fs::write(&test, &whole[..whole.len() / 2])?;
    let says = [
        "cache/icongen-v",
        "test-00000-of-00001.parquet is not the one that was written there",
        "remove the folder, and it is made again",
    ];
    desk.expect_with(&inspect, &cache, 1, &says);
    std::fs::remove_file(&test)?;
    desk.expect_with(&inspect, &cache, 1, &["test-00000-of-00001.parquet: No such file", "remove the folder"]);
    std::fs::write(&test, &whole)?;
    std::fs::write(folder.join("card.toml"), "name = ")?;
    desk.expect_with(&inspect, &cache, 1, &["card.toml is damaged", "remove the folder"]);
    std::fs::remove_dir_all(&folder)?;
    desk.expect_with(&inspect, &cache, 0, &["rows"]);
    assert_eq!(std::fs::read(&test)?, whole, "made again, to the byte");
    Ok(())
}

/// A report's place is tried before the runs that it is about.
#[test]
fn a_report_is_tried_first() {
    let desk = Desk::new();
    desk.write("file", "in the way").expect(
        &["report", "nowhere", "--out", "file/report"],
        1,
        &["cannot write a report to file/report"],
    );
    desk.write("suite.toml", "name = \"x\"\nseeds = [1]\n[[experiments]]\n[experiments.data]\ndataset = \"icongen\"\n[experiments.method]\nname = \"fednano\"\n");
    desk.expect(&["suite", "suite.toml", "--out", "file"], 1, &["cannot write a report to file/report"]);
}
