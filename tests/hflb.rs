//! HFLB in its authors' layout, made here: imported, inspected, split over its clients, trained on.

use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use crate::cli::Desk;
use crate::support::Test;

fn picture(path: &Path, shade: u8) -> Test {
    std::fs::create_dir_all(path.parent().expect("a folder above"))?;
    image::RgbImage::from_pixel(8, 6, image::Rgb([shade, 40, 200])).save(path)?;
    Ok(())
}

fn record(images: Value, prompt: &str, answer: &str) -> Value {
    json!({"id": "7", "image": images, "conversations": [{"from": "human", "value": prompt}, {"from": "gpt", "value": answer}]})
}

/// Four tasks of three training and two test questions.
fn tasks(folder: &Path, dataset: &str, first: u32, question: &dyn Fn(usize) -> Value) -> Test {
    for task in first..first + 4 {
        for (split, rows) in [("train", 3), ("test", 2)] {
            let path = folder.join(dataset).join(split).join(format!("dataset-{task}.json"));
            std::fs::create_dir_all(path.parent().expect("a folder above"))?;
            std::fs::write(path, serde_json::to_string(&(0..rows).map(question).collect::<Vec<_>>())?)?;
        }
    }
    Ok(())
}

/// GQA's three clients with a picture a question, and NLVR2 with two.
fn unpacked(folder: &Path) -> Test {
    for i in 0..3u8 {
        picture(&folder.join(format!("GQA/images/{i}.png")), 80 * i)?;
        picture(&folder.join(format!("NLVR2_feddat/full/images/{i}.png")), 60 * i)?;
    }
    for first in [10, 20, 30] {
        tasks(folder, "GQA", first, &|i| {
            let prompt = format!("<image>\n Question: Is it number {i}?\n Choice lists: ['yes', 'no'].\n Your answer is:");
            record(json!(format!("dataset/GQA/images/{i}.png")), &prompt, ["yes", "no"][i % 2])
        })?;
    }
    tasks(folder, "NLVR2_feddat", 0, &|i| {
        let images = [0, i].map(|at| format!("dataset/NLVR2_feddat/full/images/{at}.png"));
        let prompt = "Left: <image>, right: <image>. They differ.\nChoice list:[True, False]. Your answer is:";
        record(json!(images), prompt, if i == 0 { "False" } else { "True" })
    })
}

#[test]
fn archives_become_a_federation() -> Test {
    let desk = Desk::new();
    unpacked(&desk.path().join("dataset"))?;
    let says = ["32 files", "1/32 train gqa-1 GQA-10: 3 rows", "32/32 test nlvr2 NLVR2_feddat-3: 2 rows", "train: 48 rows"];
    desk.expect(&["data", "import", "hflb", "dataset", "--out", "made/hflb"], 0, &says);
    desk.expect(&["data", "inspect", "made/hflb"], 0, &["rows      48", "Is it number 1?", "GQA-31"]);
    let experiment = "[backbone]\nname = \"nano\"\n[data]\ndataset = \"made/hflb\"\n[partition]\nscheme = \"natural\"\nkey = \"client\"\n\
                      [federation]\nrounds = 1\nbatch_size = 4\n[method]\nname = \"fedavg-lora\"\n";
    desk.write("hflb.toml", experiment).expect(&["run", "hflb.toml", "--out", "run"], 0, &[]);
    let run = std::fs::read_dir(desk.path().join("run"))?.next().context("a run")??.path();
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(run.join("summary.json"))?)?;
    assert_eq!((&summary["clients"], &summary["train_examples"], &summary["test_examples"]), (&json!(4), &json!(48), &json!(32)));
    desk.expect(
        &["data", "import", "hflb", "dataset", "--out", "few", "--rows", "1", "2"],
        0,
        &["train: 16 rows", "test: 32 rows"],
    );
    Ok(())
}

#[test]
fn what_is_missing_or_broken_is_said() -> Test {
    let desk = Desk::new();
    let import = ["data", "import", "hflb", "dataset", "--out", "made"];
    std::fs::create_dir_all(desk.path().join("dataset"))?;
    desk.expect(&import, 2, &["holds none of AQUA, Abstract, COCOQA, GQA,", "tar -xf"]);
    unpacked(&desk.path().join("dataset"))?;

    let pictures = desk.path().join("dataset/GQA/images");
    std::fs::remove_file(pictures.join("1.png"))?;
    desk.expect(&import, 0, &["train gqa-1 GQA-10: 2 rows", "left out 1: record 1: picture `", "images/1.png"]);
    let card = std::fs::read_to_string(desk.path().join("made/card.toml"))?;
    assert!(card.contains("revision = \"imported, 24 records left out\""), "{card}");
    std::fs::remove_dir_all(pictures)?;
    desk.expect(&import, 1, &["dataset-10.json", "none of its 3 records can be used; the first: record 0: picture"]);

    let file = desk.path().join("dataset/GQA/train/dataset-10.json");
    std::fs::write(&file, "[{")?;
    desk.expect(&import, 1, &["dataset-10.json", "expected a JSON list of records"]);
    std::fs::remove_file(file)?;
    desk.expect(&import, 1, &["dataset-10.json", "No such file"]);

    // What was made before is still whole.
    desk.expect(&["data", "inspect", "made"], 0, &["rows      36"]);
    Ok(())
}

/// Links out of the archive, pipes, other names and shapes: nothing of them is read, waited for or followed.
#[test]
fn an_archive_that_means_harm_gives_nothing_away() -> Test {
    let desk = Desk::new();
    let (folder, secret) = (desk.path().join("dataset"), desk.path().join("secret.png"));
    unpacked(&folder)?;
    picture(&secret, 7)?;
    let place = folder.join("GQA/images/1.png");
    let import = ["data", "import", "hflb", "dataset", "--out", "made"];
    std::fs::remove_file(&place)?;
    std::os::unix::fs::symlink(&secret, &place)?;
    desk.expect(&import, 0, &["train gqa-1 GQA-10: 2 rows", "left out 1: record 1: picture `", "it leads out of"]);
    std::fs::remove_file(&place)?;
    assert!(std::process::Command::new("mkfifo").arg(&place).status()?.success());
    desk.expect(&import, 0, &["train gqa-1 GQA-10: 2 rows", "left out 1: record 1: picture `", "a pipe, a socket or a device"]);
    let card = std::fs::read_to_string(desk.path().join("made/card.toml"))?;
    // A link that stays within is as good as a file.
    std::fs::remove_file(&place)?;
    std::os::unix::fs::symlink("2.png", &place)?;
    desk.expect(&import, 0, &["train gqa-1 GQA-10: 3 rows", "train: 48 rows"]);

    let questions = folder.join("GQA/train/dataset-10.json");
    let outside = desk.path().join("outside.json");
    std::fs::rename(&questions, &outside)?;
    std::os::unix::fs::symlink(&outside, &questions)?;
    desk.expect(&import, 1, &["dataset-10.json: it leads out of"]);
    std::fs::remove_file(&questions)?;
    assert!(std::process::Command::new("mkfifo").arg(&questions).status()?.success());
    desk.expect(&import, 1, &["dataset-10.json: it is a pipe"]);
    std::fs::remove_file(&questions)?;

    for (text, says) in [
        ("[".repeat(200_000), "expected a JSON list of records"),
        (format!("[{}]", "{}, ".repeat(999_999) + "{}"), "none of its 1000000 records can be used"),
        (format!("[{}]", "{}, ".repeat(1_000_000) + "{}"), "more than 1000000 records"),
        (format!("[\"{}\"]", "x".repeat(2 << 20)), "record 0 is longer than 1048576 bytes"),
        (format!("[\"{}\"]", "x".repeat(1 << 19)), "characters ..."),
        ("[{}] and more".into(), "something comes behind the list"),
        ("{\"a\": 1}".into(), "it is no list"),
        ("[7, 8]".into(), "none of its 2 records can be used"),
        (r#"[{"image": "../../secret.png", "conversations": []}]"#.into(), "no turn is from `human`"),
    ] {
        std::fs::write(&questions, text)?;
        let said = desk.expect(&import, 1, &["dataset-10.json", says]);
        assert!(said.len() < 20_000, "{} characters", said.len());
    }
    let turns = json!([{"from": "human", "value": "What?\nChoice list:[a, b]."}, {"from": "gpt", "value": "a"}]);
    let other = json!([{"image": "../../secret.png", "conversations": turns}]);
    std::fs::write(&questions, other.to_string())?;
    desk.expect(&import, 1, &["dataset-10.json", "picture `../../secret.png`: expected a path within the dataset"]);

    // Nothing of the failed imports stays, and what was made before is whole.
    let mut left: Vec<_> = std::fs::read_dir(desk.path().join("made"))?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()?;
    left.sort();
    assert_eq!(left, ["card.toml", "test-00000-of-00001.parquet", "train-00000-of-00001.parquet"]);
    assert_ne!(std::fs::read_to_string(desk.path().join("made/card.toml"))?, card, "the last import was whole, too");
    desk.expect(&["data", "inspect", "made"], 0, &["rows      48"]);
    Ok(())
}

/// Two imports into one folder: one of them is told so. Another folder than its own is left alone.
#[test]
fn a_folder_has_one_import_at_a_time() -> Test {
    let desk = Desk::new();
    unpacked(&desk.path().join("dataset"))?;
    let import = ["data", "import", "hflb", "dataset", "--out", "made"];
    std::fs::create_dir_all(desk.path().join("made"))?;
    let held = guard::lock::Lock::of_folder(&desk.path().join("made"))?.context("free")?;
    desk.expect(&import, 1, &["made: another process is writing this dataset; wait for it, or give another --out"]);
    drop(held);
    std::fs::write(desk.path().join("made/thesis.txt"), "years of work")?;
    desk.expect(&import, 2, &["made: not an empty folder, and no dataset `hflb`", "`thesis.txt`"]);
    std::fs::remove_file(desk.path().join("made/thesis.txt"))?;
    desk.expect(&import, 0, &["train: 48 rows"]);
    desk.expect(&import, 0, &["train: 48 rows"]);
    Ok(())
}
