//! From one's own table and pictures to a report: in at most ten commands, and five minutes?

use std::path::Path;
use std::process::Command;

use machine::clock::Stopwatch;

use image::{ImageFormat, Rgb, RgbImage};

/// Rows of the table.
const ROWS: usize = 60;

/// A table about pictures of one colour, as a person would keep it.
fn table(folder: &Path) {
    std::fs::create_dir(folder.join("pictures")).expect("a folder");
    let mut text = String::from("picture,question,answer,site\n");
    let colours = [("red", [220, 30, 30]), ("green", [30, 200, 30]), ("blue", [30, 30, 220])];
    for row in 0..ROWS {
        let (name, colour) = colours[row % 3];
        let picture = RgbImage::from_pixel(32, 32, Rgb(colour));
        picture.save_with_format(folder.join(format!("pictures/{row}.png")), ImageFormat::Png).expect("a picture");
        text.push_str(&format!("pictures/{row}.png,Which colour is it?,{name},site {}\n", row % 2));
    }
    std::fs::write(folder.join("questions.csv"), text).expect("a table");
}

#[test]
fn a_newcomer_gets_a_report_in_ten_commands_and_five_minutes() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/newcomer.sh");
    let text = std::fs::read_to_string(&script).expect("the script");
    let commands = text.lines().filter(|line| line.starts_with("\"$fedbench\"") || line.starts_with("sed ")).count();
    assert!((5..=10).contains(&commands), "{commands} commands");
    let desk = tempfile::tempdir().expect("a folder");
    table(desk.path());
    let clock = Stopwatch::start();
    let small = ["--set", "partition.clients=2", "--set", "federation.rounds=1", "--set", "federation.local_steps=1", "--quiet"];
    let output = Command::new("bash")
        .arg(&script)
        .args([env!("CARGO_BIN_EXE_fedbench"), &desk.path().display().to_string()])
        .args(small)
        .env("FEDBENCH_DATA", desk.path().join("no-data"))
        .output()
        .expect("a shell");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    for expected in ["train: 48 rows", "test: 12 rows", "is a valid suite: 15 runs", "(standard error)", "page: "] {
        assert!(said.contains(expected), "expected {expected:?} in\n{said}");
    }
    let page = std::fs::read_to_string(desk.path().join("report/report.html")).expect("a page");
    assert!(page.contains("fednano") && page.contains("mine"));
    assert!(clock.seconds() < 300.0, "{} s", clock.seconds());
}
