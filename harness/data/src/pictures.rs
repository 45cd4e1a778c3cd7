//! Pictures that lie in files of their own, joined to the questions by a key.
//!
//! The files are streamed once; only the pictures that some question names are kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schema::card::PictureFiles;

use super::columns;
use super::error::DataError;
use super::parquet_file::open;
use super::picture_cell::ImageCell;

/// Calls `found` with each row whose id is wanted: its file, its id, and its cell.
pub(super) fn each<W>(
    paths: &[PathBuf],
    columns: &PictureFiles,
    wanted: &BTreeMap<String, W>,
    mut found: impl FnMut(&Path, &str, &ImageCell<'_>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    for path in paths {
        let reader = open(path)?;
        let roots = columns::project_pictures(path, columns, reader.schema())?;
        for batch in reader.batches(roots)? {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                if let Some((id, cell)) = columns::picture(&batch, columns, row).filter(|(id, _)| wanted.contains_key(id)) {
                    found(path, &id, &cell)?;
                }
            }
        }
    }
    Ok(())
}
