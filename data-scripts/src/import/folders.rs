//! Pictures in folders that are called like their labels: `train/cat/1.png`, or `cat/1.png`.

use std::collections::BTreeMap;
use std::path::Path;

use super::names::{is_picture, split};
use super::read::read;
use super::table::{Record, Table, TableError, Value};

/// Pictures of a dataset.
const MOST_PICTURES: usize = 10_000_000;
/// Folders within folders.
const DEEPEST: usize = 16;

/// A table for each split that has a folder, or one called "" for all; with a `metadata.csv` or `metadata.jsonl` beside the pictures,
/// whose column `file_name` names them, its columns.
pub fn folders(root: &Path) -> Result<BTreeMap<String, Table>, TableError> {
    let entries = names(root)?;
    let splits: Vec<(&str, &String)> =
        entries.iter().filter(|(_, is_folder)| *is_folder).filter_map(|(name, _)| Some((split(name)?, name))).collect();
    let mut tables = BTreeMap::new();
    for (name, folder) in &splits {
        if tables.insert((*name).to_owned(), table(&root.join(folder))?).is_some() {
            return Err(TableError::file(root, format!("two of its folders are the split `{name}`")));
        }
    }
    if splits.is_empty() {
        tables.insert(String::new(), table(root)?);
    }
    Ok(tables)
}

fn table(folder: &Path) -> Result<Table, TableError> {
    for name in ["metadata.csv", "metadata.jsonl"] {
        let path = folder.join(name);
        if path.symlink_metadata().is_ok() {
            let mut table = read(&path, None)?;
            let file = table.expect("file_name")?;
            table.columns[file] = "image".into();
            return Ok(table);
        }
    }
    let mut found = Vec::new();
    walk(folder, "", DEEPEST, &mut found)?;
    let mut rows = Vec::new();
    for (at, file) in found.into_iter().enumerate() {
        let Some((label, _)) = file.split_once('/') else {
            let message = format!(
                "`{file}` lies in no folder that is its label; `{}/LABEL/{file}` would, or a `metadata.csv` with `file_name` and the answer",
                folder.display()
            );
            return Err(TableError::file(folder, message));
        };
        let cells = vec![Value::Text(file.clone()), Value::Text(label.to_owned()), Value::Text(file.clone())];
        rows.push(Record { line: at as u64 + 1, cells });
    }
    if rows.is_empty() {
        return Err(TableError::file(folder, "no picture lies below it (PNG, JPEG, WebP, GIF, BMP or TIFF, by their names)"));
    }
    let columns = ["id", "label", "image"].map(str::to_owned).to_vec();
    Ok(Table { path: folder.into(), folder: folder.into(), columns, rows })
}

/// The names in a folder, sorted, each with whether it is a folder; none that is hidden. No link is followed.
fn names(folder: &Path) -> Result<Vec<(String, bool)>, TableError> {
    let entries = std::fs::read_dir(folder).map_err(TableError::io(folder))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(TableError::io(folder))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type().map_err(TableError::io(folder))?;
        if !name.starts_with('.') {
            names.push((name, kind.is_dir()));
        }
    }
    names.sort();
    Ok(names)
}

fn walk(folder: &Path, below: &str, deep: usize, found: &mut Vec<String>) -> Result<(), TableError> {
    for (name, is_folder) in names(folder)? {
        match is_folder {
            true if deep > 0 => walk(&folder.join(&name), &format!("{below}{name}/"), deep - 1, found)?,
            false if is_picture(&name) => found.push(format!("{below}{name}")),
            _ => {}
        }
    }
    match found.len() > MOST_PICTURES {
        true => Err(TableError::file(folder, format!("over {MOST_PICTURES} pictures"))),
        false => Ok(()),
    }
}
