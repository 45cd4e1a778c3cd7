//! Is a suite the same in jobs of Slurm, and is it known what is missing? Here its scripts are run by bash, and a stand-in for sbatch says
//! what it was called with; `tests/slurm.sh` has a real one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use guard::lock::Lock;

use crate::cli::Desk;
use crate::support::Test;

const SUITE: &str = "name = \"two by two\"\nseeds = [1, 2]\n[base.data]\ndataset = \"icongen\"\ntrain_limit = 20\ntest_limit = 10\n\
    [base.partition]\nclients = 2\n[base.federation]\nrounds = 1\nlocal_steps = 1\n[base.optimizer]\nlearning_rate = 0.001\n\
    [[experiments]]\nmethod.name = \"zero-shot\"\n[[experiments]]\nmethod.name = \"fedavg-nano\"\n";

const FREEZE: [&str; 7] = ["suite", "s.toml", "--engine", "slurm", "--out", "runs", "--quiet"];

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("s.toml", SUITE);
    desk
}

fn script(desk: &Desk, name: &str) -> Result<String> {
    std::fs::read_to_string(desk.path().join("runs/slurm").join(name)).context(name.to_owned())
}

/// What Slurm does with a script: a shell with a number.
fn job(desk: &Desk, name: &str, task: usize) -> Result<Output> {
    let mut bash = Command::new("bash");
    bash.arg(desk.path().join("runs/slurm").join(name)).current_dir(desk.path());
    bash.env("SLURM_ARRAY_TASK_ID", task.to_string()).env("FEDBENCH_DATA", desk.path().join("no-data"));
    Ok(bash.output()?)
}

fn done(desk: &Desk, name: &str, task: usize) -> Test {
    let output = job(desk, name, task)?;
    ensure!(output.status.success(), "{name}, task {task}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn runs(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut runs: Vec<PathBuf> = entries.into_iter().filter(|path| path.join("experiment.toml").is_file()).collect();
    runs.sort();
    Ok(runs)
}

/// A stand-in for sbatch below `bin`: it notes its arguments and gives numbers from 101 on. What PATH is with it.
fn stand_in(desk: &Desk, text: &str) -> Result<String> {
    use std::os::unix::fs::PermissionsExt;
    let bin = desk.path().join("bin");
    std::fs::create_dir_all(&bin)?;
    std::fs::write(bin.join("sbatch"), format!("#!/bin/sh\n{text}"))?;
    std::fs::set_permissions(bin.join("sbatch"), std::fs::Permissions::from_mode(0o755))?;
    Ok(format!("{}:{}", bin.display(), std::env::var("PATH")?))
}

/// Two arrays, since one may have three tasks: every run is what the suite makes of it in one process, byte for byte; then the report;
/// then there is nothing left to submit but that.
#[test]
fn members_are_a_suite_in_pieces() -> Test {
    let desk = desk();
    let more = ["--array-size", "3", "--parallel", "2", "--sbatch", "--time=9 --constraint=genoa"];
    let said = desk.expect(&[&FREEZE[..], &more].concat(), 0, &["4 runs, 4 of them to be run"]);
    let commands: Vec<&str> = said.lines().filter(|line| line.contains("sbatch --parsable")).collect();
    assert_eq!(commands.len(), 3, "{said}");
    assert!(commands[0].starts_with("JOB=$(sbatch --parsable /") && commands[0].ends_with("/runs/slurm/array.sbatch)"), "{said}");
    assert!(commands[1].starts_with("JOB=$(sbatch --parsable --dependency=afterany:$JOB /"), "{said}");
    assert!(commands[2].starts_with("sbatch ") && commands[2].ends_with("/runs/slurm/report.sbatch"), "{said}");

    let (first, second, report) =
        (script(&desk, "array.sbatch")?, script(&desk, "array-2.sbatch")?, script(&desk, "report.sbatch")?);
    assert!(first.contains("#SBATCH --array=0-2%2\n") && second.contains("#SBATCH --array=0%2\n"), "{first}{second}");
    assert!(first.contains("#SBATCH --requeue\n") && !report.contains("--requeue"), "{first}{report}");
    for text in [&first, &second, &report] {
        assert!(text.starts_with("#!/bin/bash\n#SBATCH --job-name=fedbench-two-by-two"), "{text}");
        assert!(text.contains("\n#SBATCH --time=9 --constraint=genoa\n"), "{text}");
    }

    [0, 1, 2].into_iter().try_for_each(|task| done(&desk, "array.sbatch", task))?;
    done(&desk, "array-2.sbatch", 0)?;
    desk.expect(&["suite", "s.toml", "--out", "local", "--quiet"], 0, &["4 runs, 4 of them now"]);
    let (jobs, local) = (runs(&desk.path().join("runs"))?, runs(&desk.path().join("local"))?);
    assert_eq!((jobs.len(), local.len()), (4, 4));
    for (job, local) in jobs.iter().zip(&local) {
        assert_eq!(job.file_name(), local.file_name());
        for name in
            ["experiment.toml", "card.toml", "partition.json", "records.parquet", "predictions.parquet", "adapters.safetensors"]
        {
            assert!(std::fs::read(job.join(name))? == std::fs::read(local.join(name))?, "{}: {name}", job.display());
        }
    }
    done(&desk, "report.sbatch", 0)?;
    assert!(desk.path().join("runs/report/report.md").is_file());

    let said = desk.expect(&FREEZE, 0, &["4 runs, 0 of them to be run"]);
    assert!(said.contains("sbatch --parsable /") && !said.contains("JOB"), "{said}");
    assert!(script(&desk, "array.sbatch").is_err() && script(&desk, "array-2.sbatch").is_err());
    desk.expect(&["suite", "s.toml", "--member", "3", "--out", "runs"], 0, &["complete already: "]);
    Ok(())
}

/// A run that another process is at fails its task alone; the report names it and fails; who submits again submits that one.
#[test]
fn what_is_missing_is_named_and_resumed() -> Test {
    let desk = desk();
    let path = stand_in(&desk, "echo \"$@\" >> calls\nexpr 100 + $(wc -l < calls)\n")?;
    let submit = [&FREEZE[..], &["--submit", "--limit", "8", "--set", "federation.local_steps=2"]].concat();
    desk.expect_with(&submit, &[("PATH", &path)], 0, &["job 101: /", "/runs/slurm/array.sbatch", "job 102: /"]);
    let calls = std::fs::read_to_string(desk.path().join("calls"))?;
    let calls: Vec<Vec<&str>> = calls.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!((calls.len(), calls[0].len(), calls[1].len()), (2, 2, 3), "{calls:?}");
    assert!(calls[0][0] == "--parsable" && calls[0][1].ends_with("/runs/slurm/array.sbatch"), "{calls:?}");
    assert!(calls[1][1] == "--dependency=afterany:101" && calls[1][2].ends_with("/runs/slurm/report.sbatch"), "{calls:?}");
    assert!(script(&desk, "array.sbatch")?.contains("#SBATCH --array=0-3%8\n"));

    let members: serde_json::Value = serde_json::from_str(&script(&desk, "members.json")?)?;
    let third = &members["members"][2];
    assert_eq!((&third["member"], &third["experiment"]["federation"]["local_steps"]), (&2.into(), &2.into()));
    assert_eq!(third["experiment"]["data"]["train_limit"], 8);
    let run = desk.path().join("runs").join(third["run"].as_str().context("a name")?);
    std::fs::create_dir_all(&run)?;
    let held = Lock::of_folder(&run)?.context("locked")?;
    [0, 1, 3].into_iter().try_for_each(|task| done(&desk, "array.sbatch", task))?;
    let failed = job(&desk, "array.sbatch", 2)?;
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("another process is writing this run"));
    drop(held);

    let report = job(&desk, "report.sbatch", 0)?;
    let (said, error) = (String::from_utf8_lossy(&report.stdout), String::from_utf8_lossy(&report.stderr));
    assert_eq!(report.status.code(), Some(1));
    let missing: Vec<&str> = said.lines().filter(|line| line.starts_with("missing: ")).collect();
    assert!(missing.len() == 1 && missing[0].ends_with("(member 2)") && missing[0].contains("fedavg-nano-s1"), "{said}");
    assert!(error.contains("1 of 4 runs of suite s.toml are missing; submit it again"), "{error}");
    assert!(desk.path().join("runs/report/report.md").is_file(), "what is complete is reported");

    desk.expect_with(&submit, &[("PATH", &path)], 0, &["4 runs, 1 of them to be run", "job 103", "job 104"]);
    assert!(script(&desk, "array.sbatch")?.contains("#SBATCH --array=2%8\n"));
    done(&desk, "array.sbatch", 2)?;
    done(&desk, "report.sbatch", 0)
}

/// A member is the run that was submitted, or refused; what cannot be submitted is said.
#[test]
fn a_member_is_what_was_submitted() -> Test {
    let desk = desk();
    let member = |place| ["suite", "s.toml", "--member", place, "--out", "runs"];
    desk.expect(&member("1"), 1, &["runs/slurm/members.json: cannot be read", "--engine slurm"]);
    desk.expect(&FREEZE, 0, &[]);
    desk.expect(&member("4"), 2, &["--member 4: suite s.toml was submitted with members 0 to 3"]);
    desk.write("s.toml", &SUITE.replace("0.001", "0.002"));
    let changed = [
        "--member 1: suite s.toml was submitted with icongen-",
        "optimizer.learning_rate was 0.001, is 0.002",
        "submit it again",
    ];
    desk.expect(&member("1"), 2, &changed);
    desk.write("s.toml", &SUITE.replace("[1, 2]", "[1]"));
    desk.expect(&member("3"), 2, &["suite s.toml has only 2 runs now"]);
    // What a run is called by people is no part of it.
    desk.write(
        "s.toml",
        &SUITE.replace("[[experiments]]\nmethod.name = \"zero", "[[experiments]]\nname = \"x\"\nmethod.name = \"zero"),
    );
    desk.expect(&member("0"), 0, &["complete: runs/icongen-zero-shot-s1-"]);
    assert_eq!(runs(&desk.path().join("runs"))?.len(), 1, "a refused member leaves nothing");
    desk.write("runs/slurm/members.json", "{\"suite\": 3}").expect(
        &member("0"),
        1,
        &["members.json: expected the members of a suite"],
    );

    desk.write("s.toml", SUITE);
    let empty = desk.path().join("empty").display().to_string();
    let submit = [&FREEZE[..], &["--submit"]].concat();
    desk.expect_with(&submit, &[("PATH", &empty)], 1, &["cannot run sbatch", "without --submit its commands are printed"]);
    let path = stand_in(&desk, "echo sbatch: error: invalid partition >&2\nexit 1\n")?;
    desk.expect_with(&submit, &[("PATH", &path)], 1, &["array.sbatch: sbatch: error: invalid partition"]);
    let path = stand_in(&desk, "echo Submitted\n")?;
    desk.expect_with(&submit, &[("PATH", &path)], 1, &["said `Submitted`: expected a job's number"]);
    desk.expect(&[&FREEZE[..], &["--member", "1"]].concat(), 2, &["cannot be used with"]);
    desk.expect(&["suite", "s.toml", "--submit"], 2, &["--engine"]);
    desk.expect(&[&FREEZE[..], &["--array-size", "0"]].concat(), 2, &["0 is not in 1..=1000000"]);
    desk.expect(&[&FREEZE[..], &["--sbatch", "--time=1\n#SBATCH --wrap=x"]].concat(), 2, &["expected one line"]);
    desk.expect(&[&FREEZE[..], &["tune"]].concat(), 2, &["tune searches in this process"]);
    desk.expect(&["suite", "s.toml", "--engine", "slurm", "--out", "a b"], 2, &["without spaces and quotes"]);
    Ok(())
}
