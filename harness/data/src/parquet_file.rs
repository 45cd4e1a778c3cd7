//! A parquet file, opened and read without trust: footer and page headers are checked before the library sees them
//! (`guard::parquet`), its panics are errors, and what rows expand to has a budget.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use guard::panics::caught;
use guard::parquet::Footer;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::error::DataError;
use super::parquet_pages;

/// Rows decoded at a time: pictures are large.
const BATCH_ROWS: usize = 64;

/// A file whose footer was read.
pub(super) struct Opened {
    path: PathBuf,
    file: File,
    footer: Footer,
    reader: ParquetRecordBatchReaderBuilder<File>,
}

/// Opens a parquet file and reads its footer.
pub(super) fn open(path: &Path) -> Result<Opened, DataError> {
    let file = guard::files::open(path).map_err(DataError::file(path))?;
    let footer = guard::parquet::footer(&file).map_err(|problem| DataError::problem(path, problem))?;
    // See `columns`: an embedded Arrow schema would only multiply the types to handle.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let copy = file.try_clone().map_err(DataError::file(path))?;
    let opened = caught("parquet", || ParquetRecordBatchReaderBuilder::try_new_with_options(copy, options));
    let reader = opened.map_err(|panic| DataError::parquet(path, panic))?.map_err(|error| failed(path, "its footer", &error))?;
    Ok(Opened { path: path.into(), file, footer, reader })
}

impl Opened {
    /// The columns.
    pub(super) fn schema(&self) -> &Schema {
        self.reader.schema()
    }

    /// Rows.
    pub(super) fn rows(&self) -> usize {
        usize::try_from(self.footer.rows).unwrap_or(usize::MAX)
    }

    /// What the library made of the footer.
    pub(super) fn metadata(&self) -> &ParquetMetaData {
        self.reader.metadata()
    }

    /// The rows of some top-level columns, in batches.
    pub(super) fn batches(self, roots: Vec<usize>) -> Result<Batches, DataError> {
        let Self { path, file, footer, reader } = self;
        let names: Vec<&str> = roots.iter().map(|root| reader.schema().field(*root).name().as_str()).collect();
        let plan = footer.plan(&file, &names, BATCH_ROWS).map_err(|problem| DataError::problem(&path, problem))?;
        for doubt in &plan.doubts {
            parquet_pages::settle(&file, reader.metadata(), doubt).map_err(|message| DataError::parquet(&path, message))?;
        }
        let groups = reader.metadata().row_groups().iter().map(|group| usize::try_from(group.num_rows()).unwrap_or_default());
        let groups = groups.collect();
        let mask = ProjectionMask::roots(reader.parquet_schema(), roots);
        let built = caught("parquet", || reader.with_projection(mask).with_batch_size(plan.rows).build());
        let reader = built.map_err(|panic| DataError::parquet(&path, panic))?;
        let reader = reader.map_err(|error| failed(&path, "its footer", &error))?;
        Ok(Batches { path, reader: Some(reader), groups, row: 0, decoded: 0, budget: plan.budget })
    }
}

/// The rows of a file, decoded some at a time; ends with the first error.
pub(super) struct Batches {
    path: PathBuf,
    reader: Option<ParquetRecordBatchReader>,
    /// Rows of each row group.
    groups: Vec<usize>,
    row: usize,
    decoded: u64,
    budget: u64,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = self.reader.take()?;
        let place = self.place();
        match caught("parquet", || reader.next()) {
            Err(panic) => Some(Err(DataError::parquet(&self.path, format!("{place}: {panic}")))),
            Ok(None) => None,
            Ok(Some(Err(error))) => Some(Err(failed(&self.path, &place, &error.into()))),
            Ok(Some(Ok(batch))) => {
                self.row += batch.num_rows();
                self.decoded = self.decoded.saturating_add(batch.get_array_memory_size() as u64);
                if self.decoded > self.budget {
                    return Some(Err(DataError::parquet(&self.path, self.too_much())));
                }
                self.reader = Some(reader);
                Some(Ok(batch))
            }
        }
    }
}

impl Batches {
    /// The row group that is read next, as a message names it.
    fn place(&self) -> String {
        let mut before = 0;
        let holds = |rows: &usize| {
            before += rows;
            before > self.row
        };
        let group = self.groups.iter().position(holds).unwrap_or_default();
        format!("row group {group}, from row {}", self.row)
    }

    fn too_much(&self) -> String {
        format!(
            "asks for too much (its first {} rows take over {} bytes once decoded, a gigabyte and 32 times the file's own length)",
            self.row, self.budget
        )
    }
}

/// What the library said, as what it means.
fn failed(path: &Path, place: &str, error: &ParquetError) -> DataError {
    let said = guard::text::line(&error.to_string(), 300);
    DataError::parquet(
        path,
        match error {
            ParquetError::NYI(_) => format!("{place}: holds what is not read here ({said}); write it plainly, as pyarrow does"),
            _ => format!("{place}: is damaged ({said}); get it again, or write it anew"),
        },
    )
}
