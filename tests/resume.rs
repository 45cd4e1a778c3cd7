//! Does a run that goes on from a checkpoint come out as one that was never interrupted?

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use baselines::METHODS;
use federation::{Checkpoint, Checkpoints, InProcess, Memories, Message, Outcome, Scope, Unwatched};
use schema::Experiment;
use schema::experiment::Course;
use study::Study;

use crate::cli::{Desk, MINIMAL};
use crate::engine::left_behind;
use crate::support::Test;
use crate::tiny::{experiment, study};

/// Everything that was ever kept, as bytes.
#[derive(Default)]
struct All {
    of_server: Vec<Vec<u8>>,
    of_clients: Mutex<BTreeMap<(usize, usize), Vec<u8>>>,
}

impl Memories for All {
    fn keep(&self, client: usize, round: usize, _before: usize, bytes: &[u8]) -> federation::Result<()> {
        self.of_clients.lock().expect("nobody panics").insert((client, round), bytes.to_vec());
        Ok(())
    }

    fn recall(&self, client: usize, round: usize) -> federation::Result<Option<Vec<u8>>> {
        Ok(self.of_clients.lock().expect("nobody panics").get(&(client, round)).cloned())
    }
}

/// Goes on from one, and keeps those that come.
struct From<'a>(Option<&'a [u8]>, Vec<Vec<u8>>);

impl Checkpoints for From<'_> {
    fn last(&mut self) -> federation::Result<Option<Checkpoint>> {
        self.0.map(Checkpoint::from_bytes).transpose()
    }

    fn keep(&mut self, checkpoint: &Checkpoint) -> federation::Result<()> {
        self.1.push(checkpoint.to_bytes()?);
        Ok(())
    }
}

/// A run by a process of its own: fresh hosts, a fresh method.
fn process(study: &Study, experiment: &Experiment, memories: &All, from: Option<&[u8]>) -> Result<(Outcome, Vec<Vec<u8>>)> {
    let mut kept = From(from, Vec::new());
    let mut engine = InProcess::new(study.host()?.remembering(memories));
    let mut method = (study.row().build)(&experiment.method.options)?;
    let outcome = study.run_from(&mut *method, &mut engine, &Unwatched, &mut kept)?;
    Ok((outcome, kept.1))
}

fn of_rounds(method: &str, rounds: usize) -> Experiment {
    let mut experiment = experiment(method);
    experiment.federation.rounds = rounds;
    experiment.federation.local_steps = Some(2);
    experiment.evaluation.every = 2;
    experiment
}

/// Whichever round a run stops after, the one that goes on from there leaves what a whole one does, method by method: so nothing is
/// remembered between rounds that is not kept.
#[test]
fn every_method_goes_on_where_it_was() -> Test {
    for row in METHODS.iter().filter(|row| row.scope != Scope::Nothing) {
        let experiment = of_rounds(row.name, 4);
        let (_, study) = study(&experiment)?;
        let mut all = All::default();
        let (whole, of_server) = process(&study, &experiment, &all, None)?;
        all.of_server = of_server;
        ensure!(all.of_server.len() == 4, "{}: {} checkpoints", row.name, all.of_server.len());
        for (round, kept) in all.of_server.iter().enumerate() {
            let (resumed, _) = process(&study, &experiment, &all, Some(kept))?;
            ensure!(left_behind(&resumed)? == left_behind(&whole)?, "{}: from after round {}", row.name, round + 1);
        }
    }
    Ok(())
}

/// Two rounds and then two more are four at once, or the method says that it looks ahead.
#[test]
fn fewer_rounds_are_the_beginning_of_more() -> Test {
    let mut looking = Vec::new();
    for row in METHODS.iter().filter(|row| row.scope != Scope::Nothing) {
        let (short, long) = (of_rounds(row.name, 2), of_rounds(row.name, 4));
        let (all, anew) = (All::default(), All::default());
        let (_, kept) = process(&study(&short)?.1, &short, &all, None)?;
        let last = kept.last().context("a checkpoint")?;
        let study = study(&long)?.1;
        let whole = process(&study, &long, &anew, None)?.0;
        match process(&study, &long, &all, Some(last)) {
            Ok((resumed, _)) => ensure!(left_behind(&resumed)? == left_behind(&whole)?, "{}", row.name),
            Err(error) => {
                ensure!(error.to_string().contains("run of 2 rounds"), "{}: {error}", row.name);
                looking.push(row.name);
            }
        }
    }
    assert_eq!(looking, ["feddpa-f"]);
    Ok(())
}

/// A learning rate that knows how many rounds there are cannot go on to more; one that is resumed within its run does.
#[test]
fn a_course_of_the_whole_run_is_not_bent() -> Test {
    let with = |rounds: usize| {
        let mut experiment = of_rounds("fedavg", rounds);
        experiment.optimizer.schedule = Course::Cosine;
        experiment
    };
    let (short, long, all) = (with(2), with(4), All::default());
    let (whole, kept) = process(&study(&short)?.1, &short, &all, None)?;
    let (resumed, _) = process(&study(&short)?.1, &short, &all, kept.first().map(Vec::as_slice))?;
    assert_eq!(left_behind(&resumed)?, left_behind(&whole)?);
    let error = process(&study(&long)?.1, &long, &all, kept.last().map(Vec::as_slice)).err().context("bent")?.to_string();
    assert!(error.contains("run of 2 rounds") && error.contains("there are 4"), "{error}");
    Ok(())
}

/// A checkpoint of other clients, of another method, cut or changed, is refused.
#[test]
fn what_does_not_fit_is_refused() -> Test {
    let experiment = of_rounds("scaffold", 3);
    let (study, all) = (study(&experiment)?.1, All::default());
    let (_, kept) = process(&study, &experiment, &all, None)?;
    let refused = |other: &Experiment, from: &[u8]| -> Result<String> {
        let study = crate::tiny::study(other)?.1;
        Ok(process(&study, other, &All::default(), Some(from)).err().context("taken")?.to_string())
    };
    let mut four = experiment.clone();
    four.partition.clients = 4;
    assert!(refused(&four, &kept[1])?.contains("of 3 clients; expected one of 4"));
    assert!(refused(&of_rounds("fedavg", 3), &kept[1])?.contains("does not remember any set `control`"));
    assert!(refused(&of_rounds("scaffold", 1), &kept[2])?.contains("at most 1 rounds"));
    for cut in [0, 3, 20, kept[1].len() - 1] {
        assert!(Checkpoint::from_bytes(&kept[1][..cut]).is_err(), "{cut} bytes");
    }
    Ok(())
}

const MEASURED: [&str; 3] = ["records.parquet", "predictions.parquet", "adapters.safetensors"];

fn desk(method: &str, rounds: usize) -> Desk {
    let desk = Desk::new();
    let minimal = MINIMAL.replace("fednano", method);
    desk.write("x.toml", &format!("[federation]\nrounds = {rounds}\nlocal_steps = 2\n[partition]\nclients = 2\n{minimal}"));
    desk
}

fn only_run(desk: &Desk, out: &str) -> std::path::PathBuf {
    let mut found = std::fs::read_dir(desk.path().join(out)).expect("a folder");
    found.next().expect("one run").expect("readable").path()
}

fn same(a: &Path, b: &Path) {
    for name in MEASURED {
        let of = |run: &Path| std::fs::read(run.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(of(a) == of(b), "{name}: {} and {}", a.display(), b.display());
    }
}

fn start(desk: &Desk, arguments: &[&str]) -> std::process::Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fedbench"));
    command.args(arguments).current_dir(desk.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// Waits until a run's checkpoint is there for the n-th time, or the process is over.
fn wait_for_checkpoint(child: &mut std::process::Child, run: &Path, round: usize) {
    let reached = || study::checkpoints::stands_after(run).is_some_and(|(after, _)| after >= round);
    while !reached() && child.try_wait().expect("asked").is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Killed twice within a run, at random moments after its second and its fourth round, each of five methods whose server or clients
/// remember something goes on and comes out the same; it says so.
#[test]
fn killed_within_a_run() {
    let mut moments = seed::Seed::new(2).stream("kills within a run");
    for method in ["scaffold", "feddat", "fedadam", "flora", "fednano"] {
        let desk = desk(method, 6);
        desk.expect(&["run", "x.toml", "--out", "whole", "--quiet"], 0, &[]);
        let whole = only_run(&desk, "whole");
        let killed = desk.path().join("killed").join(whole.file_name().expect("a name"));
        for round in [2, 4] {
            let mut child = start(&desk, &["run", "x.toml", "--out", "killed", "--quiet"]);
            wait_for_checkpoint(&mut child, &killed, round);
            std::thread::sleep(Duration::from_secs_f64(moments.range(0.0, 0.1)));
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
        desk.expect(&["run", "x.toml", "--out", "killed"], 0, &["goes on after round", "of 6"]);
        same(&whole, &killed);
        let environment = std::fs::read_to_string(killed.join("environment.json")).expect("an environment");
        assert!(environment.contains("\"resumed_after\""), "{environment}");
    }
}

/// A damaged checkpoint, one of another build, and one whose clients' memories are gone are not gone on from; the run comes out the same.
#[test]
fn a_checkpoint_that_is_not_to_be_believed() {
    let desk = desk("feddat", 3);
    desk.expect(&["run", "x.toml", "--out", "whole", "--quiet"], 0, &[]);
    let whole = only_run(&desk, "whole");
    let spoil = |what: &str, change: &dyn Fn(&Path)| {
        let copied = desk.path().join(what).join(whole.file_name().expect("a name"));
        copy(&whole, &copied);
        std::fs::remove_file(copied.join("manifest.json")).expect("it is there");
        std::fs::remove_file(copied.join("summary.json")).expect("it is there");
        change(&copied.join("checkpoint"));
        copied
    };
    let flip = |checkpoint: &Path| {
        let path = checkpoint.join("server");
        let mut bytes = std::fs::read(&path).expect("a checkpoint");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("written");
    };
    let other_build = |checkpoint: &Path| {
        let path = checkpoint.join("server");
        let bytes = std::fs::read(&path).expect("a checkpoint");
        let (mut rest, key) = (bytes[65..].to_vec(), br#""program":""#.as_slice());
        let at = rest.windows(key.len()).position(|part| part == key).expect("the program's checksum") + key.len();
        rest[at] = if rest[at] == b'0' { b'1' } else { b'0' };
        std::fs::write(&path, [schema::sha256_hex(&rest).as_bytes(), b"\n", &rest].concat()).expect("written");
    };
    let forget = |checkpoint: &Path| std::fs::remove_dir_all(checkpoint.join("clients")).expect("it is there");
    let begins_anew = |what: &str, change: &dyn Fn(&Path), said: &str| {
        let run = spoil(what, change);
        desk.expect(&["run", "x.toml", "--out", what], 0, &["begins anew", said]);
        same(&whole, &run);
    };
    begins_anew("damaged", &flip, "is damaged");
    begins_anew("other-build", &other_build, "another build of this program");
    begins_anew("forgotten", &forget, "what clients remember is not there");
    // A sound one: nothing is trained, and it comes out the same.
    let run = spoil("sound", &|_| ());
    desk.expect(&["run", "x.toml", "--out", "sound"], 0, &["goes on after round 3 of 3"]);
    same(&whole, &run);
    desk.expect(&["run", "x.toml", "--out", "sound", "--force"], 0, &["round   1", "round   3"]);
    same(&whole, &run);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let place = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &place),
            false => drop(std::fs::copy(entry.path(), place).expect("copied")),
        }
    }
}

/// `--rounds 4` goes on from a run of 2 that lies there, and is the run of 4 to the byte.
#[test]
fn more_rounds_go_on_from_fewer() {
    let desk = desk("fedadam", 4);
    desk.expect(&["run", "x.toml", "--out", "whole", "--quiet"], 0, &[]);
    desk.expect(&["run", "x.toml", "--rounds", "2", "--out", "runs", "--quiet"], 0, &[]);
    let short = only_run(&desk, "runs");
    let before = std::fs::read(short.join("records.parquet")).expect("records");
    desk.expect(
        &["run", "x.toml", "--rounds", "4", "--out", "runs"],
        0,
        &["the same run of fewer rounds", "goes on after round 2 of 4"],
    );
    let whole = only_run(&desk, "whole");
    same(&whole, &desk.path().join("runs").join(whole.file_name().expect("a name")));
    assert_eq!(before, std::fs::read(short.join("records.parquet")).expect("records"));
    desk.expect(&["run", "x.toml", "--rounds", "4", "--seed", "9", "--out", "runs"], 0, &["round   1"]);
}

/// An interrupt says what is kept and how to go on.
#[test]
fn an_interrupt_says_what_is_kept() {
    let desk = desk("fedavg", 400);
    let mut child = start(&desk, &["run", "x.toml", "--out", "runs", "--quiet"]);
    let runs = desk.path().join("runs");
    while std::fs::read_dir(&runs).map_or(0, |runs| runs.count()) == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    wait_for_checkpoint(&mut child, &only_run(&desk, "runs"), 2);
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(status.success());
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("of 400 rounds are kept") && said.contains("the same command goes on"), "{said}");
}

/// Two processes at one suite share it: every run is run once, and both end well.
#[test]
fn two_processes_share_a_suite() {
    let desk = desk("fedavg", 3);
    let experiment = std::fs::read_to_string(desk.path().join("x.toml")).expect("written");
    let base: toml::Table = experiment.parse().expect("TOML");
    let mut suite = toml::Table::new();
    suite.insert("name".into(), "shared".into());
    suite.insert("seeds".into(), vec![1i64, 2, 3, 4].into());
    suite.insert("base".into(), base.into());
    suite.insert("experiments".into(), toml::Value::Array(vec![toml::Table::new().into()]));
    desk.write("s.toml", &suite.to_string());
    let begin = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fedbench"));
        command.args(["suite", "s.toml", "--out", "runs", "--quiet"]).current_dir(desk.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    };
    let (one, other) = (begin(), begin());
    let mut ran = 0;
    for child in [one, other] {
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let now = said.split("4 runs, ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a count");
        ran += now.parse::<usize>().expect("a number");
    }
    assert_eq!(ran, 4);
}

/// What everybody starts from may be a run's adapters: these and no others, or an error that says what does not fit.
#[test]
fn a_start_from_saved_adapters() -> Test {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("adapters.safetensors");
    let mut given = of_rounds("fedavg", 2);
    let (outcome, _) = process(&study(&given)?.1, &given, &All::default(), None)?;
    let saved = |adapters: &models::adapter::Adapters| -> Result<()> { Ok(std::fs::write(&path, adapters.to_bytes()?)?) };
    given.adapter.start = Some(path.display().to_string());

    let mut with_own = outcome.global.clone();
    let (name, tensor) = outcome.global.iter().next().context("a tensor")?;
    with_own.insert(format!("client-0/{name}"), tensor.clone());
    saved(&with_own)?;
    let started = study(&given)?.1;
    assert_eq!(started.initial().to_bytes()?, outcome.global.to_bytes()?);
    let (again, _) = process(&started, &given, &All::default(), None)?;
    assert!(again.global.to_bytes()? != outcome.global.to_bytes()?, "it trains on");

    let refused = |adapters: &models::adapter::Adapters, given: &Experiment| -> Result<String> {
        saved(adapters)?;
        Ok(study(given).err().context("taken")?.to_string())
    };
    assert!(refused(&outcome.global.filter(|other| other != name), &given)?.contains(&format!("`{name}` is missing")));
    let mut more = outcome.global.clone();
    more.insert("layers.9.lora_A".into(), tensor.clone());
    assert!(refused(&more, &given)?.contains("`layers.9.lora_A` has no place"));
    let mut damaged = outcome.global.clone();
    damaged.insert(name.clone(), (tensor * f64::NAN)?);
    assert!(refused(&damaged, &given)?.contains("NaN"));
    let mut wider = given.clone();
    wider.adapter.rank = Some(3);
    assert!(refused(&outcome.global, &wider)?.contains("has no place among adapters of kind lora and rank 3"));
    std::fs::remove_file(&path)?;
    assert!(study(&given).err().context("taken")?.to_string().contains("adapters.safetensors"));
    Ok(())
}

/// The file to start from is a part of a run's identity by its bytes, and so is the version of a method's code.
#[test]
fn what_a_run_starts_from_is_in_its_name() {
    let desk = desk("fedavg", 2);
    desk.expect(&["run", "x.toml", "--out", "runs", "--quiet"], 0, &[]);
    let adapters = only_run(&desk, "runs").join("adapters.safetensors");
    let name = |start: &Path| {
        let set = format!("adapter.start=\"{}\"", start.display());
        let output = desk.fedbench(&["validate", "x.toml", "--set", &set]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.rsplit_once(' ').map_or(said.clone(), |(_, name)| name.trim().to_owned())
    };
    let copied = desk.path().join("copied.safetensors");
    std::fs::copy(&adapters, &copied).expect("copied");
    assert_eq!(name(&adapters), name(&copied));
    assert!(!name(&adapters).is_empty() && !adapters.to_string_lossy().contains(&name(&adapters)));
    desk.expect(
        &["run", "x.toml", "--set", "method.name=\"zero-shot\"", "--set", "adapter.start=\"copied.safetensors\""],
        2,
        &["trains nothing"],
    );
}
