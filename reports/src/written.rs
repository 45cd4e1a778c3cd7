//! A pack's files, written: aside and renamed, in row groups that are read one by one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array, new_null_array};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use guard::files::Growing;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use schema::pack;

use crate::error::ReportError;
use crate::rows::{Rows, bad};

/// A row group of texts ends when they have so many bytes: one is read without many others, and equal ones are packed together.
const TEXTS_TOGETHER: usize = 64 << 10;
/// zstd's; more takes longer and gains a hundredth.
const LEVEL: i32 = 9;

/// A parquet file that grows aside.
struct Writer {
    path: PathBuf,
    growing: Growing,
    writer: ArrowWriter<File>,
}

impl Writer {
    fn create(path: &Path, schema: &SchemaRef) -> Result<Self, ReportError> {
        let (growing, file) = Growing::create(path).map_err(|source| ReportError::Write { path: path.into(), source })?;
        let options = ArrowWriterOptions::new().with_properties(properties(schema)).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, schema.clone(), options).map_err(|error| bad(path, &error))?;
        Ok(Self { path: path.into(), growing, writer })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ReportError> {
        self.writer.write(batch).map_err(|error| bad(&self.path, &error))
    }

    /// Ends a row group.
    fn flush(&mut self) -> Result<(), ReportError> {
        self.writer.flush().map_err(|error| bad(&self.path, &error))
    }

    fn finish(self) -> Result<(), ReportError> {
        self.writer.close().map_err(|error| bad(&self.path, &error))?;
        self.growing.finish().map_err(|source| ReportError::Write { path: self.path, source })
    }
}

/// zstd; numbers of lists byte by byte, which packs what no two of are equal; no statistics, which nobody asks.
fn properties(schema: &SchemaRef) -> WriterProperties {
    let level = ZstdLevel::try_new(LEVEL).unwrap_or_default();
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(pack::GROUP_ROWS as usize))
        .set_created_by("fedbench".into());
    for field in schema.fields() {
        let DataType::List(inner) = field.data_type() else { continue };
        if *inner.data_type() == DataType::Float64 {
            let path = ColumnPath::new(vec![field.name().clone(), "list".into(), inner.name().clone()]);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT);
        }
    }
    properties.build()
}

/// The rows of several runs under the columns that these have together.
pub struct Columns {
    schema: SchemaRef,
    runs: Vec<(Rows, Vec<(String, bool)>)>,
}

impl Columns {
    /// Of runs' rows with the columns of each: name, and whether it may be null.
    pub fn new(runs: Vec<(Rows, Vec<(String, bool)>)>) -> Result<Self, ReportError> {
        let mut fields: Vec<(Field, usize)> = Vec::new();
        for (rows, had) in &runs {
            for (name, nullable) in had {
                let kind = rows.schema().field_with_name(name).map_err(|error| bad(rows.path(), &error))?.data_type();
                match fields.iter_mut().find(|(field, _)| field.name() == name) {
                    None => fields.push((Field::new(name, kind.clone(), *nullable), 1)),
                    Some((field, count)) if field.data_type() == kind => {
                        (*field, *count) = (field.clone().with_nullable(field.is_nullable() || *nullable), *count + 1);
                    }
                    Some((field, _)) => {
                        let other = field.data_type();
                        let what = format!("column `{name}` is {kind}, in other runs {other}: keep them in two packs");
                        return Err(ReportError::Keep { path: rows.path().into(), what });
                    }
                }
            }
        }
        let everybodys = |(field, count): (Field, usize)| {
            let nullable = field.is_nullable() || count < runs.len();
            field.with_nullable(nullable)
        };
        let fields: Fields = fields.into_iter().map(everybodys).collect();
        Ok(Self { schema: Arc::new(Schema::new(fields)), runs })
    }
}

/// Writes the rows of all runs, each run in row groups of its own.
pub fn write_rows(folder: &Path, name: &str, columns: &Columns) -> Result<(), ReportError> {
    let mut writer = Writer::create(&folder.join(name), &columns.schema)?;
    for (rows, had) in &columns.runs {
        let names: Vec<&str> = had.iter().map(|(name, _)| name.as_str()).collect();
        for batch in rows.batches(&names)? {
            writer.write(&conformed(rows, &batch?, &columns.schema)?)?;
        }
        writer.flush()?;
    }
    writer.finish()
}

/// The same rows under these columns, in this order; nothing in those that it has not.
pub fn conformed(rows: &Rows, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ReportError> {
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) => column.clone(),
        None => new_null_array(field.data_type(), batch.num_rows()),
    };
    let columns: Vec<ArrayRef> = schema.fields().iter().map(column).collect();
    RecordBatch::try_new(schema.clone(), columns).map_err(|error| bad(rows.path(), &error))
}

/// A file of texts and counts, a few rows in a row group.
pub struct Texts {
    writer: Writer,
    schema: SchemaRef,
    texts: Vec<Vec<Option<String>>>,
    counts: Vec<Vec<u64>>,
    bytes: usize,
}

impl Texts {
    /// Begins a file with columns of these names: texts, which may be missing, and counts.
    pub fn create(path: &Path, texts: &[&str], counts: &[&str]) -> Result<Self, ReportError> {
        let text = texts.iter().map(|name| Field::new(*name, DataType::Utf8, true));
        let count = counts.iter().map(|name| Field::new(*name, DataType::UInt64, false));
        let schema: SchemaRef = Arc::new(Schema::new(text.chain(count).collect::<Vec<_>>()));
        let columns = (vec![Vec::new(); texts.len()], vec![Vec::new(); counts.len()]);
        Ok(Self { writer: Writer::create(path, &schema)?, schema, texts: columns.0, counts: columns.1, bytes: 0 })
    }

    /// Adds a row.
    pub fn push(&mut self, texts: Vec<Option<String>>, counts: &[u64]) -> Result<(), ReportError> {
        self.bytes += texts.iter().flatten().map(String::len).sum::<usize>();
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.push(text));
        self.counts.iter_mut().zip(counts).for_each(|(column, count)| column.push(*count));
        if self.bytes >= TEXTS_TOGETHER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ReportError> {
        if self.texts.first().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let texts = self.texts.iter_mut().map(|column| Arc::new(StringArray::from(std::mem::take(column))) as ArrayRef);
        let counts = self.counts.iter_mut().map(|column| Arc::new(UInt64Array::from(std::mem::take(column))) as ArrayRef);
        let batch = RecordBatch::try_new(self.schema.clone(), texts.chain(counts).collect());
        self.bytes = 0;
        self.writer.write(&batch.map_err(|error| bad(&self.writer.path, &error))?)?;
        self.writer.flush()
    }

    /// Writes what is left, and gives the file its name.
    pub fn finish(mut self) -> Result<(), ReportError> {
        self.flush()?;
        self.writer.finish()
    }
}

/// Writes a file aside and renames it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    guard::files::write(path, bytes).map_err(|source| ReportError::Write { path: path.into(), source })
}

/// Copies a file that is there itself, without holding it; its folder is made.
pub fn copy(from: &Path, to: &Path) -> Result<(), ReportError> {
    let mut source = guard::files::open_here(from).map_err(|source| ReportError::Read { path: from.into(), source })?;
    let copied = fs::create_dir_all(to.parent().unwrap_or(to)).and_then(|()| {
        let (growing, mut file) = Growing::create(to)?;
        std::io::copy(&mut source, &mut file)?;
        growing.finish()
    });
    copied.map_err(|source| ReportError::Write { path: to.into(), source })
}
