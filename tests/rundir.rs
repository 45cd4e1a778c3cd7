//! Is a run folder that was damaged, changed or led astray ever taken for what it was?

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};

use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schema::manifest::{Entry, FORMAT};
use schema::{Manifest, run_dir};
use serde_json::Value;

use crate::cli::{Desk, MINIMAL};

/// A run of a second.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("x.toml", &format!("[federation]\nrounds = 1\n[partition]\nclients = 2\n{MINIMAL}"));
    desk
}

/// A finished run, made once; its files are copied, never changed.
fn finished() -> &'static (PathBuf, String) {
    static RUN: OnceLock<(Desk, (PathBuf, String))> = OnceLock::new();
    let made = RUN.get_or_init(|| {
        let desk = desk();
        desk.expect(&["run", "x.toml", "--quiet", "--out", "runs"], 0, &["accuracy"]);
        let run = fs::read_dir(desk.path().join("runs")).expect("runs").next().expect("a run").expect("readable").path();
        let name = run.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
        (desk, (run, name))
    });
    &made.1
}

/// A desk with a copy of the finished run.
fn with_run() -> (Desk, PathBuf) {
    let (run, name) = finished();
    let desk = desk();
    let copy = desk.path().join("runs").join(name);
    fs::create_dir_all(&copy).expect("a folder");
    let files = fs::read_dir(run).expect("a run").map(|file| file.expect("readable").path());
    for file in files.filter(|file| file.is_file()) {
        fs::copy(&file, copy.join(file.file_name().expect("a name"))).expect("a copy");
    }
    (desk, copy)
}

/// As versions before manifests wrote it.
fn made_old(run: &Path) {
    fs::remove_file(run.join(run_dir::MANIFEST)).expect("a manifest");
    edit(&run.join(run_dir::ENVIRONMENT), |environment| drop(environment.as_object_mut().expect("a table").remove("format")));
}

fn edit(path: &Path, change: impl Fn(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON");
    change(&mut value);
    fs::write(path, serde_json::to_string_pretty(&value).expect("JSON")).expect("written");
}

/// Files of a run that the clock does not touch.
fn measured(run: &Path) -> Vec<Vec<u8>> {
    let names =
        [run_dir::EXPERIMENT, run_dir::CARD, run_dir::PARTITION, run_dir::RECORDS, run_dir::PREDICTIONS, run_dir::ADAPTERS];
    names.map(|name| fs::read(run.join(name)).expect(name)).to_vec()
}

pub type Damage = (&'static str, fn(&Path));

/// What may become of a file.
pub const DAMAGES: [Damage; 8] = [
    ("emptied", |path| fs::write(path, "").expect("written")),
    ("{}", |path| fs::write(path, "{}").expect("written")),
    ("zeros", |path| fs::write(path, vec![0; fs::metadata(path).expect("a file").len() as usize]).expect("written")),
    ("cut", |path| {
        let content = fs::read(path).expect("a file");
        fs::write(path, &content[..content.len() / 2]).expect("written");
    }),
    ("a bit flipped", |path| {
        let mut content = fs::read(path).expect("a file");
        let middle = content.len() / 2;
        content[middle] ^= 4;
        fs::write(path, content).expect("written");
    }),
    ("removed", |path| fs::remove_file(path).expect("removed")),
    ("a link", |path| {
        let aside = path.with_extension("aside");
        fs::rename(path, &aside).expect("renamed");
        symlink(&aside, path).expect("a link");
    }),
    ("a pipe", |path| {
        fs::remove_file(path).expect("removed");
        assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
    }),
];

#[test]
fn a_report_refuses_every_damaged_file_and_names_it() {
    for name in run_dir::FILES.into_iter().chain([run_dir::MANIFEST]) {
        let (desk, run) = with_run();
        let whole = fs::read(run.join(name)).expect(name);
        for (damage, work) in DAMAGES {
            let path = run.join(name);
            work(&path);
            let changed =
                fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) && fs::read(&path).expect("read") == whole;
            assert!(!changed, "{name} {damage}: nothing was damaged");
            let said = desk.expect(&["report", "runs"], 1, &["--no-verify"]);
            assert!(said.contains(name), "{name} {damage}: {said}");
            fs::remove_file(&path).ok();
            fs::write(&path, &whole).expect("as it was");
        }
        desk.expect(&["report", "runs"], 0, &[]);
    }
}

#[test]
fn gate_compare_and_eval_refuse_too() {
    let (desk, run) = with_run();
    let adapters = run.join(run_dir::ADAPTERS);
    let whole = fs::read(&adapters).expect("adapters");
    fs::write(&adapters, &whole[..whole.len() - 4]).expect("written");
    let refused: &[&str] = &["adapters.safetensors", "manifest.json says"];
    desk.expect(&["gate", "--baseline", "runs", "--runs", "runs", "--allow-dirty"], 1, refused);
    desk.expect(&["compare", "runs", "runs"], 1, refused);
    desk.expect(&["reproduce", "main-table", "--runs", "runs"], 1, refused);
    desk.expect(&["compare", "runs", "runs", "--no-verify"], 0, &["fednano"]);
    let eval = ["eval", "--backbone", "nano", "--dataset", "icongen", "--limit", "5", "--out", "eval", "--adapters"];
    let adapters = adapters.to_str().expect("UTF-8");
    desk.expect(&[&eval[..], &[adapters]].concat(), 1, refused);
}

/// Never `complete already`: it is said what does not fit, and the run is what it was before.
#[test]
fn a_damaged_run_is_run_again_aloud() {
    let whole = measured(&finished().0);
    let damages: [(&str, Damage); 4] = [
        (run_dir::SUMMARY, DAMAGES[1]),
        (run_dir::PREDICTIONS, DAMAGES[3]),
        (run_dir::ADAPTERS, DAMAGES[4]),
        (run_dir::CARD, DAMAGES[6]),
    ];
    for (name, (damage, work)) in damages {
        let (desk, run) = with_run();
        work(&run.join(name));
        let said = desk.expect(&["run", "x.toml", "--quiet", "--out", "runs"], 0, &["run again, because", name, "accuracy"]);
        assert!(!said.contains("complete already"), "{name} {damage}: {said}");
        assert_eq!(measured(&run), whole, "{name} {damage}");
        desk.expect(&["run", "x.toml", "--quiet", "--out", "runs"], 0, &["complete already"]);
    }
    // A number that was changed together with its checksum.
    let (desk, run) = with_run();
    edit(&run.join(run_dir::SUMMARY), |summary| summary["accuracy"] = 0.99.into());
    sealed(&run);
    let why = ["run again, because", "says accuracy = 0.99, predictions.parquet gives"];
    desk.expect(&["run", "x.toml", "--quiet", "--out", "runs"], 0, &why);
    assert_eq!(measured(&run), whole);
    desk.expect(&["run", "x.toml", "--quiet", "--out", "runs"], 0, &["complete already"]);
}

#[test]
fn runs_without_a_manifest_are_read_with_a_notice_or_noticed() {
    let (desk, run) = with_run();
    fs::remove_file(run.join(run_dir::MANIFEST)).expect("a manifest");
    desk.expect(&["report", "runs"], 1, &["manifest.json", "is missing"]);
    desk.expect(&["report", "runs", "--no-verify"], 0, &["fednano"]);
    desk.expect(&["run", "x.toml", "--quiet", "--no-verify", "--out", "runs"], 0, &["complete already"]);

    let (desk, run) = with_run();
    made_old(&run);
    let said = desk.expect(&["compare", "runs", "runs"], 0, &["2 runs were written before run folders had a manifest.json"]);
    assert_eq!(said.matches("not verified").count(), 1, "{said}");
    desk.expect(&["report", "runs"], 0, &["1 run was written before", "not verified"]);
    let summary = run.join(run_dir::SUMMARY);
    edit(&summary, |summary| summary["accuracy"] = 1.0.into());
    let changed: &[&str] = &["says accuracy = 1", "predictions.parquet gives"];
    desk.expect(&["report", "runs"], 1, changed);
    desk.expect(&["gate", "--baseline", "runs", "--runs", "runs", "--allow-dirty"], 1, changed);
    desk.expect(&["report", "runs", "--no-verify"], 0, &[changed, &["CHANGED BY HAND"]].concat());
    edit(&summary, |summary| summary["accuracy"] = 1.5.into());
    desk.expect(&["report", "runs", "--no-verify"], 1, &["accuracy = 1.5", "[0, 1]"]);
    fs::write(&summary, "").expect("written");
    desk.expect(&["run", "x.toml", "--quiet", "--out", "runs"], 0, &["run again, because", "accuracy"]);
}

/// A card that is a link, in a run of either format: nothing of what it leads to is shown.
#[test]
fn a_report_opens_nothing_behind_links() {
    let (desk, run) = with_run();
    made_old(&run);
    desk.write("secret", "root:x:0:0\n");
    for name in [run_dir::CARD, run_dir::EXPERIMENT, run_dir::PARTITION, run_dir::SUMMARY] {
        let whole = fs::read(run.join(name)).expect(name);
        fs::remove_file(run.join(name)).expect("removed");
        symlink(desk.path().join("secret"), run.join(name)).expect("a link");
        let said = desk.expect(&["report", "runs", "--no-verify", "--out", "report"], 1, &[name, "it is a link"]);
        assert!(!said.contains("root:x") && !desk.path().join("report/report.html").exists(), "{said}");
        fs::remove_file(run.join(name)).expect("removed");
        fs::write(run.join(name), whole).expect("as it was");
    }
}

#[test]
fn locks_and_parts_are_no_way_to_other_files() {
    let (run, name) = finished();
    let desk = desk();
    desk.write("theirs", "theirs");
    let folder = desk.path().join("runs").join(name);
    fs::create_dir_all(&folder).expect("a folder");
    for part in [run_dir::SUMMARY, run_dir::RECORDS, run_dir::MANIFEST] {
        symlink(desk.path().join("theirs"), folder.join(format!(".{part}.part"))).expect("a link");
    }
    symlink(desk.path().join("theirs"), folder.join(".lock")).expect("a link");
    desk.expect(&["run", "x.toml", "--quiet", "--out", "runs"], 1, &[".lock"]);
    fs::remove_file(folder.join(".lock")).expect("removed");
    desk.expect(&["run", "x.toml", "--quiet", "--out", "runs"], 0, &["accuracy"]);
    assert_eq!(fs::read_to_string(desk.path().join("theirs")).expect("still there"), "theirs");
    assert_eq!(measured(&folder), measured(run));
    assert_eq!(hidden(&folder), Vec::<String>::new());
}

fn hidden(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with('.')).collect()
}

/// Of several processes at one run, one computes it.
#[test]
fn a_run_is_computed_once() {
    let desk = desk();
    let program = env!("CARGO_BIN_EXE_fedbench");
    let start = || {
        let mut command = Command::new(program);
        command.args(["run", "x.toml", "--quiet", "--out", "runs"]).current_dir(desk.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    };
    let processes: Vec<_> = (0..3).map(|_| start()).collect();
    let ended: Vec<Output> = processes.into_iter().map(|process| process.wait_with_output().expect("it ends")).collect();
    let said = |output: &Output, text: &str| {
        String::from_utf8_lossy(&output.stdout).contains(text) || String::from_utf8_lossy(&output.stderr).contains(text)
    };
    let computed = ended.iter().filter(|output| said(output, "accuracy")).count();
    let others = ended.iter().filter(|output| said(output, "complete already") || said(output, "another process")).count();
    assert_eq!((computed, others), (1, 2), "{ended:?}");
    desk.expect(&["report", "runs"], 0, &["fednano"]);
}

fn limited(desk: &Desk, blocks: u32, arguments: &[&str]) -> (Option<i32>, String) {
    let script = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_fedbench")])
        .args(arguments)
        .current_dir(desk.path())
        .env("FEDBENCH_CACHE", desk.path().join("cache"))
        .output()
        .expect("sh starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Where no file may grow (no signal ends the program): an error that names the variable, and nothing stays of what was half made, now
/// or by processes that are gone.
#[test]
fn a_full_cache_keeps_nothing_half_made() {
    let desk = desk();
    let cache = desk.path().join("cache");
    // No process has so large a number.
    for gone in [".icongen-4194999", ".icongen.part"] {
        fs::create_dir_all(cache.join(gone)).expect("a folder");
        fs::write(cache.join(gone).join("train.partial"), "half").expect("written");
    }
    let (code, said) = limited(&desk, 8, &["data", "inspect", "icongen"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("FEDBENCH_CACHE") && said.contains("cannot write"), "{said}");
    assert_eq!(said.matches("os error").count(), 1, "the cause is said once: {said}");
    assert_eq!(fs::read_dir(&cache).expect("the cache").count(), 0, "nothing stays");
}

/// What lies in the cache is what was generated, or it is refused.
#[test]
fn a_damaged_cache_is_refused() {
    let desk = desk();
    let name = format!("icongen-v{}-s{}", data_scripts::generators::VERSION, fedbench::located::GENERATOR_SEED);
    let (kept, copy) = (fedbench::located::cache_root().join(&name), desk.path().join("cache").join(&name));
    desk.expect(&["data", "inspect", "icongen"], 0, &[]);
    fs::create_dir_all(&copy).expect("a folder");
    for file in fs::read_dir(kept).expect("the cache").map(|file| file.expect("readable").path()) {
        fs::copy(&file, copy.join(file.file_name().expect("a name"))).expect("a copy");
    }
    let test = copy.join("test-00000-of-00001.parquet");
    let mut content = fs::read(&test).expect("a split");
    content[1000] ^= 1;
    fs::write(&test, content).expect("written");
    let (code, said) = limited(&desk, 1 << 20, &["data", "inspect", "icongen"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("test-00000-of-00001.parquet") && said.contains("made again"), "{said}");
}

#[test]
fn an_output_need_not_be_text() {
    let desk = desk();
    let out = Path::new(OsStr::from_bytes(b"out-\xff"));
    let output = Command::new(env!("CARGO_BIN_EXE_fedbench"))
        .args(["run", "x.toml", "--quiet", "--out"])
        .arg(out)
        .current_dir(desk.path())
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run = fs::read_dir(desk.path().join(out)).expect("runs").next().expect("a run").expect("readable").path();
    let environment: Value =
        serde_json::from_slice(&fs::read(run.join(run_dir::ENVIRONMENT)).expect("an environment")).expect("JSON");
    assert_eq!(environment["command"][5], "out-\u{fffd}");
}

#[test]
fn an_evaluation_is_no_run() {
    let (desk, run) = with_run();
    let before = measured(&run);
    let out = run.to_str().expect("UTF-8");
    let eval = ["eval", "--backbone", "nano", "--dataset", "icongen", "--limit", "5", "--out", out];
    desk.expect(&eval, 2, &["a run's own folder", "outside of it"]);
    desk.expect(&["run", "x.toml", "--seed", "2", "--out", out], 2, &["that folder is a run's own", "the folder above it"]);
    assert_eq!(measured(&run), before);
    desk.expect(&["report", "runs"], 0, &[]);
}

#[test]
fn suites_and_seeds_that_cannot_be() {
    let desk = desk();
    desk.expect(
        &["run", "x.toml", "--seed", "18446744073709551615", "--out", "runs"],
        2,
        &["18446744073709551615", "9223372036854775807"],
    );
    let suite = |rest: &str| format!("name = \"s\"\nseeds = [1]\n[base.data]\ndataset = \"icongen\"\n{rest}");
    let rank =
        "[[experiments]]\nmethod.name = \"fednano\"\n[[experiments]]\nmethod.name = \"fednano\"\nadapter.kind = \"nano\"\n";
    desk.write("same.toml", &suite(rank));
    desk.expect(
        &["suite", "same.toml", "--out", "runs"],
        2,
        &["run 1 of 2 (fednano, seed 1) and run 2 of 2", "same once defaults"],
    );
    let long = format!("# {}\n", "x".repeat(5 << 20));
    desk.write("long.toml", &long);
    desk.expect(&["suite", "long.toml", "--out", "runs"], 2, &["long.toml", "longer than the 4194304 bytes"]);
    assert!(!desk.path().join("runs").exists());
}

/// The manifest made anew: every file is as it says.
fn sealed(run: &Path) {
    let files = fs::read_dir(run).expect("a run").map(|file| file.expect("readable").path());
    let named = files.filter(|path| path.is_file()).map(|path| {
        let name = path.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
        let entry = Entry::of(&fs::read(&path).expect("a file"));
        (name, entry)
    });
    let files = named.filter(|(name, _)| name != run_dir::MANIFEST && !name.starts_with('.')).collect();
    let text = serde_json::to_string(&Manifest { format: FORMAT, files }).expect("JSON");
    fs::write(run.join(run_dir::MANIFEST), text).expect("written");
}

/// The folder of seed 2 under the name of seed 1, and an experiment that was edited: their manifests fit, their names do not.
#[test]
fn another_runs_folder_is_not_taken() {
    let (desk, run) = with_run();
    let whole = measured(&run);
    desk.expect(&["run", "x.toml", "--quiet", "--seed", "2", "--out", "two"], 0, &["accuracy"]);
    let two = fs::read_dir(desk.path().join("two")).expect("runs").next().expect("a run").expect("readable").path();
    for name in run_dir::FILES.into_iter().chain([run_dir::MANIFEST]) {
        fs::copy(two.join(name), run.join(name)).expect("a copy");
    }
    desk.expect(&["report", "runs"], 0, &["runs in folders of another name"]);
    let said = desk.expect(&["run", "x.toml", "--quiet", "--out", "runs"], 0, &["run again, because", "another run", "accuracy"]);
    assert!(!said.contains("complete already"), "{said}");
    assert_eq!(measured(&run), whole);

    let path = run.join(run_dir::EXPERIMENT);
    let text = fs::read_to_string(&path).expect("an experiment");
    fs::write(&path, text.replace("weight_decay = 0.0", "weight_decay = 0.5")).expect("written");
    sealed(&run);
    desk.expect(&["report", "runs"], 1, &["summary.json says `", "give `", "--no-verify"]);
    desk.expect(&["compare", "runs", "runs"], 1, &["give `"]);
    desk.expect(&["report", "runs", "--no-verify"], 0, &["CHANGED BY HAND"]);
    desk.expect(&["run", "x.toml", "--quiet", "--out", "runs"], 0, &["run again, because", "changed after the run"]);
    assert_eq!(measured(&run), whole);
}

/// The rows of predictions, changed.
fn rewrite(path: &Path, change: impl Fn(&RecordBatch) -> RecordBatch) {
    let file = fs::File::open(path).expect("predictions");
    let mut reader =
        ParquetRecordBatchReaderBuilder::try_new(file).expect("parquet").with_batch_size(1 << 20).build().expect("parquet");
    let batch = change(&reader.next().expect("rows").expect("readable"));
    let mut writer = ArrowWriter::try_new(fs::File::create(path).expect("a file"), batch.schema(), None).expect("parquet");
    writer.write(&batch).expect("written");
    writer.close().expect("written");
}

#[test]
fn numbers_without_the_answers_behind_them_are_refused() {
    let (desk, run) = with_run();
    let predictions = run.join(run_dir::PREDICTIONS);
    let whole = fs::read(&predictions).expect("predictions");
    type Change = Box<dyn Fn(&RecordBatch) -> RecordBatch>;
    let with_gold = |batch: &RecordBatch, gold: UInt32Array| {
        let (place, _) = batch.schema().column_with_name("gold_option").expect("a column");
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns[place] = Arc::new(gold);
        RecordBatch::try_new(batch.schema(), columns).expect("a batch")
    };
    let changes: [(&str, Change); 4] = [
        ("predictions.parquet gives 0", Box::new(|batch| batch.slice(0, 0))),
        ("predictions.parquet", Box::new(|batch| batch.slice(0, batch.num_rows() - 1))),
        ("gold_option = 99 of", Box::new(move |batch| with_gold(batch, UInt32Array::from(vec![99; batch.num_rows()])))),
        (
            "its option_scores say",
            Box::new(move |batch| {
                let gold = batch.column_by_name("gold_option").expect("a column").clone();
                let gold = gold.as_any().downcast_ref::<UInt32Array>().expect("numbers").clone();
                with_gold(batch, gold.iter().map(|option| option.map(|option| u32::from(option == 0))).collect())
            }),
        ),
    ];
    for (why, change) in changes {
        rewrite(&predictions, change);
        sealed(&run);
        desk.expect(&["report", "runs"], 1, &[why]);
        fs::write(&predictions, &whole).expect("as it was");
    }
    let summary = run.join(run_dir::SUMMARY);
    let whole = fs::read(&summary).expect("a summary");
    for (key, value, why) in [
        ("dataset", Value::from("others"), "give `others-"),
        ("rounds", 7.into(), "says rounds = 7, experiment.toml gives 1"),
        ("clients", 3.into(), "says clients = 3, partition.json gives 2"),
        ("test_examples", 3.into(), "says test_examples = 3, predictions.parquet gives"),
        ("train_examples", 99.into(), "says train_examples = 99, partition.json gives"),
        ("client_accuracy_std", 0.77.into(), "says client_accuracy_std = 0.77"),
        ("uplink_bytes", 1.into(), "says uplink_bytes = 1, records.parquet gives"),
        ("activation_downlink_bytes", 0.into(), "says activation_downlink_bytes = 0, records.parquet gives"),
        ("optimizer_steps", 1.into(), "says optimizer_steps = 1, records.parquet gives"),
        ("local_client_accuracy_mean", 0.5.into(), "says local_client_accuracy_mean = 0.5, records.parquet gives none"),
        ("chance_accuracy", 0.99.into(), "says chance_accuracy = 0.99, predictions.parquet gives"),
        ("majority_accuracy", 0.01.into(), "says majority_accuracy = 0.01, predictions.parquet gives"),
        ("backbone", "llava".into(), "has the backbone `llava`, experiment.toml `nano`"),
        ("scoring", "generation".into(), "has the scoring `generation`, card.toml `option-likelihood`"),
        ("clients_judged", 1.into(), "says clients_judged"),
        ("privacy_epsilon", 1.0.into(), "no [privacy]"),
        ("privacy_epsilon", (-1.0).into(), "privacy_epsilon = -1"),
    ] {
        edit(&summary, |summary| summary[key] = value.clone());
        sealed(&run);
        desk.expect(&["report", "runs"], 1, &[why]);
        fs::write(&summary, &whole).expect("as it was");
    }
    sealed(&run);
    desk.expect(&["report", "runs"], 0, &[]);
}

#[test]
fn what_may_not_be_meant_is_said() {
    let desk = desk();
    let judged = ["--set", "data.test_split=train"];
    desk.expect(&[&["validate", "x.toml"], &judged[..]].concat(), 0, &["judged on the rows that it is trained on"]);
    desk.expect(
        &["validate", "x.toml", "--set", "federation.dropout=0.1"],
        0,
        &["federation.dropout = 0.1 of a round's 2 clients is nobody"],
    );
    let bare = ["--set", "privacy.mode=local", "--set", "privacy.clip=1.0", "--set", "privacy.noise_multiplier=0.0"];
    desk.expect(&[&["run", "x.toml", "--quiet", "--out", "runs"], &judged[..], &bare].concat(), 0, &["accuracy"]);
    desk.expect(&["report", "runs"], 0, &["judged on the rows they were trained on", "∞", "epsilon is infinite"]);
    desk.expect(&["validate", "x.toml", "--set", "backbone.weights=x.gguf"], 2, &["`nano` takes none"]);
    desk.expect(&["validate", "x.toml", "--set", "federation.rounds=2\nseed=5"], 2, &["a second key"]);
}

#[test]
fn nothing_goes_into_a_run_or_through_a_link() {
    let (desk, run) = with_run();
    let own = run.to_str().expect("UTF-8");
    let below = format!("{own}/a/b");
    desk.expect(&["report", "runs", "--out", own], 2, &["a run's own folder"]);
    desk.expect(&["report", "runs", "--out", &below], 2, &["a run's own folder"]);
    desk.expect(&["run", "x.toml", "--seed", "2", "--out", &below], 2, &["a run's own folder"]);
    assert!(!run.join("a").exists());
    let links = desk.path().join("links");
    fs::create_dir(&links).expect("a folder");
    symlink(&run, links.join("run")).expect("a link");
    desk.expect(&["report", "links"], 1, &["(1 there) are not followed"]);
}
