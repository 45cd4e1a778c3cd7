//! Is a pack what the runs were that it was made from, whatever reads it, and is a damaged one ever taken for it?

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schema::manifest::Entry;
use schema::{pack, run_dir};
use serde_json::Value;

use crate::cli::{Desk, MINIMAL};
use crate::rundir::DAMAGES;

/// Runs that have no manifest, of an older version.
fn old() -> PathBuf {
    crate::kept::folders().into()
}

/// A desk with two finished runs in `runs`, made once; its files are copied, never changed.
fn finished() -> &'static Path {
    static DESK: OnceLock<Desk> = OnceLock::new();
    let made = DESK.get_or_init(|| {
        let desk = Desk::new();
        desk.write("x.toml", &format!("[federation]\nrounds = 1\n[partition]\nclients = 2\n{MINIMAL}"));
        desk.expect(&["run", "x.toml", "--quiet", "--out", "runs"], 0, &["accuracy"]);
        desk.expect(&["run", "x.toml", "--quiet", "--out", "runs", "--set", "method.name=local"], 0, &["accuracy"]);
        desk
    });
    made.path()
}

/// What a pack has no part for stays out: where a run would go on from.
fn copy(from: &Path, to: &Path) {
    if from.ends_with(schema::run_dir::CHECKPOINT) {
        return;
    }
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("readable").path()) {
        let to = to.join(entry.file_name().expect("a name"));
        match entry.is_dir() {
            true => copy(&entry, &to),
            false => assert!(fs::copy(&entry, &to).is_ok(), "{}", entry.display()),
        }
    }
}

/// A desk with copies of the finished runs.
fn desk() -> Desk {
    let desk = Desk::new();
    copy(&finished().join("runs"), &desk.path().join("runs"));
    desk
}

/// The same, and a pack of them.
fn with_pack() -> (Desk, PathBuf) {
    let desk = desk();
    desk.expect(&["keep", "runs", "--out", "pack"], 0, &["pack: pack written: 2 runs"]);
    let pack = desk.path().join("pack");
    (desk, pack)
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("readable").path()).collect();
    found.sort();
    found
}

/// Every file below a folder, by its path in it.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in folders(dir) {
        let name = PathBuf::from(path.file_name().expect("a name"));
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, content)| (name.join(below), content)));
        } else {
            found.insert(name, fs::read(&path).expect("a file"));
        }
    }
    found
}

fn names(files: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<&PathBuf> {
    files.keys().collect()
}

/// Asserts the same files with the same bytes.
fn same(found: &Path, wanted: &Path) {
    let (found, wanted) = (files(found), files(wanted));
    assert_eq!(names(&found), names(&wanted));
    for (name, content) in &wanted {
        assert!(found[name] == *content, "{}: other bytes", name.display());
    }
}

#[test]
fn runs_come_out_as_they_went_in() {
    let desk = desk();
    desk.expect(&["keep", "runs", "--out", "pack", "--adapters"], 0, &["2 runs"]);
    desk.expect(&["keep", "--unpack", "pack", "--out", "again"], 0, &["unpacked: 2 runs in again"]);
    same(&desk.path().join("again"), &desk.path().join("runs"));
    desk.expect(&["report", "again"], 0, &["fednano"]);
    desk.expect(&["keep", "--unpack", "pack", "--out", "again"], 1, &["is there already: give another folder"]);
}

#[test]
fn runs_without_their_adapters_are_not_whole() {
    let (desk, pack) = with_pack();
    let said = desk.expect(&["keep", "--unpack", "pack", "--out", "again"], 0, &["2 runs are without their adapters"]);
    assert!(!said.contains("other bytes"), "{said}");
    desk.expect(&["report", "again"], 1, &["adapters.safetensors: is missing", "--no-verify"]);
    desk.expect(&["report", "again", "--no-verify"], 0, &["fednano"]);
    let mut wanted = files(&desk.path().join("runs"));
    wanted.retain(|name, _| !name.ends_with(run_dir::ADAPTERS));
    assert_eq!(files(&desk.path().join("again")), wanted);
    assert_eq!(folders(&pack).len(), 5, "four files and their manifest");
}

#[test]
fn old_runs_are_kept_as_what_nobody_vouches_for() {
    let desk = Desk::new();
    let old = old();
    let kept = old.to_str().expect("UTF-8");
    desk.expect(&["keep", kept, "--out", "pack"], 0, &["12 of them came without a manifest.json", "pack: pack written: 12 runs"]);
    desk.expect(&["report", "pack"], 0, &["note: 12 runs were written before run folders had a manifest.json: not verified"]);
    desk.expect(&["keep", "--unpack", "pack", "--out", "again"], 0, &["12 runs"]);
    for run in folders(&old).into_iter().filter(|path| path.is_dir()) {
        same(&desk.path().join("again").join(run.file_name().expect("a name")), &run);
    }
}

/// Every format that is text or a table, from the folders, from the pack, and from one run of each.
#[test]
fn a_report_says_the_same_of_both() {
    let (desk, pack) = with_pack();
    let runs = folders(&desk.path().join("runs"));
    desk.expect(&["keep", runs[0].to_str().expect("UTF-8"), "--out", "half"], 0, &["1 runs"]);
    let report = |runs: &[&str], out: &str| {
        let mut arguments = vec!["report"];
        arguments.extend(runs);
        arguments.extend(["--format", "md,csv,json,parquet,tex,html,svg", "--target", "10,90", "--out", out]);
        let said = desk.expect(&arguments, 0, &[]);
        said.replace(out, "OUT")
    };
    let of_folders = report(&["runs"], "of-folders");
    assert_eq!(report(&["pack"], "of-pack"), of_folders);
    assert_eq!(report(&["half", runs[1].to_str().expect("UTF-8")], "of-both"), of_folders);
    same(&desk.path().join("of-pack"), &desk.path().join("of-folders"));
    same(&desk.path().join("of-both"), &desk.path().join("of-folders"));
    let page = fs::read_to_string(desk.path().join("of-pack/report.html")).expect("a page");
    assert!(page.contains("experiment.toml of seed") && page.contains("<img"), "configurations and pictures");
    drop(pack);
}

#[test]
fn gate_compare_and_reproduce_read_both() {
    let desk = Desk::new();
    let old = old();
    let kept = old.to_str().expect("UTF-8");
    desk.expect(&["keep", kept, "--out", "pack"], 0, &[]);
    let gate =
        |baseline: &str, runs: &str| desk.expect(&["gate", "--baseline", baseline, "--runs", runs, "--format", "json"], 0, &[]);
    let (of_folders, of_pack) = (gate(kept, kept), gate("pack", "pack"));
    assert!(of_folders.contains("\"loss\""), "{of_folders}");
    assert_eq!(of_pack, of_folders);
    assert_eq!(gate("pack", kept), of_folders);
    let compare = |a: &str, b: &str| desk.expect(&["compare", a, b, "--format", "json"], 0, &[]);
    assert_eq!(compare("pack", "pack"), compare(kept, kept));
    let reproduce = |runs: &str| desk.expect(&["reproduce", "heterogeneity", "--runs", runs], 0, &["does not hold here"]);
    assert_eq!(reproduce("pack"), reproduce(kept));
}

#[test]
fn a_revision_may_keep_a_pack() {
    let (desk, _) = with_pack();
    fs::create_dir_all(desk.path().join("reports/results")).expect("a folder");
    fs::rename(desk.path().join("pack"), desk.path().join("reports/results/suite")).expect("moved");
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"];
        let status = Command::new("git").args(identity).args(arguments).current_dir(desk.path()).output().expect("git").status;
        assert!(status.success(), "{arguments:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "reports"]);
    git(&["commit", "--quiet", "--message", "Keep runs"]);
    fs::remove_dir_all(desk.path().join("reports")).expect("removed");
    desk.expect(&["compare", "HEAD", "runs"], 0, &["fednano", "Nothing."]);
    desk.expect(&["compare", "HEAD:reports/results/suite", "HEAD"], 0, &["fednano", "Nothing."]);
}

#[test]
fn every_damaged_file_is_refused_and_named() {
    let (desk, folder) = with_pack();
    for name in pack::FILES.into_iter().chain([pack::MANIFEST]) {
        let (path, whole) = (folder.join(name), fs::read(folder.join(name)).expect(name));
        for (damage, work) in DAMAGES {
            work(&path);
            let said = desk.expect(&["report", "pack"], 1, &["make it anew from its runs (`fedbench keep`)", "--no-verify"]);
            assert!(said.contains(name), "{name} {damage}: {said}");
            fs::remove_file(&path).ok();
            fs::write(&path, &whole).expect("as it was");
        }
        desk.expect(&["report", "pack"], 0, &["fednano"]);
    }
    desk.expect(&["gate", "--baseline", "pack", "--runs", "runs", "--allow-dirty"], 0, &[]);
    fs::write(folder.join(pack::RECORDS), "x").expect("written");
    let refused: &[&str] = &["records.parquet: it has 1 bytes, pack.json says"];
    desk.expect(&["gate", "--baseline", "pack", "--runs", "runs", "--allow-dirty"], 1, refused);
    desk.expect(&["compare", "runs", "pack"], 1, refused);
    desk.expect(&["reproduce", "main-table", "--runs", "pack"], 1, refused);
    desk.expect(&["keep", "--unpack", "pack", "--out", "again"], 1, refused);
    desk.expect(&["report", "pack", "--no-verify"], 1, &["records.parquet"]);
}

#[test]
fn a_pack_of_the_future_is_refused() {
    let (desk, folder) = with_pack();
    let path = folder.join(pack::MANIFEST);
    let text = fs::read_to_string(&path).expect("a manifest");
    fs::write(&path, text.replacen("\"format\": 1", "\"format\": 2", 1)).expect("written");
    desk.expect(&["report", "pack"], 1, &["pack.json: format 2: this version knows format 1; a newer fedbench reads it"]);
    desk.expect(&["report", "pack", "--no-verify"], 0, &["fednano"]);
}

/// Rewrites a parquet file of a pack, and sets the manifest right.
fn rewrite(folder: &Path, name: &str, change: impl Fn(usize, RecordBatch) -> Vec<RecordBatch>) {
    let path = folder.join(name);
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).expect("a file")).expect("parquet");
    let groups = builder.metadata().num_row_groups();
    let mut out: Vec<RecordBatch> = Vec::new();
    for group in 0..groups {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).expect("a file")).expect("parquet");
        let reader = builder.with_row_groups(vec![group]).build().expect("a reader");
        out.extend(reader.flat_map(|batch| change(group, batch.expect("readable"))));
    }
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, out[0].schema(), None).expect("a writer");
    for batch in &out {
        writer.write(batch).expect("written");
        writer.flush().expect("a row group");
    }
    writer.close().expect("closed");
    fs::write(&path, &bytes).expect("written");
    let manifest = folder.join(pack::MANIFEST);
    let mut said: pack::Pack = serde_json::from_slice(&fs::read(&manifest).expect("a manifest")).expect("JSON");
    said.files.insert(name.into(), Entry::of(&bytes));
    fs::write(manifest, serde_json::to_string(&said).expect("JSON")).expect("written");
}

/// The same rows with one text column changed.
fn with_text(batch: &RecordBatch, name: &str, change: impl Fn(&str) -> String) -> RecordBatch {
    let place = batch.schema().index_of(name).expect("a column");
    let mut columns = batch.columns().to_vec();
    let texts = columns[place].as_any().downcast_ref::<StringArray>().expect("texts");
    let changed: StringArray = texts.iter().map(|text| text.map(&change)).collect();
    columns[place] = Arc::new(changed) as ArrayRef;
    RecordBatch::try_new(batch.schema(), columns).expect("the same columns")
}

/// A pack of one run whose checksums fit, whatever is changed.
fn with_one() -> (Desk, PathBuf, String) {
    let desk = desk();
    let run = folders(&desk.path().join("runs"))[0].clone();
    desk.expect(&["keep", run.to_str().expect("UTF-8"), "--out", "pack"], 0, &["1 runs"]);
    let pack = desk.path().join("pack");
    (desk, pack, run.file_name().expect("a name").to_string_lossy().into_owned())
}

#[test]
fn a_run_that_is_there_twice_is_refused() {
    let twice = |_: usize, batch: RecordBatch| vec![batch.clone(), batch];
    let (desk, folder, name) = with_one();
    rewrite(&folder, pack::RUNS, twice);
    let said = format!("runs.parquet: it holds the run `{name}` twice");
    for arguments in [&["report", "pack"][..], &["report", "pack", "--no-verify"]] {
        desk.expect(arguments, 1, &[&said]);
    }
    // Under another name, with everything that belongs to it.
    let (desk, folder, _) = with_one();
    rewrite(&folder, pack::RUNS, |_, batch| vec![batch.clone(), with_text(&batch, "run", |_| "zz".into())]);
    desk.expect(&["report", "pack", "--no-verify"], 1, &["records.parquet: its row groups are not those of the runs"]);
    rewrite(&folder, pack::RECORDS, twice);
    rewrite(&folder, pack::PREDICTIONS, twice);
    desk.expect(&["report", "pack"], 1, &["pack.json: it says 1 runs, runs.parquet has 2"]);
    desk.expect(&["report", "pack", "--no-verify"], 1, &["`zz` is the same experiment and seed as another of its runs"]);
}

/// Checksums that fit are not enough: a run's own are in the pack.
#[test]
fn a_run_that_was_changed_with_its_packs_checksums_is_refused() {
    let (desk, folder, name) = with_one();
    rewrite(&folder, pack::RUNS, |_, batch| {
        vec![with_text(&batch, "summary", |text| text.replace("\"accuracy\": 0.", "\"accuracy\": 0.9"))]
    });
    desk.expect(&["report", "pack"], 1, &[&format!("{name}/summary.json: it is not the file that was kept")]);
    desk.expect(&["report", "pack", "--no-verify"], 0, &["CHANGED BY HAND"]);
    let (desk, folder, name) = with_one();
    rewrite(&folder, pack::RUNS, |_, batch| vec![with_text(&batch, "run", |_| "../elsewhere".into())]);
    desk.expect(
        &["keep", "--unpack", "pack", "--out", "again", "--no-verify"],
        1,
        &["`../elsewhere` is no name of a run's folder"],
    );
    assert!(!desk.path().join("elsewhere").exists());
    let (desk, folder, _) = with_one();
    rewrite(&folder, pack::TEXTS, |_, batch| vec![with_text(&batch, "sha256", |_| "0".repeat(64))]);
    desk.expect(&["report", "pack"], 1, &["texts.parquet: it lacks card.toml of", &name]);
}

#[test]
fn what_is_no_finished_run_is_not_kept() {
    let desk = desk();
    let runs = folders(&desk.path().join("runs"));
    let keep = |code: i32, texts: &[&str]| {
        desk.expect(&["keep", "runs", "--out", "pack"], code, texts);
        assert_eq!(desk.path().join("pack/pack.json").exists(), code == 0);
    };
    let summary = runs[0].join(run_dir::SUMMARY);
    let whole = fs::read_to_string(&summary).expect("a summary");
    fs::write(&summary, whole.replace("\"accuracy\": 0.", "\"accuracy\": 0.9")).expect("written");
    keep(1, &["summary.json", "manifest.json says"]);
    // As it is, if one insists; then a report refuses the pack as it refuses the folder.
    desk.expect(&["keep", "runs", "--out", "insisted", "--no-verify"], 0, &["2 runs"]);
    desk.expect(&["report", "insisted"], 1, &["summary.json: its content is not the one in manifest.json"]);
    desk.expect(&["report", "insisted", "--no-verify"], 0, &["CHANGED BY HAND"]);
    fs::write(&summary, &whole).expect("as it was");
    let manifest = fs::read(runs[0].join(run_dir::MANIFEST)).expect("a manifest");
    for name in [run_dir::SUMMARY, run_dir::MANIFEST] {
        fs::remove_file(runs[0].join(name)).expect("removed");
    }
    keep(1, &["is unfinished: `fedbench run` or `fedbench suite` again completes it"]);
    fs::write(&summary, &whole).expect("as it was");
    fs::write(runs[0].join(run_dir::MANIFEST), manifest).expect("as it was");
    copy(&runs[0], &desk.path().join("runs/copy"));
    keep(1, &["is the same experiment and seed as", "name one of the two"]);
    fs::remove_dir_all(desk.path().join("runs/copy")).expect("removed");
    keep(0, &["2 runs"]);
    desk.expect(&["keep", "--out", "nothing"], 2, &["<RUNS>"]);
    desk.expect(&["keep", "nowhere", "--out", "nothing"], 1, &["nowhere does not exist"]);
}

#[test]
fn what_lies_there_already_is_not_lost() {
    let (desk, folder) = with_pack();
    let before = files(&folder);
    desk.expect(&["keep", "runs", "--out", "pack"], 0, &["pack: pack was there already: 2 runs"]);
    let first = folders(&desk.path().join("runs"))[0].clone();
    let first = first.to_str().expect("UTF-8");
    desk.expect(&["keep", first, "--out", "pack"], 1, &["pack: is a pack of other runs: give a new folder"]);
    desk.expect(&["keep", "runs", "--out", "pack", "--adapters"], 1, &["a pack of these runs without their adapters"]);
    assert_eq!(files(&folder), before);
    fs::create_dir(desk.path().join("mine")).expect("a folder");
    desk.write("mine/notes.txt", "mine");
    desk.expect(&["keep", "runs", "--out", "mine"], 1, &["mine: holds `notes.txt`, which is no pack's"]);
    desk.expect(&["keep", "runs", "--out", "mine/notes.txt"], 1, &["is there already, and no folder"]);
    desk.expect(&["keep", "runs", "--out", &format!("{first}/pack")], 2, &["is a run's own folder"]);
    // What an interrupted command left is no pack, and is completed.
    fs::remove_file(folder.join(pack::MANIFEST)).expect("removed");
    fs::write(folder.join(".runs.parquet.part"), "half").expect("written");
    desk.expect(&["report", "pack"], 1, &["pack.json: is missing: the pack was not finished"]);
    desk.expect(&["keep", "runs", "--out", "pack"], 0, &["written: 2 runs"]);
    assert_eq!(files(&folder), before, "the same runs give the same bytes, and nothing stays aside");
}

/// Packs are runs like folders: two become one.
#[test]
fn packs_are_kept_as_one() {
    let (desk, folder) = with_pack();
    let runs = folders(&desk.path().join("runs"));
    for (run, out) in runs.iter().zip(["one", "two"]) {
        desk.expect(&["keep", run.to_str().expect("UTF-8"), "--out", out], 0, &["1 runs"]);
    }
    desk.expect(&["keep", "one", "two", "--out", "both"], 0, &["2 runs"]);
    same(&desk.path().join("both"), &folder);
    desk.expect(&["keep", "one", "two", "--out", "more", "--adapters"], 1, &["holds no adapters: keep the run's folder"]);
}

/// Runs with other columns share a pack, and each reads as if it had its own alone.
#[test]
fn columns_that_a_run_has_not_are_not_read_into_it() {
    let desk = desk();
    let old_run = folders(&old()).into_iter().find(|path| path.is_dir()).expect("a run");
    let mut arguments = vec!["keep", "runs", old_run.to_str().expect("UTF-8"), "--out", "pack"];
    desk.expect(&arguments, 0, &["1 of them came without", "3 runs"]);
    arguments = vec!["keep", "--unpack", "pack", "--out", "again"];
    desk.expect(&arguments, 0, &["unpacked: 3 runs"]);
    let name = old_run.file_name().expect("a name");
    same(&desk.path().join("again").join(name), &old_run);
    let said: Value = serde_json::from_slice(&fs::read(desk.path().join("pack/pack.json")).expect("a manifest")).expect("JSON");
    assert_eq!((&said["runs"], &said["unverified"]), (&3.into(), &1.into()));
}
