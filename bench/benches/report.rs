//! From run folders to a report: reading and judging fifty runs, and writing everything about them.
//!
//! The runs are copies of one of `tests/gate-baseline` (400 predictions, records of three rounds) under five ranks and ten seeds, so the
//! numbers mean nothing; `many_runs.py` makes a large study for `fedbench report` itself.

use std::fs;
use std::path::{Path, PathBuf};

use criterion::{Criterion, SamplingMode, Throughput};
use reports::{Format, NoLibrary, Report, Trust};

const RANKS: u64 = 5;
const SEEDS: u64 = 10;

fn main() {
    bench::start(None).expect("threads start once");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (runs, out) = (folder.path().join("runs"), folder.path().join("report"));
    let kept = kept_run(&folder.path().join("kept"));
    (1..=RANKS).for_each(|rank| (1..=SEEDS).for_each(|seed| copy(&kept, &runs, rank, seed).expect("a copy")));
    let read = || Report::read(std::slice::from_ref(&runs)).expect("fifty runs");

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("report");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(RANKS * SEEDS));
    group.bench_function("read and judge 50 runs", |bench| bench.iter(read));
    let mut report = read();
    report.illustrate(&mut NoLibrary).expect("partitions and predictions");
    let tables = [Format::Markdown, Format::Csv, Format::Json, Format::Parquet, Format::Latex];
    for (name, formats) in [("write tables", &tables[..]), ("write the page", &[Format::Html]), ("write PNG", &[Format::Png])] {
        group.bench_function(name, |bench| bench.iter(|| report.write(&out, formats).expect("files")));
    }
    group.finish();
    criterion.final_summary();
}

/// A run that is kept in the repository, unpacked.
fn kept_run(to: &Path) -> PathBuf {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/gate-baseline");
    reports::unpack::unpack(&kept, to, Trust::Verified).expect("the baseline");
    let runs = fs::read_dir(to).expect("the baseline").map(|entry| entry.expect("readable").path());
    let fednano = |path: &PathBuf| path.to_string_lossy().contains("icongen-fednano-s1-");
    runs.into_iter().find(fednano).expect("a run of fednano with seed 1")
}

/// The run as if it had another rank and seed.
fn copy(run: &Path, runs: &Path, rank: u64, seed: u64) -> anyhow::Result<()> {
    let to = runs.join(format!("r{rank}-s{seed}"));
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(run)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    let mut experiment: toml::Table = fs::read_to_string(run.join("experiment.toml"))?.parse()?;
    experiment.insert("seed".into(), (seed as i64).into());
    let adapter = experiment.get_mut("adapter").and_then(toml::Value::as_table_mut);
    adapter.expect("a resolved experiment has one").insert("rank".into(), (rank as i64).into());
    fs::write(to.join("experiment.toml"), toml::to_string(&experiment)?)?;
    let mut summary: serde_json::Value = serde_json::from_slice(&fs::read(run.join("summary.json"))?)?;
    summary["seed"] = seed.into();
    summary["run"] = format!("r{rank}-s{seed}").into();
    Ok(fs::write(to.join("summary.json"), summary.to_string())?)
}
