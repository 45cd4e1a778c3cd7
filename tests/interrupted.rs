//! What becomes of a run that is killed, met by another process, or out of disk.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use machine::clock::Stopwatch;

use crate::cli::{Desk, MINIMAL};

/// What a run measures, timings aside.
const MEASURED: [&str; 7] = [
    "experiment.toml",
    "card.toml",
    "partition.json",
    "skipped.json",
    "records.parquet",
    "predictions.parquet",
    "adapters.safetensors",
];

/// A run of a few seconds.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("x.toml", &format!("[federation]\nrounds = 4\n[partition]\nclients = 2\n{MINIMAL}"));
    desk
}

fn start(desk: &Desk, out: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fedbench"));
    command.args(["run", "x.toml", "--quiet", "--out", out]).current_dir(desk.path());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

fn run_folder(desk: &Desk, out: &str) -> PathBuf {
    std::fs::read_dir(desk.path().join(out)).expect("a folder").next().expect("one run").expect("readable").path()
}

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Killed at ten random moments of its life, a run that is started again measures the same, byte for byte, and leaves nothing aside.
#[test]
fn a_killed_run_comes_out_the_same() {
    let desk = desk();
    let clock = Stopwatch::start();
    assert!(start(&desk, "whole").wait().expect("it ends").success());
    let life = Duration::from_secs_f64(clock.seconds());
    let mut moments = seed::Seed::new(1).stream("kills");
    for _ in 0..10 {
        let mut child = start(&desk, "killed");
        std::thread::sleep(life.mul_f64(moments.range(0.0, 1.0)));
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }
    desk.expect(&["run", "x.toml", "--out", "killed"], 0, &[]);
    let (whole, killed) = (run_folder(&desk, "whole"), run_folder(&desk, "killed"));
    for name in MEASURED {
        assert_eq!(bytes(&whole, name), bytes(&killed, name), "{name}");
    }
    let hidden: Vec<_> = std::fs::read_dir(&killed)
        .expect("a folder")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(hidden.is_empty(), "{hidden:?}");
    // Their reports' numbers differ in nothing but time and memory.
    let numbers = |out: &str| {
        let report = format!("{out}-report");
        desk.expect(&["report", out, "--out", &report, "--format", "csv", "--no-data"], 0, &[]);
        let csv = std::fs::read_to_string(desk.path().join(report).join("report.csv")).expect("a report");
        let of_machine =
            |line: &&str| ["wall_seconds", "train_examples_per_second", "peak_memory"].iter().any(|of| line.contains(of));
        csv.lines().filter(|line| !of_machine(line)).map(String::from).collect::<Vec<_>>()
    };
    assert!(numbers("whole").len() > 10);
    assert_eq!(numbers("whole"), numbers("killed"));
}

/// A second process at the same run is told so; when the first (here, this one) is gone, it may go on.
#[test]
fn two_processes_at_one_run() {
    let desk = desk();
    desk.expect(&["run", "x.toml", "--out", "runs"], 0, &[]);
    let run = run_folder(&desk, "runs").file_name().expect("a name").to_owned();
    let shared = desk.path().join("shared").join(run);
    std::fs::create_dir_all(&shared).expect("a folder");
    let lock = std::fs::File::create(shared.join(".lock")).expect("a file");
    lock.try_lock().expect("nobody else's");
    desk.expect(&["run", "x.toml", "--out", "shared"], 1, &["another process is writing this run", "--out"]);
    drop(lock);
    desk.expect(&["run", "x.toml", "--out", "shared"], 0, &["accuracy"]);
}

/// Where no file may grow beyond a few blocks, as on a full disk: a clear error that names the file, nothing half written under its
/// name, and what was complete is as it was.
#[cfg(unix)]
#[test]
fn a_full_disk_loses_nothing() {
    let desk = desk();
    desk.expect(&["run", "x.toml", "--out", "runs"], 0, &[]);
    let complete = run_folder(&desk, "runs");
    let before = MEASURED.map(|name| bytes(&complete, name));
    // Writing beyond the limit fails instead of ending the process.
    let limited = "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_fedbench"), "run", "x.toml", "--seed", "9", "--out", "runs", "--quiet"])
        .current_dir(desk.path())
        .output()
        .expect("sh starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write") && !said.contains("panicked"), "{said}");
    assert_eq!(before, MEASURED.map(|name| bytes(&complete, name)));
    desk.expect(&["report", "runs"], 0, &["unfinished runs, not reported"]);
    desk.expect(&["run", "x.toml", "--seed", "9", "--out", "runs"], 0, &["accuracy"]);
    desk.expect(&["report", "runs"], 0, &["2 runs"]);
}
