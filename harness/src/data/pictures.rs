//! Pictures that lie in files of their own, joined to the questions by a key.
//!
//! The files are streamed once; only the pictures that some question names are kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parquet::arrow::ProjectionMask;
use schema::card::PictureFiles;

use super::columns;
use super::error::DataError;
use super::examples::{BATCH_ROWS, open};

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
        let mask = ProjectionMask::roots(reader.parquet_schema(), roots);
        let batches = reader.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(DataError::parquet(path))?;
        for batch in batches {
            let batch = batch.map_err(DataError::parquet(path))?;
            for row in 0..batch.num_rows() {
                if let Some((id, encoded)) = columns::picture(&batch, columns, row).filter(|(id, _)| wanted.contains_key(id)) {
                    found(path, &id, encoded)?;
                }
            }
        }
    }
    Ok(())
}
