//! What leaves the program: results that cannot be written, readers that go away, and names that would be commands to a terminal.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use crate::cli::{Desk, MINIMAL};

/// Names that would be commands to a terminal, a line of their own, or written from right to left.
const NASTY: &str = "\u{1b}]0;owned\u{7}\u{1b}[31mred\u{9b}32m\u{202e}txt";

fn fedbench(desk: &Desk, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fedbench"));
    command.args(arguments).current_dir(desk.path()).env("FEDBENCH_DATA", desk.path().join("no-data"));
    command
}

/// A device that is full at the first byte.
fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("Linux has one")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A desk with two small experiments.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("x.toml", &format!("[federation]\nrounds = 1\n[partition]\nclients = 2\n{MINIMAL}"));
    desk
}

#[test]
fn progress_that_cannot_be_written_is_dropped() {
    let desk = desk();
    let output = fedbench(&desk, &["run", "x.toml", "--out", "full"]).stderr(full()).output().expect("it starts");
    assert!(output.status.success(), "{:?}: {}", output.status, said(&output));
    assert!(said(&output).contains("accuracy") && desk.path().join("full").is_dir());

    // A reader of both streams that leaves after the first line.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = fedbench(&desk, &["run", "x.toml", "--out", "gone"]);
    let mut child = command.stdout(writer.try_clone().expect("the same")).stderr(writer).spawn().expect("it starts");
    drop(command);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).expect("a first line");
    assert!(line.contains("icongen-fednano"), "{line}");
    assert!(child.wait().expect("it ends").success());
    desk.expect(&["run", "x.toml", "--out", "gone"], 0, &["complete already"]);
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let desk = desk();
    desk.expect(&["run", "x.toml", "--quiet"], 0, &["accuracy"]);
    for arguments in [
        &["compare", "runs", "runs", "--format", "json"][..],
        &["compare", "runs", "runs"],
        &["report", "runs"],
        &["gate", "--baseline", "runs", "--runs", "runs", "--allow-dirty", "--format", "junit"],
        &["list", "methods"],
        &["cost", "--backbone", "nano", "--method", "fednano"],
        &["run", "x.toml", "--quiet", "--out", "other"],
        &["--help"],
        &["--version"],
    ] {
        let output = fedbench(&desk, arguments).stdout(full()).output().expect("it starts");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains("cannot write the result to standard output: No space left"), "{}", said(&output));
        // Open, but not for writing.
        let unwritable = File::open("/dev/null").expect("Linux has one");
        let code = fedbench(&desk, arguments).stdout(unwritable).stderr(full()).status().expect("it starts").code();
        assert!(arguments[0].starts_with("--") || code == Some(1), "{arguments:?}: {code:?}");
        // A reader that is gone has what it wanted.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = fedbench(&desk, arguments).stdout(writer).output().expect("it starts");
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {}", said(&output));
    }
    desk.expect(&["run", "x.toml", "--out", "other"], 0, &["complete already"]);
}

/// A plan that was asked for is a result, whether anybody reads the progress.
#[test]
fn a_plan_that_was_asked_for_is_a_result() {
    let desk = desk();
    let plan = ["reproduce", "ablation-fisher", "--plan"];
    let output = fedbench(&desk, &plan).stderr(full()).output().expect("it starts");
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).starts_with("plan: "), "{}", said(&output));
    let output = fedbench(&desk, &plan).stdout(full()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("cannot write the result to standard output"), "{}", said(&output));
}

/// Neither arguments nor names in files reach a terminal as commands.
#[test]
fn no_escape_sequence_leaves_the_program() {
    let desk = desk();
    let clean = |arguments: &[&str]| {
        let output = fedbench(&desk, arguments).output().expect("it starts");
        let said = said(&output);
        let treacherous = |c: char| c != '\n' && c != '\t' && guard::text::is_treacherous(c);
        assert!(!said.contains(treacherous), "{arguments:?}: {said:?}");
        said
    };
    let spelled = "\\u{1b}[31mred\\u{9b}32m\\u{202e}txt";
    // The parser of arguments drops the sequences itself.
    assert!(clean(&[NASTY]).contains("txt"));
    assert!(clean(&["run", NASTY]).contains(spelled));
    assert!(clean(&["report", NASTY]).contains(spelled));
    assert!(clean(&["run", "x.toml", "--set", &format!("method.name={NASTY}")]).contains("red"));
    assert!(clean(&["list", "methods", &format!("--{NASTY}")]).contains("red"));
    desk.write("card.toml", &format!("name = {}\n", serde_json::json!(NASTY)));
    clean(&["data", "inspect", "card.toml"]);
    desk.write("y.toml", &format!("{} = 3\n{MINIMAL}", serde_json::json!(NASTY)));
    assert!(clean(&["validate", "y.toml"]).contains("red"));

    desk.expect(&["run", "x.toml", "--quiet", "--out", NASTY], 0, &["accuracy"]);
    assert!(clean(&["report", NASTY, "--out", &format!("{NASTY}2"), "--format", "md"]).contains(spelled));
    assert!(clean(&["run", "x.toml", "--out", NASTY]).contains(spelled));
    let json = clean(&["cost", "--backbone", "nano", "--method", "fednano", "--format", "json"]);
    serde_json::from_str::<serde_json::Value>(&json).expect("JSON");
}

/// Of a message of any length a screen is shown.
#[test]
fn a_message_has_an_end() {
    let desk = desk();
    let long = "n".repeat(100_000);
    for arguments in [&["run", &long][..], &[&long], &["run", "x.toml", "--set", &format!("{long}=1")]] {
        let output = fedbench(&desk, arguments).output().expect("it starts");
        assert!(!output.status.success() && said(&output).len() < 10_000, "{}", said(&output).len());
    }
}

#[test]
fn a_cause_is_said_once() {
    let desk = desk();
    let said = desk.expect(&["run", "absent.toml"], 2, &["cannot read absent.toml"]);
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
    std::fs::create_dir(desk.path().join("folder.toml")).expect("a folder");
    let said = desk.expect(&["run", "folder.toml"], 2, &["folder.toml"]);
    assert_eq!(said.matches("folder.toml").count(), 1, "{said}");
    assert!(said.matches("os error").count() <= 1, "{said}");
}

#[test]
fn a_place_that_is_no_folder_is_said_to_be_none() {
    let desk = desk();
    std::fs::create_dir(desk.path().join("empty")).expect("a folder");
    desk.expect(&["run", "x.toml", "--quiet"], 0, &["accuracy"]);
    for (place, texts) in [
        ("nowhere", ["nowhere does not exist", "expected a run folder"]),
        ("x.toml", ["x.toml is not a folder", "expected a run folder"]),
        ("empty", ["no finished run", "empty"]),
    ] {
        desk.expect(&["report", place], 1, &texts);
        desk.expect(&["gate", "--baseline", place, "--runs", "runs"], 1, &texts);
        desk.expect(&["gate", "--baseline", "runs", "--runs", place], 1, &texts);
    }
    desk.expect(&["compare", "nowhere", "runs"], 1, &["`nowhere`", "expected a folder that exists, or a git revision"]);
    desk.expect(&["compare", "runs", "empty"], 1, &["no finished run"]);
}

/// Standard output is not one of those that the parser of arguments may break, either.
#[test]
fn help_for_a_reader_that_leaves_is_no_error() {
    let desk = desk();
    let mut command = fedbench(&desk, &["--help"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
}

/// There is one way out, so there is one place where what leaves is looked at.
#[test]
fn nothing_prints_past_the_one_place() {
    let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            seen += 1;
            let text = std::fs::read_to_string(&path).expect("source text");
            let prints =
                ["print!(", "println!(", "io::stdout()", "(std::io::stderr()", "dbg!("].iter().any(|way| text.contains(way));
            assert!(!prints || path.ends_with("src/output.rs"), "{}", path.display());
        }
    }
    assert!(seen > 20, "{seen} files");
}
