//! Pictures that lie in files of their own, joined to the questions by a key.
//!
//! The files are streamed once; only the pictures that some question names are kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schema::card::PictureFiles;

use super::columns;
use super::error::DataError;
use super::parquet_file::open;

/// Calls `found` with each row whose id is wanted: its id and its encoded picture.
pub(super) fn each(
    paths: &[PathBuf],
    columns: &PictureFiles,
    wanted: &BTreeMap<String, Vec<usize>>,
    mut found: impl FnMut(&Path, &str, &[u8]) -> Result<(), DataError>,
) -> Result<(), DataError> {
    for path in paths {
        let reader = open(path)?;
        let roots = columns::project_pictures(path, columns, reader.schema())?;
        for batch in reader.batches(roots)? {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                if let Some((id, encoded)) = columns::picture(&batch, columns, row).filter(|(id, _)| wanted.contains_key(id)) {
                    found(path, &id, encoded)?;
                }
            }
        }
    }
    Ok(())
}
