//! `compare`, `reproduce` and `report` on runs that are kept (`tests/gate-baseline`), as a user calls them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use reports::Trust;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::Desk;

fn baseline() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gate-baseline")
}

/// The baseline's runs as folders: what is kept is a pack.
pub fn folders() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let unpacked = FOLDER.get_or_init(|| {
        let folder = TempDir::new().expect("a folder");
        reports::unpack::unpack(&baseline(), folder.path(), Trust::Verified).expect("a sound pack");
        folder
    });
    unpacked.path()
}

/// The baseline's runs of a method, copied below the desk, their summaries changed.
fn copied(desk: &Desk, folder: &str, method: &str, change: impl Fn(&mut Value)) {
    let of_method = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains(method));
    for run in std::fs::read_dir(folders()).expect("a baseline").map(|entry| entry.expect("readable").path()).filter(of_method) {
        let copy = desk.path().join(folder).join(run.file_name().expect("a name"));
        std::fs::create_dir_all(&copy).expect("a folder");
        for file in std::fs::read_dir(&run).expect("a run").map(|entry| entry.expect("readable").path()) {
            std::fs::copy(&file, copy.join(file.file_name().expect("a name"))).expect("a copy");
        }
        let path = copy.join("summary.json");
        let mut summary = serde_json::from_slice(&std::fs::read(&path).expect("a summary")).expect("JSON");
        change(&mut summary);
        std::fs::write(&path, summary.to_string()).expect("a summary");
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

fn verdict<'a>(pair: &'a Value, metric: &str) -> &'a Value {
    let metrics = pair["metrics"].as_array().expect("metrics");
    &metrics.iter().find(|found| found["metric"] == metric).expect("a metric of this name")["verdict"]
}

#[test]
fn runs_compared_with_themselves_are_the_same() {
    let (desk, kept) = (Desk::new(), baseline());
    let kept = kept.to_str().expect("UTF-8");
    let text = desk.expect(&["compare", kept, kept], 0, &["B AGAINST A", "fednano", "+0.0 ± 0.0", "no difference", "Nothing."]);
    assert!(!text.contains("Only in"), "{text}");
    desk.expect(&["compare", kept, kept, "--format", "md"], 0, &["# B against A", "| dataset | method "]);
    let found = json(&desk.expect(&["compare", kept, kept, "--format", "json"], 0, &[]));
    let pairs = found["pairs"].as_array().expect("pairs");
    assert_eq!((pairs.len(), found["only_a"].as_array().map(Vec::len)), (4, Some(0)));
    assert!(pairs.iter().all(|pair| verdict(pair, "accuracy") == "same" && verdict(pair, "total_bytes") == "same"));
}

#[test]
fn what_changed_and_what_is_missing_is_said() {
    let (desk, kept) = (Desk::new(), baseline());
    let kept = kept.to_str().expect("UTF-8");
    copied(&desk, "mine", "-fednano-", |summary| {
        summary["uplink_bytes"] = json("1");
        summary["peak_memory_bytes"] = (2 * summary["peak_memory_bytes"].as_u64().expect("bytes")).into();
    });
    desk.expect(&["compare", kept, "mine"], 0, &["uplink_bytes (bytes)", "better", "Only in A", "fedavg-lora on icongen"]);
    let found = json(&desk.expect(&["compare", kept, "mine", "--format", "json"], 0, &[]));
    let pair = &found["pairs"][0];
    assert_eq!((verdict(pair, "uplink_bytes"), verdict(pair, "accuracy")), (&"better".into(), &"same".into()));
    assert_eq!(verdict(pair, "peak_memory_bytes"), "worse");
    assert_eq!(found["only_a"].as_array().map(Vec::len), Some(3));
}

/// A revision's kept runs are compared as a folder is.
#[test]
fn revisions_are_compared() {
    let desk = Desk::new();
    copied(&desk, "reports/results", "-fednano-", |_| ());
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"];
        let status = Command::new("git").args(identity).args(arguments).current_dir(desk.path()).output().expect("git").status;
        assert!(status.success(), "{arguments:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "Keep runs"]);
    copied(&desk, "mine", "-fednano-", |_| ());
    desk.expect(&["compare", "HEAD", "mine"], 0, &["fednano", "Nothing."]);
    desk.expect(&["compare", "HEAD:reports/results", "HEAD"], 0, &["fednano", "Nothing."]);
    desk.expect(&["compare", "HEAD:nowhere", "mine"], 1, &["HEAD:nowhere", "git archive"]);
    desk.expect(&["compare", "nowhere", "mine"], 1, &["`nowhere`", "a folder that exists, or a git revision"]);
}

#[test]
fn claims_are_judged_on_runs_that_exist() {
    let (desk, kept) = (Desk::new(), baseline());
    let kept = kept.to_str().expect("UTF-8");
    let verdicts = [
        "FedNano, arXiv 2506.14824",
        "does not hold here (better in 0 of 1, worse in 0, no difference in 1; there, differences of less than ",
        "cannot be tested here: needs runs of fednano and of fedavg-nano",
        "fedavg-lora",
    ];
    desk.expect(&["reproduce", "heterogeneity", "--runs", kept], 0, &verdicts);
    desk.expect(
        &["reproduce", "feddat-domain", "--runs", kept],
        0,
        &["cannot be tested here: needs the weights of ViLT-B/32", "cannot be tested here: needs runs of feddat"],
    );
    desk.expect(&["reproduce", "heterogeneity", "--runs", "nowhere"], 1, &["nowhere"]);
    desk.expect(&["reproduce", "heterogeneity", "--runs", kept, "--plan"], 2, &["--plan", "cannot be used with"]);
    desk.expect(&["reproduce", "heterogenity"], 2, &["unrecognized subcommand 'heterogenity'", "heterogeneity"]);
    assert!(!desk.path().join("runs").exists(), "nothing was run");
}

#[test]
fn a_plan_runs_nothing() {
    let desk = Desk::new();
    let plan = ["plan: 105 runs (21 experiments x 5 seeds)", "icongen", "of memory", "optimizer steps", "activations up"];
    desk.expect(&["reproduce", "heterogeneity", "--plan"], 0, &plan);
    assert_eq!(std::fs::read_dir(desk.path()).expect("a folder").count(), 0);
}

#[test]
fn targets_are_asked_for_in_percent() {
    let (desk, kept) = (Desk::new(), baseline());
    let kept = kept.to_str().expect("UTF-8");
    let said = desk.expect(&["report", kept, "--target", "40,56.5", "--out", "out", "--format", "csv,json"], 0, &["56.5"]);
    assert!(said.contains("Reaching an accuracy") && said.contains("all bytes  reached"), "{said}");
    let csv = std::fs::read_to_string(desk.path().join("out/targets.csv")).expect("targets");
    assert_eq!(csv.lines().count(), 1 + 2 * 4, "{csv}");
    assert!(csv.lines().next().is_some_and(|header| header.ends_with("total_bytes_median,upper_bound")), "{csv}");
    // Untouched, the backbone is there at once, and nothing has moved.
    assert!(csv.contains(",0.4,3,3,0,0,0,0\n"), "{csv}");
    let report = json(&std::fs::read_to_string(desk.path().join("out/report.json")).expect("a report"));
    assert_eq!(report["targets"].as_array().map(Vec::len), Some(8));
    desk.expect(&["report", kept, "--target", "120"], 2, &["--target", "a percentage from 0 to 100"]);
}
