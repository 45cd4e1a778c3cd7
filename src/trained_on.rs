//! Which backbone saved adapters were trained on.

use std::path::Path;

use guard::text::line;
use schema::{Environment, Inputs, run_dir};
use study::{Error, Result};

/// More than an `environment.json` holds, a line for each file of a dataset included; bytes.
const MOST_ENVIRONMENT: u64 = 256 << 20;

/// Fails if the run of these adapters had another backbone: of the same shape, it would take them and answer something else. Other rows
/// are what an evaluation is for.
pub fn check(path: &Path, inputs: &Inputs, weights_sha256: &str, remedy: &str) -> Result<()> {
    let path = path.with_file_name(run_dir::ENVIRONMENT);
    let wrong = |what: String| Error::Usage(format!("{}: {what}", path.display()));
    let bytes = match guard::files::read(&path, MOST_ENVIRONMENT) {
        // Adapters beside an experiment alone: that nothing vouches for them is said already.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(|source| Error::Read { path: path.clone(), source })?,
    };
    if guard::files::is_lfs_pointer(&bytes) {
        return Err(wrong(format!("it {}", guard::files::LFS_ADVICE)));
    }
    let of_run: Environment = serde_json::from_slice(&bytes).map_err(|error| wrong(line(&error.to_string(), 300)))?;
    let (trained, given) = match &of_run.inputs {
        Some(of_run) => (&of_run.backbone_sha256, inputs.backbone_sha256.as_str()),
        // What older versions wrote.
        None => (&of_run.backbone_sha256, weights_sha256),
    };
    let short = |sha256: &str| line(&sha256.chars().take(12).collect::<String>(), 12);
    match trained == given {
        true => Ok(()),
        false => Err(wrong(format!(
            "these adapters were trained on another backbone (SHA-256 {} of its weights, config, tokenizer and image processor; that of \
             this one is {}); on this one they mean nothing{remedy}",
            short(trained),
            short(given)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schema::{Inputs, run_dir};

    #[test]
    fn adapters_belong_to_their_runs_backbone() {
        let folder = tempfile::tempdir().expect("a folder");
        let inputs = |backbone: &str| Inputs {
            card_sha256: "c".into(),
            splits: BTreeMap::new(),
            backbone_sha256: backbone.into(),
            partition_sha256: None,
            start_sha256: None,
            method_version: None,
            files: Vec::new(),
        };
        let mut of_run = serde_json::json!({"format": 1, "version": "0", "commit": "c", "dirty": false, "command": [], "started": "s",
            "rustc": "r", "libraries": {}, "platform": "p", "cpu": "c", "device": "cpu", "threads": 1, "backbone_sha256": "old"});
        let check = |of_run: &str, backbone: &str, weights: &str| {
            std::fs::write(folder.path().join(run_dir::ENVIRONMENT), of_run).expect("written");
            let checked = super::check(&folder.path().join(run_dir::ADAPTERS), &inputs(backbone), weights, "");
            checked.err().map_or_else(String::new, |error| error.to_string())
        };
        // What older versions wrote knows the weights alone.
        assert_eq!(check(&of_run.to_string(), "any", "old"), "");
        assert!(check(&of_run.to_string(), "any", "other").contains("SHA-256 old of its weights"));
        of_run["inputs"] = serde_json::to_value(inputs("0123456789abcdef")).expect("JSON");
        assert_eq!(check(&of_run.to_string(), "0123456789abcdef", "other"), "");
        let error = check(&of_run.to_string(), "0123456789ab0000", "old");
        assert!(
            error.contains("environment.json: these adapters were trained on another backbone (SHA-256 0123456789ab "),
            "{error}"
        );
        assert!(
            check("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "a", "b").contains("Git LFS pointer")
        );
        assert!(check("{}", "a", "b").contains("missing field"));
    }
}
