//! Tells the program what it was built from: commit, whether the tree was clean, compiler.

use std::process::Command;

fn main() {
    // In a work tree beside the repository's own, `.git` is a file that says where these are.
    let git = ["HEAD", "logs/HEAD", "index"].map(|name| said("git", &["rev-parse", "--git-path", name]));
    let ours = ["src", "harness", "baselines", "data-scripts", "reports", "Cargo.lock"].map(|name| Some(name.to_owned()));
    for path in ours.into_iter().chain(git).flatten() {
        if std::path::Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let commit = said("git", &["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".into());
    let dirty = said("git", &["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    let rustc = std::env::var("RUSTC").ok().and_then(|rustc| said(&rustc, &["--version"])).unwrap_or_else(|| "unknown".into());
    println!("cargo:rustc-env=FEDBENCH_COMMIT={commit}");
    println!("cargo:rustc-env=FEDBENCH_DIRTY={dirty}");
    println!("cargo:rustc-env=FEDBENCH_RUSTC={rustc}");
}

/// What a program printed, if it ran well.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
