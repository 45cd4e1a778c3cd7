//! A pack's runs as folders again: texts byte for byte, parquet written anew as a run writes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use schema::manifest::Entry;
use schema::{pack as format, run_dir};

use crate::error::ReportError;
use crate::pack::Pack;
use crate::read::Trust;
use crate::rows::bad;
use crate::written::{self, conformed};

/// What was unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// How many runs.
    pub runs: usize,
    /// How many of them have a manifest that names adapters which were not kept.
    pub without_adapters: usize,
    /// Parquet files with the same rows in other bytes: the library that wrote them first was of another version.
    pub rewritten: Vec<PathBuf>,
}

/// Writes every run of a pack into a folder of its name below `out`; an error before anything is written where one is there.
pub fn unpack(folder: &Path, out: &Path, trust: Trust) -> Result<Unpacked, ReportError> {
    let pack = match trust {
        Trust::Verified => Pack::verified(folder)?,
        Trust::AsTheyAre => Pack::open(folder)?,
    };
    let names = || pack.entered().iter().map(|run| out.join(&run.name));
    if let Some(path) = names().find(|path| path.symlink_metadata().is_ok()) {
        return Err(ReportError::Keep { path, what: "is there already: give another folder".into() });
    }
    let mut unpacked = Unpacked { runs: pack.entered().len(), ..Unpacked::default() };
    for run in 0..unpacked.runs {
        if trust == Trust::Verified {
            pack.standing(run)?;
        }
        write_run(&pack, run, &out.join(&pack.entered()[run].name), &mut unpacked)?;
    }
    Ok(unpacked)
}

/// The summary last but one, the manifest last, as a run does it.
fn write_run(pack: &Pack, run: usize, dir: &Path, unpacked: &mut Unpacked) -> Result<(), ReportError> {
    fs::create_dir_all(dir).map_err(|source| ReportError::Write { path: dir.into(), source })?;
    let held = &pack.entered()[run].held;
    for (name, columns) in [(run_dir::RECORDS, &held.records), (run_dir::PREDICTIONS, &held.predictions)] {
        let bytes = rows(pack, run, name, columns)?;
        if held.files.get(name) != Some(&Entry::of(&bytes)) {
            unpacked.rewritten.push(dir.join(name));
        }
        written::write(&dir.join(name), &bytes)?;
    }
    match pack.adapters(run) {
        Some(from) => written::copy(&from, &dir.join(run_dir::ADAPTERS))?,
        None if !held.files.contains_key(run_dir::ADAPTERS) => {}
        None => unpacked.without_adapters += usize::from(pack.text(run, run_dir::MANIFEST)?.is_some()),
    }
    // `OWN_TEXTS` ends with the summary.
    for name in format::SHARED_TEXTS.into_iter().chain(format::OWN_TEXTS).chain([run_dir::MANIFEST]) {
        if let Some(text) = pack.text(run, name)? {
            written::write(&dir.join(name), text.as_bytes())?;
        }
    }
    Ok(())
}

/// The bytes that a run writes of such rows (`record` of the crate `study`).
fn rows(pack: &Pack, run: usize, name: &str, columns: &[(String, bool)]) -> Result<Vec<u8>, ReportError> {
    let rows = pack.rows(run, name)?;
    let wrong = |error: &dyn std::fmt::Display| bad(rows.path(), &error.to_string());
    let field = |(name, nullable): &(String, bool)| {
        let field = rows.schema().field_with_name(name).map_err(|error| wrong(&error))?;
        Ok(Field::new(name, field.data_type().clone(), *nullable))
    };
    let schema: SchemaRef = Arc::new(Schema::new(columns.iter().map(field).collect::<Result<Vec<_>, ReportError>>()?));
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).set_created_by("fedbench".into()).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema.clone(), Some(properties)).map_err(|error| wrong(&error))?;
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    for batch in rows.batches(&names)? {
        writer.write(&conformed(&rows, &batch?, &schema)?).map_err(|error| wrong(&error))?;
    }
    writer.close().map_err(|error| wrong(&error))?;
    Ok(bytes)
}
