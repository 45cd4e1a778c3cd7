//! Do a card and its rows mean what they say, however they were written? A card's line ends and encoding, paths that lead nowhere,
//! files in the place of folders.

use std::path::Path;

use crate::cli::Desk;

/// A folder of a generated dataset with its card written some way.
fn dataset(desk: &Desk, name: &str, card: &[u8]) {
    let (from, to) = (desk.path().join("base"), desk.path().join(name));
    std::fs::create_dir(&to).expect("a folder");
    for entry in std::fs::read_dir(&from).expect("the dataset") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, to.join(path.file_name().unwrap_or_default())).expect("copied");
    }
    std::fs::write(to.join("card.toml"), card).expect("written");
}

fn utf16(text: &str) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_cards_line_ends_and_mark_change_nothing() {
    let desk = Desk::new();
    desk.expect(&["data", "prepare", "icongen", "--out", "base", "--rows", "20", "12"], 0, &[]);
    let text = std::fs::read_to_string(desk.path().join("base/card.toml")).expect("a card");
    let prompt = "[prompts.mine]\ntemplate = \"\"\"Look.\n{question}\n{options}\nThe letter:\"\"\"\ntarget = \"letter\"\n";
    let text = format!("{text}\n{prompt}");
    let windows = text.replace('\n', "\r\n");
    dataset(&desk, "lf", text.as_bytes());
    dataset(&desk, "crlf", windows.as_bytes());
    dataset(&desk, "bom-crlf", format!("\u{feff}{windows}").as_bytes());
    dataset(&desk, "utf16", &utf16(&text));
    let predictions = |name: &str| {
        let out = format!("out-{name}");
        let dataset = format!("./{name}");
        let asked = ["eval", "--backbone", "nano", "--prompt", "mine", "--dataset", &dataset, "--out", &out];
        desk.expect(&asked, 0, &["accuracy"]);
        std::fs::read(desk.path().join(out).join("predictions.parquet")).expect("predictions")
    };
    let expect = predictions("lf");
    assert!(predictions("crlf") == expect && predictions("bom-crlf") == expect, "the same card asks the same");
    desk.expect(&["eval", "--backbone", "nano", "--dataset", "./utf16", "--out", "o"], 2, &["card.toml", "UTF-16", "save it so"]);
}

#[test]
fn what_is_no_dataset_is_said_to_be_so() {
    let desk = Desk::new();
    desk.expect(&["data", "prepare", "icongen", "--out", "base", "--rows", "20", "12"], 0, &[]);
    let file = Path::new("base").join("train-00000-of-00001.parquet").display().to_string();
    desk.expect(&["data", "partition", &file], 2, &["is a file: a dataset is a folder with a `card.toml`"]);
    desk.expect(&["data", "inspect", &file], 0, &["no card", "20 rows of `train`"]);
    desk.expect(&["data", "inspect", "no.parquet"], 2, &["does not exist"]);
    desk.expect(&["data", "inspect", "no.toml"], 2, &["no.toml", "No such file"]);
    let pipe = desk.path().join("pipe.toml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    desk.expect(&["data", "inspect", "pipe.toml"], 2, &["pipe.toml", "expected a regular file"]);
    std::fs::create_dir(desk.path().join("piped")).expect("a folder");
    std::fs::rename(&pipe, desk.path().join("piped/card.toml")).expect("moved");
    for folder in ["./piped", "piped"] {
        desk.expect(&["data", "inspect", folder], 2, &["card.toml", "a pipe, a socket or a device; expected a regular file"]);
    }
}

#[test]
fn a_cards_files_lie_in_its_folder() {
    let desk = Desk::new();
    desk.expect(&["data", "prepare", "icongen", "--out", "base", "--rows", "20", "12"], 0, &[]);
    let text = std::fs::read_to_string(desk.path().join("base/card.toml")).expect("a card");
    let named = "test-00000-of-00001.parquet";
    let outside = desk.path().join("base").join(named).display().to_string();
    for (name, files, part) in [
        ("up", format!("../base/{named}"), "names `../base/"),
        ("root", outside, "within the dataset's folder"),
        ("twice", format!("{named}\", \"te*.parquet"), "names it twice"),
    ] {
        assert!(text.contains(&format!("\"{named}\"")), "{text}");
        dataset(&desk, name, text.replace(&format!("\"{named}\""), &format!("\"{files}\"")).as_bytes());
        desk.expect(&["eval", "--backbone", "nano", "--dataset", &format!("./{name}"), "--out", "o"], 1, &[part]);
    }
}
