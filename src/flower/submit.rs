//! A run by Flower: submitted, and waited for.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use guard::text::line;
use serde::Deserialize;

use super::App;

/// How often it is asked how the run stands.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Submitted {
    run_id: String,
}

#[derive(Deserialize)]
struct Listed {
    runs: Vec<Standing>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Standing {
    status: String,
    #[serde(default)]
    status_details: String,
    #[serde(default)]
    network_traffic: Traffic,
}

/// What Flower says that its own messages took.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Traffic {
    /// From nodes to the SuperLink, in bytes.
    #[serde(default)]
    pub inbound_bytes: u64,
    /// From the SuperLink to nodes.
    #[serde(default)]
    pub outbound_bytes: u64,
}

/// Hands the app to Flower, waits until its run is over, and says what it moved. `said` hears of each change.
pub(crate) fn submit(app: &App, superlink: Option<&str>, said: impl Fn(&str)) -> Result<Traffic> {
    let folder = app.folder.to_str().context("Flower takes paths that are UTF-8 alone")?;
    let submitted: Submitted = flwr(&[&["run", folder], superlink.as_slice()].concat())?;
    let run = submitted.run_id;
    said(&format!("Flower's run {run}"));
    let mut last = String::new();
    loop {
        let listed: Listed = flwr(&[&["list"], superlink.as_slice(), &["--run-id", &run]].concat())?;
        let standing = listed.runs.into_iter().next().with_context(|| format!("Flower no longer knows the run {run}"))?;
        let status = line(&standing.status, 80);
        if status != last {
            said(&format!("  {status}"));
            last.clone_from(&status);
        }
        match status.strip_prefix("finished") {
            Some(":completed") => return Ok(standing.network_traffic),
            Some(_) => bail!(
                "Flower's run {run} ended as `{status}` ({}); `flwr log {run}` and the SuperLink's own output have the reason",
                line(&standing.status_details, 300)
            ),
            None => thread::sleep(EVERY),
        }
    }
}

/// What Flower's command line answers.
fn flwr<T: for<'de> Deserialize<'de>>(arguments: &[&str]) -> Result<T> {
    let output = Command::new("flwr").args(arguments).args(["--format", "json"]).stdin(Stdio::null()).output();
    let output = output.context("cannot start `flwr`: `pip install 'flwr==1.42.*'` brings it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let answered = serde_json::from_str(&text).ok().filter(|_| output.status.success());
    answered.with_context(|| {
        let said = format!("{} {}", text.trim(), String::from_utf8_lossy(&output.stderr).trim());
        format!("`flwr {}` fails: {}", arguments.join(" "), line(&said, 600))
    })
}
