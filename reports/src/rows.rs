//! Rows of a parquet file, in batches: looked at before the library sees it, within a budget, and the library's panics are errors.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use guard::panics::caught;
use guard::parquet::Footer;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use crate::error::ReportError;

const BATCH_ROWS: usize = 65_536;

/// A parquet file whose footer was read and checked, once for all that is read of it.
#[derive(Debug)]
pub struct Opened {
    path: PathBuf,
    footer: Footer,
    metadata: ArrowReaderMetadata,
}

impl Opened {
    /// Opens a file that is there itself, not through a link.
    pub fn new(path: &Path) -> Result<Self, ReportError> {
        let file = guard::files::open_here(path).map_err(|source| ReportError::Read { path: path.into(), source })?;
        let footer = guard::parquet::footer(&file).map_err(|problem| bad(path, &problem))?;
        // An embedded Arrow schema says nothing that parquet's own types do not.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = caught("parquet", || ArrowReaderMetadata::load(&file, options));
        let metadata = metadata.map_err(|panic| bad(path, &panic))?.map_err(|error| bad(path, &error))?;
        Ok(Self { path: path.into(), footer, metadata })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rows of each row group, in order.
    pub fn group_rows(&self) -> Vec<u64> {
        self.footer.group_rows().collect()
    }

    /// Its columns.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }
}

/// Rows to be read: all of a file, or some of one that several runs share.
#[derive(Debug, Clone)]
pub struct Rows {
    /// How messages name the file.
    path: PathBuf,
    opened: Arc<Opened>,
    groups: Range<usize>,
    /// Of these groups' rows, which one alone.
    only: Option<usize>,
    /// The columns that there are of these rows; all of the file's without it.
    columns: Option<Vec<String>>,
}

impl Rows {
    /// All of a file.
    pub fn of_file(path: &Path) -> Result<Self, ReportError> {
        let opened = Arc::new(Opened::new(path)?);
        Ok(Self { path: path.into(), groups: 0..opened.footer.group_rows().count(), opened, only: None, columns: None })
    }

    /// Some row groups of a file; messages name it by `path`.
    pub fn of_groups(opened: &Arc<Opened>, groups: Range<usize>, path: PathBuf) -> Self {
        Self { path, opened: opened.clone(), groups, only: None, columns: None }
    }

    /// One row alone, counted within these groups.
    pub fn only(self, row: usize) -> Self {
        Self { only: Some(row), ..self }
    }

    /// As if the file had these columns alone.
    pub fn with_columns(self, columns: Vec<String>) -> Self {
        Self { columns: Some(columns), ..self }
    }

    /// How messages name the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its columns.
    pub fn schema(&self) -> &SchemaRef {
        self.opened.schema()
    }

    /// How many rows there are.
    pub fn count(&self) -> u64 {
        self.opened.footer.of_groups(self.groups.clone()).rows
    }

    /// Some columns of predictions, `example` among them; with a `part`, of the examples whose ids begin with that dataset's name alone.
    pub fn batches_of(
        &self,
        columns: &[&str],
        part: Option<&str>,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, ReportError>>, ReportError> {
        let batches = self.batches(columns)?;
        Ok(batches.flat_map(move |batch| match (batch, part) {
            (Ok(batch), Some(part)) => match slices(&self.path, &batch, part) {
                Ok(slices) => slices.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            },
            (batch, _) => vec![batch],
        }))
    }

    /// Some columns of them, as far as the file has them.
    pub fn batches(&self, columns: &[&str]) -> Result<Batches, ReportError> {
        let (path, metadata) = (&self.path, self.opened.metadata.clone());
        let is_had = |name: &&str| self.columns.as_ref().is_none_or(|had| had.iter().any(|had| had == name));
        let columns: Vec<&str> = columns.iter().copied().filter(is_had).collect();
        let file = guard::files::open_here(&self.opened.path);
        let file = file.map_err(|source| ReportError::Read { path: path.clone(), source })?;
        let plan = self.opened.footer.of_groups(self.groups.clone()).plan(&file, &columns, BATCH_ROWS);
        let plan = plan.map_err(|problem| bad(path, &problem))?;
        if !plan.doubts.is_empty() {
            return Err(bad(path, &"is damaged: its pages are not written as those of a run are"));
        }
        let reader = caught("parquet", || {
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
            let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
            let builder = builder.with_row_groups(self.groups.clone().collect()).with_projection(mask);
            match self.only {
                Some(row) => builder.with_offset(row).with_limit(1).with_batch_size(1).build(),
                None => builder.with_batch_size(plan.rows).build(),
            }
        });
        let reader = reader.map_err(|panic| bad(path, &panic))?.map_err(|error| bad(path, &error))?;
        Ok(Batches { path: path.clone(), reader: Some(reader), left: plan.budget })
    }
}

/// The rows of one dataset, as they follow each other.
fn slices(path: &Path, batch: &RecordBatch, part: &str) -> Result<Vec<RecordBatch>, ReportError> {
    let example: &StringArray = column(path, batch, "example")?;
    let is_its = |row: usize| example.value(row).strip_prefix(part).is_some_and(|rest| rest.starts_with('/'));
    let (mut found, mut row) = (Vec::new(), 0);
    while row < batch.num_rows() {
        let length = (row..batch.num_rows()).take_while(|&row| is_its(row)).count();
        found.extend((length > 0).then(|| batch.slice(row, length)));
        row += length.max(1);
    }
    Ok(found)
}

/// Batches of rows, up to the first error; what they take together has a budget.
pub struct Batches {
    path: PathBuf,
    reader: Option<ParquetRecordBatchReader>,
    left: u64,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ReportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = self.reader.take()?;
        let wrong = |what: String| Some(Err(bad(&self.path, &what)));
        let batch = match caught("parquet", || reader.next()) {
            Err(panic) => return wrong(panic),
            Ok(None) => return None,
            Ok(Some(Err(error))) => return wrong(guard::text::line(&error.to_string(), 300)),
            Ok(Some(Ok(batch))) => batch,
        };
        let Some(left) = self.left.checked_sub(batch.get_array_memory_size() as u64) else {
            return wrong("asks for too much: its rows take over a gigabyte and 32 times its length once decoded".into());
        };
        self.left = left;
        self.reader = Some(reader);
        Some(Ok(batch))
    }
}

/// A column of a batch; an error where it is not there or of another type.
pub fn column<'a, A: Array + 'static>(path: &Path, batch: &'a RecordBatch, name: &str) -> Result<&'a A, ReportError> {
    let column = batch.column_by_name(name).ok_or_else(|| bad(path, &format!("no column `{name}`")))?;
    let wrong = || bad(path, &format!("column `{name}` has the unexpected type {}", column.data_type()));
    column.as_any().downcast_ref().ok_or_else(wrong)
}

/// What is wrong with a parquet file.
pub fn bad(path: &Path, error: &impl ToString) -> ReportError {
    ReportError::Parquet { path: path.into(), message: error.to_string() }
}
