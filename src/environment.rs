//! What produced a run.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::OnceLock;

use machine::clock::now_utc;
use models::Backbone;
use schema::record::{Download, HostFacts};
use schema::{Environment, Inputs, manifest};

const LOCK: &str = include_str!("../Cargo.lock");
const LIBRARIES: [&str; 6] = ["candle-core", "gemm", "parquet", "polars", "safetensors", "tokenizers"];

/// The environment of what starts now with a backbone: what the data make doubtful, what came from the Hub, and what is read.
pub fn environment(
    backbone: &dyn Backbone,
    device: &str,
    doubts: Vec<String>,
    downloads: Vec<Download>,
    inputs: Inputs,
) -> Environment {
    Environment {
        format: manifest::FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        commit: env!("FEDBENCH_COMMIT").into(),
        dirty: env!("FEDBENCH_DIRTY") == "true",
        command: command(),
        started: now_utc(),
        resumed_after: None,
        program: Some(program().into()),
        rustc: env!("FEDBENCH_RUSTC").into(),
        libraries: LIBRARIES.iter().filter_map(|name| Some((name.to_string(), version_of(name)?))).collect::<BTreeMap<_, _>>(),
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        cpu: cpu(),
        device: device.into(),
        threads: rayon::current_num_threads(),
        kernels: kernels(backbone),
        backbone_sha256: backbone.weights_sha256().into(),
        downloads,
        doubts,
        inputs: Some(inputs),
        hosts: Vec::new(),
    }
}

/// SHA-256 of this program's file; of nothing where it cannot be read, so that nobody goes on from what it left.
pub fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let file = std::env::current_exe().and_then(File::open);
        file.and_then(manifest::Entry::of_file).map_or_else(|_| format!("unknown {}", remote::attempt()), |entry| entry.sha256)
    })
}

/// What a worker of these clients says of itself.
pub fn host_facts(clients: Vec<usize>, backbone: &dyn Backbone) -> HostFacts {
    let (version, commit) = (env!("CARGO_PKG_VERSION").into(), env!("FEDBENCH_COMMIT").into());
    HostFacts { clients, version, commit, cpu: cpu(), threads: rayon::current_num_threads(), kernels: kernels(backbone) }
}

/// What multiplies with a backbone's weights.
pub fn kernels(backbone: &dyn Backbone) -> BTreeMap<String, String> {
    if backbone.device().is_cpu() { models::kernels::in_use(backbone.weights_dtype()) } else { BTreeMap::new() }
}

/// The command line, the program by its name alone.
fn command() -> Vec<String> {
    // A path need not be text.
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    without_places(std::iter::once("fedbench".into()).chain(arguments))
}

/// Options whose values say where other machines, keys and tokens are: they are nobody's business who reads a run folder.
const PLACES: [&str; 8] =
    ["--workers", "--relay", "--decoder", "--decoder-tls", "--decoder-token", "--superlink", "--tls", "--token"];

fn without_places(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut hides = false;
    let shown = arguments.map(|argument| {
        let option = argument.split_once('=').map_or(&*argument, |(option, _)| option);
        let is_value = std::mem::replace(&mut hides, PLACES.contains(&&*argument));
        match PLACES.contains(&option) && option != argument {
            _ if is_value => "...".into(),
            true => format!("{option}=..."),
            false => argument,
        }
    });
    shown.collect()
}

/// A library's version in the lock file that this program was built with.
fn version_of(name: &str) -> Option<String> {
    let entry = LOCK.split("[[package]]").find(|entry| entry.contains(&format!("\nname = \"{name}\"\n")))?;
    entry.split("version = \"").nth(1)?.split('"').next().map(str::to_owned)
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()));
    name.unwrap_or_else(|| std::env::consts::ARCH.into())
}

#[cfg(test)]
mod tests {
    #[test]
    fn places_of_others_are_not_shown() {
        let typed =
            ["fedbench", "coordinate", "x.toml", "--workers", "unix:a,tls://b:1", "--token=t", "--tls", "d", "--out", "o"];
        let shown = super::without_places(typed.into_iter().map(String::from)).join(" ");
        assert_eq!(shown, "fedbench coordinate x.toml --workers ... --token=... --tls ... --out o");
    }

    #[test]
    fn versions_come_from_the_lock_file() {
        assert!(super::version_of("candle-core").is_some_and(|version| version.starts_with("0.")));
        assert_eq!(super::version_of("no-such-crate"), None);
    }
}
