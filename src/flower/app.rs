//! The app's folder: Python that Flower runs, the experiment, and a script that starts a node.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use schema::Experiment;

/// The experiment in the app's folder; by its own name a folder is no run's.
const EXPERIMENT: &str = "federation.toml";
const PYPROJECT: &str = include_str!("app/pyproject.toml");
const NODE: &str = include_str!("app/node.sh");

/// The package's files, as they are.
const PACKAGE: [(&str, &str); 5] = [
    ("__init__.py", include_str!("app/fedbench_flower/__init__.py")),
    ("client.py", include_str!("app/fedbench_flower/client.py")),
    ("line.py", include_str!("app/fedbench_flower/line.py")),
    ("records.py", include_str!("app/fedbench_flower/records.py")),
    ("server.py", include_str!("app/fedbench_flower/server.py")),
];

/// An app that is written.
pub(crate) struct App {
    /// Its folder.
    pub folder: PathBuf,
}

impl App {
    /// Writes it; what an app wrote there before is replaced, and nothing else.
    pub fn write(folder: &Path, experiment: &Experiment, out: &Path) -> Result<Self> {
        let folder = std::path::absolute(folder)?;
        check_own(&folder)?;
        let package = folder.join("fedbench_flower");
        std::fs::create_dir_all(&package).with_context(|| format!("cannot make {}", package.display()))?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let experiment_file = folder.join(EXPERIMENT);
        let config = [("fedbench", &program), ("experiment", &experiment_file), ("out", &std::path::absolute(out)?)];
        write(
            &folder.join("pyproject.toml"),
            &config.iter().try_fold(PYPROJECT.into(), |text, (key, path)| set(text, key, path))?,
        )?;
        write(&experiment_file, &toml::to_string(experiment)?)?;
        write(&folder.join("node.sh"), NODE)?;
        PACKAGE.iter().try_for_each(|(name, text)| write(&package.join(name), text))?;
        Ok(Self { folder })
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    guard::files::write_unlocked(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// An empty folder, none, or one that an app was written to.
fn check_own(folder: &Path) -> Result<()> {
    let Ok(mut entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let is_app =
        std::fs::read_to_string(folder.join("pyproject.toml")).is_ok_and(|text| text.contains("name = \"fedbench-flower\""));
    if entries.next().is_some() && !is_app {
        return Err(study::Error::Usage(format!("{}: it holds something else; give an empty folder", folder.display())).into());
    }
    Ok(())
}

/// The configuration with another path for one of its keys.
fn set(text: String, key: &str, path: &Path) -> Result<String> {
    let Some(path) = path.to_str() else { bail!("{}: Flower takes paths that are UTF-8 alone", path.display()) };
    let (mut found, start) = (false, format!("{key} = "));
    let lines = text.lines().map(|line| match line.starts_with(&start) {
        true => {
            found = true;
            format!("{start}{}\n", toml::Value::String(path.into()))
        }
        false => format!("{line}\n"),
    });
    let text = lines.collect();
    if found { Ok(text) } else { bail!("the app's pyproject.toml has no key `{key}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_set_whatever_it_holds() -> Result<()> {
        let path = Path::new("/a \"b\" \\c");
        let table: toml::Table = set(PYPROJECT.into(), "out", path)?.parse()?;
        assert_eq!(table["tool"]["flwr"]["app"]["config"]["out"].as_str(), path.to_str());
        assert!(set(PYPROJECT.into(), "other", path).is_err());
        Ok(())
    }

    #[test]
    fn nothing_else_is_overwritten() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let experiment: Experiment = toml::from_str("[data]\ndataset = \"icongen\"\n[method]\nname = \"fednano\"\n")?;
        let (app, out) = (folder.path().join("app"), folder.path().join("runs"));
        for _ in 0..2 {
            App::write(&app, &experiment, &out)?;
        }
        assert!(app.join("fedbench_flower/server.py").is_file());
        std::fs::write(folder.path().join("mine.txt"), "mine")?;
        assert!(
            App::write(folder.path(), &experiment, &out).is_err_and(|error| error.to_string().contains("holds something else"))
        );
        Ok(())
    }
}
