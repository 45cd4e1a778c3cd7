//! The program's workers, as processes: the same run, and what of one that is killed.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;

use anyhow::{Context, Result};

use crate::cli::{Desk, MINIMAL};
use crate::support::Test;

const TOKEN: &str = "a token of more than sixteen characters";

/// A worker of the program; what it says of rounds is read as it comes.
struct Process {
    child: Child,
    rounds: BufReader<ChildStderr>,
}

impl Process {
    fn start(desk: &Desk, clients: &str, at: &str) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fedbench"));
        command.args(["worker", "x.toml", "--clients", clients, "--listen", at, "--state", &format!("state-{clients}")]);
        command.args(["--threads", "1", "--token", "token"]);
        command.current_dir(desk.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        // It says so when it listens.
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut String::new())?;
        let rounds = BufReader::new(child.stderr.take().context("its notes")?);
        Ok(Self { child, rounds })
    }

    /// Killed once it has done its first round.
    fn end_after_a_round(mut self) -> Result<()> {
        let mut line = String::new();
        while !line.contains("round") {
            line.clear();
            anyhow::ensure!(self.rounds.read_line(&mut line)? > 0, "it ended before a round");
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(desk: &Desk, out: &str, name: &str) -> Result<String> {
    let run = std::fs::read_dir(desk.path().join(out))?.next().context("a run")??.path();
    Ok(std::fs::read_to_string(run.join(name))?)
}

fn files_of_run(desk: &Desk, out: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let run = std::fs::read_dir(desk.path().join(out))?.next().context("a run")??.path();
    let names = ["experiment.toml", "partition.json", "records.parquet", "predictions.parquet", "adapters.safetensors"];
    names.map(|name| Ok((name.to_owned(), std::fs::read(run.join(name))?))).into_iter().collect()
}

/// The program itself: two workers give the bytes of `run`; one that is killed and started again changes nothing; one that stays away
/// is recorded, and the run ends well. No token reaches the run folder.
#[test]
fn the_programs_workers_may_be_killed() -> Test {
    let desk = Desk::new();
    desk.write("x.toml", &format!("[federation]\nrounds = 3\n[partition]\nclients = 3\n{MINIMAL}"));
    desk.expect(&["run", "x.toml", "--quiet", "--out", "whole"], 0, &[]);
    let workers = "unix:a.sock,unix:b.sock";
    let expect = |out: &str, code: i32, texts: &[&str]| {
        let given = ["coordinate", "x.toml", "--workers", workers, "--token", "token", "--patience", "5", "--out", out];
        desk.expect(&given, code, texts);
    };
    desk.write("token", TOKEN);
    std::fs::set_permissions(desk.path().join("token"), Permissions::from_mode(0o600))?;
    let _a = Process::start(&desk, "0,2", "unix:a.sock")?;
    // Who calls and says nothing keeps nobody waiting.
    let _silent = UnixStream::connect(desk.path().join("a.sock"))?;
    drop(Process::start(&desk, "1", "unix:b.sock")?);
    expect("nobody", 1, &["unix:b.sock: nobody answers"]);
    let b = Process::start(&desk, "1", "unix:b.sock")?;
    expect("two", 0, &["accuracy"]);
    let (whole, two) = (files_of_run(&desk, "whole")?, files_of_run(&desk, "two")?);
    assert!(whole == two);
    let environment = read(&desk, "two", "environment.json")?;
    let kept_to_itself = [TOKEN, "--token, \"token", "a.sock", &*desk.path().to_string_lossy()];
    assert!(
        environment.contains("\"hosts\"") && kept_to_itself.iter().all(|secret| !environment.contains(secret)),
        "{environment}"
    );
    desk.expect(&["coordinate", "x.toml", "--workers", workers, "--out", "no"], 2, &["asks for a token: --token FILE"]);

    // Killed after a round and not started again, it costs the run its client's later updates, and no more.
    drop(b);
    let b = Process::start(&desk, "1", "unix:b.sock")?;
    thread::scope(|scope| {
        let killed = scope.spawn(move || b.end_after_a_round());
        expect("killed", 0, &["accuracy"]);
        killed.join().expect("no panic")
    })?;
    let lost = serde_json::from_str::<serde_json::Value>(&read(&desk, "killed", "summary.json")?)?["updates_lost"].clone();
    assert!(lost == 2 || lost == 3, "{lost}");
    desk.expect(
        &["worker", "x.toml", "--clients", "0,0", "--listen", "unix:c.sock", "--state", "s"],
        2,
        &["client 0 is there twice"],
    );
    desk.expect(&["worker", "x.toml", "--clients", "7", "--listen", "unix:c.sock", "--state", "s"], 2, &["there is no client 7"]);
    desk.expect(&["coordinate", "x.toml", "--workers", "http://h:1"], 2, &["is no address"]);
    Ok(())
}

/// A server that is killed in a run of SCAFFOLD, whose server and clients both remember, goes on where it was, and so does its worker,
/// which has done a round more: the bytes of `run`.
#[test]
fn the_server_may_be_killed() -> Test {
    let desk = Desk::new();
    let minimal = MINIMAL.replace("fednano", "scaffold");
    desk.write("x.toml", &format!("[federation]\nrounds = 6\nlocal_steps = 2\n[partition]\nclients = 2\n{minimal}"));
    desk.expect(&["run", "x.toml", "--quiet", "--out", "whole"], 0, &[]);
    desk.write("token", TOKEN);
    std::fs::set_permissions(desk.path().join("token"), Permissions::from_mode(0o600))?;
    let _worker = Process::start(&desk, "0,1", "unix:a.sock")?;
    let given = ["coordinate", "x.toml", "--workers", "unix:a.sock", "--token", "token", "--out", "killed"];
    let name = std::fs::read_dir(desk.path().join("whole"))?.next().context("a run")??.file_name();
    let run = desk.path().join("killed").join(name);
    for round in [2, 4] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fedbench"));
        let mut child = command.args(given).current_dir(desk.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        while study::checkpoints::stands_after(&run).is_none_or(|(after, _)| after < round) && child.try_wait()?.is_none() {
            thread::sleep(std::time::Duration::from_millis(5));
        }
        child.kill()?;
        child.wait()?;
    }
    desk.expect(&given, 0, &["goes on after round", "accuracy"]);
    assert!(files_of_run(&desk, "whole")? == files_of_run(&desk, "killed")?);
    Ok(())
}
